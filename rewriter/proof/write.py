"""Write a repaired model, and keep the file only if its proof does not fail."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import UnsupportedError, UnverifiedError, VerificationError, shown
from ..files.atomic import provisional
from ..formats.registry import Format, open_model, write_as
from ..ir.graph import Graph
from ..passes.analysis import Analysis
from ..passes.codes import Severity
from ..passes.pipeline import Outcome
from ..progress import stage
from .converted import in_own_keras
from .request import Prover, Request, make_request
from .runnable import is_translated, runnable, runnable_as_it_was
from .verdict import PROVEN, disproved, failure, judged

if TYPE_CHECKING:
    from ..formats.model_file import ModelFile

NOT_ASKED = "--no-verify"


@contextmanager
def proven(
    source: ModelFile,
    target: str | os.PathLike[str],
    form: Format,
    outcome: Outcome,
    look: Callable[[Graph], Analysis],
    prover: Prover | None,
    required: bool = False,
    keep: bool = True,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Write the model beside ``target``, prove it there, and rename it when the block ends without an error.

    Args:
        source: the opened model with its graph as it is now.
        form: the format to write.
        look: the analysis that found the faults.
        prover: runs the model; None skips that.
        required: whether it is an error if the proof cannot run.
        keep: False for a file that is only wanted within the block.

    Yields:
        The temporary path, and what was proven, as in the JSON: with a ``verdict``, and a ``reason`` if the repair is
        not proven.

    Raises:
        VerificationError: the proof failed; nothing was written.
        UnsupportedError: the proof is required, and could not run; nothing was written.
        RewriterError: as ``ModelFile.write``.
    """
    answer: dict[str, Any]
    stage("writing")
    with provisional(target, form.suffix, keep) as path:
        write_as(source, form, path)
        if not outcome.inserted:
            answer = _as_it_was(source, path, keep)
            yield path, _static(outcome.after) | judged(answer, outcome.after.findings)
            return
        stage("checking what was written")
        with open_model(path) as written:
            written.load_weights()
            after = look(written.graph)
            allowed = {finding.node for finding in outcome.findings if finding.left}
            wrong = [finding for finding in after.findings if finding.severity is Severity.ERROR]
            for finding in wrong:
                if finding.node not in allowed:
                    raise _failed("static", shown(finding.node), finding.message)
            if prover is None:
                answer = {"skipped": NOT_ASKED}
            elif wrong:
                answer = {"skipped": f"{shown(wrong[0].node)!r} was left unchanged, and is wrong"}
            else:
                stage("proving")
                answer = _run(prover, written, source, make_request(written, source, outcome.applied, after))
        if "failed" in answer:
            raise VerificationError(failure(answer["failed"]), disproved(answer["failed"]))
        verified = _static(after) | judged(answer, after.findings)
        if required and verified["verdict"] != PROVEN:
            raise UnverifiedError(verified["reason"])
        yield path, verified


def _run(prover: Prover, written: ModelFile, source: ModelFile, request: Request) -> dict[str, Any]:
    """The prover's answer on files that it can load. The prover decides whether to run custom code."""
    if request.skipped and (is_translated(written) or is_translated(source)):
        return {"skipped": request.skipped}
    try:
        with runnable(written) as (repaired, form), runnable_as_it_was(source) as (original, original_form):
            made = replace(request, repaired=repaired, format=form)
            answer = prover(replace(made, original=original, original_format=original_form))
            if written.older and not {"failed", "skipped"} & answer.keys():
                answer = {**answer, "own_keras": in_own_keras(written, repaired, form, source)}
            return answer
    except UnsupportedError as error:
        return {"skipped": str(error)}


def _as_it_was(source: ModelFile, path: str, kept: bool) -> dict[str, Any]:
    """The answer for a file in which nothing was inserted."""
    if kept and os.path.isfile(source.path) and filecmp.cmp(source.path, path, shallow=False):
        return {"skipped": "nothing was inserted: the copy is identical to the input", "identical": True}
    return {"skipped": "nothing was inserted"}


def _static(after: Analysis) -> dict[str, Any]:
    return {"static": True, "findings_left": len(after.findings)}


def _failed(check: str, node: str, text: str) -> VerificationError:
    failed = {"check": check, "node": node, "batch": None, "difference": None, "text": text}
    return VerificationError(failure(failed), disproved(failed))
