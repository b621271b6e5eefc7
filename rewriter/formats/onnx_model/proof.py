"""The proof of a repaired ONNX model, run by ONNX Runtime.

- ``equation``: each changed node computes its equation on its operands as they were before anything was inserted.
- ``independence``: what comes out for a sample is the same alone and in a batch.
- ``batch-one``: at batch 1 it is what the original computes, where that is what was meant.

There are no ``gradients``: ONNX Runtime computes none.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...errors import RewriterError, shown
from ..proof.checks import Check, DisprovedError
from ..proof.expected import expected, known
from ..proof.request import Claim, Request
from ..proof.tolerance import Gap, compare
from .feeds import CannotFeedError, Feeds
from .model import OnnxModel
from .reader import Source, Stored

# Operators under the names by which Keras, and so the oracle, knows them.
_KERAS_NAMES = {"Mul": "Multiply", "Sub": "Subtract", "Div": "Divide", "MatMul": "Matmul"}
_NO_GRADIENTS = "ONNX Runtime computes no gradients"

Arrays = dict[str, Any]


class _SkippedError(Exception):
    """Nothing can be said, and why."""


def prove(request: Request, report: Callable[[dict[str, Any]], None] = lambda answer: None) -> dict[str, Any]:
    """Prove a request in this process: ``{"checks": {name: {...}}}``, ``{"skipped": why}`` or ``{"failed": {...}}``.

    Args:
        report: is given the answer as far as it goes after each check.
    """
    answer: dict[str, Any] = {"checks": {}}
    try:
        for name, check in _Proof(request).run():
            answer["checks"][name] = check.as_dict()
            report(answer)
    except DisprovedError as failure:
        return {"failed": failure.data}
    except (_SkippedError, RewriterError) as reason:
        return {"skipped": str(reason)}
    return answer


class _Proof:
    def __init__(self, request: Request) -> None:
        self.request = request
        self.source = OnnxModel(request.repaired).source
        self.claims = [replace(c, op=_KERAS_NAMES.get(c.op, c.op)) for c in request.claims]
        self.met = [self._meeting(claim) for claim in self.claims]
        wanted = {
            name for *operands, result in self.met for name in (*operands, result) if isinstance(name, str)
        }
        self.session = _Session(request.repaired, self.source, sorted(wanted))
        self.started = time.monotonic()

    @property
    def feeds(self) -> Feeds:
        return self.session.feeds

    def _given(self, feeds: Feeds, samples: Sequence[int]) -> Arrays:
        try:
            return feeds.batch(samples)
        except CannotFeedError as error:
            raise _SkippedError(str(error)) from None

    def _meeting(self, claim: Claim) -> list[Any]:
        """The operands that meet at a changed node, as tensor names or arrays, and the name of its result."""
        nodes = self.source.nodes
        taken = [name for name in nodes[claim.meets].input if name]
        operands: list[Any] = []
        for number, chain in enumerate(claim.chains):
            if str(number) in claim.literals:
                operands.append(claim.literals[str(number)])
                continue
            name = nodes[chain[0]].input[0] if chain else taken[number]
            operands.append(self._constant(name) if name in self._constants() else name)
        return [*operands, nodes[claim.gives].output[0]]

    def _constants(self) -> Mapping[str, Any]:
        return {tensor.name: tensor for tensor in self.source.proto.graph.initializer}

    def _constant(self, name: str) -> Any:
        return Stored(self._constants()[name]).__array__()

    def run(self) -> Iterator[tuple[str, Check]]:
        """The checks one after the other."""
        equation = Check()
        alone = self._first(equation)
        independence = self._independence(equation, alone)
        yield "equation", equation
        yield "independence", independence
        yield "batch-one", self._batch_one(alone)
        yield "gradients", Check(why=_NO_GRADIENTS)

    def _first(self, equation: Check) -> dict[int, Arrays]:
        """Sample 0 alone, with the first sizes of open axes at which the model runs."""
        error = ""
        for sizes in self.feeds.attempts():
            self.feeds.sizes = sizes
            try:
                return {0: self._checked([0], equation)}
            except _SkippedError as caught:
                error = error or str(caught)
        raise _SkippedError(f"it does not run on random inputs: {error}")

    def _checked(self, samples: Sequence[int], equation: Check) -> Arrays:
        """A run, with the equation of every changed node compared."""
        given = self._given(self.feeds, samples)
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
        if not check.why and not self._repeats(alone[0]):
            check.why = "two runs on the same input differ: it is random, or keeps a state"
        for size in self.request.batches:
            late = time.monotonic() - self.started > self.request.seconds
            if size > 3 and (late or size * self.request.elements > self.request.largest):
                continue
            whole = self._whole(size, equation)
            if check.why:
                continue
            for sample in sorted({*range(min(size, 3)), size // 2, size - 1}):
                if sample not in alone:
                    alone[sample] = self._checked([sample], equation)
                self._agree(check, whole, sample, alone[sample], size)
        return check

    def _whole(self, size: int, equation: Check) -> Arrays:
        try:
            return self._checked(range(size), equation)
        except _SkippedError as error:
            text = f"it runs at another batch size, but not at this one: {error}"
            raise DisprovedError("run", "", size, None, text) from None

    def _repeats(self, first: Arrays) -> bool:
        again = self._checked([0], Check())
        names = self.session.outputs
        return all(compare(again[n], first[n], str(first[n].dtype)).fits for n in names)

    def _agree(self, check: Check, whole: Arrays, sample: int, alone: Arrays, batch: int) -> None:
        for name, axis in zip(self.session.outputs, self.request.output_batches, strict=True):
            if axis is None or axis < 0 or whole[name].shape[axis] != batch or alone[name].shape[axis] != 1:
                continue
            gap = compare(whole[name].take([sample], axis), alone[name], str(alone[name].dtype))
            if not gap.fits:
                text = f"output {shown(name)!r} for a sample is another one in a batch: {gap.text()}"
                raise DisprovedError("independence", "", batch, _number(gap), text)
            check.add(gap, batch)

    def _batch_one(self, alone: dict[int, Arrays]) -> Check:
        """Each sample that was run alone, against the model as it was."""
        if self.request.no_oracle or self.feeds.fixed not in (None, 1):
            return Check(why=self.request.no_oracle or "its batch is fixed")
        check = Check()
        try:
            original = _Session(self.request.original, OnnxModel(self.request.original).source, [])
            original.feeds.sizes = self.feeds.sizes
            for sample, found in alone.items():
                desired = original.run(self._given(original.feeds, [sample]))
                for name in self.session.outputs:
                    gap = compare(found[name], desired[name], str(desired[name].dtype))
                    if not gap.fits:
                        text = f"output {shown(name)!r} is not that of the original at batch 1: {gap.text()}"
                        raise DisprovedError("batch-one", "", 1, _number(gap), text)
                    check.add(gap, 1)
        except _SkippedError as reason:
            return Check(why=f"the original does not run at batch 1: {reason}")
        return check


class _Session:
    """A model in ONNX Runtime that gives some inner tensors too, and its random inputs."""

    def __init__(self, path: str, source: Source, wanted: Sequence[str]) -> None:
        import onnxruntime

        onnxruntime.set_default_logger_severity(4)
        proto = source.proto
        self.outputs = [value.name for value in proto.graph.output]
        inputs = {value.name for value in proto.graph.input}
        probed = type(proto)()
        probed.CopyFrom(proto)
        self.names = [*self.outputs, *(n for n in wanted if n not in inputs and n not in self.outputs)]
        for name in self.names[len(self.outputs) :]:
            probed.graph.output.add().name = name
        # Weights in other files are found relative to the model, so that it cannot stand elsewhere.
        probe = f"{path}.probe"
        try:
            with open(probe, "xb") as file:
                file.write(probed.SerializeToString())
            options = onnxruntime.SessionOptions()
            self.session = onnxruntime.InferenceSession(probe, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise _SkippedError(_line(error)) from None
        finally:
            with contextlib.suppress(OSError):
                os.unlink(probe)
        described = [(i.name, i.type, list(i.shape or [])) for i in self.session.get_inputs()]
        self.feeds = Feeds.of(source.graph, described)

    def run(self, given: Arrays) -> Arrays:
        try:
            return dict(zip(self.names, self.session.run(self.names, given), strict=True))
        except Exception as error:
            raise _SkippedError(_line(error)) from None


def _number(gap: Gap) -> float | None:
    return None if gap.shape else gap.difference


def _line(error: Exception) -> str:
    return shown(" ".join(str(error).split()))
