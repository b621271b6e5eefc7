"""The formats of results, one row each: the name, the module that renders it, and the commands it is for.

A module has a class ``Output`` with a method for each of these commands. It is imported when its format is requested.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .console import Console

if TYPE_CHECKING:
    from ..rules.table import Rule


@dataclass(frozen=True, slots=True)
class Context:
    """The target of a report, and what it needs besides the results.

    Args:
        rules: the table of rules.
        several: whether there are several models.
        verbosity: -1 codes only, 0 short, 1 with the evidence and the other readings.
        statistics: whether the findings are only counted by code.
        folder: where the report is written, if it is a file.
    """

    console: Console
    rules: Sequence[Rule] = ()
    several: bool = False
    verbosity: int = 0
    statistics: bool = False
    folder: str | None = None


class Reporter:
    """The report of one run. A format overrides the methods that it shows; each takes a result of the library."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.console = context.console

    def check(self, item: Any) -> None:
        raise NotImplementedError

    def repair(self, item: Any) -> None:
        raise NotImplementedError

    def shapes(self, item: Any) -> None:
        raise NotImplementedError

    def supported(self, item: Any) -> None:
        raise NotImplementedError

    def suggest(self, item: Any) -> None:
        raise NotImplementedError

    def rules(self) -> None:
        raise NotImplementedError

    def explain(self, item: Any) -> None:
        raise NotImplementedError

    def rule(self, item: Any) -> None:
        raise NotImplementedError

    def reading(self, item: Any) -> None:
        raise NotImplementedError

    def code(self, item: Any) -> None:
        raise NotImplementedError

    def convert(self, item: Any) -> None:
        raise NotImplementedError

    def export(self, item: Any) -> None:
        raise NotImplementedError

    def sweep(self, item: Any, outcomes: Any) -> None:
        """A sweep: its summary, and the outcomes of its files."""
        raise NotImplementedError

    def unusable(self, path: str, reason: str, error: Exception) -> None:
        """A model that cannot be used; standard error has its ``error:`` line in any case."""

    def end(self, left_out: int = 0, unselected: int = 0) -> None:
        """After the last model.

        Args:
            left_out: how many findings were left out because a baseline lists them.
            unselected: how many were left out by their codes.
        """


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    module: str
    commands: tuple[str, ...]


COMMANDS = (
    *("check", "repair", "shapes", "supported", "suggest", "rules"),
    *("explain", "rule", "reading", "code", "convert", "export", "sweep"),
)

TABLE = (
    Row(
        "text",
        "as_text",
        COMMANDS,
    ),
    Row("json", "as_json", COMMANDS),
    Row("sarif", "sarif", ("check", "sweep")),
    Row("github", "github", ("check",)),
    Row("gitlab", "gitlab", ("check",)),
    Row("html", "html", ("check", "repair", "explain", "sweep")),
    Row("svg", "svg", ("check", "repair", "explain")),
    Row("model-explorer", "model_explorer", ("check", "repair")),
    Row("markdown", "markdown", ("supported", "rules")),
)


def names(*commands: str) -> list[str]:
    """The formats in which one of some commands can be shown."""
    return [row.name for row in TABLE if not set(commands).isdisjoint(row.commands)]


def reporter(name: str, context: Context) -> Reporter:
    """A report in a format of the table."""
    row = next(row for row in TABLE if row.name == name)
    made: Reporter = importlib.import_module(f".{row.module}", __package__).Output(context)
    return made
