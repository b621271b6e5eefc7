"""The report as HTML: a page in one file that needs no other, and a fragment for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...rules.table import Rule, builtin
from .. import sweeps
from ..table import Context, Reporter
from ..templating import require
from .page import Item, document, embedded


def fragment(item: Any) -> str:
    """A report, result or explanation as HTML with its own styles and no script, for a notebook to show.

    Raises:
        UsageError: a library of the extra ``html`` is missing.
    """
    require("a report in a notebook")
    return embedded(item, builtin())


def page_of(item: Any, rules: Sequence[Rule]) -> str:
    """A report as a page of its own. Raises as ``fragment``."""
    require("a page of a model")
    return document([Item.of(item, rules)])


class Output(Reporter):
    """One page for all models, at the end."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        require("--format html")
        self._items: list[Item] = []
        self._page = ""

    def check(self, item: Any) -> None:
        self._items.append(Item.of(item, self.context.rules))

    def repair(self, item: Any) -> None:
        self._items.append(Item.of(item, self.context.rules))

    def explain(self, item: Any) -> None:
        self._items.append(Item.of(item, self.context.rules))

    def sweep(self, item: Any, outcomes: Any) -> None:
        self._page = sweeps.page(item, outcomes, self.context.folder)

    def unusable(self, path: str, reason: str, error: Exception) -> None:
        self._items.append(Item.unusable(path, reason))

    def end(self, left_out: int = 0, unselected: int = 0) -> None:
        self.console.write(self._page or document(self._items))
