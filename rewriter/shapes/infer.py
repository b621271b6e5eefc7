"""The driver: applies the axis rule of every call, producers first, and descends into nested models.

A nested model is analysed once for each distinct signature of its operands (sizes, roles and which axes are the same),
on formal operands; a further call with that signature only renames the result's axes. So a model of models costs what
its text costs, however often one calls another.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, TypeVar

from ..errors import BadFileError, UnsupportedError, shown
from ..ir.axis import Axis, Effect, Origin, Role, Value, new_axis, record, scope, unit_axis
from ..ir.facts import Facts
from ..ir.graph import Graph, Literal, Node, Operation, Path, TensorRef, map_leaves
from ..ir.size import Size, is_beyond, symbol, unknown
from .call import LAYERS, ONNX, OPS, Call, OpaqueError, Rule, ShapeError
from .demands import Misconfigured, check_weights
from .recorded import Restated, restated

_MAX_DEPTH = 100
_MAX_SIGNATURES = 256
_MAX_RANK = 254  # TensorFlow's
_V = TypeVar("_V")
_LETTERS = {3: ("T",), 4: ("H", "W"), 5: ("D", "H", "W")}


@dataclass(slots=True)
class Step:
    """What the rule of one node made of its operands, and what it left to be known of their axes.

    ``fault`` says why it cannot run, ``opaque`` why nothing is known of it. ``inner`` are the models that it called, by
    the path from it (a wrapper can hold one). ``restated`` are the operands in whose recorded shape a node that cannot
    run would run: what follows is inferred from that.
    """

    call: Call | None
    values: list[Value] = field(default_factory=list)
    fault: str | None = None
    opaque: str | None = None
    effects: list[Effect] = field(default_factory=list)
    inner: list[tuple[str, _Summary]] = field(default_factory=list)
    restated: list[Restated] = field(default_factory=list)


Steps = MutableMapping[str, Step]


class Inference:
    """The values of one graph for one signature of its operands, and what is known of their axes.

    It never changes. ``again`` are the nodes on which a supposition bears: those that it is made at, and those that
    take other sizes for it. Nodes that take other axes of the same sizes are ``stale`` until ``finish``: they only
    matter to who asks for facts or claims.
    """

    def __init__(
        self,
        graph: Graph,
        steps: Steps,
        start: Callable[[Facts], None] | None = None,
        context: _Context | None = None,
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
        """Run the rules of nodes for which a supposition changes no size, but axes or claims."""
        if self._finish is not None:
            self._finish()
            self._finish = None

    @cached_property
    def facts(self) -> Facts:
        """What the effects of all nodes come to."""
        self.finish()
        facts = Facts()
        if self._start is not None:
            self._start(facts)
        for name in self.graph.order:
            step = self.steps[name]
            facts.play(name, step.effects)
            facts.touch(step.values)
        return facts

    @cached_property
    def values(self) -> Mapping[str, list[Value]]:
        """The values of each node, in the order of its outputs."""
        return Looked(self.steps, lambda step: [self.facts.value(v) for v in step.values])

    @cached_property
    def calls(self) -> Mapping[str, Call]:
        """The call of each node but inputs, on the values that it takes."""
        return Looked(self.steps, self._seen, lambda step: step.call is not None)

    def _seen(self, step: Step) -> Call:
        call = step.call
        assert call is not None

        def value_of(leaf: Any) -> Any:
            return self.facts.value(leaf) if isinstance(leaf, Value) else leaf

        args, kwargs = map_leaves(value_of, call.args), map_leaves(value_of, call.kwargs)
        return Call(call.operation, args, kwargs, call.apply)

    @cached_property
    def faults(self) -> dict[str, str]:
        """What cannot run, by node; axes are named as the whole model knows them."""
        self.finish()
        return {name: self._told(name, s.fault) for name, s in self.steps.items() if s.fault is not None}

    def _told(self, name: str, fault: str) -> str:
        """A fault in the words of the node's rule on what is known of its operands by now."""
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
        """The operands in whose recorded shape a node that cannot run would run, by node."""
        return {name: step.restated for name, step in self.steps.items() if step.restated}

    @cached_property
    def opaque(self) -> dict[str, str]:
        """The nodes of which nothing is known, with the reason."""
        return {name: step.opaque for name, step in self.steps.items() if step.opaque is not None}

    @property
    def conflicts(self) -> dict[str, list[str]]:
        """The nodes that take an axis for something else than it is."""
        return self.facts.conflicts

    @cached_property
    def inner(self) -> dict[str, list[tuple[str, Inference]]]:
        """The analysis of the models below a node, by the path from it."""
        return {name: self.facts.below.get(name, []) for name, step in self.steps.items() if step.inner}

    def taken(self, name: str) -> list[Value] | None:
        """What a node takes, as far as its rule knows it: sizes, and claims once it is finished. None for an input."""
        call = self.steps[name].call if name in self.steps else None
        return None if call is None else call.inputs

    def outputs(self) -> list[Value]:
        return [self.value(ref) for ref in self.graph.output_refs()]

    def value(self, ref: TensorRef) -> Value:
        """The value of a tensor. Raises BadFileError where the node has no such output."""
        return self.facts.value(_output(self.steps, ref))

    def walk(self, prefix: Path = ()) -> Iterator[tuple[Path, Inference]]:
        """This analysis and those below it, each with its path (``()``, ``("inner",)``); a pair once."""
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
        """The inferences of the model at a path, this one for ``()``: one for each way in which it is called."""
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
        """What cannot run at these nodes, and in the models below them, by its path."""
        for name in names:
            step = self.steps[name]
            if step.fault is not None:
                yield (name,), step.fault
            for sub, summary in step.inner:
                yield from ((((sub, *path)), text) for path, text in summary.faults())


