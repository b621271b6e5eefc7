"""The driver: applies the axis rule of every call, producers first, and descends into nested models.

A nested model is analysed on formal operands, once for each signature of its operands (sizes, roles and which axes are
the same). A further call with that signature only renames the result's axes. So the cost follows the size of the file,
however often one model calls another.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ..errors import BadFileError, UnsupportedError, shown
from ..ir.axis import Axis, Origin, Role, Value, new_axis, record, scope
from ..ir.graph import (
    BODY,
    CALLED,
    FUNCTION,
    TRACE_MODULE,
    TRACED,
    Graph,
    Literal,
    Node,
    Operation,
    Path,
    TensorRef,
    flatten_outputs,
    map_leaves,
    operands_of,
)
from ..ir.identities import Identities
from ..ir.size import Size, is_beyond, is_unknown, symbol, unknown
from .call import LAYERS, ONNX, OPS, TF, TRACED_OPS, Call, OpaqueError, Rule, ShapeError
from .demands import Misconfigured, check_weights
from .facts import constant_axes, settled
from .inference import Changed, Context, Inference, Step, Steps, Summary, output_of
from .keras_facts import facts_of
from .recorded import restated

_MAX_DEPTH = 100
_MAX_SIGNATURES = 256
_MAX_RANK = 254  # TensorFlow's
# Graphs whose inputs have no declared shape: they take the values that they are called on.
_UNDECLARED = (BODY, FUNCTION, TRACED)
_LETTERS = {3: ("T",), 4: ("H", "W"), 5: ("D", "H", "W")}


# The axes to use as a node's result instead of applying its rule; None: apply the rule.
Override = Callable[[Call], "tuple[Axis, ...] | None"]
# The override of a node, by its path, if it has one.
Overrides = Callable[[Path], "Override | None"]


def _nothing(path: Path) -> None:
    """No overrides."""


def infer(
    graph: Graph, overrides: Overrides = _nothing, operands: Sequence[Value] | None = None
) -> Inference:
    """Infer the axes of every tensor of a model.

    Args:
        overrides: results to suppose for nodes, as if these were repaired.
        operands: the values that the model is called on, in the order of its inputs; by default the declared ones.

    Raises:
        BadFileError: a configured value is invalid (a negative size, a stride of 0).
        UnsupportedError: layers are nested too deep.
    """
    try:
        driver = _Driver(overrides, Context())
        return Inference(graph, driver.run(graph, operands), context=driver.context)
    except RecursionError:
        raise UnsupportedError("layers are nested too deep to analyse") from None


def infer_call(operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Value]:
    """The results of one call of an operation, in the order of its outputs.

    Raises:
        ShapeError: it cannot run on these operands.
        OpaqueError: its result cannot be inferred.
    """
    with scope(("call",)) as opened:
        outcome = _Driver(_nothing, Context()).apply(operation, *args, **kwargs)
    identities = Identities()
    identities.play("", opened.effects)
    return [identities.value(leaf) for leaf in flatten_outputs(outcome) if isinstance(leaf, Value)]


def suppose(before: Inference, overrides: Overrides, at: Collection[Path]) -> Inference:
    """The same model with other results at some nodes: as ``infer`` gives it, but only changed nodes are run again.

    Args:
        before: an inference of the outermost model.
        overrides: all supposed results, including those of ``before``.
        at: the nodes that have another result or another rule than in ``before``.
    """
    assert before.context is not None
    try:
        graph = before.graph
        held = {name for path in at if len(path) > 1 for name in graph.enclosing(path)}
        context = before.context.without(graph.nodes[name].operation for name in held)
        return _Driver(overrides, context).again(before, {n for path in at for n in graph.enclosing(path)})
    except RecursionError:
        raise UnsupportedError("layers are nested too deep to analyse") from None


def _is_built_by_first_call(node: Node) -> bool:
    operation = node.operation
    return not operation.built and facts_of(operation.class_name).inserts_axes and operation.kind == "layer"


def _built_by(graph: Graph, node: Node) -> list[str]:
    """The later calls of a merge layer that Keras builds on this call, as no ``build_config`` is recorded."""
    if node.call or not _is_built_by_first_call(node):
        return []
    return [name for name in graph.calls_of(node.operation) if name != node.name]


def _built_on(graph: Graph, steps: Steps, node: Node) -> Sequence[Sequence[int | None]]:
    """The shapes that a layer was built on: the recorded ones, or for a merge layer those of its first call."""
    if not node.call or not _is_built_by_first_call(node):
        return node.operation.built
    first = next((name for name in graph.calls_of(node.operation) if not graph.nodes[name].call), None)
    call = steps[first].call if first is not None and first in steps else None
    return () if call is None else [value.shape for value in call.inputs if value.shape is not None]


class _Driver:
    def __init__(self, overrides: Overrides, context: Context) -> None:
        self.overrides = overrides
        self.context = context
        self.path: Path = ()
        self.stack: list[list[tuple[str, Summary]]] = []
        self.depth = 0

    # -- one graph -----------------------------
    def run(self, graph: Graph, operands: Sequence[Value] | None) -> Steps:
        steps: Steps = {}
        self.context.taken |= graph.names.taken if graph.names is not None else frozenset()
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
            if node.operation.kind == "input" and graph.kind in _UNDECLARED:
                steps[name] = Step(None, self._named(name, (), [bound[name]]))
            elif node.operation.kind == "input":
                with scope((*self.path, name)) as opened:
                    declared = self._input(node)
                    value = self._bind(bound[name], declared) if name in bound else declared
                steps[name] = Step(None, self._named(name, (), [value]), effects=opened.effects)
            else:
                steps[name] = self._step(graph, steps, node)
        for ref in graph.output_refs():
            output_of(steps, ref)  # raises where there is no such output
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
        """Run the rules of some nodes again, and of the consumers of values that change, in order; returns their names.

        Args:
            enough: whether two values count as the same here. Where they count as the same but are not identical, the
                consumers are added to ``stale``.
        """
        waiting = sorted((graph.place[name], name) for name in at)
        queued = set(at)
        anew = []
        while waiting:
            _, name = heapq.heappop(waiting)
            anew.append(name)
            stale.discard(name)
            old, steps[name] = steps[name], self._step(graph, steps, graph.nodes[name])
            for later in _built_by(graph, graph.nodes[name]):
                if later not in queued:
                    queued.add(later)
                    heapq.heappush(waiting, (graph.place[later], later))
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
                return output_of(steps, leaf)
            return _literal(leaf) if isinstance(leaf, Literal) else leaf

        self.stack.append([])
        with scope((*self.path, node.name)) as opened:
            args, kwargs = map_leaves(value_of, node.args), map_leaves(value_of, node.kwargs)
            builds = not self.path and node.call == 0 and not node.operation.built
            call = Call(node.operation, args, kwargs, self.apply, builds, _built_on(graph, steps, node))
            step = Step(call, effects=opened.effects)
            try:
                outcome = self._supposed(node, call) or self._run(call)
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
            if step.fault is not None or graph.names is not None:
                missing = range(len(values), graph.used_outputs[node.name])
                values += [self._stated(graph, node.name, i) for i in missing]
            values = [self._stated_anyway(graph, node, i, v) for i, v in enumerate(values)]
        step.inner = self.stack.pop()
        taint = next((v.claimed for v in call.inputs if v.claimed), None)
        step.values = self._named(
            node.name, call.inputs, [_with_claim(v, taint) for v in values] if taint else values
        )
        return step

    def _named(self, name: str, given: Sequence[Value], made: Sequence[Value]) -> list[Value]:
        """The results of a node, each new one with its ``tensor`` (the node's path and the output's number)."""
        path = *self.path, name
        return [
            value if any(value is operand for operand in given) else replace(value, tensor=(path, number))
            for number, value in enumerate(made)
        ]

    def _supposed(self, node: Node, call: Call) -> Value | None:
        """The result that an override supposes for this node."""
        override = self.overrides((*self.path, node.name))
        axes = override(call) if override is not None else None
        return None if axes is None else settled(call, call.like(axes))

    def apply(self, operation: Operation, *args: Any, **kwargs: Any) -> Any:
        """Run the rule of an operation on values; wrappers use it for the layers inside.

        Raises:
            ShapeError: it cannot run on these values.
            OpaqueError: its result cannot be inferred.
        """
        return self._run(Call(operation, args, kwargs, self.apply, built=operation.built))

    def _run(self, call: Call) -> Any:
        operation = call.operation
        if operation.opaque:
            raise OpaqueError(operation.opaque)
        if operation.kind in ("model", CALLED):
            return self._model(operation, call)
        rule = rule_for(operation)
        if rule is None:
            raise OpaqueError(f"no axis rule for {shown(operation.class_name)}")
        result = settled(call, rule(call))
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
        given = operands_of(graph, call.args, call.kwargs)
        operands = [leaf for leaf in given if isinstance(leaf, Value)]
        traced = operation.trace
        if traced is not None:
            operands += [_mask_of(operands[number]) for number in traced.masked_operands]
        operands = operands[:taken]
        if graph.kind not in _UNDECLARED and any(v.axes is None for v in operands):
            raise OpaqueError(
                next(v.reason for v in operands if v.axes is None) or "an operand's rank is unknown"
            )
        if self.depth >= _MAX_DEPTH:
            raise UnsupportedError(f"models nested more than {_MAX_DEPTH} deep")
        numbers: dict[Origin, int] = {}
        key = (operation.kind, *(_signature(v, numbers) for v in operands))
        actual = list(numbers)
        known = self.context.memo.setdefault(id(graph), {})
        summary = known.get(key)
        if summary is None:
            if len(known) >= _MAX_SIGNATURES:
                # Each level of a chain of models can double the number: thirty levels fit in a file of 30 KB.
                raise OpaqueError(f"it is called with more than {_MAX_SIGNATURES} different sets of shapes")
            summary = self._summary(operation, graph, operands, actual)
            known[key] = summary
        below = operation.kind != CALLED
        if self.stack and below:
            self.stack[-1].append((operation.name, summary))
        mapping = {self.context.batch: self.context.batch}
        mapping.update(zip(summary.formals, actual, strict=True))
        back = _Renaming(mapping)
        result = map_leaves(lambda v: back.value(v) if isinstance(v, Value) else v, summary.result)
        record(partial(_called, operation.name if below else None, summary, actual, back.mapping))
        return result if traced is None else traced.with_masks(result, _with_mask)

    def _summary(
        self, operation: Operation, graph: Graph, operands: Sequence[Value], actual: Sequence[Origin]
    ) -> Summary:
        """Analyse the model on formal operands that stand for these."""
        outer, self.path = self.path, (*self.path, operation.name)
        self.depth += 1
        try:
            with scope((*self.path, len(self.context.memo[id(graph)]))):
                formal = {origin: Origin(origin.role) for origin in actual}
                for origin, made in formal.items():
                    if origin.derived is not None:
                        made.derived = formal.get(origin.derived)
                renamed = _Renaming(formal)
                taken = [renamed.value(v) for v in operands]
            summary = Summary(graph, [formal[origin] for origin in actual])
            steps = summary.steps = self.run(graph, taken)
            summary.result = map_leaves(
                lambda ref: output_of(steps, ref) if isinstance(ref, TensorRef) else _literal(ref),
                graph.outputs,
            )
            return summary
        finally:
            self.depth -= 1
            self.path = outer

    def _bind(self, value: Value, declared: Value) -> Value:
        """An operand with its rank adjusted to a nested model's input, as ``Functional._adjust_input_rank`` does it."""
        axes, wanted = value.axes, declared.axes
        if axes is None or wanted is None or len(axes) == len(wanted):
            return value
        if len(axes) == len(wanted) + 1 and axes[-1].size == 1:
            return Value(axes[:-1], value.dtype, value.claimed)
        if len(axes) == len(wanted) - 1 and wanted[-1].size == 1:
            return Value((*axes, new_axis(1)), value.dtype, value.claimed)
        raise ShapeError(f"a nested model's input takes rank {len(wanted)}, not {value.text()}")

    # -- where values come from without a rule -----------------------------
    def _input(self, node: Node) -> Value:
        """The declared value of an input: each open size is a new symbol, or the symbol of its name."""
        config = node.operation.config
        shape = config.get("batch_shape", config.get("batch_input_shape"))
        if not isinstance(shape, (list, tuple)):
            raise BadFileError(f"input {shown(node.name)!r} states no batch_shape")
        dtype = config.get("dtype")
        labels = config.get("labels")
        given = config.get("given", labels is not None)
        axes = self.shaped(shape, node.name, labels, config.get("batch", 0), given)
        return Value(axes, dtype if isinstance(dtype, str) else "float32")

    def shaped(
        self,
        shape: Sequence[Any],
        name: str,
        labels: Sequence[str | None] | None = None,
        batch: int | None = 0,
        given: bool = False,
    ) -> tuple[Axis, ...]:
        """Axes of a declared shape; axis ``batch`` is the batch.

        Args:
            labels: the names of open sizes; None for the batch as in a Keras model.
            given: whether the names come from an ONNX file, where two names may stand for one size.
        """
        if len(shape) > _MAX_RANK:
            raise BadFileError(f"input {shown(name)!r} has {len(shape)} axes")
        letters = _LETTERS.get(len(shape), ())
        axes = []
        for number, size in enumerate(shape):
            if size is not None and (
                not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 2**63
            ):
                raise BadFileError(f"input {shown(name)!r} has a size {shown(repr(size))}")
            letter = letters[number - 1] if 0 < number <= len(letters) else f"N{number}"
            if number == batch:
                axes.append(self._batch_axis(size, None if labels is None else labels[number]))
            elif size is not None:
                axes.append(new_axis(size))
            elif labels is not None and labels[number]:
                axes.append(new_axis(symbol(str(labels[number]), given)))
            else:
                axes.append(new_axis(self._fresh(letter, given)))
        return tuple(axes)

    def _batch_axis(self, size: int | None, label: str | None) -> Axis:
        """The one batch of a Keras model (``label`` is None), or the batch of that name in an ONNX file."""
        if size is not None:
            return new_axis(size, Role.BATCH)
        if label is None:
            return Axis(symbol("B"), self.context.batch)
        if not label:
            return new_axis(self._fresh("B", given=True), Role.BATCH)
        return Axis(symbol(label, given=True), self.context.batch_called(label))

    def _fresh(self, letter: str, given: bool = False) -> Size:
        """A symbol that neither the inputs nor the file use yet."""
        while True:
            self.context.symbols[letter] += 1
            number = self.context.symbols[letter]
            # The second N1 is N1_2: N12 is the twelfth axis of an input.
            name = letter if number == 1 else f"{letter}{'_' * letter[-1:].isdigit()}{number}"
            if name not in self.context.taken:
                return symbol(name, given)

    def _claimed(self, graph: Graph, node: Node) -> list[Value]:
        """The outputs of an opaque node as the file records them."""
        return [self._stated(graph, node.name, index) for index in range(graph.used_outputs[node.name] or 1)]

    def _stated_anyway(self, graph: Graph, node: Node, index: int, value: Value) -> Value:
        """The value, with an unknown rank (in ONNX also unknown sizes) filled in from the recorded shape, if any."""
        recorded = graph.recorded.get((node.name, index))
        if recorded is None or (value.axes is not None and not _adds(graph, recorded, value.axes)):
            return value
        stated = self._stated(graph, node.name, index)
        if value.axes is None or stated.axes is None:
            return Value(stated.axes, value.dtype, value.claimed or node.name)
        axes = tuple(b if is_unknown(a.size) else a for a, b in zip(value.axes, stated.axes, strict=True))
        return Value(axes, value.dtype, value.claimed or node.name)

    def _stated(self, graph: Graph, name: str, index: int = 0) -> Value:
        """The axes that the file records for an output."""
        shape = graph.recorded.get((name, index))
        if shape is None:
            return Value(None, claimed=name, reason=f"nothing is known about the output of {shown(name)!r}")
        labels = None if graph.names is None else graph.names.labels.get((name, index))
        axes = [new_axis(unknown() if s is None else s) for s in shape]
        if graph.names is None and shape and shape[0] is None:
            axes[0] = self._batch_axis(None, None)
        for number, label in enumerate(labels or ()):
            if label and shape[number] is None:
                batch = graph.names is not None and label in graph.names.batches
                axes[number] = self._batch_axis(None, label) if batch else new_axis(symbol(label, given=True))
        return Value(tuple(axes), claimed=name)

    def _assumed(self, graph: Graph, node: Node, call: Call) -> list[Value]:
        """The assumed result of a node that cannot run: the operand that has the recorded shape, that shape itself, or
        the operand of the highest rank."""
        recorded = graph.recorded.get((node.name, 0))
        operands = [v for v in call.inputs if v.axes is not None]
        if recorded is not None:
            exact = next((v for v in operands if v.shape == list(recorded)), None)
            if exact is not None:
                return [exact]
            alike = next((v for v in operands if v.rank == len(recorded)), None)
            if alike is not None:
                return [self._retraced(graph, alike, node.name)]
            return [self._stated(graph, node.name)]
        if not operands:
            return [Value(None, claimed=node.name, reason=f"{shown(node.name)!r} cannot run")]
        return [max(operands, key=lambda v: v.rank or 0)]

    def _restated(self, graph: Graph, step: Step, node: Node, call: Call) -> list[Value]:
        """The results of a node that cannot run, on its operands in their recorded shapes; none if that fails too."""
        found = {item.operand: item for item in restated(node, call)}
        if not found:
            return []
        number = -1

        def swapped(leaf: Any) -> Any:
            nonlocal number
            if not isinstance(leaf, Value):
                return leaf
            number += 1
            if number not in found:
                return leaf
            facts = replace(leaf.facts, moved=(), total=None)  # these facts are about the old axes
            return replace(leaf.with_axes(found[number].axes, None), facts=facts)

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

    def _retraced(self, graph: Graph, like: Value, name: str) -> Value:
        stated = self._stated(graph, name)
        assert stated.axes is not None and like.axes is not None
        axes = tuple(b if b.size == a.size else a for a, b in zip(stated.axes, like.axes, strict=True))
        return Value(axes, like.dtype, stated.claimed)


