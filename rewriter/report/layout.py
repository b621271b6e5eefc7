"""The parts of the text reports: rich's texts and tables, with shared settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

Styled = str | tuple[str, str] | Text

GAP = 2


def line(*parts: Styled) -> Text:
    """Parts, each a text or ``(text, style)``, on one line that is never wrapped."""
    return Text.assemble(*parts, no_wrap=True, overflow="ignore")


def words(*parts: Styled) -> Text:
    """A paragraph that is wrapped; a word that is longer than a line is broken."""
    return Text.assemble(*parts, overflow="fold")


def indented(block: RenderableType, columns: int) -> Padding:
    return Padding(block, (0, 0, 0, columns))


def columns(text: str) -> int:
    """How many columns a text takes on a terminal: two for wide characters, none for combining ones."""
    return cell_len(text)


def filled(text: str, width: int) -> str:
    """Text filled up with spaces to a number of columns; a longer one stays as it is."""
    return text + " " * (width - columns(text))


def fields(
    rows: Iterable[tuple[str, RenderableType]], indent: int = 2, first: int = 8, gap: int = GAP
) -> RenderableType:
    """Labelled paragraphs: the label once, the text beside it.

    Args:
        first: columns of the labels.
    """
    table = Table.grid(
        Column(width=first, no_wrap=True, overflow="ignore"), Column(ratio=1, overflow="fold"),
        padding=(0, gap, 0, 0), expand=True,
    )  # fmt: skip
    for label, text in rows:
        table.add_row(label, text)
    return indented(table, indent)


def table(
    heads: Sequence[Column], rows: Iterable[Sequence[RenderableType]], indent: int = 0
) -> RenderableType:
    """A table without lines, a head above each column; cells that are too long are folded."""
    headed = any(head.header for head in heads)
    made = Table(
        *heads, box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="dim", show_header=headed
    )
    for row in rows:
        made.add_row(*row)
    return indented(made, indent)