class Looked(Mapping[str, _V]):
    """The steps of an inference, each looked at when it is asked for, and once."""

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
    """The steps of an inference with some of them replaced; those of the other one stay what they are."""

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


def _output(steps: Steps, ref: TensorRef) -> Value:
    values = steps[ref.node].values
    if not 0 <= ref.index < len(values):
        raise BadFileError(f"node {shown(ref.node)!r} has no output {ref.index}")
    return values[ref.index]


# What to take for a node's result instead of applying its rule; None: apply it after all.
Override = Callable[[Call], "tuple[Axis, ...] | None"]
# The override of a node, by its path, if it has one.
Overrides = Callable[[Path], "Override | None"]


def _nothing(path: Path) -> None:
    """No overrides."""


def infer(
    graph: Graph, overrides: Overrides = _nothing, operands: Sequence[Value] | None = None
) -> Inference:
    """Axes of every tensor of a model.

    Args:
        overrides: results to suppose for nodes: what would flow on if they were repaired.
        operands: what the model is called on, in the order of its inputs, if not what they declare.

    Raises:
        BadFileError: a configured value cannot be (a negative size, a stride of 0).
        UnsupportedError: layers are nested too deep.
    """
    try:
        driver = _Driver(overrides, _Context())
        return Inference(graph, driver.run(graph, operands), context=driver.context)
    except RecursionError:
        raise UnsupportedError("layers are nested too deep to analyse") from None


def infer_call(operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Value]:
    """What one call of an operation gives, in the order of its outputs.

    Raises:
        ShapeError: it cannot run on such operands.
        OpaqueError: nothing is known of it.
    """
    with scope(("call",)) as opened:
        outcome = _Driver(_nothing, _Context()).apply(operation, *args, **kwargs)
    facts = Facts()
    facts.play("", opened.effects)
    return [facts.value(leaf) for leaf in flatten_outputs(outcome) if isinstance(leaf, Value)]


def suppose(before: Inference, overrides: Overrides, at: Collection[Path]) -> Inference:
    """The same model with other results at some nodes: what ``infer`` would give, as far as it differs.

    Args:
        before: an inference of the outermost model.
        overrides: all that are supposed, those that ``before`` supposes too.
        at: the nodes that have another result, or another rule, than in ``before``.
    """
    assert before.context is not None
    try:
        graph = before.graph
        held = {name for path in at if len(path) > 1 for name in graph.enclosing(path)}
        context = before.context.without(graph.nodes[name].operation for name in held)
        return _Driver(overrides, context).again(before, {n for path in at for n in graph.enclosing(path)})
    except RecursionError:
        raise UnsupportedError("layers are nested too deep to analyse") from None


