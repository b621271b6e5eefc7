"""The four checks of a repaired model, run by Keras on the user's backend.

- ``independence``: the outputs for a sample are the same alone, in a batch of n, and in one of n - 1. A model with a
  fixed batch is run with its samples in another order instead.
- ``batch-one``: the outputs for each sample are those of the original at batch 1, if these are what is meant.
- ``equation``: each changed node computes its equation on its operands as they were before anything was inserted.
- ``gradients``: the gradient of the sum of the outputs goes through every inserted node, and is finite.

A check disproves a repair only if the repair is at fault: if Keras cannot load or run the original for the same reason,
the check has no result. In addition, ``behaviour`` says whether the original also runs at every batch size and computes
something else: no run can show which of the two was meant.

The backend runs a model and computes its gradients (``backends``).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ...errors import shown
from ...formats.keras.dialect import version_number
from ...progress import stage
from ..blame import LACKS_MEMORY, excused, line
from ..expected import expected, known
from ..request import CHECKS, Claim, Request
from ..tolerance import Gap, are_rounded, coarsest, compare
from .backends import BACKENDS, described, running
from .backends.eager import is_floating
from .capture import Capture
from .inputs import FREE_SIZES, Inputs
from .models import call, load, lost, randomise, transplant

_SAMPLES = 3  # samples that are run alone, with the middle and the last one of each batch
_RANDOM = "two runs on the same input differ: it is random, or keeps a state"
_NODE = re.compile(r"\{\{node ([^}]+)\}\}")
# Errors of Keras for a class that it does not have, or does not make without running code.
_UNKNOWN = (
    "Could not locate",
    "Could not deserialize",
    "Unknown layer",
    "safe_mode",
    "unsafe",
    "custom_objects",
)


class DisprovedError(Exception):
    """A check failed. ``difference`` is relative to the largest desired value, None if nothing could be compared."""

    def __init__(self, check: str, node: str, batch: int | None, difference: float | None, text: str) -> None:
        super().__init__(text)
        self.data = {"check": check, "node": node, "batch": batch, "difference": difference, "text": text}


class _SkippedError(Exception):
    """A proof or a check has no result; the text says why."""


@dataclass(slots=True)
class Check:
    """The batches at which a check holds, the largest difference (relative to the largest value); or why not."""

    batches: list[int] = field(default_factory=list)
    difference: float | None = None
    nodes: list[str] = field(default_factory=list)
    why: str = ""
    values: set[Any] = field(default_factory=set)

    def add(self, gap: Gap, batch: int) -> None:
        if batch not in self.batches:
            self.batches.append(batch)
        self.difference = max(self.difference or 0.0, gap.difference)
        self.values.add(gap.only)

    def as_dict(self) -> dict[str, Any]:
        proven = bool(self.batches) and (None in self.values or len(self.values) > 1)
        nothing = "all compared values are equal" if self.batches else "nothing could be compared"
        why = self.why or ("" if proven else nothing)
        data: dict[str, Any] = {"proven": proven}
        if self.batches:
            data["batches"] = sorted(self.batches)
        if self.difference is not None and self.batches:
            data["difference"] = self.difference
        if self.nodes:
            data["nodes"] = self.nodes
        return data | ({"why": why} if why else {})


def in_process(
    request: Request,
    custom_objects: Mapping[str, Any] | None = None,
    safe_mode: bool = True,
    report: Callable[[dict[str, Any]], None] = lambda answer: None,
) -> dict[str, Any]:
    """Prove a request in this process: ``{"checks": {name: {...}}}``, ``{"skipped": why}`` or ``{"failed": {...}}``.

    With the checks comes ``behaviour``: ``{"changes": bool, "batches": [...], "difference": ...}`` (relative to the
    largest value), or ``{"changes": None, "why": ...}``.

    Args:
        custom_objects: custom classes of the caller that the model may use.
        safe_mode: as in ``keras.saving.load_model``; off only for a model that this process made.
        report: called after each check with the answer so far.
    """
    if request.skipped and custom_objects is None:
        return {"skipped": request.skipped}
    stage("proving: loading Keras and the model")
    try:
        running()
        ran = described()
    except ImportError as error:
        return {"skipped": f"Keras cannot be imported: {shown(error)}"}
    except KeyError as error:
        return {"skipped": f"Keras runs on {error.args[0]} here: a proof runs on {' or '.join(BACKENDS)}"}
    try:
        answer: dict[str, Any] = {"ran": ran, "checks": {}}
        proof = _Proof(request, custom_objects, safe_mode)
        for name, check in proof.run():
            answer["checks"][name] = check.as_dict()
            report(answer)
        return {**answer, "behaviour": proof.behaviour}
    except DisprovedError as failure:
        if LACKS_MEMORY in str(failure.data["text"]):
            return {"skipped": LACKS_MEMORY}
        return {"failed": failure.data}
    except MemoryError:
        return {"skipped": LACKS_MEMORY}
    except _SkippedError as reason:
        return {"skipped": str(reason)}


class _Proof:
    def __init__(self, request: Request, custom_objects: Mapping[str, Any] | None, safe_mode: bool) -> None:
        self.request = request
        self.options = (custom_objects, safe_mode)
        self.model = self._loaded()
        self.dtype = coarsest([str(layer.compute_dtype) for layer in self.model._flatten_layers()])
        try:
            self.inputs = Inputs(self.model)
        except ValueError as error:
            raise _SkippedError(str(error)) from None
        if request.format == "json":
            randomise(self.model)
        self.claims = request.claims
        self.equation = Check()
        self.checked: set[int] = set()
        self.missing: dict[int, str] = {}
        self.runs: dict[int, Run] = {}
        self.behaviour: dict[str, Any] = {"changes": None, "why": "it was not run"}

    def _loaded(self) -> Any:
        try:
            return load(self.request.repaired, self.request.format, *self.options)
        except Exception as error:
            text = self._line(error)
            import keras

            here, saved = f"Keras {keras.__version__}", self.request.saved_by
            if any(word in str(error) for word in _UNKNOWN):
                raise _SkippedError(f"{here} does not load the repaired model: {text}") from None
            before = self.original
            which = f"the original, saved by {saved}," if saved else "the original"
            if isinstance(before, str) and excused(text, before):
                raise _SkippedError(f"{here} does not load {which} either: {text}") from None
            number = version_number(saved.removeprefix("Keras "))
            if number is not None and number > (version_number(keras.__version__) or number):
                raise _SkippedError(
                    f"it is written for {saved}, and {here} does not load it: {text}"
                ) from None
            raise DisprovedError("load", "", None, None, f"Keras does not load it: {text}") from None

    def _line(self, error: Exception) -> str:
        return line(error, self.request.repaired, self.request.original)

    @cached_property
    def original(self) -> Any:
        """The original as Keras loads it, or why it does not."""
        try:
            return load(self.request.original, self.request.original_format, *self.options)
        except Exception as error:
            return self._line(error)

    @cached_property
    def before(self) -> _Step | str:
        """The original with the weights of the repaired model, or why it cannot be run."""
        original = self.original
        if isinstance(original, str):
            return f"Keras does not load the original: {original}"
        gone = lost(original, self.model)
        if gone:
            raise DisprovedError(
                "batch-one", gone, None, None, "the layer and its weights are not used any more"
            )
        try:
            transplant(self.model, original)
        except ValueError as error:
            return f"the original's layers are built differently: {self._line(error)}"
        return _Step(original, [])

    def run(self) -> Iterator[tuple[str, Check]]:
        """Run the checks in order; yields the name and the result of each."""
        stage("proving: equations", 1, len(CHECKS))
        step = _Step(self.model, self.request.claims)
        self.started = time.monotonic()
        alone = self._first_run(step, list(range(self.inputs.fixed or 1)))
        stage("proving: independence of samples", 2, len(CHECKS))
        independence = self._independence(step, alone)
        for number, claim in enumerate(self.claims):
            if number not in self.checked:
                reason = step.capture.missing.get(number) or self.missing.get(number, "it did not run")
                self.equation.why = f"{claim.node!r}: {reason}"
        yield "equation", self.equation
        yield "independence", independence
        stage("proving: batch 1", 3, len(CHECKS))
        yield "batch-one", self._batch_one(alone, self.runs if independence.batches else {})
        stage("proving: gradients", 4, len(CHECKS))
        yield "gradients", self._gradients()
        self.behaviour = self._behaviour(step)

    # -- running -----------------------------
    def _first_run(self, step: _Step, samples: list[int]) -> Run:
        """Run the smallest batch. Open axes get the first size at which the model runs."""
        sizes = FREE_SIZES if self.inputs.free else FREE_SIZES[:1]
        error: Exception | None = None
        node = ""
        for self.inputs.size in sizes:
            try:
                return self._checked(step(self.inputs.batch(samples), len(samples)), len(samples))
            except DisprovedError:
                raise
            except Exception as caught:
                if error is None:
                    error, node = caught, self._blamed(step, caught)
        assert error is not None
        text = f"it does not run: {self._line(error)}"
        if not node:
            before = [self._original_fails(samples) for self.inputs.size in sizes]
            if "" in before:
                text = f"the original runs on the same input, but it does not: {self._line(error)}"
            elif self.inputs.free or self.inputs.whole or any(excused(self._line(error), b) for b in before):
                raise _SkippedError(f"it does not run on random inputs: {self._line(error)}")
        raise DisprovedError("run", node, len(samples), None, text)

    def _run(self, step: _Step, samples: list[int]) -> Run:
        """Run another batch. A model that runs at one size must run at every size at which the original runs.

        Raises:
            _SkippedError: the original does not run at this size either, for the same reason.
        """
        try:
            run = step(self.inputs.batch(samples), len(samples))
        except Exception as error:
            node, said = self._blamed(step, error), self._line(error)
            if not node and excused(said, self._original_fails(samples)):
                raise _SkippedError(
                    f"neither it nor the original runs at batch {len(samples)}: {said}"
                ) from None
            text = f"it runs at another batch size, but not at this one: {said}"
            raise DisprovedError("run", node, len(samples), None, text) from None
        return self._checked(run, len(samples))

    def _original_fails(self, samples: list[int]) -> str:
        """Why the original does not run on a batch, or ""."""
        before = self.before
        if isinstance(before, str):
            return before
        try:
            before(self.inputs.batch(samples), len(samples))
        except Exception as error:
            return self._line(error)
        return ""

    def _blamed(self, step: _Step, error: Exception) -> str:
        """The changed node that an error names or was raised in, or ""."""
        if not running().traced:
            return step.capture.raised
        places = {part for path in _NODE.findall(str(error)) for part in path.split("/")}
        for claim in self.claims:
            paths = [claim.meets, claim.gives, *(path for chain in claim.chains for path in chain)]
            if places & {path[-1] for path in paths}:
                return claim.node
        return ""

    def _checked(self, run: Run, batch: int) -> Run:
        """Check the equation of every changed node on the values of a run; returns the run."""
        for number, operands, result in run.met:
            claim = self.claims[number]
            if not known(claim.op, claim.equation):
                self.missing[number] = f"there is no oracle for {claim.op}"
                continue
            try:
                desired = expected(claim.op, claim.equation, claim.kept, operands)
            except (ValueError, IndexError) as error:
                text = f"its operands are not {claim.equation}: {error}"
                raise DisprovedError("equation", claim.node, batch, None, text) from None
            gap = compare(result, desired, coarsest([str(result.dtype), self.dtype]))
            if not gap.fits:
                text = f"it does not compute {claim.equation}: {gap.text()}"
                raise DisprovedError("equation", claim.node, batch, _number(gap), text)
            self.equation.add(gap, batch)
            self.checked.add(number)
            if claim.node not in self.equation.nodes:
                self.equation.nodes.append(claim.node)
        return run

    # -- per-sample independence -----------------------------
    def _independence(self, step: _Step, first: Run) -> Check:
        check = Check(why=self.request.not_independent)
        try:
            if check.why:
                return self._more_batches(step, check)
            if self.inputs.apart:
                return Check(why="its inputs have batches of different size")
            if not self._repeats(step, first):
                return Check(why=_RANDOM)
            if self.inputs.fixed is not None:
                self._permuted(step, first, check)
            else:
                self._batched(step, check)
        except _SkippedError as reason:
            check.batches, check.why = [], str(reason)
        return check

    def _more_batches(self, step: _Step, check: Check) -> Check:
        """Run batch 2 and 3, for the equation only."""
        if self.inputs.fixed is None and not self.inputs.apart:
            for size in (2, 3):
                self._run(step, list(range(size)))
        return check

    def _repeats(self, step: _Step, first: Run) -> bool:
        return self._alike(self._run(step, list(range(self.inputs.fixed or 1))), first)

    def _permuted(self, step: _Step, first: Run, check: Check) -> None:
        size = self.inputs.fixed
        assert size is not None
        if size == 1:
            raise _SkippedError("its batch is fixed at 1")
        order = [*range(1, size), 0]
        self._agree(check, self._run(step, order), range(size), first, order, size)

    def _batched(self, step: _Step, check: Check) -> None:
        """Compare batches of every size, until the time is up, with single samples and the batch without sample 0."""
        alone: dict[int, Run] = {}
        for size in self.request.batches:
            small = size <= _SAMPLES
            late = time.monotonic() - self.started > self.request.seconds
            if not small and (late or size * self.request.elements > self.request.largest):
                continue
            whole = self._run(step, list(range(size)))
            self.runs[size] = self._front(whole)
            for sample in sorted({*range(min(size, _SAMPLES)), size // 2, size - 1}):
                if sample not in alone:
                    alone[sample] = self._run(step, [sample])
                self._agree(check, whole, [sample], alone[sample], [0], size)
            if size > 2:
                self._agree(
                    check, self._run(step, list(range(1, size))), range(size - 1), whole, range(1, size), size
                )

    def _front(self, run: Run) -> Run:
        """The first samples of a run's outputs."""
        count = min(run.size, _SAMPLES)
        outputs = []
        for y, axis in zip(run.outputs, self.request.output_batches, strict=True):
            if axis is not None and 0 <= axis < y.ndim and y.shape[axis] % run.size == 0:
                y = y.take(range(count * (y.shape[axis] // run.size)), axis)
            outputs.append(y)
        return Run(count, outputs, [])

    def _agree(
        self, check: Check, a: Run, in_a: Sequence[int], b: Run, in_b: Sequence[int], batch: int
    ) -> None:
        """Compare samples ``in_a`` of one run with samples ``in_b`` of another. A changed node is at fault only if its
        operands agree and its result does not."""
        bad: Gap | None = None
        for output, axis in enumerate(self.request.output_batches):
            if axis is None:  # an output of the whole batch
                continue
            gap = self._gap(a, in_a, b, in_b, axis, a.outputs[output], b.outputs[output])
            if gap is None:
                continue
            if gap.fits:
                check.add(gap, batch)
            else:
                bad = gap
        for (number, operands, result), (_, others, other) in zip(a.met, b.met, strict=True):
            claim = self.claims[number]
            gap = self._gap(a, in_a, b, in_b, claim.result_batch, result, other)
            if gap is None or gap.fits:
                continue
            gaps = [
                self._gap(a, in_a, b, in_b, axis, x, y)
                for axis, x, y in zip(claim.operand_batches, operands, others, strict=True)
            ]
            if all(g is not None and g.fits for g in gaps):
                if number in self.checked and are_rounded(gaps):
                    raise _SkippedError(
                        f"rounding grows too much at {shown(claim.node)!r} to compare samples"
                    )
                text = f"what it gives for a sample depends on the other samples: {gap.text()}"
                raise DisprovedError("independence", claim.node, batch, _number(gap), text)
        if bad is not None:
            raise _SkippedError("it mixes samples elsewhere than in the changed nodes")

    def _gap(
        self, a: Run, in_a: Sequence[int], b: Run, in_b: Sequence[int], axis: int | None, x: Any, y: Any
    ) -> Gap | None:
        """The difference of some samples of two tensors; None if their axes do not show the batch."""
        if axis is None:
            return compare(x, y, self.dtype)
        if axis < 0 or axis >= x.ndim or x.shape[axis] % a.size or y.shape[axis] % b.size:
            return None
        return compare(_samples(x, axis, in_a, a.size), _samples(y, axis, in_b, b.size), self.dtype)

    # -- the original at batch 1 -----------------------------
    def _batch_one(self, first: Run, independent: Mapping[int, Run]) -> Check:
        """Compare each sample with the original at batch 1.

        Args:
            first: the run at batch 1.
            independent: the runs at the batch sizes at which no sample depends on another.
        """
        if self.request.no_oracle:
            return Check(why=self.request.no_oracle)
        if not self.inputs.open:
            return Check(why="its batch is fixed")
        before = self.before
        if isinstance(before, str):
            return Check(why=before)
        try:
            references = [before(self.inputs.batch([sample]), 1) for sample in range(_SAMPLES)]
            again = before(self.inputs.batch([0]), 1)
        except Exception as error:
            return Check(why=f"the original does not run at batch 1: {self._line(error)}")
        if not self._alike(again, references[0]):
            return Check(why="two runs of the original differ: it is random, or keeps a state")
        check = Check()
        for size, run in (independent or {1: first}).items():
            for sample in range(run.size):
                self._same_outputs(check, run, size, sample, references[sample])
        return check

    def _same_outputs(self, check: Check, run: Run, batch: int, sample: int, reference: Run) -> None:
        for number, axis in enumerate(self.request.output_batches):
            x, y = run.outputs[number], reference.outputs[number]
            gap = None if axis is None else self._gap(run, [sample], reference, [0], axis, x, y)
            if gap is None:
                continue
            if not gap.fits:
                text = f"output {number} is not what the original gives for the sample alone: {gap.text()}"
                nodes = ", ".join(dict.fromkeys(claim.node for claim in self.claims))
                raise DisprovedError("batch-one", nodes, batch, _number(gap), text)
            check.add(gap, batch)

    # -- what changes -----------------------------
    def _behaviour(self, step: _Step) -> dict[str, Any]:
        """Whether the original also runs at every batch size, and computes something else there."""
        before = self.before
        if isinstance(before, str):
            return {"changes": None, "why": before}
        fixed = 1 if self.inputs.apart else self.inputs.fixed
        started = time.monotonic()
        batches: list[int] = []
        differences: list[Gap] = []
        for size in [fixed] if fixed is not None else self.request.batches:
            late = time.monotonic() - started > self.request.seconds
            if size > _SAMPLES and (late or size * self.request.elements > self.request.largest):
                continue
            flat = self.inputs.batch(list(range(size)))
            try:
                as_it_was = before(flat, size)
            except Exception as error:
                return {
                    "changes": None,
                    "why": f"the original does not run at batch {size}: {self._line(error)}",
                }
            try:
                now = step(flat, size)
            except Exception as error:
                text = f"the original runs on the same input, but it does not: {self._line(error)}"
                raise DisprovedError("run", self._blamed(step, error), size, None, text) from None
            if not batches and not self._alike(step(flat, size), now):
                return {"changes": None, "why": _RANDOM}
            batches.append(size)
            gaps = [compare(x, y, self.dtype) for x, y in zip(now.outputs, as_it_was.outputs, strict=True)]
            differences += [gap for gap in gaps if not gap.fits]
        return changes(batches, differences)

    def _alike(self, a: Run, b: Run) -> bool:
        return all(compare(x, y, self.dtype).fits for x, y in zip(a.outputs, b.outputs, strict=True))

    # -- gradients -----------------------------
    def _gradients(self) -> Check:
        size = self.inputs.fixed or 2
        if time.monotonic() - self.started > 2 * self.request.seconds:
            return Check(why="there was no time left")
        try:
            found = _gradients(self.model, self.claims, self.inputs.batch(list(range(size))))
        except _SkippedError as reason:
            return Check(why=str(reason))
        except Exception as error:
            return Check(why=f"it has no gradient: {self._line(error)}")
        check = Check()
        for number, entered, result in found:
            node = self.claims[number].node
            if not entered:
                check.why = check.why or f"nothing that has a gradient was inserted at {node!r}"
            elif result is None or not _finite(result):
                check.why = f"what comes after {node!r} has no finite gradient"
            else:
                for gradient in entered:
                    if gradient is None or not _finite(gradient):
                        kind = "no" if gradient is None else "no finite"
                        raise DisprovedError(
                            "gradients", node, size, None, f"{kind} gradient goes through it"
                        )
                if not running().tells_none and result.any() and not all(g.any() for g in entered):
                    check.why = f"only zeros go through {node!r}: perhaps nothing does"
                    continue
                check.batches, check.values = [size], {None}
                check.nodes.append(node)
        if not found:
            check.why = "nothing that has a gradient was inserted"
        return check


def changes(batches: list[int], differences: Sequence[Gap]) -> dict[str, Any]:
    """``behaviour`` of a model that ran at these batches before and after the repair, from the gaps above tolerance.

    ``difference`` is None if only shapes differ, and absent if nothing differs.
    """
    data = {"changes": bool(differences), "batches": sorted(batches)}
    if differences:
        numbers = [gap.difference for gap in differences if not gap.shape]
        data["difference"] = _finite_or_none(max(numbers)) if numbers else None
    return data


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its number of samples, its outputs, and for each call of a changed node the claim, operands, result."""

    size: int
    outputs: list[Any]
    met: list[tuple[int, list[Any], Any]]


class _Step:
    """A model as a function of its flat inputs, arrays to arrays."""

    def __init__(self, model: Any, claims: Sequence[Claim]) -> None:
        import keras

        self.capture = Capture(model, claims)
        # For each recorded call: the claim, its operands and its result, tensors by their number in the results.
        self.met: list[tuple[int, list[_Place | Any], _Place]] = []

        def step(*flat: Any) -> list[Any]:
            with self.capture:
                self.capture.met.clear()
                results = list(call(model, flat))
            self.outputs = len(results)

            def place(value: Any) -> _Place | Any:
                if not keras.ops.is_tensor(value):
                    return value
                results.append(value)
                return _Place(len(results) - 1)

            self.met = [(m.claim, [*map(place, m.operands)], place(m.result)) for m in self.capture.met]
            return results

        self.function = running().compiled(model, step)

    def __call__(self, flat: list[Any], size: int) -> Run:
        import numpy as np

        results = self.function(flat)
        met = []
        for number, operands, result in self.met:
            values = [results[x.number] if isinstance(x, _Place) else np.asarray(x) for x in operands]
            met.append((number, values, results[result.number]))
        return Run(size, results[: self.outputs], met)


@dataclass(frozen=True, slots=True)
class _Place:
    """A tensor among the results of a step."""

    number: int


def _gradients(model: Any, claims: Sequence[Claim], flat: Sequence[Any]) -> list[tuple[int, list[Any], Any]]:
    """For each call of a changed node: its claim, the gradients at its original operands, and the one at its result.

    Raises:
        _SkippedError: no output is floating.
    """
    numbers: list[int] = []

    def run(flat: Sequence[Any], watch: Callable[[Any], Any]) -> tuple[list[Any], list[list[Any]]]:
        with Capture(model, claims, watch) as capture:
            outputs = call(model, flat)
        met = [m for m in capture.met if is_floating(m.result)]
        numbers[:] = [m.claim for m in met]
        return outputs, [[*filter(is_floating, m.operands), m.result] for m in met]

    found = running().gradients(model, run, flat)
    if found is None:
        raise _SkippedError("no output is floating")
    return [(number, row[:-1], row[-1]) for number, row in zip(numbers, found, strict=True)]


def _samples(array: Any, axis: int, samples: Sequence[int], size: int) -> Any:
    """``array[.., size * k, ..] -> [.., len(samples), k, ..]``: the rows of some samples of a batch."""
    import numpy as np

    shape = array.shape
    split = array.reshape(*shape[:axis], size, shape[axis] // size, *shape[axis + 1 :])
    return np.take(split, list(samples), axis)


def _finite(array: Any) -> bool:
    import numpy as np

    return bool(np.isfinite(array.astype(np.float64)).all())


def _number(gap: Gap) -> float | None:
    return _finite_or_none(gap.difference)


def _finite_or_none(number: float) -> float | None:
    """The number for JSON: None if it is not finite."""
    return number if number < float("inf") else None
