"""Findings as GitLab's code quality report: one JSON array for all models of a run.

Source: https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ..errors import shown
from ..passes.codes import Severity
from ..passes.finding import Finding
from ..results import Report
from .fingerprint import fingerprint, in_repository
from .github import message
from .table import Context, Reporter

_SEVERITIES = {Severity.ERROR: "critical", Severity.WARNING: "minor", Severity.INFO: "info"}


def issues(item: Report) -> list[dict[str, Any]]:
    """An issue for each finding."""
    return [_finding(item.path, finding) for finding in item.findings]


def unusable(path: str, reason: str) -> dict[str, Any]:
    """The issue for a model that cannot be used."""
    place = in_repository(path)
    identity = hashlib.sha256(f"{place}\0unusable".encode(errors="surrogatepass")).hexdigest()[:32]
    return _issue(place, "unusable-model", "blocker", f"rewriter cannot use this model: {reason}", identity)


def _finding(path: str, item: Finding) -> dict[str, Any]:
    said = f"{item.code} {item.kind}: {message(item)}"
    return _issue(
        in_repository(path),
        item.code,
        _SEVERITIES[item.severity],
        said,
        fingerprint(path, item.node, item.code),
    )


def _issue(place: str, check: str, severity: str, said: str, identity: str) -> dict[str, Any]:
    return {
        "description": said,
        "check_name": check,
        "fingerprint": identity,
        "severity": severity,
        # GitLab needs a line, and a model has none.
        "location": {"path": shown(place, len(place)), "lines": {"begin": 1}},
    }


class Output(Reporter):
    """One array of all models, at the end."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._issues: list[dict[str, Any]] = []

    def check(self, item: Any) -> None:
        self._issues += issues(item)

    def unusable(self, path: str, reason: str, error: Exception) -> None:
        self._issues.append(unusable(path, reason))

    def end(self, left_out: int = 0, unselected: int = 0) -> None:
        self.console.data(json.dumps(self._issues, indent=1) + "\n")