class _Context:
    """What the inferences of one model have in common: its batch axis, the symbols of its inputs, and what is known of
    the models in it by the axes that they are called on (``memo``)."""

    def __init__(self) -> None:
        self.batch = Origin(Role.BATCH)
        self.symbols: Counter[str] = Counter()
        self.memo: dict[int, dict[Any, _Summary]] = {}

    def without(self, operations: Iterable[Operation]) -> _Context:
        """The same, but for what is known of models that these operations are or hold."""
        waiting, touched = list(operations), set()
        while waiting:
            operation = waiting.pop()
            if operation.graph is not None and id(operation.graph) not in touched:
                touched.add(id(operation.graph))
                waiting += operation.graph.operations.values()
            for child in operation.children.values():
                waiting += child if isinstance(child, list) else [child]
        other = _Context()
        other.batch, other.symbols = self.batch, self.symbols
        other.memo = {key: known for key, known in self.memo.items() if key not in touched}
        return other


@dataclass(slots=True)
class _Summary:
    """A nested model on formal operands, which stand for the origins of the operands that it is called on."""

    graph: Graph
    formals: list[Origin]
    steps: Steps = field(default_factory=dict)
    result: Any = None
    views: dict[object, Inference] = field(default_factory=dict)

    def view(self, facts: Facts, actual: Sequence[Origin]) -> Inference:
        """The model with what is known of its operands where it is called; one for each such state."""
        roots = [facts.root(origin) for origin in actual]
        number = {root: k for k, root in reversed(list(enumerate(roots)))}
        pattern = tuple(
            (number[root], facts.role(root), None if (d := facts.ancestry(root)) is None else number.get(d))
            for root in roots
        )
        known = self.views.get(pattern)
        if known is None:

            def start(inner: Facts) -> None:
                for formal, (first, role, above) in zip(self.formals, pattern, strict=True):
                    if self.formals[first] is formal:
                        inner.start(formal, role, None if above is None else self.formals[above])
                for formal, (first, _, _) in zip(self.formals, pattern, strict=True):
                    if self.formals[first] is not formal:
                        inner.unify(self.formals[first], formal)

            known = self.views[pattern] = Inference(self.graph, self.steps, start)
        return known

    def faults(self) -> Iterator[tuple[Path, str]]:
        """What cannot run in this model and those below it; those of one path once."""
        seen: set[tuple[Path, int]] = set()
        stack: list[tuple[Path, _Summary]] = [((), self)]
        while stack:
            path, item = stack.pop()
            if (path, id(item)) in seen:
                continue
            seen.add((path, id(item)))
            yield from (((*path, name), s.fault) for name, s in item.steps.items() if s.fault is not None)
            stack.extend(((*path, sub), s) for step in item.steps.values() for sub, s in step.inner)


