"""The proof of a repaired SavedModel, run by TensorFlow: the checks of ``onnx_runtime`` on its functions.

Each function that can be called from outside, and runs a changed function, is run on its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ...errors import RewriterError, shown
from ...formats.saved_model.functions import calling, node_of
from ...formats.saved_model.model import SavedModel
from ...formats.saved_model.reader import Source, Unit
from ..blame import LACKS_MEMORY
from ..feeds import CannotFeedError
from ..keras.checks import Check, DisprovedError
from ..onnx_runtime.checks import Proof, SkippedError
from ..request import CHECKS, Claim, Request
from ..running import RefusedError
from .functions import Session, function_at, loaded

# TensorFlow operators by the names that Keras and the oracle use.
_KERAS_NAMES = {
    "AddV2": "Add",
    "BatchMatMul": "Matmul",
    "BatchMatMulV2": "Matmul",
    "BatchMatMulV3": "Matmul",
    "DivNoNan": "DivideNoNan",
    "MatMul": "Matmul",
    "Mul": "Multiply",
    "RealDiv": "Divide",
    "Sub": "Subtract",
}


def prove(request: Request, report: Callable[[dict[str, Any]], None] = lambda answer: None) -> dict[str, Any]:
    """Prove a request in this process: ``{"checks": {name: {...}}}``, ``{"skipped": why}`` or ``{"failed": {...}}``.

    Args:
        report: called with the answer so far.
    """
    import tensorflow as tf

    answer: dict[str, Any] = {"ran": f"TensorFlow {tf.__version__}", "checks": {}}
    try:
        found = _All(request)
        for _ in found.run():
            answer["checks"] = {name: check.as_dict() for name, check in found.checks.items()}
            report(answer)
        return {**answer, "behaviour": found.behaviour}
    except DisprovedError as failure:
        if LACKS_MEMORY in str(failure.data["text"]):
            return {"skipped": LACKS_MEMORY}
        return {"failed": failure.data}
    except MemoryError:
        return {"skipped": LACKS_MEMORY}
    except (SkippedError, CannotFeedError, RewriterError) as reason:
        return {"skipped": str(reason)}


@dataclass(frozen=True, slots=True)
class _Entry:
    """A function that can be called from outside: its place, and the names of its inputs.

    ``results`` are the numbers of its results among all results of the model.
    """

    unit: Unit
    path: tuple[str, ...]
    number: int
    names: tuple[str, ...]
    results: tuple[int, ...]


@dataclass(slots=True)
class _All:
    """The checks of all entries together."""

    request: Request
    checks: dict[str, Check] = field(default_factory=lambda: {name: Check() for name in CHECKS})
    behaviour: dict[str, Any] = field(default_factory=dict)

    def run(self) -> Iterator[None]:
        source = SavedModel(self.request.repaired).source
        claims = [replace(c, op=_KERAS_NAMES.get(c.op, c.op)) for c in self.request.claims]
        entries = list(_entries(source, {claim.meets[0] for claim in claims}))
        seconds = self.request.seconds / max(len(entries), 1)
        reasons: list[str] = []
        for entry in entries:
            try:
                batches = [self.request.output_batches[number] for number in entry.results]
                own = replace(self.request, seconds=seconds, claims=claims, output_batches=batches)
                proof = _Proof(own, source, entry)
                for name, check in proof.run():
                    self._add(name, check)
                behaviour = proof.behaviour()
                if not self.behaviour or behaviour.get("changes"):
                    self.behaviour = behaviour
            except (SkippedError, CannotFeedError) as reason:
                reasons.append(f"{shown(entry.unit.name)!r}: {reason}")
                continue
            yield
        if not self.behaviour:
            raise SkippedError(
                reasons[0] if reasons else "no function that can be called runs what was changed"
            )
        equation = self.checks["equation"]
        left = [claim.node for claim in claims if claim.node not in equation.nodes]
        if left and not equation.why:
            equation.why = f"{left[0]!r} was not run" + (f" ({reasons[0]})" if reasons else "")
        yield

    def _add(self, name: str, check: Check) -> None:
        whole = self.checks[name]
        whole.batches += [batch for batch in check.batches if batch not in whole.batches]
        if check.difference is not None:
            whole.difference = max(whole.difference or 0.0, check.difference)
        whole.nodes += [node for node in check.nodes if node not in whole.nodes]
        whole.values |= check.values
        whole.why = "" if whole.batches and name != "equation" else whole.why or check.why


def _entries(source: Source, changed: set[str]) -> Iterator[_Entry]:
    """The functions to call from outside that run a changed one, and the signatures of a changed main graph."""
    touched = calling({name: unit.nodes.values() for name, unit in source.units.items()}, changed)
    paths = source.objects.paths()
    first = 0
    for name, unit in source.units.items():
        own = tuple(range(first, first := first + len(unit.results)))
        if name in touched and name in paths:
            captured = len(source.objects.captures.get(name, ()))
            names = [argument.name for argument in unit.arguments[: len(unit.arguments) - captured]]
            yield _Entry(unit, *paths[name], tuple(names), own)
    main = next((unit for unit in source.units.values() if unit.function is None), None)
    if main is not None and main.name in touched:
        for key, signature in source.signatures.items():
            if not key.startswith("__saved_model"):
                inputs = [node_of(name) for _, (name, _) in sorted(signature.inputs.items())]
                given = [name for _, (name, _) in sorted(signature.outputs.items())]
                # The main graph is the last unit.
                results = [first - len(main.results) + main.results.index(name) for name in given]
                yield _Entry(main, ("signatures", key), 0, tuple(inputs), tuple(results))


class _Proof(Proof):
    runtime = "TensorFlow"

    def __init__(self, request: Request, source: Source, entry: _Entry) -> None:
        self.request = request
        self.entry = entry
        self.tensorflow_source = source
        self.session = session = self._opened()
        try:
            graph = session.inside()
            nodes = {node.name: node for node in graph.node}
            found = [(claim, met) for claim in request.claims for met in self._meetings(claim, nodes)]
            self.claims = [claim for claim, _ in found]
            self.met = [met for _, met in found]
            session.probe(graph, sorted({name for met in self.met for name in met}))
        except RefusedError as error:
            raise SkippedError(f"TensorFlow does not give the values inside it: {error}") from None
        self.started = time.monotonic()

    def _opened(self) -> Session:
        try:
            return self._session(self.request.repaired, self.tensorflow_source)
        except RefusedError as error:
            before = self.original
            if isinstance(before, Session):
                text = f"TensorFlow loads the original, but not the repaired file: {error}"
                raise DisprovedError("load", "", None, None, text) from None
            raise SkippedError(f"TensorFlow does not load the original either: {error}") from None

    def _session(self, path: str, source: Source) -> Session:
        entry = self.entry
        function = function_at(loaded(path), entry.path, entry.number)
        return Session(function, source, entry.unit, entry.names)

    @cached_property
    def original(self) -> Session | str:
        """The original in TensorFlow, or why TensorFlow does not load it."""
        try:
            return self._session(self.request.original, self.tensorflow_source)
        except RefusedError as error:
            return str(error)

    def _meetings(self, claim: Claim, nodes: Mapping[str, Any]) -> Iterator[list[str]]:
        """The original operands of a changed node and its result, for each place where its function is inlined."""
        name, gives = claim.meets[-1], claim.gives[-1]
        unit = self.tensorflow_source.units[claim.meets[0]]
        for each in nodes:
            if each != name and not each.endswith(f"/{name}"):
                continue
            before = each[: len(each) - len(name)]
            chains = [[before + path[-1] for path in chain] for chain in claim.chains]
            if before + gives not in nodes or any(n not in nodes for chain in chains for n in chain):
                continue
            taken = [n for n in nodes[each].input if not n.startswith("^")]
            places = unit.places.get(name, tuple(range(len(taken))))
            operands = [
                _entered(nodes, chains[number][0]) if chains[number] else taken[place]
                for number, place in enumerate(places)
            ]
            yield [*operands, before + gives]


def _entered(nodes: Mapping[str, Any], name: str) -> str:
    """The tensor that an inserted node rearranges: for a SelectV2, the input after the condition."""
    node = nodes[name]
    taken = str(node.input[1 if node.op == "SelectV2" else 0])
    return _entered(nodes, taken) if taken.startswith(f"{name}/axis_") else taken
