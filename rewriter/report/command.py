"""The commands that a report prints to be copied: whole, and for a shell."""

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
from ..results import Report


def repair(item: Report, stated: Sequence[Finding] = ()) -> str:
    """The ``repair`` of a report's model, with the first reading of some findings stated.

    A name that cannot be typed as it is shown has none: then it is "".
    """
    if (
        item.path in ("-", "")
        or item.path != shown(item.path)
        or any(f.node != shown(f.node) for f in stated)
    ):
        return ""
    ops = "all" if any(f.elsewhere for f in stated) else item.ops
    words = ["rewriter", "repair", item.path, "-o", _output(item.path)]
    asked = [("--mode", item.mode, "safe"), ("--ops", ops, DEFAULT_OPS)]
    words += [word for option, value, usual in asked if value != usual for word in (option, value)]
    for finding in stated:
        first = first_reading(finding)
        if first is not None:
            words += ["--at", f"{finding.node}={meaning(first)}"]
    return shlex.join(words)


def meaning(item: Candidate) -> str:
    """A reading as ``--at`` takes it: its equation, or the rule where it has one operand only."""
    return item.equation if len(item.match.equation.operands) > 1 else item.rule


def first_reading(item: Finding) -> Candidate | None:
    """The first-ranked reading of a fault that is not decided and that a person may state; None without one."""
    if item.choice is not None or item.severity is not Severity.ERROR:
        return None
    if item.elsewhere and item.decision.stage is not OTHER_FAMILY:  # that one --ops all may change
        return None
    return next((c for c in item.candidates if not c.plan.cannot), None)


def _output(path: str) -> str:
    """``model.repaired.keras`` for ``model.keras``, beside it; a folder stays one."""
    stem, suffix = os.path.splitext(path.rstrip("/" + os.sep))
    return f"{stem}.repaired{suffix}"