class _Driver:
    def __init__(self, overrides: Overrides, context: _Context) -> None:
        self.overrides = overrides
        self.context = context
        self.path: Path = ()
        self.stack: list[list[tuple[str, _Summary]]] = []
        self.depth = 0

    # -- one graph -----------------------------
    def run(self, graph: Graph, operands: Sequence[Value] | None) -> Steps:
        steps: Steps = {}
        bound: dict[str, Value] = {}
        if operands is not None:
            refs = graph.input_refs()
            if len(refs) != len(operands):
                raise ShapeError(
                    f"model {shown(graph.name)!r} takes {len(refs)} tensors, not {len(operands)}"
                )
            bound = {ref.node: value for ref, value in zip(refs, operands, strict=True)}
        for name in graph.order:
            node = graph.nodes[name]
            if node.operation.kind == "input":
                with scope((*self.path, name)) as opened:
                    declared = self._input(node)
                    value = self._bind(bound[name], declared) if name in bound else declared
                steps[name] = Step(None, [value], effects=opened.effects)
            else:
                steps[name] = self._step(graph, steps, node)
        for ref in graph.output_refs():
            _output(steps, ref)  # there is such an output
        return steps

    def again(self, before: Inference, at: Collection[str]) -> Inference:
        steps = Changed(before.steps)
        stale = set(before.stale)
        again = self._rerun(before.graph, steps, at, Value.is_alike, stale)

        def finish() -> None:
            self._rerun(before.graph, steps, stale, Value.is_identical, set())
            stale.clear()

        return Inference(before.graph, steps, context=self.context, again=again, stale=stale, finish=finish)

    def _rerun(
        self,
        graph: Graph,
        steps: Steps,
        at: Collection[str],
        enough: Callable[[Value, Value], bool],
        stale: set[str],
    ) -> list[str]:
        """Run the rules of some nodes again, and of those that take what is no longer the same, in order.

        Args:
            enough: whether two values are the same for this purpose; who takes one that is another all the same
                goes to ``stale``.
        """
        waiting = sorted((graph.place[name], name) for name in at)
        queued = set(at)
        anew = []
        while waiting:
            _, name = heapq.heappop(waiting)
            anew.append(name)
            stale.discard(name)
            old, steps[name] = steps[name], self._step(graph, steps, graph.nodes[name])
            new = steps[name].values
            if len(new) == len(old.values) and all(map(enough, new, old.values)):
                if not all(map(Value.is_identical, new, old.values)):
                    stale.update(name for name in graph.nx.successors(name) if name not in queued)
                continue
            for consumer in graph.nx.successors(name):
                if consumer not in queued:
                    queued.add(consumer)
                    heapq.heappush(waiting, (graph.place[consumer], consumer))
        return anew

    def _step(self, graph: Graph, steps: Steps, node: Node) -> Step:
        def value_of(leaf: Any) -> Any:
            if isinstance(leaf, TensorRef):
                return _output(steps, leaf)
            return _literal(leaf) if isinstance(leaf, Literal) else leaf

        self.stack.append([])
        with scope((*self.path, node.name)) as opened:
            args, kwargs = map_leaves(value_of, node.args), map_leaves(value_of, node.kwargs)
            call = Call(node.operation, args, kwargs, self.apply)
            step = Step(call, effects=opened.effects)
            try:
                outcome = self._supposed(node, call) or self.apply(node.operation, *call.args, **call.kwargs)
                values = [leaf for leaf in flatten_outputs(outcome) if isinstance(leaf, Value)]
                if any(is_beyond(axis.size) for value in values for axis in value.axes or ()):
                    raise ShapeError("one of its sizes would be 2**63 or more")
                if any((value.rank or 0) > _MAX_RANK for value in values):
                    raise ShapeError(f"its result would have more than {_MAX_RANK} axes")
            except ShapeError as error:
                step.fault = str(error)
                made = flatten_outputs(error.made) if error.by is node.operation else ()
                values = (
                    self._restated(graph, step, node, call)
                    or [leaf for leaf in made if isinstance(leaf, Value)]
                    or self._assumed(graph, node, call)
                )
            except OpaqueError as error:
                step.opaque = str(error)
                values = self._claimed(graph, node)
            values = [
                self._stated_anyway(graph, node, i, v) if v.axes is None else v for i, v in enumerate(values)
            ]
        step.inner = self.stack.pop()
        taint = next((v.claimed for v in call.inputs if v.claimed), None)
        step.values = [_with_claim(v, taint) for v in values] if taint else values
        return step

    def _supposed(self, node: Node, call: Call) -> Value | None:
        """The result that an override supposes for this node."""
        override = self.overrides((*self.path, node.name))
        axes = override(call) if override is not None else None
        return None if axes is None else call.like(axes)

    def apply(self, operation: Operation, *args: Any, **kwargs: Any) -> Any:
        """Run the rule of an operation on values; wrappers use it for the layers that they hold.

        Raises:
            ShapeError: it cannot run on them.
            OpaqueError: nothing is known of it.
        """
        call = Call(operation, args, kwargs, self.apply)
        if operation.opaque:
            raise OpaqueError(operation.opaque)
        if operation.kind == "model":
            return self._model(operation, call)
        rule = rule_for(operation)
        if rule is None:
            raise OpaqueError(f"no axis rule for {shown(operation.class_name)}")
        result = rule(call)
        try:
            check_weights(call)
        except Misconfigured:
            raise
        except ShapeError as error:
            error.by, error.made = operation, result
            raise
        return result

    # -- nested models -----------------------------
    def _model(self, operation: Operation, call: Call) -> Any:
        graph = operation.graph
        assert graph is not None
        taken = len(graph.input_refs())
        operands = call.inputs[:taken]
        if any(v.axes is None for v in operands):
            raise OpaqueError(
                next(v.reason for v in operands if v.axes is None) or "an operand's rank is unknown"
            )
        if self.depth >= _MAX_DEPTH:
            raise UnsupportedError(f"models nested more than {_MAX_DEPTH} deep")
        numbers: dict[Origin, int] = {}
        key = tuple(_signature(v, numbers) for v in operands)
        actual = list(numbers)
        known = self.context.memo.setdefault(id(graph), {})
        summary = known.get(key)
        if summary is None:
            if len(known) >= _MAX_SIGNATURES:
                # Each level of a chain of models can double the number: thirty of them are a file of 30 KB.
                raise OpaqueError(f"it is called on operands of more than {_MAX_SIGNATURES} kinds")
            summary = self._summary(operation, graph, operands, actual)
            known[key] = summary
        if self.stack:
            self.stack[-1].append((operation.name, summary))
        mapping = {self.context.batch: self.context.batch}
        mapping.update(zip(summary.formals, actual, strict=True))
        back = _Renaming(mapping)
        result = map_leaves(lambda v: back.value(v) if isinstance(v, Value) else v, summary.result)
        record(partial(_called, operation.name, summary, actual, back.mapping))
        return result

    def _summary(
        self, operation: Operation, graph: Graph, operands: Sequence[Value], actual: Sequence[Origin]
    ) -> _Summary:
        """The model on operands of such axes, whatever they are otherwise."""
        outer, self.path = self.path, (*self.path, operation.name)
        self.depth += 1
        try:
            with scope((*self.path, len(self.context.memo[id(graph)]))):
                formal: dict[Origin, Origin] = {}
                for origin in reversed(actual):  # what others are derived from comes last
                    above = origin.derived
                    formal[origin] = Origin(
                        origin.role,
                        formal.get(above) if above is not None else None,
                        inserted=origin.inserted,
                    )
                renamed = _Renaming(formal)
                taken = [renamed.value(v) for v in operands]
            summary = _Summary(graph, [formal[origin] for origin in actual])
            steps = summary.steps = self.run(graph, taken)
            summary.result = map_leaves(
                lambda ref: _output(steps, ref) if isinstance(ref, TensorRef) else ref, graph.outputs
            )
            return summary
        finally:
            self.depth -= 1
            self.path = outer

    def _bind(self, value: Value, declared: Value) -> Value:
        """An operand as a nested model takes it: rank adjusted as ``Functional._adjust_input_rank`` does it."""
        axes, wanted = value.axes, declared.axes
        if axes is None or wanted is None or len(axes) == len(wanted):
            return value
        if len(axes) == len(wanted) + 1 and axes[-1].size == 1:
            return Value(axes[:-1], value.dtype, value.claimed)
        if len(axes) == len(wanted) - 1 and wanted[-1].size == 1:
            return Value((*axes, unit_axis()), value.dtype, value.claimed)
        raise ShapeError(f"a nested model's input takes rank {len(wanted)}, not {value.text()}")

    # -- where values come from without a rule -----------------------------
    def _input(self, node: Node) -> Value:
        config = node.operation.config
        shape = config.get("batch_shape", config.get("batch_input_shape"))
        if not isinstance(shape, (list, tuple)):
            raise BadFileError(f"input {shown(node.name)!r} states no batch_shape")
        dtype = config.get("dtype")
        axes = self.shaped(shape, node.name, config.get("labels", ()))
        return Value(axes, dtype if isinstance(dtype, str) else "float32")

    def shaped(self, shape: Sequence[Any], name: str, labels: Sequence[str] = ()) -> tuple[Axis, ...]:
        """Axes of an input's declared shape: axis 0 is the batch, each other None a symbol of its own, or the one that
        its label names."""
        if len(shape) > _MAX_RANK:
            raise BadFileError(f"input {shown(name)!r} has {len(shape)} axes")
        letters = _LETTERS.get(len(shape), ())
        axes = []
        for number, size in enumerate(shape):
            if size is not None and (
                not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 2**63
            ):
                raise BadFileError(f"input {shown(name)!r} has a size {shown(repr(size))}")
            if number == 0:
                axes.append(self._batch_axis(size))
            elif size is None and number < len(labels) and labels[number]:
                axes.append(new_axis(symbol(labels[number])))
            elif size is None:
                axes.append(
                    new_axis(self._fresh(letters[number - 1] if number <= len(letters) else f"N{number}"))
                )
            else:
                axes.append(new_axis(size))
        return tuple(axes)

    def _batch_axis(self, size: int | None) -> Axis:
        return Axis(symbol("B"), self.context.batch) if size is None else new_axis(size, Role.BATCH)

    def _fresh(self, letter: str) -> Size:
        self.context.symbols[letter] += 1
        number = self.context.symbols[letter]
        # N1's second is N1_2: N12 is the twelfth axis of an input.
        return symbol(letter if number == 1 else f"{letter}{'_' * letter[-1:].isdigit()}{number}")

    def _claimed(self, graph: Graph, node: Node) -> list[Value]:
        """What the file claims of an opaque node's outputs."""
        return [
            self._stated(graph.recorded.get((node.name, index)), node.name)
            for index in range(graph.used_outputs[node.name] or 1)
        ]

    def _stated_anyway(self, graph: Graph, node: Node, index: int, value: Value) -> Value:
        """What the file claims of an output of unknown rank, or that output itself where it claims nothing."""
        shape = graph.recorded.get((node.name, index))
        return value if shape is None else self._stated(shape, value.claimed or node.name)

    def _stated(self, shape: tuple[int | None, ...] | None, name: str) -> Value:
        if shape is None:
            return Value(None, claimed=name, reason=f"nothing is known of the output of {shown(name)!r}")
        axes = [new_axis(unknown() if s is None else s) for s in shape]
        if shape and shape[0] is None:
            axes[0] = self._batch_axis(None)
        return Value(tuple(axes), claimed=name)

    def _assumed(self, graph: Graph, node: Node, call: Call) -> list[Value]:
        """What goes on after a node that cannot run: the operand that has the recorded shape, that shape itself, or
        the operand of the highest rank."""
        recorded = graph.recorded.get((node.name, 0))
        operands = [v for v in call.inputs if v.axes is not None]
        if recorded is not None:
            exact = next((v for v in operands if v.shape == list(recorded)), None)
            if exact is not None:
                return [exact]
            alike = next((v for v in operands if v.rank == len(recorded)), None)
            if alike is not None:
                return [self._retraced(recorded, alike, node.name)]
            return [self._stated(recorded, node.name)]
        if not operands:
            return [Value(None, claimed=node.name, reason=f"{shown(node.name)!r} cannot run")]
        return [max(operands, key=lambda v: v.rank or 0)]

    def _restated(self, graph: Graph, step: Step, node: Node, call: Call) -> list[Value]:
        """What a node that cannot run gives on its operands as the file states them; none where it cannot run so."""
        found = {item.operand: item for item in restated(node, call)}
        if not found:
            return []
        number = -1

        def swapped(leaf: Any) -> Any:
            nonlocal number
            if not isinstance(leaf, Value):
                return leaf
            number += 1
            return leaf.with_axes(found[number].axes, None) if number in found else leaf

        args, kwargs = map_leaves(swapped, (call.args, call.kwargs))
        try:
            outcome = self.apply(node.operation, *args, **kwargs)
        except (ShapeError, OpaqueError):
            return []
        values = [leaf for leaf in flatten_outputs(outcome) if isinstance(leaf, Value)]
        if not all(_can_be(graph.recorded.get((node.name, i)), v) for i, v in enumerate(values)):
            return []
        step.restated = list(found.values())
        return values

    def _retraced(self, recorded: tuple[int | None, ...], like: Value, name: str) -> Value:
        stated = self._stated(recorded, name)
        assert stated.axes is not None and like.axes is not None
        axes = tuple(b if b.size == a.size else a for a, b in zip(stated.axes, like.axes, strict=True))
        return Value(axes, like.dtype, stated.claimed)


