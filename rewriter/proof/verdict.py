"""The result of a proof: proven, disproven, or not run and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import shown
from ..passes.finding import Finding

PROVEN, DISPROVEN, NOT_RUN = "proven", "disproven", "not-run"


def judged(answer: Mapping[str, Any], left: Sequence[Finding]) -> dict[str, Any]:
    """The answer of a prover that disproved nothing, with its ``verdict``, and the ``reason`` if it is not proven.

    Args:
        left: the findings in the repaired file. If there are any, the repair is not proven.
    """
    reason = _not_proven(answer, left)
    return {**answer, "verdict": NOT_RUN, "reason": reason} if reason else {**answer, "verdict": PROVEN}


def disproved(failed: Mapping[str, Any]) -> dict[str, Any]:
    """The answer for a failed check, with its ``verdict`` and ``reason``."""
    return {"verdict": DISPROVEN, "reason": failure(failed), "failed": dict(failed)}


def failure(failed: Mapping[str, Any]) -> str:
    """``the repair failed its proof (equation): 'scale' at batch 3: it is off by 0.5``."""
    place = f"{failed['node']!r}" if failed["node"] else "the model"
    if failed["batch"] is not None:
        place += f" at batch {failed['batch']}"
    return f"the repair failed its proof ({failed['check']}): {place}: {failed['text']}"


def _not_proven(answer: Mapping[str, Any], left: Sequence[Finding]) -> str:
    if "skipped" in answer:
        return str(answer["skipped"])
    if left:
        first = f"{shown(left[0].node)!r}: {left[0].message}"
        return (
            f"1 finding is left, {first}"
            if len(left) == 1
            else f"{len(left)} findings are left, {first}; ..."
        )
    if "ended" in answer:
        return str(answer["ended"])
    equation = answer["checks"]["equation"]
    return str(equation.get("why", "" if equation["proven"] else "nothing could be compared"))