def rule_for(operation: Operation) -> Rule | None:
    """The axis rule of an operation, by its class name (layers) or its module and class name (ops)."""
    if operation.module == "tf":
        return TF.get(operation.class_name)
    if operation.module == TRACE_MODULE:
        return TRACED_OPS.get(operation.class_name)
    if operation.module == "onnx":
        return ONNX.get(f"{operation.raw.get('domain', '')}{operation.class_name}")
    if operation.kind == "op":
        return OPS.get((operation.module.rsplit(".", 1)[-1], operation.class_name))
    return LAYERS.get(operation.class_name)


def _adds(graph: Graph, recorded: Sequence[int | None], axes: Sequence[Axis]) -> bool:
    """True if an ONNX file records a shape of the same rank for unknown sizes and contradicts no known one."""
    pairs = list(zip(recorded, axes, strict=False))
    return (
        graph.names is not None
        and len(recorded) == len(axes)
        and any(is_unknown(axis.size) for axis in axes)
        and all(r is None or not isinstance(a.size, int) or a.size == r for r, a in pairs)
    )


def _can_be(recorded: Sequence[int | None] | None, value: Value) -> bool:
    """True if a value can have the recorded shape."""
    if recorded is None or value.axes is None:
        return True
    return len(recorded) == len(value.axes) and all(
        r is None or not isinstance(a.size, int) or r == a.size
        for r, a in zip(recorded, value.axes, strict=True)
    )


