"""The contents of each folder of the package, from the docstrings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tools.pages.markdown import cell, row

PACKAGE = Path(__file__).resolve().parents[2] / "rewriter"


def table() -> Iterator[str]:
    """A table with one row for each folder, its subfolders below it, and the top-level modules."""
    yield "| place | what it holds |\n|---|---|"
    folders = [path.parent for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE]
    modules = [path for path in PACKAGE.glob("*.py") if path.name[0] != "_"]
    for path in [*sorted(folders), *sorted(modules)]:
        said = _docstring(path / "__init__.py" if path.is_dir() else path)
        if said:
            place = path.relative_to(PACKAGE.parent).as_posix() + ("/" if path.is_dir() else "")
            yield row(f"`{place}`", cell(said))


def _docstring(path: Path) -> str:
    """The first paragraph of a module's docstring."""
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(said.split("\n\n")[0].split()).replace("``", "`")
