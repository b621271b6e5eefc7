"""The proof of a repaired ONNX model, run by ONNX Runtime.

- ``equation``: each changed node computes its equation on its operands as they were before anything was inserted.
- ``independence``: the outputs for a sample are the same alone and in a batch.
- ``batch-one``: the outputs at batch 1 are those of the original, if these are what is meant.

There are no ``gradients``: ONNX Runtime computes none. If ONNX Runtime loads the original but not the repaired file,
the repair is disproven. If it refuses both for the same reason, the proof has no result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Protocol

from ...errors import RewriterError, shown
from ...formats.onnx.model import OnnxModel
from ...formats.onnx.names import elsewhere
from ...formats.onnx.reader import Stored
from ..blame import LACKS_MEMORY, excused
from ..expected import expected, known
from ..feeds import CannotFeedError, Feeds, Sizes
from ..keras.checks import Check, DisprovedError, changes
from ..request import Claim, Request
from ..running import Arrays, FailedError, RefusedError
from ..tolerance import Gap, are_rounded, compare
from .session import Session

# ONNX operators by the names that Keras and the oracle use.
_KERAS_NAMES = {"Mul": "Multiply", "Sub": "Subtract", "Div": "Divide", "MatMul": "Matmul"}
_FIRST = (1, 2, 3)  # batches that every model is run at
# Errors of ONNX Runtime 1.31 for a model that it does not support, right or wrong.
_BEYOND = (
    "NOT_IMPLEMENTED",
    "is not a registered function/op",
    "No Op registered",
    "No opset import",
    "Unsupported model IR version",
    "is under development",
)


class SkippedError(Exception):
    """A proof or a check has no result; the text says why."""


def prove(request: Request, report: Callable[[dict[str, Any]], None] = lambda answer: None) -> dict[str, Any]:
    """Prove a request in this process: ``{"checks": {name: {...}}}``, ``{"skipped": why}`` or ``{"failed": {...}}``.

    Args:
        report: called after each check with the answer so far.
    """
    import onnxruntime

    answer: dict[str, Any] = {"ran": f"ONNX Runtime {onnxruntime.__version__}", "checks": {}}
    try:
        proof = Proof(request)
        for name, check in proof.run():
            answer["checks"][name] = check.as_dict()
            report(answer)
        return {**answer, "behaviour": proof.behaviour()}
    except DisprovedError as failure:
        if LACKS_MEMORY in str(failure.data["text"]):
            return {"skipped": LACKS_MEMORY}
        return {"failed": failure.data}
    except MemoryError:
        return {"skipped": LACKS_MEMORY}
    except (SkippedError, CannotFeedError, RewriterError) as reason:
        return {"skipped": str(reason)}


class Runs(Protocol):
    """A model, or a function, that is run on arrays: ``outputs`` are the names of its results."""

    outputs: list[str]
    feeds: Feeds

    def run(self, given: Arrays) -> Arrays: ...

    def fails(self, sizes: Sizes, batches: Sequence[int]) -> str: ...

    @property
    def whole(self) -> bool: ...

    @property
    def squared(self) -> bool: ...


class Proof:
    """The checks of a repaired model against the original, on sessions of one runtime."""

    runtime = "ONNX Runtime"
    session: Runs

    def __init__(self, request: Request) -> None:
        self.request = request
        self.source = OnnxModel(request.repaired).source
        foreign = elsewhere(self.source.proto, request.repaired)
        if foreign:
            raise SkippedError(f"its weights are in {shown(foreign)!r}, which is not a file in its folder")
        self.claims = [replace(c, op=_KERAS_NAMES.get(c.op, c.op)) for c in request.claims]
        self.met = [self._meeting(claim) for claim in self.claims]
        wanted = {
            name for *operands, result in self.met for name in (*operands, result) if isinstance(name, str)
        }
        self.session = self._loaded(sorted(wanted))
        self.started = time.monotonic()

    @property
    def feeds(self) -> Feeds:
        return self.session.feeds

    def _loaded(self, wanted: Sequence[str]) -> Session:
        try:
            Session(self.request.repaired, self.source)
        except RefusedError as error:
            text, before = str(error), self.original
            if not isinstance(before, str):
                text = f"{self.runtime} loads the original, but not the repaired file: {text}"
            elif excused(text, before) or any(word in text for word in _BEYOND):
                raise SkippedError(f"{self.runtime} does not load the original either: {text}") from None
            else:
                text = f"{self.runtime} does not load it: {text}"
            raise DisprovedError("load", "", None, None, text) from None
        try:
            return Session(self.request.repaired, self.source, wanted)
        except RefusedError as error:
            raise SkippedError(f"{self.runtime} does not give the values inside it: {error}") from None

    @cached_property
    def original(self) -> Runs | str:
        """The original in ONNX Runtime, or why ONNX Runtime does not load it."""
        try:
            return Session(self.request.original, OnnxModel(self.request.original).source)
        except RefusedError as error:
            return str(error)

    def _meeting(self, claim: Claim) -> list[Any]:
        """The original operands of a changed node, as tensor names or arrays, and the name of its result."""
        nodes = self.source.nodes
        taken = [name for name in nodes[claim.meets[-1]].input if name]
        operands: list[Any] = []
        for number, chain in enumerate(claim.chains):
            if str(number) in claim.literals:
                operands.append(claim.literals[str(number)])
                continue
            name = _entered(nodes[chain[0][-1]]) if chain else taken[number]
            operands.append(self._constant(name) if name in self._constants() else name)
        return [*operands, nodes[claim.gives[-1]].output[0]]

    def _constants(self) -> Mapping[str, Any]:
        return {tensor.name: tensor for tensor in self.source.proto.graph.initializer}

    def _constant(self, name: str) -> Any:
        return Stored(self._constants()[name]).__array__()

    def run(self) -> Iterator[tuple[str, Check]]:
        """Run the checks in order; yields the name and the result of each."""
        equation = Check()
        self.feeds.sizes = self._sizes()
        alone = {0: self._checked([0], equation)}
        independence = self._independence(equation, alone)
        yield "equation", equation
        yield "independence", independence
        yield "batch-one", self._batch_one(alone)
        yield "gradients", Check(why=f"{self.runtime} computes no gradients here")

    # -- which inputs -----------------------------
    def _sizes(self) -> Sizes:
        """Sizes of the open axes at which the model runs: at all first batches if possible, else at batch 1."""
        choices = list(self.feeds.attempts())
        for batches, tried in ((_FIRST, choices), (_FIRST[:1], choices[::-1])):
            failures = []
            for sizes in tried:
                why = self.session.fails(sizes, batches)
                if not why:
                    return sizes
                before = self._original_fails(sizes, batches)
                if not before:
                    text = f"the original runs on the same input, but it does not: {why}"
                    raise DisprovedError("run", "", None, None, text)
                failures.append((why, before))
        why, _ = failures[-1]
        if any(choices) or self.session.whole or any(excused(*failure) for failure in failures):
            raise SkippedError(f"it does not run on random inputs: {why}")
        raise DisprovedError("run", "", 1, None, f"it does not run: {why}")

    def _original_fails(self, sizes: Sizes, batches: Sequence[int]) -> str:
        """Why the original does not run at one of the batches, or ""."""
        return self.original if isinstance(self.original, str) else self.original.fails(sizes, batches)

    # -- the checks -----------------------------
    def _checked(self, samples: Sequence[int], equation: Check) -> Arrays:
        """Run these samples, and check the equation of every changed node; returns all values."""
        given = self.feeds.batch(samples)
        found = {**given, **self.session.run(given)}
        batch = len(samples) if self.feeds.fixed is None else self.feeds.fixed
        for claim, (*operands, result) in zip(self.claims, self.met, strict=True):
            if not known(claim.op, claim.equation):
                equation.why = f"{claim.node!r}: there is no oracle for {claim.op}"
                continue
            arrays = [found[o] if isinstance(o, str) else o for o in operands]
            try:
                desired = expected(claim.op, claim.equation, claim.kept, arrays)
            except (ValueError, IndexError) as error:
                text = f"its operands are not {claim.equation}: {error}"
                raise DisprovedError("equation", claim.node, batch, None, text) from None
            gap = compare(found[result], desired, str(found[result].dtype))
            if not gap.fits:
                text = f"it does not compute {claim.equation}: {gap.text()}"
                raise DisprovedError("equation", claim.node, batch, _number(gap), text)
            equation.add(gap, batch)
            if claim.node not in equation.nodes:
                equation.nodes.append(claim.node)
        return found

    def _independence(self, equation: Check, alone: dict[int, Arrays]) -> Check:
        check = Check(why=self.request.not_independent)
        if self.feeds.fixed is not None:
            unknown = "nothing in the file shows which axis is the batch"
            check.why = check.why or ("its batch is fixed" if self.feeds.shows_a_batch else unknown)
            return check
        if not check.why and self.session.squared:
            check.why = "an input has the batch along two axes"
        if not check.why and not self._repeats(alone[0]):
            check.why = "two runs on the same input differ: it is random, or keeps a state"
        try:
            for size in self._batches(self.started):
                whole = self._whole(size, equation)
                if check.why:
                    continue
                for sample in sorted({*range(min(size, 3)), size // 2, size - 1}):
                    if sample not in alone:
                        alone[sample] = self._checked([sample], equation)
                    self._agree(check, whole, sample, alone[sample], size)
        except SkippedError as reason:
            check.batches, check.why = [], str(reason)
        return check

    def _batches(self, started: float) -> Iterator[int]:
        """The batch sizes to run, within the limits of time and memory."""
        for size in self.request.batches:
            late = time.monotonic() - started > self.request.seconds
            if size <= _FIRST[-1] or not (late or size * self.request.elements > self.request.largest):
                yield size

    def _whole(self, size: int, equation: Check) -> Arrays:
        """Run another batch. The model must run at every size at which the original runs."""
        try:
            return self._checked(range(size), equation)
        except FailedError as error:
            if excused(str(error), self._original_fails(self.feeds.sizes, [size])):
                raise SkippedError(f"neither it nor the original runs at batch {size}: {error}") from None
            text = f"it runs at another batch size, but not at this one: {error}"
            raise DisprovedError("run", "", size, None, text) from None

    def _repeats(self, first: Arrays) -> bool:
        again = self._checked([0], Check())
        names = self.session.outputs
        return all(compare(again[n], first[n], str(first[n].dtype)).fits for n in names)

    def _agree(self, check: Check, whole: Arrays, sample: int, alone: Arrays, batch: int) -> None:
        """Compare a sample in a batch with the sample alone. A changed node is at fault only if its operands agree."""
        bad = False
        for name, axis in zip(self.session.outputs, self.request.output_batches, strict=True):
            gap = _gap(whole[name], alone[name], axis, sample, batch) if axis is not None else None
            if gap is not None and gap.fits:
                check.add(gap, batch)
            bad = bad or (gap is not None and not gap.fits)
        if not bad:
            return
        for claim, (*operands, result) in zip(self.claims, self.met, strict=True):
            gap = _gap(whole[result], alone[result], claim.result_batch, sample, batch)
            if gap is None or gap.fits:
                continue
            before = [
                _gap(whole[o], alone[o], axis, sample, batch)
                for o, axis in zip(operands, claim.operand_batches, strict=True)
                if isinstance(o, str)
            ]
            if all(g is not None and g.fits for g in before):
                if known(claim.op, claim.equation) and are_rounded(before):
                    raise SkippedError(f"rounding grows too much at {shown(claim.node)!r} to compare samples")
                text = f"what it gives for a sample depends on the other samples: {gap.text()}"
                raise DisprovedError("independence", claim.node, batch, _number(gap), text)
        raise SkippedError("it mixes samples elsewhere than in the changed nodes")

    def _batch_one(self, alone: dict[int, Arrays]) -> Check:
        """Compare each sample that was run alone with the original."""
        if self.request.no_oracle or self.feeds.fixed not in (None, 1):
            return Check(why=self.request.no_oracle or "its batch is fixed")
        original = self.original
        if isinstance(original, str):
            return Check(why=f"{self.runtime} does not load the original: {original}")
        original.feeds.sizes = self.feeds.sizes
        check = Check()
        try:
            for sample, found in alone.items():
                desired = original.run(original.feeds.batch([sample]))
                for name in self.session.outputs:
                    gap = compare(found[name], desired[name], str(desired[name].dtype))
                    if not gap.fits:
                        text = f"output {shown(name)!r} is not that of the original at batch 1: {gap.text()}"
                        raise DisprovedError("batch-one", "", 1, _number(gap), text)
                    check.add(gap, 1)
        except FailedError as reason:
            return Check(why=f"the original does not run at batch 1: {reason}")
        return check

    def behaviour(self) -> dict[str, Any]:
        """Whether the original also runs at every batch size, and computes something else there."""
        original = self.original
        if isinstance(original, str):
            return {"changes": None, "why": f"{self.runtime} does not load the original: {original}"}
        original.feeds.sizes = self.feeds.sizes
        batches: list[int] = []
        gaps: list[Gap] = []
        fixed = self.feeds.fixed
        for size in self._batches(time.monotonic()) if fixed is None else [fixed]:
            given = self.feeds.batch(range(size))
            try:
                before = original.run(given)
            except FailedError as error:
                return {"changes": None, "why": f"the original does not run at batch {size}: {error}"}
            try:
                now = self.session.run(given)
            except FailedError as error:
                text = f"the original runs on the same input, but it does not: {error}"
                raise DisprovedError("run", "", size, None, text) from None
            batches.append(size)
            gaps += [compare(now[n], before[n], str(before[n].dtype)) for n in self.session.outputs]
        return changes(batches, [gap for gap in gaps if not gap.fits])


def _entered(node: Any) -> str:
    """The tensor that an inserted node rearranges: for a Where, the input after the condition."""
    return str(node.input[1 if node.op_type == "Where" else 0])


def _gap(whole: Any, alone: Any, axis: int | None, sample: int, batch: int) -> Gap | None:
    """The difference of a sample in a batch from the sample alone; None if the axes do not show the batch."""
    if axis is None:
        return compare(whole, alone, str(alone.dtype))
    if axis < 0 or axis >= whole.ndim or whole.shape[axis] != batch or alone.shape[axis] != 1:
        return None
    return compare(whole.take([sample], axis), alone, str(alone.dtype))


def _number(gap: Gap) -> float | None:
    return None if gap.shape else gap.difference
