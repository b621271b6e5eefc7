"""The pictures of a page as one SVG, for documents: the nodes around each finding, or a small graph that has none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..results import Report
from .html.findings import Card
from .html.page import Item
from .palette import literal
from .picture.svg import Drawn, draw
from .picture.whole import small
from .table import Context, Reporter
from .templating import ascii_only, asset, render, require

# A graph without a finding is drawn if it has at most this many nodes.
_MOST = 80
_EDGE, _LINE, _APART = 20, 22, 24


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text: its place and its class in the style sheet."""

    x: float
    y: float
    text: str
    style: str


@dataclass(frozen=True, slots=True)
class Panel:
    """A picture in its place."""

    x: float
    y: float
    drawn: Drawn


class Sheet:
    """A drawing that grows downwards."""

    def __init__(self) -> None:
        self.texts: list[Text] = []
        self.panels: list[Panel] = []
        self.width = 400.0
        self.bottom = float(_EDGE)

    def line(self, text: str, style: str = "rw-line") -> None:
        self.bottom += _LINE
        self.texts.append(Text(_EDGE, self.bottom, text, style))
        self.width = max(self.width, 2 * _EDGE + 7.4 * len(text))

    def side_by_side(self, named: list[tuple[str, Drawn]]) -> None:
        """Pictures in a row, each under its name."""
        top = self.bottom + _LINE
        left = float(_EDGE)
        for name, drawn in named:
            self.texts.append(Text(left, top, name, "rw-caption"))
            self.panels.append(Panel(left, top + 8, drawn))
            left += drawn.width + _APART
            self.bottom = max(self.bottom, top + 8 + drawn.height)
        self.width = max(self.width, left - _APART + _EDGE)
        self.bottom += _APART


def add(sheet: Sheet, item: Item) -> None:
    """What is drawn of one model."""
    sheet.line(item.path, "rw-heading")
    sheet.line(item.error or item.verdict)
    for card in item.cards:
        _card(sheet, card)
    for each in item.sheets:
        if each.picture is not None:
            sheet.bottom += _LINE / 2
            sheet.line(f"{each.op} {each.node}", "rw-title")
            sheet.side_by_side([("The nodes around it", draw(each.picture))])
    if item.cards or item.sheets or item.error:
        return
    if item.picture is None:
        sheet.line(f"The graph has more than {_MOST} nodes: --format html shows it.")
        return
    sheet.side_by_side([("", draw(item.picture))])


def _card(sheet: Sheet, card: Card) -> None:
    sheet.bottom += _LINE / 2
    sheet.line(f"{card.code} {card.node}", "rw-title")
    sheet.line(f"{card.kind}: {card.message}")
    if card.chosen is not None:
        sheet.line(f"{card.chosen.rule}: {card.chosen.equation}")
    named = []
    if card.before is not None:
        named.append(("As the model has it", draw(card.before)))
    if card.after is not None:
        named.append((card.after_caption, draw(card.after)))
    if named:
        sheet.side_by_side(named)


class Output(Reporter):
    """One SVG for all models, at the end."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        require("--format svg")
        self._sheet = Sheet()

    def check(self, item: Any) -> None:
        made = Item.of(item, self.context.rules, script=False)
        if not made.cards and isinstance(item, Report) and item.seen is not None:
            made.picture = small(item.seen, (), _MOST)
        add(self._sheet, made)

    def repair(self, item: Any) -> None:
        self.check(item)

    def explain(self, item: Any) -> None:
        self.check(item)

    def unusable(self, path: str, reason: str, error: Exception) -> None:
        add(self._sheet, Item.unusable(path, reason))

    def end(self, left_out: int = 0, unselected: int = 0) -> None:
        from markupsafe import Markup

        css = asset("picture.css")
        sheet = self._sheet
        self.console.write(
            ascii_only(
                render(
                    "document.svg",
                    sheet=sheet,
                    light=Markup(literal(css, dark=False)),
                    dark=Markup(literal(css, dark=True)),
                    colours={
                        dark: literal("var(--rw-paper) var(--rw-ink) var(--rw-quiet)", dark).split()
                        for dark in (False, True)
                    },
                )
            )
        )
