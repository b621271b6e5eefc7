"""The shell commands that a report prints for the user to copy."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

from ..errors import shown
from ..passes.candidate import Candidate
from ..passes.codes import Severity
from ..passes.finding import Finding
from ..passes.sites import DEFAULT_OPS
from ..passes.stages import OTHER_FAMILY
from ..results import Explanation, Report


def repair(item: Report | Explanation, stated: Sequence[Finding] = ()) -> str:
    """The ``repair`` command of a checked model, with the options of the check and the first reading of some findings.

    It is "" if a name cannot be typed as it is shown.
    """
    names = [item.path, item.rules, item.weights, *(f.node for f in stated)]
    if item.path in ("-", "") or any(name != shown(name) for name in names):
        return ""
    ops = "all" if any(f.elsewhere for f in stated) else item.ops
    words = ["rewriter", "repair", item.path, "-o", _output(item.path)]
    asked = [
        ("--weights", item.weights, ""),
        ("--rules", item.rules, ""),
        ("--mode", item.mode, "safe"),
        ("--ops", ops, DEFAULT_OPS),
    ]
    words += [word for option, value, usual in asked if value != usual for word in (option, value)]
    words += [word for name in item.trust for word in ("--trust", name)]
    for finding in stated:
        first = first_reading(finding)
        if first is not None:
            words += ["--at", f"{finding.node}={meaning(first)}"]
    return shlex.join(words)


def of_report(item: Report) -> str:
    """The last ``repair`` command of a report: what is decided, and the first reading of the rest; "" if nothing is."""
    stated = undecided(item)
    if not stated and all(f.choice is None for f in item.findings):
        return ""
    return repair(item, stated)


def undecided(item: Report) -> list[Finding]:
    """The findings that a person may decide."""
    return [f for f in item.findings if first_reading(f) is not None]


def meaning(item: Candidate) -> str:
    """A reading for ``--at``: its equation, or its rule if it has only one operand."""
    return item.equation if len(item.match.equation.operands) > 1 else item.rule


def first_reading(item: Finding) -> Candidate | None:
    """The first-ranked reading of an undecided fault, which a person may state; None if there is none."""
    if item.choice is not None or item.severity is not Severity.ERROR:
        return None
    if item.elsewhere and item.decision.stage is not OTHER_FAMILY:  # a node that only --ops all may change
        return None
    return next((c for c in item.candidates if not c.plan.cannot), None)


def _output(path: str) -> str:
    """``model.repaired.keras`` for ``model.keras``, beside it; a folder stays one."""
    stem, suffix = os.path.splitext(path.rstrip("/" + os.sep))
    return f"{stem}.repaired{suffix}"
