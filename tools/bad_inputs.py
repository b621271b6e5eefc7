"""The table of bad inputs and advisories as Markdown, for docs/bad-inputs.md: ``python tools/bad_inputs.py``."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.hostile.advisories import ADVISORIES  # noqa: E402
from tests.hostile.table import GROUPS, ROWS  # noqa: E402

OUTCOMES = {2: "refused", 1: "reported", 0: "not touched"}


def cell(text: str) -> str:
    """Text in a table: nothing that a name holds ends the cell or steers the page."""
    return (
        "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
        .replace("|", "\\|")
        .replace("<", "&lt;")
    )


def main() -> int:
    for number, title in GROUPS.items():
        print(f"### {title}\n\n| input | outcome | the line says |\n|---|---|---|")
        for row in ROWS:
            if row.group == number:
                said = f"… {cell(row.words)} …" if row.words else ""
                print(f"| {cell(row.name)} | {OUTCOMES[row.status]} | {said} |")
        print()
    print("### Advisories\n\n| advisory | what it is about | inputs |\n|---|---|---|")
    for advisory, (about, names) in ADVISORIES.items():
        print(f"| {advisory} | {about} | {cell(', '.join(names))} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
