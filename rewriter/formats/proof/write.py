"""Write a repaired model, but only once it is proven."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...errors import UnsupportedError, VerificationError, shown
from ...ir.graph import Graph
from ...passes.analysis import Analysis
from ...passes.finding import Severity
from ...passes.pipeline import Outcome
from ..atomic import provisional
from ..source import open_model
from .request import Prover, make_request
from .verdict import disproved, failure, judged

if TYPE_CHECKING:
    from ..source import ModelFile

# By which readers tell the formats; what is not here is an archive of Keras.
_SUFFIXES = {"json": ".json", "onnx": ".onnx"}
NOT_ASKED = "--no-verify"


def write_proven(
    source: ModelFile,
    target: str | os.PathLike[str],
    outcome: Outcome,
    look: Callable[[Graph], Analysis],
    prover: Prover | None,
) -> dict[str, Any]:
    """Write the model beside ``target``, prove it there, and give it its name.

    Args:
        source: the opened model with its graph as it is now.
        look: the analysis that found the faults.
        prover: runs the model; None leaves that out.

    Returns:
        What was proven, as in the JSON: with a ``verdict``, and a ``reason`` where it is not proven.

    Raises:
        VerificationError: the proof failed; nothing was written.
        RewriterError: as ``ModelFile.write``.
    """
    if not outcome.inserted:
        source.write(target)
        same = {"skipped": "nothing was inserted: the copy is identical to the input"}
        return _static(outcome.after) | judged(same, outcome.after.findings)
    if os.path.exists(target) and os.path.samefile(source.path, target):
        raise UnsupportedError("the output is the input itself: choose another name")
    suffix = _SUFFIXES.get(source.format, ".keras")
    with provisional(target, suffix) as path:
        source.write(path)
        with open_model(path) as written:
            written.load_weights()
            after = look(written.graph)
            allowed = {finding.node for finding in outcome.findings if finding.left}
            wrong = [finding for finding in after.findings if finding.severity is Severity.ERROR]
            for finding in wrong:
                if finding.node not in allowed:
                    raise _failed("static", shown(finding.node), finding.message)
            request = make_request(path, source.path, source.format, written.graph, outcome.applied, after)
        answer: dict[str, Any]
        if prover is None:
            answer = {"skipped": NOT_ASKED}
        elif wrong:
            answer = {"skipped": f"{shown(wrong[0].node)!r} was left as it is, and is wrong as it is"}
        else:
            answer = prover(request)
        if "failed" in answer:
            raise VerificationError(failure(answer["failed"]), disproved(answer["failed"]))
    return _static(after) | judged(answer, after.findings)


def _static(after: Analysis) -> dict[str, Any]:
    return {"static": True, "findings_left": len(after.findings)}


def _failed(check: str, node: str, text: str) -> VerificationError:
    failed = {"check": check, "node": node, "batch": None, "difference": None, "text": text}
    return VerificationError(failure(failed), disproved(failed))
