"""Text in Markdown tables."""

from __future__ import annotations


def cell(text: str) -> str:
    """Text escaped for a table cell: it cannot end the cell or act as markup."""
    printable = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return printable.replace("|", "\\|").replace("<", "&lt;")


def row(*cells: str) -> str:
    """A row of a table."""
    return f"| {' | '.join(cells)} |"