def _literal(leaf: Literal) -> Value:
    return Value(constant_axes(leaf.shape), leaf.dtype, constant=leaf.value)


def _mask_of(value: Value) -> Value:
    """The mask of an operand as a value. Raises OpaqueError without one."""
    if value.mask is None:
        raise OpaqueError("Keras gives it a mask that the analysis does not know")
    return Value(value.mask, "bool")


def _with_mask(value: Value, mask: Value | None) -> Value:
    return replace(value, mask=None if mask is None else mask.axes)


def _with_claim(value: Value, claimed: str) -> Value:
    if value.claimed:
        return value
    return replace(value, claimed=claimed)


def _called(
    name: str | None,
    summary: Summary,
    actual: Sequence[Origin],
    made: Mapping[Origin, Origin],
    outer: Identities,
) -> None:
    """The effect of a call of a nested model on the axes of its operands and results: their roles and identities.

    Without a name, the model's inference is not listed below the node.
    """
    view = summary.view(outer, actual)
    if name is not None:
        outer.below.setdefault(outer.node, []).append((name, view))
    inner = view.identities
    first: dict[Origin, Origin] = {}
    for formal, origin in zip(summary.formals, actual, strict=True):
        root = inner.root(formal)
        outer.hint(origin, inner.role(root))
        outer.unify(first.setdefault(root, origin), origin)
    for old, new in made.items():
        root = inner.root(old)
        outer.hint(new, inner.role(root))
        outer.unify(first.setdefault(root, new), new)


