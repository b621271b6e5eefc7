"""Update the generated parts of the documentation: tables and references from the code, pictures, transcripts.

python tools/update_docs.py [--check] [--only generated|pictures|transcripts] [PAGE ...]

Without pages: the README and all of docs/. ``--check`` changes nothing and names stale files (exit status 1). The
tables of measurements come from ``tools/mutate.py --update-docs``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tools.pages import pictures, sections, transcripts  # noqa: E402

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
MAKERS: dict[str, Callable[[str], str]] = {"generated": sections.current, "transcripts": transcripts.current}
PICTURES = "pictures"


def stale(kinds: list[str], pages: list[Path]) -> Iterator[tuple[Path, str]]:
    """The stale files, with their new contents."""
    for page in pages:
        old = new = page.read_text(encoding="utf-8")
        for kind, make in MAKERS.items():
            if kind in kinds:
                new = make(new)
        if new != old:
            yield page, new
    if PICTURES in kinds:
        for path, draw in pictures.PICTURES.items():
            new = draw()
            if not path.exists() or path.read_text(encoding="utf-8") != new:
                yield path, new


def main(arguments: list[str] | None = None) -> int:
    """Write the stale files, or with ``--check`` name them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pages", nargs="*", metavar="PAGE", type=Path)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit status 1 where one is stale"
    )
    parser.add_argument("--only", choices=(*MAKERS, PICTURES), help="this kind alone")
    options = parser.parse_args(arguments)
    kinds = [options.only] if options.only else [*MAKERS, PICTURES]
    found = False
    for path, text in stale(kinds, [page.resolve() for page in options.pages] or list(PAGES)):
        found = True
        print(f"{path.relative_to(ROOT)} {'is stale' if options.check else 'written'}")
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return int(found and options.check)


if __name__ == "__main__":
    sys.exit(main())
