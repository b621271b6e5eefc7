"""The driver: applies the axis rule of every call, producers first, and descends into nested models.

A nested model is analysed once for each distinct signature of its operands (sizes, roles and which axes are the same),
on formal operands; a further call with that signature only renames the result's axes. So a model of models costs what
its text costs, however often one calls another.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import BadFileError, UnsupportedError, shown
from ..ir.axis import CONFLICTS, Axis, Origin, Role, Value, new_axis, unit_axis
from ..ir.graph import BODY, Graph, Literal, Node, Operation, TensorRef, map_leaves
from ..ir.size import Size, is_beyond, is_unknown, symbol, unknown
from .call import LAYERS, ONNX, OPS, Call, OpaqueError, Rule, ShapeError
from .demands import Misconfigured, check_weights

_MAX_DEPTH = 100
_MAX_SIGNATURES = 256
_MAX_RANK = 254  # TensorFlow's
_LETTERS = {3: ("T",), 4: ("H", "W"), 5: ("D", "H", "W")}


@dataclass(slots=True)
class Inference:
    """The values of one graph for one signature of its operands.

    ``faults`` holds what cannot run, by node; ``conflicts`` the nodes that take an axis for something else than it is;
    ``opaque`` the nodes of which nothing is known, with the reason;
    ``inner`` the analysis of the models below a node, by the path from it (a wrapper can hold one).
    """

    graph: Graph
    values: dict[str, list[Value]] = field(default_factory=dict)
    calls: dict[str, Call] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    conflicts: dict[str, list[str]] = field(default_factory=dict)
    opaque: dict[str, str] = field(default_factory=dict)
    inner: dict[str, list[tuple[str, Inference]]] = field(default_factory=dict)

    def outputs(self) -> list[Value]:
        return [self.value(ref) for ref in self.graph.output_refs()]

    def value(self, ref: TensorRef) -> Value:
        """The value of a tensor. Raises BadFileError where the node has no such output."""
        values = self.values[ref.node]
        if not 0 <= ref.index < len(values):
            raise BadFileError(f"node {shown(ref.node)!r} has no output {ref.index}")
        return values[ref.index]

    def walk(self, prefix: str = "") -> Iterator[tuple[str, Inference]]:
        """This analysis and those below it, each with its path (``""``, ``"inner/"``); a pair once."""
        seen: set[tuple[str, int]] = set()
        stack: list[tuple[str, Inference]] = [(prefix, self)]
        while stack:
            path, item = stack.pop()
            if (path, id(item)) in seen:
                continue
            seen.add((path, id(item)))
            yield path, item
            below = [(f"{path}{sub}/", inf) for subs in item.inner.values() for sub, inf in subs]
            stack.extend(reversed(below))


# What to take for a node's result instead of applying its rule; None: apply it after all.
Override = Callable[[Call], "tuple[Axis, ...] | None"]


def infer(
    graph: Graph, overrides: Mapping[str, Override] | None = None, operands: Sequence[Value] | None = None
) -> Inference:
    """Axes of every tensor of a model.

    Args:
        overrides: results to suppose for nodes, by their path: what would flow on if they were repaired.
        operands: what the model is called on, in the order of its inputs, if not what they declare.

    Raises:
        BadFileError: a configured value cannot be (a negative size, a stride of 0).
        UnsupportedError: layers are nested too deep.
    """
    try:
        return _Driver(overrides or {}).run(graph, operands)
    except RecursionError:
        raise UnsupportedError("layers are nested too deep to analyse") from None


def infer_call(operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Value]:
    """What one call of an operation gives, in the order of its outputs.

    Raises:
        ShapeError: it cannot run on such operands.
        OpaqueError: nothing is known of it.
    """
    outcome = _Driver({}).apply(operation, *args, **kwargs)
    return [leaf for leaf in flatten_outputs(outcome) if isinstance(leaf, Value)]


def infer_again(
    before: Inference, overrides: Mapping[str, Override], at: Collection[str]
) -> tuple[Inference, list[str]]:
    """The same model with other results at some nodes, inferred anew as far as other sizes reach.

    What is inferred anew shares its axes with ``before`` and tells them what they are: use both for sizes only.

    Args:
        at: the nodes of the outermost model that are different now, or hold one that is.

    Returns:
        The inference, and the nodes of the outermost model that were inferred anew, producers first.
    """
    try:
        return _Driver(overrides).again(before, at)
    except RecursionError:
        raise UnsupportedError("layers are nested too deep to analyse") from None


@dataclass(slots=True)
class _Summary:
    """A nested model on formal operands."""

    formals: list[Origin]
    inference: Inference
    result: Any


class _Driver:
    def __init__(self, overrides: Mapping[str, Override]) -> None:
        self.overrides = overrides
        self.path = ""
        self.batch = Origin(Role.BATCH)
        self.symbols: Counter[str] = Counter()
        self.taken: frozenset[str] = frozenset()
        self.batches: dict[str, Origin] = {}
        self.memo: dict[int, dict[Any, _Summary]] = {}
        self.stack: list[list[tuple[str, Inference]]] = []
        self.depth = 0

    # -- one graph -----------------------------
    def run(self, graph: Graph, operands: Sequence[Value] | None) -> Inference:
        result = Inference(graph)
        self.taken |= graph.names.taken if graph.names is not None else frozenset()
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
            if node.operation.kind == "input" and graph.kind == BODY:
                result.values[name] = [bound[name]]
            elif node.operation.kind == "input":
                declared = self._input(node)
                result.values[name] = [self._bind(bound[name], declared) if name in bound else declared]
            else:
                self._node(result, node)
        for ref in graph.output_refs():
            result.value(ref)  # there is such an output
        return result

    def again(self, before: Inference, at: Collection[str]) -> tuple[Inference, list[str]]:
        graph = before.graph
        result = Inference(
            graph,
            dict(before.values),
            dict(before.calls),
            dict(before.faults),
            dict(before.conflicts),
            dict(before.opaque),
            dict(before.inner),
        )
        place = {name: number for number, name in enumerate(graph.order)}
        waiting = sorted((place[name], name) for name in at)
        queued = set(at)
        anew = []
        while waiting:
            _, name = heapq.heappop(waiting)
            anew.append(name)
            for known in (result.faults, result.conflicts, result.opaque, result.inner):
                known.pop(name, None)
            self._node(result, graph.nodes[name])
            if [v.sizes for v in result.values[name]] == [v.sizes for v in before.values[name]]:
                continue
            for consumer in graph.nx.successors(name):
                if consumer not in queued:
                    queued.add(consumer)
                    heapq.heappush(waiting, (place[consumer], consumer))
        return result, anew

    def _node(self, result: Inference, node: Node) -> None:
        def value_of(leaf: Any) -> Any:
            if isinstance(leaf, TensorRef):
                return result.value(leaf)
            return _literal(leaf) if isinstance(leaf, Literal) else leaf

        call = Call(
            node.operation, map_leaves(value_of, node.args), map_leaves(value_of, node.kwargs), self.apply
        )
        result.calls[node.name] = call
        self.stack.append([])
        conflicts: list[str] = []
        token = CONFLICTS.set(conflicts)
        try:
            outcome = self._supposed(node, call) or self.apply(node.operation, *call.args, **call.kwargs)
            values = [leaf for leaf in flatten_outputs(outcome) if isinstance(leaf, Value)]
            if any(is_beyond(axis.size) for value in values for axis in value.axes or ()):
                raise ShapeError("one of its sizes would be 2**63 or more")
            if any((value.rank or 0) > _MAX_RANK for value in values):
                raise ShapeError(f"its result would have more than {_MAX_RANK} axes")
        except ShapeError as error:
            result.faults[node.name] = str(error)
            made = flatten_outputs(error.made) if error.by is node.operation else ()
            values = [leaf for leaf in made if isinstance(leaf, Value)] or self._assumed(result, node, call)
        except OpaqueError as error:
            result.opaque[node.name] = str(error)
            values = self._claimed(result.graph, node)
        finally:
            CONFLICTS.reset(token)
        if conflicts:
            result.conflicts[node.name] = conflicts
        if node.name in result.faults or result.graph.names is not None:
            missing = range(len(values), result.graph.used_outputs[node.name])
            values += [self._stated(result.graph, node.name, i) for i in missing]
        below = self.stack.pop()
        if below:
            result.inner[node.name] = below
        values = [self._stated_anyway(result.graph, node, i, v) for i, v in enumerate(values)]
        taint = next((v.claimed for v in call.inputs if v.claimed), None)
        if taint:
            values = [_with_claim(v, taint) for v in values]
        result.values[node.name] = values

    def _supposed(self, node: Node, call: Call) -> Value | None:
        """The result that an override supposes for this node."""
        override = self.overrides.get(self.path + node.name)
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
        if graph.kind != BODY and any(v.axes is None for v in operands):
            raise OpaqueError(
                next(v.reason for v in operands if v.axes is None) or "an operand's rank is unknown"
            )
        if self.depth >= _MAX_DEPTH:
            raise UnsupportedError(f"models nested more than {_MAX_DEPTH} deep")
        numbers: dict[Origin, int] = {}
        key = tuple(_signature(v, numbers) for v in operands)
        actual = list(numbers)
        known = self.memo.setdefault(id(graph), {})
        summary = known.get(key)
        if summary is None:
            if len(known) >= _MAX_SIGNATURES:
                # Each level of a chain of models can double the number: thirty of them are a file of 30 KB.
                raise OpaqueError(f"it is called on operands of more than {_MAX_SIGNATURES} kinds")
            formals = [Origin(o.role) for o in actual]
            renamed = _Renaming(dict(zip(actual, formals, strict=True)))
            inner = self._inner(operation, graph, [renamed.value(v) for v in operands])
            result = map_leaves(
                lambda ref: inner.value(ref) if isinstance(ref, TensorRef) else _literal(ref), graph.outputs
            )
            summary = known[key] = _Summary(formals, inner, result)
        if self.stack:
            self.stack[-1].append((operation.name, summary.inference))
        mapping: dict[Origin, Origin] = {self.batch.root(): self.batch}
        for formal, origin in zip(summary.formals, actual, strict=True):
            root = formal.root()
            origin.hint(root.role)
            if root in mapping:
                mapping[root].unify(origin)
            mapping[root] = origin
        back = _Renaming(mapping)
        return map_leaves(lambda v: back.value(v) if isinstance(v, Value) else v, summary.result)

    def _inner(self, operation: Operation, graph: Graph, operands: list[Value]) -> Inference:
        outer, self.path = self.path, f"{self.path}{operation.name}/"
        self.depth += 1
        try:
            return self.run(graph, operands)
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
        """Axes of what an input declares: each open one a symbol of its own, or the one that its name stands for."""
        config = node.operation.config
        shape = config.get("batch_shape", config.get("batch_input_shape"))
        if not isinstance(shape, (list, tuple)):
            raise BadFileError(f"input {shown(node.name)!r} states no batch_shape")
        dtype = config.get("dtype")
        axes = self.shaped(shape, node.name, config.get("labels"), config.get("batch", 0))
        return Value(axes, dtype if isinstance(dtype, str) else "float32")

    def shaped(
        self, shape: Sequence[Any], name: str, labels: Sequence[str] | None = None, batch: int | None = 0
    ) -> tuple[Axis, ...]:
        """Axes of a declared shape, of which axis ``batch`` is the batch; ``labels`` are the names of an ONNX file."""
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
                axes.append(new_axis(symbol(labels[number], given=True)))
            else:
                axes.append(new_axis(self._fresh(letter, given=labels is not None)))
        return tuple(axes)

    def _batch_axis(self, size: int | None, label: str | None) -> Axis:
        """The batch of a Keras model (``label`` is None), which is one; one of an ONNX file, which may be several."""
        if size is not None:
            return new_axis(size, Role.BATCH)
        if label is None:
            return Axis(symbol("B"), self.batch)
        if not label:
            return new_axis(self._fresh("B", given=True), Role.BATCH)
        return Axis(symbol(label, given=True), self.batches.setdefault(label, Origin(Role.BATCH)))

    def _fresh(self, letter: str, given: bool = False) -> Size:
        """A symbol that neither an input nor the file has."""
        while True:
            self.symbols[letter] += 1
            number = self.symbols[letter]
            # N1's second is N1_2: N12 is the twelfth axis of an input.
            name = letter if number == 1 else f"{letter}{'_' * letter[-1:].isdigit()}{number}"
            if name not in self.taken:
                return symbol(name, given)

    def _claimed(self, graph: Graph, node: Node) -> list[Value]:
        """What the file claims of an opaque node's outputs."""
        return [self._stated(graph, node.name, index) for index in range(graph.used_outputs[node.name] or 1)]

    def _stated_anyway(self, graph: Graph, node: Node, index: int, value: Value) -> Value:
        """What the file claims of an output of unknown rank, and in ONNX of its unknown sizes, if anything."""
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
            return Value(None, claimed=name, reason=f"nothing is known of the output of {shown(name)!r}")
        labels = None if graph.names is None else graph.names.labels.get((name, index))
        axes = [new_axis(unknown() if s is None else s) for s in shape]
        if graph.names is None and shape and shape[0] is None:
            axes[0] = self._batch_axis(None, None)
        for number, label in enumerate(labels or ()):
            if label and shape[number] is None:
                batch = graph.names is not None and label in graph.names.batches
                axes[number] = self._batch_axis(None, label) if batch else new_axis(symbol(label, given=True))
        return Value(tuple(axes), claimed=name)

    def _assumed(self, result: Inference, node: Node, call: Call) -> list[Value]:
        """What goes on after a node that cannot run: the operand that has the recorded shape, that shape itself, or
        the operand of the highest rank."""
        recorded = result.graph.recorded.get((node.name, 0))
        operands = [v for v in call.inputs if v.axes is not None]
        if recorded is not None:
            exact = next((v for v in operands if v.shape == list(recorded)), None)
            if exact is not None:
                return [exact]
            alike = next((v for v in operands if v.rank == len(recorded)), None)
            if alike is not None:
                return [self._retraced(result.graph, alike, node.name)]
            return [self._stated(result.graph, node.name)]
        if not operands:
            return [Value(None, claimed=node.name, reason=f"{shown(node.name)!r} cannot run")]
        return [max(operands, key=lambda v: v.rank or 0)]

    def _retraced(self, graph: Graph, like: Value, name: str) -> Value:
        stated = self._stated(graph, name)
        assert stated.axes is not None and like.axes is not None
        axes = tuple(b if b.size == a.size else a for a, b in zip(stated.axes, like.axes, strict=True))
        return Value(axes, like.dtype, stated.claimed)


