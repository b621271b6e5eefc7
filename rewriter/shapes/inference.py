"""The result of inferring a model: one step for each node, and the facts joined over all nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

from ..errors import BadFileError, shown
from ..ir.axis import Axis, Effect, Origin, Role, Value
from ..ir.graph import Graph, Operation, Path, TensorRef, map_leaves
from ..ir.identities import Identities
from .call import Call, OpaqueError, ShapeError
from .recorded import Restated

_V = TypeVar("_V")


@dataclass(slots=True)
class Step:
    """The result of one node's rule: its values, and its effects on what is known of axes.

    ``fault`` says why the node cannot run, ``opaque`` why its result cannot be inferred. ``inner`` are the models that
    it called, by their path from the node (a wrapper can contain one). ``restated`` is set where a node that cannot run
    would run on operands in their recorded shapes: the nodes after it are inferred from that result.
    """

    call: Call | None
    values: list[Value] = field(default_factory=list)
    fault: str | None = None
    opaque: str | None = None
    effects: list[Effect] = field(default_factory=list)
    inner: list[tuple[str, Summary]] = field(default_factory=list)
    restated: list[Restated] = field(default_factory=list)


Steps = MutableMapping[str, Step]


class Inference:
    """The values of one graph for one signature of its operands, and what is known of their axes.

    It never changes. ``again`` are the nodes that a supposition affects: those with a supposed result, and those whose
    operands have other sizes because of it. Nodes whose operands have other axes of the same sizes are ``stale`` until
    ``finish``: they matter only for identities and claims.
    """

    def __init__(
        self,
        graph: Graph,
        steps: Steps,
        start: Callable[[Identities], None] | None = None,
        context: Context | None = None,
        again: Sequence[str] = (),
        stale: Collection[str] = (),
        finish: Callable[[], None] | None = None,
    ) -> None:
        self.graph = graph
        self.steps = steps
        self.again = again
        self.context = context
        self.stale = stale
        self._start = start
        self._finish = finish

    def finish(self) -> None:
        """Run the rules of the stale nodes: a supposition changes their axes or claims, but no size."""
        if self._finish is not None:
            self._finish()
            self._finish = None

    @cached_property
    def identities(self) -> Identities:
        """The joint result of the effects of all nodes."""
        self.finish()
        identities = Identities()
        if self._start is not None:
            self._start(identities)
        for name in self.graph.order:
            step = self.steps[name]
            identities.play(name, step.effects)
            identities.touch(step.values)
        return identities

    @cached_property
    def values(self) -> Mapping[str, list[Value]]:
        """The values of each node, in the order of its outputs."""
        return Looked(self.steps, lambda step: [self.identities.value(v) for v in step.values])

    @cached_property
    def calls(self) -> Mapping[str, Call]:
        """The call of each node except inputs, with all that the whole model shows of its operands."""
        return Looked(self.steps, self._seen, lambda step: step.call is not None)

    def _seen(self, step: Step) -> Call:
        call = step.call
        assert call is not None

        def value_of(leaf: Any) -> Any:
            return self.identities.value(leaf) if isinstance(leaf, Value) else leaf

        args, kwargs = map_leaves(value_of, call.args), map_leaves(value_of, call.kwargs)
        return replace(call, args=args, kwargs=kwargs)

    @cached_property
    def faults(self) -> dict[str, str]:
        """Why nodes cannot run, by node; axes are named by all that the whole model shows of them."""
        self.finish()
        return {name: self._told(name, s.fault) for name, s in self.steps.items() if s.fault is not None}

    def _told(self, name: str, fault: str) -> str:
        """The message that the node's rule gives when all that is known of its operands is used; else ``fault``."""
        call = self.calls[name]
        try:
            call.apply(call.operation, *call.args, **call.kwargs)
        except ShapeError as error:
            return str(error)
        except OpaqueError:
            pass
        return fault

    @cached_property
    def restated(self) -> dict[str, list[Restated]]:
        """By node that cannot run: the operands in the recorded shapes on which it would run."""
        return {name: step.restated for name, step in self.steps.items() if step.restated}

    @cached_property
    def opaque(self) -> dict[str, str]:
        """Why the result of a node cannot be inferred, by node."""
        return {name: step.opaque for name, step in self.steps.items() if step.opaque is not None}

    @property
    def conflicts(self) -> dict[str, list[str]]:
        """The role conflicts, by node: the node uses an axis in another role than the axis has."""
        return self.identities.conflicts

    @cached_property
    def unproven(self) -> dict[str, list[tuple[Axis, Axis]]]:
        """The pairs of axes that have to be equal and may differ, by node."""
        axis = self.identities.axis
        return {
            name: [(axis(a), axis(b)) for a, b in pairs] for name, pairs in self.identities.unproven.items()
        }

    @cached_property
    def inner(self) -> dict[str, list[tuple[str, Inference]]]:
        """The inferences of the models inside a node, each with its path from the node."""
        return {name: self.identities.below.get(name, []) for name, step in self.steps.items() if step.inner}

    def taken(self, name: str) -> list[Value] | None:
        """A node's operands as its rule gets them: sizes, and claims after ``finish``. None for an input."""
        call = self.steps[name].call if name in self.steps else None
        return None if call is None else call.inputs

    def outputs(self) -> list[Value]:
        return [self.value(ref) for ref in self.graph.output_refs()]

    def value(self, ref: TensorRef) -> Value:
        """The value of a tensor. Raises BadFileError where the node has no such output."""
        return self.identities.value(output_of(self.steps, ref))

    def walk(self, prefix: Path = ()) -> Iterator[tuple[Path, Inference]]:
        """This inference and those below it, each with its path (``()``, ``("inner",)``), without duplicates."""
        seen: set[tuple[Path, int]] = set()
        stack: list[tuple[Path, Inference]] = [(prefix, self)]
        while stack:
            path, item = stack.pop()
            if (path, id(item)) in seen:
                continue
            seen.add((path, id(item)))
            yield path, item
            below = [((*path, sub), inf) for subs in item.inner.values() for sub, inf in subs]
            stack.extend(reversed(below))

    def at(self, path: Path) -> Iterator[Inference]:
        """The inferences of the model at a path (this one for ``()``), one for each signature of its calls."""
        waiting: list[tuple[Path, Inference]] = [(path, self)]
        seen: set[tuple[int, int]] = set()
        while waiting:
            rest, item = waiting.pop()
            if (len(rest), id(item)) in seen:
                continue
            seen.add((len(rest), id(item)))
            if not rest:
                yield item
                continue
            inner = [inf for subs in item.inner.values() for sub, inf in subs if sub == rest[0]]
            waiting.extend((rest[1:], inf) for inf in reversed(inner))

    def faults_at(self, names: Iterable[str]) -> Iterator[tuple[Path, str]]:
        """The faults at these nodes and in the models below them, each with its path."""
        for name in names:
            step = self.steps[name]
            if step.fault is not None:
                yield (name,), step.fault
            for sub, summary in step.inner:
                yield from ((((sub, *path)), text) for path, text in summary.faults())


