"""Findings as SARIF 2.1.0: one run for all models. Source: OASIS, SARIF 2.1.0 (sarif-schema-2.1.0.json).

A result has no ``fixes``: a fix of SARIF replaces bytes (section 3.55), but a model is repaired as a whole. The message
has the nodes to insert and the command that inserts them.
"""

from __future__ import annotations

import json
import os
import pathlib
import urllib.parse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ..errors import shown
from ..links import DOCUMENTATION, REPOSITORY, code_page
from ..passes.codes import Kind, Severity
from ..passes.finding import Finding
from ..results import Report
from ..swept import CLEAN, Outcome
from . import as_json, command
from .fingerprint import fingerprint, in_repository, is_address
from .github import message
from .table import Context, Reporter
from .words import operand_names, steps_text

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_ROOT = "%SRCROOT%"
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def log(items: Sequence[Report | tuple[str, str]]) -> dict[str, Any]:
    """The whole log. A pair is a model that cannot be used, with the reason."""
    broken = [item for item in items if isinstance(item, tuple)]
    results = [
        _result(item, finding) for item in items if isinstance(item, Report) for finding in item.findings
    ]
    return _log([item[0] if isinstance(item, tuple) else item.path for item in items], broken, results)


def of_sweep(outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """The log of a sweep: of its models that are not clean."""
    kept = [each for each in outcomes if each.outcome != CLEAN or each.findings]
    results = [_swept(each.url, finding) for each in kept for finding in each.findings]
    return _log([each.url for each in kept], [(each.url, each.error) for each in kept if each.error], results)


def _log(
    paths: Sequence[str], broken: Sequence[tuple[str, str]], results: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    from ..version import __version__

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
        "artifacts": [{"location": artifact(path)} for path in paths],
        "results": list(results),
        "columnKind": "unicodeCodePoints",
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def artifact(path: str) -> dict[str, Any]:
    """The location of a model: an address, or from the root of its repository, which is the same in every run."""
    place = in_repository(path)
    return {"uri": uri(place)} | ({} if is_address(place) or os.path.isabs(place) else {"uriBaseId": _ROOT})


def uri(path: str) -> str:
    """An address or a path as a URI; that of a path is relative, or ``file://`` where it is absolute."""
    if is_address(path):
        return urllib.parse.quote(os.fsencode(path), safe="/~-._:@=+,;!$&'()*")
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
    return _entry(
        report.path, item.kind, item.severity, item.node, _text(report, item), as_json.finding(item)
    )


def _swept(url: str, finding: dict[str, Any]) -> dict[str, Any]:
    kind = next(kind for kind in Kind if str(kind) == finding["kind"])
    text = f"{finding['message']}. {finding['why']}."
    return _entry(url, kind, Severity(finding["severity"]), finding["node"], text, finding)


def _entry(
    path: str, kind: Kind, severity: Severity, node: str, text: str, finding: dict[str, Any]
) -> dict[str, Any]:
    identity = fingerprint(path, node, kind.code)
    return {
        "ruleId": kind.code,
        "ruleIndex": list(Kind).index(kind),
        "level": _LEVELS[severity],
        "message": {"text": text},
        "locations": [_location(path, node)],
        # GitHub reads primaryLocationLineHash and no other name.
        "partialFingerprints": {"primaryLocationLineHash": identity, "modelNode/v2": identity},
        "properties": {"finding": finding},
    }


def _location(path: str, node: str | None = None) -> dict[str, Any]:
    # A model has no lines; GitHub shows a result only where a region is stated.
    physical = {"artifactLocation": artifact(path), "region": {"startLine": 1}}
    location: dict[str, Any] = {"physicalLocation": physical}
    if node is not None:
        name = shown(node.rpartition("/")[2])
        location["logicalLocations"] = [{"name": name, "fullyQualifiedName": shown(node), "kind": "element"}]
    return location


class Output(Reporter):
    """One log of all models, at the end."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._kept: list[Report | tuple[str, str]] = []
        self._log: dict[str, Any] = {}

    def check(self, item: Any) -> None:
        self._kept.append(replace(item, seen=None))  # not the graphs of all models

    def sweep(self, item: Any, outcomes: Any) -> None:
        self._log = of_sweep(outcomes)

    def unusable(self, path: str, reason: str, error: Exception) -> None:
        self._kept.append((path, reason))

    def end(self, left_out: int = 0, unselected: int = 0) -> None:
        self.console.data(json.dumps(self._log or log(self._kept), indent=1) + "\n")
