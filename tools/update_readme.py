"""Bring the generated tables of the README and of docs/ up to date; ``--check`` only says whether they are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_SECTION = re.compile(r"<!-- (?P<name>\w+): (?P<command>[^>]+?) -->\n.*?<!-- end -->\n", re.DOTALL)


def current(text: str) -> str:
    """A page with every section between ``<!-- name: command -->`` and ``<!-- end -->`` made by its command."""

    def section(match: re.Match[str]) -> str:
        program, *arguments = match["command"].split()
        command = ["-m", "rewriter", *arguments] if program == "rewriter" else arguments
        table = subprocess.run(
            [sys.executable, *command], cwd=ROOT, check=True, capture_output=True, text=True, encoding="utf-8"
        ).stdout
        return f"<!-- {match['name']}: {match['command']} -->\n{table.strip()}\n<!-- end -->\n"

    return _SECTION.sub(section, text)


def main() -> int:
    """Rewrite the pages, or with ``--check`` return 1 where one is stale."""
    stale = 0
    for page in PAGES:
        old = page.read_text(encoding="utf-8")
        new = current(old)
        if new == old:
            continue
        stale = 1
        if "--check" in sys.argv[1:]:
            print(f"{page.relative_to(ROOT)} is stale")
        else:
            page.write_text(new, encoding="utf-8")
    return stale if "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
