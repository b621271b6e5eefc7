"""Findings as SARIF 2.1.0: one run for all models. Source: OASIS, SARIF 2.1.0 (sarif-schema-2.1.0.json).

A result has no ``fixes``: a fix of SARIF replaces bytes (section 3.55), but a model is repaired as a whole. The message
has the nodes to insert and the command that inserts them.
"""

from __future__ import annotations

import json
import os
import pathlib
import urllib.parse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..errors import shown
from ..links import DOCUMENTATION, REPOSITORY, code_page
from ..passes.codes import Kind, Severity
from ..passes.finding import Finding
from ..results import Report
from . import as_json, command
from .fingerprint import fingerprint, in_repository
from .github import message
from .table import Context, Reporter
from .words import operand_names, steps_text

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_ROOT = "%SRCROOT%"
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def log(items: Sequence[Report | tuple[str, str]]) -> dict[str, Any]:
    """The whole log. A pair is a model that cannot be used, with the reason."""
    from ..version import __version__

    broken = [item for item in items if isinstance(item, tuple)]
    reports = [item for item in items if not isinstance(item, tuple)]
    invocation: dict[str, Any] = {"executionSuccessful": not broken}
    if broken:
        invocation["toolExecutionNotifications"] = [
            {"level": "error", "message": {"text": reason}, "locations": [_location(path)]}
            for path, reason in broken
        ]
    run = {
        "tool": {
            "driver": {
                "name": "rewriter",
                "version": __version__,
                "informationUri": REPOSITORY,
                "rules": [_rule(kind) for kind in Kind],
            }
        },
        "invocations": [invocation],
        "originalUriBaseIds": {_ROOT: {"description": {"text": "The root of the repository."}}},
        "artifacts": [{"location": artifact(i[0] if isinstance(i, tuple) else i.path)} for i in items],
        "results": [_result(item, finding) for item in reports for finding in item.findings],
        "columnKind": "unicodeCodePoints",
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def artifact(path: str) -> dict[str, Any]:
    """The location of a model: from the root of its repository, which is the same in every run."""
    place = in_repository(path)
    return {"uri": uri(place)} | ({} if os.path.isabs(place) else {"uriBaseId": _ROOT})


def uri(path: str) -> str:
    """A path as a URI: relative, or ``file://`` where it is absolute."""
    if os.path.isabs(path):
        return pathlib.Path(path).as_uri()
    return urllib.parse.quote(os.fsencode(path.replace(os.sep, "/")), safe="/~-._")


def _rule(kind: Kind) -> dict[str, Any]:
    title, text = kind.summary, kind.text
    return {
        "id": kind.code,
        "name": "".join(word.capitalize() for word in str(kind).split("-")),
        "shortDescription": {"text": f"{title[:1].upper()}{title[1:]}."},
        "fullDescription": {"text": text},
        "helpUri": code_page(kind.code),
        "help": {
            "text": f"{text} 'rewriter explain MODEL NODE' shows why each rule fits or does not.",
            "markdown": _page(kind),
        },
        "defaultConfiguration": {"level": _LEVELS[kind.severity]},
    }


def _page(kind: Kind) -> str:
    """The page of a kind of finding, as viewers show it beside a result."""
    return (
        f"## {kind.code} {kind}: {kind.summary}\n\n{kind.text}\n\n"
        "| | |\n|---|---|\n"
        "| Why each rule fits or does not | `rewriter explain MODEL NODE` |\n"
        "| What a repair would change | `rewriter repair MODEL --diff` |\n"
        "| Repair the model | `rewriter repair MODEL -o OUT` |\n\n"
        f"[All kinds of findings]({DOCUMENTATION}/findings.md)\n"
    )


def _text(report: Report, item: Finding) -> str:
    """The message, and what a repair inserts."""
    if item.choice is None:
        return message(item)
    steps = "; ".join(steps_text(item.choice.plan.steps, operand_names(item.operands)))
    printed = command.repair(report)
    return f"{message(item)} Repair{f' `{printed}`' if printed else ''}: {steps}."


def _result(report: Report, item: Finding) -> dict[str, Any]:
    path = report.path
    identity = fingerprint(path, item)
    return {
        "ruleId": item.code,
        "ruleIndex": list(Kind).index(item.kind),
        "level": _LEVELS[item.severity],
        "message": {"text": _text(report, item)},
        "locations": [_location(path, item)],
        # GitHub reads primaryLocationLineHash and no other name.
        "partialFingerprints": {"primaryLocationLineHash": identity, "modelNode/v2": identity},
        "properties": {"finding": as_json.finding(item)},
    }


def _location(path: str, item: Finding | None = None) -> dict[str, Any]:
    # A model has no lines; GitHub shows a result only where a region is stated.
    physical = {"artifactLocation": artifact(path), "region": {"startLine": 1}}
    location: dict[str, Any] = {"physicalLocation": physical}
    if item is not None:
        name = shown(item.node.rpartition("/")[2])
        location["logicalLocations"] = [
            {"name": name, "fullyQualifiedName": shown(item.node), "kind": "element"}
        ]
    return location


class Output(Reporter):
    """One log of all models, at the end."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._kept: list[Report | tuple[str, str]] = []

    def check(self, item: Any) -> None:
        self._kept.append(replace(item, seen=None))  # not the graphs of all models

    def unusable(self, path: str, reason: str, error: Exception) -> None:
        self._kept.append((path, reason))

    def end(self, left_out: int = 0, unselected: int = 0) -> None:
        self.console.data(json.dumps(log(self._kept), indent=1) + "\n")