def rule_for(operation: Operation) -> Rule | None:
    """The axis rule of an operation, by its class name (layers) or its module and class name (ops)."""
    if operation.module == "onnx":
        return ONNX.get(operation.class_name)
    if operation.kind == "op":
        return OPS.get((operation.module.rsplit(".", 1)[-1], operation.class_name))
    return LAYERS.get(operation.class_name)


def flatten_outputs(structure: Any) -> Iterator[Any]:
    """Leaves in the order in which Keras numbers a call's outputs: dicts by sorted key (``keras.tree.flatten``)."""
    if isinstance(structure, dict):
        structure = [structure[key] for key in sorted(structure)]
    if isinstance(structure, (list, tuple)):
        for item in structure:
            yield from flatten_outputs(item)
    else:
        yield structure


def _can_be(recorded: Sequence[int | None] | None, value: Value) -> bool:
    """True where a value can have the recorded shape."""
    if recorded is None or value.axes is None:
        return True
    return len(recorded) == len(value.axes) and all(
        r is None or not isinstance(a.size, int) or r == a.size
        for r, a in zip(recorded, value.axes, strict=True)
    )


def _literal(leaf: Literal) -> Value:
    return Value(tuple(new_axis(size) for size in leaf.shape), leaf.dtype, constant=leaf.value)