def rule_for(operation: Operation) -> Rule | None:
    """The axis rule of an operation, by its class name (layers) or its module and class name (ops)."""
    if operation.module == "onnx":
        return ONNX.get(f"{operation.raw.get('domain', '')}{operation.class_name}")
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


def _adds(graph: Graph, recorded: Sequence[int | None], axes: Sequence[Axis]) -> bool:
    """True where an ONNX file records sizes of which nothing is known, and none that contradicts what is known."""
    pairs = list(zip(recorded, axes, strict=False))
    return (
        graph.names is not None
        and len(recorded) == len(axes)
        and any(is_unknown(axis.size) for axis in axes)
        and all(r is None or not isinstance(a.size, int) or a.size == r for r, a in pairs)
    )


def _literal(leaf: Literal) -> Value:
    return Value(tuple(new_axis(size) for size in leaf.shape), leaf.dtype, constant=leaf.value)


def _with_claim(value: Value, claimed: str) -> Value:
    if value.claimed:
        return value
    return Value(value.axes, value.dtype, claimed, value.reason, value.constant, value.mask)


def _signature(value: Value, origins: dict[Origin, int]) -> Any:
    """A hashable form of an operand in which origins are numbered by first appearance over all operands."""

    def number(origin: Origin) -> int:
        return origins.setdefault(origin.root(), len(origins))

    def form(axis: Axis) -> Any:
        lineage = tuple(number(o) for o in axis.origin.lineage())
        return (axis.size, lineage, axis.role, tuple(form(f) for f in axis.factors))

    mask = None if value.mask is None else tuple(form(a) for a in value.mask)
    axes = None if value.axes is None else tuple(form(a) for a in value.axes)
    return (value.dtype, value.claimed, axes, mask, repr(value.constant))


class _Renaming:
    """Values with the origins of their axes replaced; an origin that the mapping lacks becomes a fresh one, once."""

    def __init__(self, mapping: dict[Origin, Origin]) -> None:
        self.mapping = {old.root(): new for old, new in mapping.items()}

    def origin(self, old: Origin) -> Origin:
        chain = list(old.lineage())
        new: Origin | None = None
        for root in reversed(chain):
            known = self.mapping.get(root)
            if known is None:
                known = self.mapping[root] = Origin(root.role, new)
            elif known.root().derived is None and new is not None and known.root() is not new.root():
                known.root().derived = new
            new = known
        assert new is not None
        return new

    def axis(self, axis: Axis) -> Axis:
        return Axis(axis.size, self.origin(axis.origin), tuple(self.axis(f) for f in axis.factors))

    def value(self, value: Value) -> Value:
        axes = None if value.axes is None else tuple(self.axis(a) for a in value.axes)
        mask = None if value.mask is None else tuple(self.axis(a) for a in value.mask)
        return Value(axes, value.dtype, value.claimed, value.reason, value.constant, mask)