class Looked(Mapping[str, _V]):
    """A lazy mapping over the steps of an inference: ``look`` is evaluated on first use, where ``has`` is true."""

    def __init__(
        self, steps: Steps, look: Callable[[Step], _V], has: Callable[[Step], bool] = lambda step: True
    ) -> None:
        self._steps = steps
        self._look = look
        self._has = has
        self._known: dict[str, _V] = {}

    def __getitem__(self, name: str) -> _V:
        if name not in self._known:
            step = self._steps[name]
            if not self._has(step):
                raise KeyError(name)
            self._known[name] = self._look(step)
        return self._known[name]

    def __contains__(self, name: object) -> bool:
        return name in self._steps and self._has(self._steps[name])  # type: ignore[index]

    def __iter__(self) -> Iterator[str]:
        return (name for name, step in self._steps.items() if self._has(step))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Changed(MutableMapping[str, Step]):
    """The steps of an inference with some of them replaced; the original steps are not changed."""

    def __init__(self, steps: Steps) -> None:
        self._whole: Steps = steps._whole if isinstance(steps, Changed) else steps
        self._own: dict[str, Step] = dict(steps._own) if isinstance(steps, Changed) else {}

    def __getitem__(self, name: str) -> Step:
        own = self._own.get(name)
        return self._whole[name] if own is None else own

    def __setitem__(self, name: str, step: Step) -> None:
        self._own[name] = step

    def __delitem__(self, name: str) -> None:
        raise TypeError("a step is replaced, never removed")

    def __iter__(self) -> Iterator[str]:
        return iter(self._whole)

    def __len__(self) -> int:
        return len(self._whole)