def _with_claim(value: Value, claimed: str) -> Value:
    if value.claimed:
        return value
    return Value(value.axes, value.dtype, claimed, value.reason, value.constant, value.mask)


def _called(
    name: str, summary: _Summary, actual: Sequence[Origin], made: Mapping[Origin, Origin], facts: Facts
) -> None:
    """What a call of a nested model tells of the axes that it was called on, and of those that it gives."""
    view = summary.view(facts, actual)
    facts.below.setdefault(facts.node, []).append((name, view))
    inner = view.facts
    first: dict[Origin, Origin] = {}
    for formal, origin in zip(summary.formals, actual, strict=True):
        root = inner.root(formal)
        facts.hint(origin, inner.role(root))
        facts.unify(first.setdefault(root, origin), origin)
    for old, new in made.items():
        root = inner.root(old)
        facts.hint(new, inner.role(root))
        facts.unify(first.setdefault(root, new), new)


def _signature(value: Value, origins: dict[Origin, int]) -> Any:
    """A hashable form of an operand in which origins are numbered by first appearance over all operands."""
    assert value.axes is not None

    def number(origin: Origin) -> int:
        return origins.setdefault(origin, len(origins))

    def form(axis: Axis) -> Any:
        lineage = tuple(number(o) for o in axis.origin.lineage())
        return (axis.size, lineage, axis.role, axis.origin.inserted, tuple(form(f) for f in axis.factors))

    mask = None if value.mask is None else tuple(form(a) for a in value.mask)
    return (value.dtype, value.claimed, tuple(form(a) for a in value.axes), mask)


class _Renaming:
    """Values with the origins of their axes replaced; an origin that the mapping lacks becomes a fresh one, once."""

    def __init__(self, mapping: Mapping[Origin, Origin]) -> None:
        self.mapping = dict(mapping)

    def origin(self, old: Origin) -> Origin:
        new: Origin | None = None
        for one in reversed(list(old.lineage())):
            known = self.mapping.get(one)
            if known is None:
                known = self.mapping[one] = Origin(one.role, new, inserted=one.inserted)
            new = known
        assert new is not None
        return new

    def axis(self, axis: Axis) -> Axis:
        return Axis(axis.size, self.origin(axis.origin), tuple(self.axis(f) for f in axis.factors))

    def value(self, value: Value) -> Value:
        axes = None if value.axes is None else tuple(self.axis(a) for a in value.axes)
        mask = None if value.mask is None else tuple(self.axis(a) for a in value.mask)
        return value.with_axes(axes, mask)
