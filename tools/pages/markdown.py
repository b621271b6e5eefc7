"""Text in Markdown tables."""

from __future__ import annotations


def cell(text: str) -> str:
    """Text in a table: nothing in it ends the cell or steers the page."""
    printable = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return printable.replace("|", "\\|").replace("<", "&lt;")


def row(*cells: str) -> str:
    """A row of a table."""
    return f"| {' | '.join(cells)} |"
