"""Findings as workflow commands of GitHub Actions: ``::error file=...,title=...::message``."""

from __future__ import annotations

from typing import Any

from ..errors import shown
from ..passes.codes import Severity
from ..passes.finding import Finding
from ..results import Report
from .table import Reporter

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def report(item: Report) -> str:
    """A line for each finding."""
    return "".join(
        _command(_LEVELS[f.severity], item.path, f"{f.code} {f.kind.summary}", message(f))
        for f in item.findings
    )


def unusable(path: str, reason: str) -> str:
    """The line for a model that cannot be used."""
    return _command("error", path, "rewriter cannot use this model", reason)


def message(item: Finding) -> str:
    """What is wrong and what was meant, in plain sentences."""
    text = f"{shown(item.node)}: {item.message}."
    if item.choice is not None:
        return f"{text} It means {item.choice.equation} ({item.choice.rule}): {item.why}."
    return f"{text} Not decided: {item.why}." if item.why else text


def _command(level: str, path: str, title: str, text: str) -> str:
    """Escaped as ``@actions/core`` does it (``packages/core/src/command.ts``)."""
    return f"::{level} file={_property(path)},title={_property(title)}::{_data(text)}\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


class Output(Reporter):
    """A line for each finding, as it is found."""

    def check(self, item: Any) -> None:
        self.console.write(report(item))

    def unusable(self, path: str, reason: str, error: Exception) -> None:
        self.console.write(unusable(path, reason))