def _signature(value: Value, origins: dict[Origin, int]) -> Any:
    """A hashable form of an operand; origins are numbered by first appearance over all operands."""

    def number(origin: Origin) -> int:
        return origins.setdefault(origin, len(origins))

    def form(axis: Axis) -> Any:
        lineage = tuple(number(o) for o in axis.origin.lineage())
        return (axis.size, lineage, axis.role, axis.facts, tuple(form(f) for f in axis.factors))

    mask = None if value.mask is None else tuple(form(a) for a in value.mask)
    axes = None if value.axes is None else tuple(form(a) for a in value.axes)
    return (value.dtype, value.claimed, value.facts.inside(), axes, mask, repr(value.constant))


class _Renaming:
    """Replaces the origins of the axes of values; an origin that is not in the mapping gets a new one, added to it."""

    def __init__(self, mapping: Mapping[Origin, Origin]) -> None:
        self.mapping = dict(mapping)

    def origin(self, old: Origin) -> Origin:
        new: Origin | None = None
        for one in reversed(list(old.lineage())):
            known = self.mapping.get(one)
            if known is None:
                known = self.mapping[one] = Origin(one.role, new)
            new = known
        assert new is not None
        return new

    def axis(self, axis: Axis) -> Axis:
        return replace(
            axis, origin=self.origin(axis.origin), factors=tuple(self.axis(f) for f in axis.factors)
        )

    def value(self, value: Value) -> Value:
        axes = None if value.axes is None else tuple(self.axis(a) for a in value.axes)
        mask = None if value.mask is None else tuple(self.axis(a) for a in value.mask)
        return replace(value.with_axes(axes, mask), facts=value.facts.inside(), tensor=None)