def output_of(steps: Steps, ref: TensorRef) -> Value:
    values = steps[ref.node].values
    if not 0 <= ref.index < len(values):
        raise BadFileError(f"node {shown(ref.node)!r} has no output {ref.index}")
    return values[ref.index]


@dataclass(slots=True)
class Summary:
    """A nested model analysed on formal operands; ``formals`` stand for the origins of the actual operands."""

    graph: Graph
    formals: list[Origin]
    steps: Steps = field(default_factory=dict)
    result: Any = None
    views: dict[object, Inference] = field(default_factory=dict)

    def view(self, outer: Identities, actual: Sequence[Origin]) -> Inference:
        """The model's inference for what is known of the actual operands, cached by their identities and roles."""
        roots = [outer.root(origin) for origin in actual]
        number = {root: k for k, root in reversed(list(enumerate(roots)))}
        pattern = tuple(
            (number[root], outer.role(root), None if (d := outer.ancestry(root)) is None else number.get(d))
            for root in roots
        )
        known = self.views.get(pattern)
        if known is None:

            def start(inner: Identities) -> None:
                for formal, (first, role, above) in zip(self.formals, pattern, strict=True):
                    if self.formals[first] is formal:
                        inner.start(formal, role, None if above is None else self.formals[above])
                for formal, (first, _, _) in zip(self.formals, pattern, strict=True):
                    if self.formals[first] is not formal:
                        inner.unify(self.formals[first], formal)

            known = self.views[pattern] = Inference(self.graph, self.steps, start)
        return known

    def faults(self) -> Iterator[tuple[Path, str]]:
        """The faults in this model and those below it, each with its path, without duplicates."""
        seen: set[tuple[Path, int]] = set()
        stack: list[tuple[Path, Summary]] = [((), self)]
        while stack:
            path, item = stack.pop()
            if (path, id(item)) in seen:
                continue
            seen.add((path, id(item)))
            yield from (((*path, name), s.fault) for name, s in item.steps.items() if s.fault is not None)
            stack.extend(((*path, sub), s) for step in item.steps.values() for sub, s in step.inner)


class Context:
    """What the inferences of one model share: its batch axis, the symbols of its inputs, and the summaries of nested
    models by signature (``memo``)."""

    def __init__(self) -> None:
        self.batch = Origin(Role.BATCH)
        self.symbols: Counter[str] = Counter()
        self.taken: frozenset[str] = frozenset()
        self.batches: dict[str, Origin] = {}
        self.memo: dict[int, dict[Any, Summary]] = {}

    def batch_called(self, name: str) -> Origin:
        """The batch with this name in an ONNX file."""
        return self.batches.setdefault(name, Origin(Role.BATCH))

    def without(self, operations: Iterable[Operation]) -> Context:
        """A copy without the summaries of models that these operations are or contain."""
        waiting, touched = list(operations), set()
        while waiting:
            operation = waiting.pop()
            if operation.graph is not None and id(operation.graph) not in touched:
                touched.add(id(operation.graph))
                waiting += operation.graph.operations.values()
            for child in operation.children.values():
                waiting += child if isinstance(child, list) else [child]
        other = Context()
        other.batch, other.symbols = self.batch, self.symbols
        other.taken, other.batches = self.taken, self.batches
        other.memo = {key: known for key, known in self.memo.items() if key not in touched}
        return other
