"""Walks a model's calls, producers first, and lowers each; nested models are inlined and share their weights."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from ...errors import UnsupportedError, UsageError, shown
from ...formats.keras.layer_order import calls_in_order
from ...formats.variables import Variables
from ...ir.axis import Axis, Role, Value, new_axis
from ...ir.graph import (
    TRACED,
    Graph,
    Literal,
    Operation,
    TensorRef,
    flatten_outputs,
    flatten_with_path,
    leaves,
    map_leaves,
    operands_of,
    path_text,
)
from ...ir.size import Size, symbol
from ...presentation import count
from ...shapes.call import Call, OpaqueError, ShapeError
from ...shapes.infer import infer, infer_call
from ...shapes.inference import Inference
from ...shapes.keras_facts import facts_of
from . import lowering  # noqa: F401 - importing it fills the table of lowerings
from .builder import Builder
from .dtypes import FLOATS
from .emitter import Emitter
from .graph import Tensor
from .options import NEWEST_OPSET, Options
from .refusal import Refused
from .registry import lowering_for
from .states import States

_MAX_CALLS = 1_000_000
_BATCH = symbol("B")


class Driver:
    """Lowers one model. Raises UnsupportedError, with the node's name and class, for a call without an ONNX form."""

    def __init__(
        self, weights: Variables, options: Options, assets: Callable[[str], bytes] | None = None
    ) -> None:
        self.weights = weights
        self.options = options
        self.assets = assets
        self.builder = Builder(
            options.opset or NEWEST_OPSET, options.fp16, options.opset is not None, options.extensions
        )
        self.states = States(self._state) if options.states else None
        self.variables: dict[Any, Tensor] = {}
        self.calls = 0
        self.wrapped = 0  # how many wrappers are around a call: each may call its layer on parts of the batch

    def model(self, graph: Graph) -> Builder:
        """The whole model as an ONNX graph whose inputs and outputs have Keras's names."""
        inference = infer(graph)
        if self.options.batch is not None:
            fixed = [_with_batch(inference.value(ref), self.options.batch) for ref in graph.input_refs()]
            inference = infer(graph, operands=fixed)
        _check(inference)
        _check_classes(graph)
        refs = [leaf for leaf in flatten_outputs(graph.inputs) if isinstance(leaf, TensorRef)]
        names = _renamed([ref.node for ref in refs], self.options.input_names, "input")
        made = {
            ref.node: self._input(name, inference.value(ref)) for ref, name in zip(refs, names, strict=True)
        }
        inputs = [made[ref.node] for ref in graph.input_refs()]
        result = self.nested(graph, inputs, inference, "", "layers")
        outputs = [leaf for leaf in flatten_outputs(result) if isinstance(leaf, Tensor)]
        self._outputs(graph, outputs, inference)
        self._end_states()
        return self.builder

    # -- one graph -----------------------------
    def nested(
        self, graph: Graph, inputs: Sequence[Tensor], inference: Inference, prefix: str, layers: str
    ) -> Any:
        """Lower every call of a model and return the structure of its outputs.

        Args:
            layers: the group of the weights file with the groups of its layers.
        """
        bound = {ref.node: tensor for ref, tensor in zip(graph.input_refs(), inputs, strict=True)}
        made: dict[str, list[Tensor]] = {}
        groups = self.weights.places(layers, graph)

        def tensor_of(leaf: Any) -> Any:
            if isinstance(leaf, TensorRef):
                tensor = made[leaf.node][leaf.index]
                if tensor.undefined:
                    operation = graph.nodes[leaf.node].operation
                    raise UnsupportedError(_refusal(prefix + leaf.node, operation, tensor.undefined))
                return tensor
            return self._literal(leaf) if isinstance(leaf, Literal) else leaf

        # Keras's own order: a MultiHeadAttention removes the masks of its operands for all later calls.
        for name in calls_in_order(graph):
            node = graph.nodes[name]
            if node.operation.kind == "input":
                if name not in bound:
                    raise UnsupportedError(
                        f"{shown(prefix + name)} is an input layer, but no input of its model"
                    )
                made[name] = [bound[name]]
                continue
            try:
                args, kwargs = map_leaves(tensor_of, node.args), map_leaves(tensor_of, node.kwargs)
            except Refused as error:
                raise UnsupportedError(_refusal(prefix + name, node.operation, str(error))) from None
            group = f"{layers}/{groups.get(node.operation.name, node.operation.name)}"
            declared = all(
                made[ref.node][ref.index].dtype == inference.value(ref).dtype for ref in node.refs()
            )
            values = inference.values[name] if declared else None
            result = self.call(node.operation, args, kwargs, values, prefix + node.operation.name, group)
            made[name] = [leaf for leaf in flatten_outputs(result) if isinstance(leaf, Tensor)]
        return map_leaves(tensor_of, graph.outputs)

    def call(
        self,
        operation: Operation,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        values: list[Value] | None,
        path: str,
        group: str,
    ) -> Any:
        """Lower one call and return the structure of its results.

        Args:
            values: the inferred values of its results, if known already.
        """
        self.calls += 1
        if self.calls > _MAX_CALLS:
            raise UnsupportedError(f"the model makes more than {_MAX_CALLS} calls")
        if operation.kind == "model" and operation.graph is not None:
            return self._model(operation, args, kwargs, path, group)
        scope, self.builder.scope = self.builder.scope, path
        try:
            if values is None:
                values = _inferred(operation, args, kwargs)
            if operation.kind == "layer":
                args, kwargs = self._autocast(operation, args, kwargs)
                if kwargs.get("training") is True and not facts_of(operation.class_name).trains_by_default:
                    raise Refused("it is called with training=True")
            states = self.states if self.wrapped == 0 else None
            emitter = Emitter(
                operation, args, kwargs, self.builder, values, path, group, self.weights, self._run,
                self.assets, states, self.variables,
            )  # fmt: skip
            result = lowering_for(operation)(emitter)
            return self._finished(emitter, result)
        except Refused as error:
            raise UnsupportedError(_refusal(path, operation, str(error))) from None
        finally:
            self.builder.scope = scope

    def _run(
        self, operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any], path: str, group: str
    ) -> Any:
        self.wrapped += 1
        try:
            return self.call(operation, args, kwargs, None, path, group)
        finally:
            self.wrapped -= 1

    def _model(
        self, operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any], path: str, group: str
    ) -> Any:
        graph = operation.graph
        assert graph is not None
        refs = graph.input_refs()
        masks: list[Any] = []
        if graph.kind != TRACED:
            masks = list(leaves(kwargs.get("mask")))
            kwargs = {name: value for name, value in kwargs.items() if name != "mask"}
        given_order = operands_of(graph, args, kwargs)
        operands = [leaf for leaf in given_order if isinstance(leaf, Tensor)]
        traced = operation.trace
        if traced is not None:
            operands += [mask for n in traced.masked_operands if (mask := operands[n].mask) is not None]
        operands = operands[: len(refs)]
        for tensor, mask in zip(operands, masks, strict=False):
            if isinstance(mask, Tensor):
                tensor.mask = mask
        given = []
        for ref, tensor in zip(refs, operands, strict=True):
            dtype = graph.nodes[ref.node].operation.config.get("dtype")
            given.append(self._cast(tensor, dtype) if isinstance(dtype, str) else tensor)
        inference = infer(graph, operands=[value_of(t) for t in given])
        _check(inference, f"{path}/")
        bound = []
        for ref, tensor, cast in zip(refs, operands, given, strict=True):
            value = inference.value(ref)
            # Functional adds or drops a last axis of 1 where the rank is off by one.
            taken = self.builder.reshape(cast, value.sizes or ())
            if taken.mask is None and taken is not tensor:
                taken.mask = tensor.mask
            bound.append(taken)
        result = self.nested(graph, bound, inference, f"{path}/", f"{group}/layers")
        return result if traced is None else traced.with_masks(result, self._with_mask)

    def _with_mask(self, tensor: Tensor, mask: Tensor | None) -> Tensor:
        made = tensor if tensor.mask is mask else self.builder.node("Identity", tensor)
        made.mask = mask
        return made

    # -- around a call -----------------------------
    def _autocast(
        self, operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        dtype = Call(operation, (), {}).compute_dtype()
        if dtype in (None, "string") or not facts_of(operation.class_name).casts:
            return args, kwargs

        if dtype not in FLOATS and any(
            isinstance(x, Tensor) and x.dtype in FLOATS for x in leaves((args, kwargs))
        ):
            # Keras 3.15 casts them to integers; the layer may still compute floats, which Keras does not declare.
            raise Refused(f"its dtype is {dtype}, and its operands are floats")

        def cast(leaf: Any) -> Any:
            return self._cast(leaf, str(dtype)) if isinstance(leaf, Tensor) and leaf.dtype in FLOATS else leaf

        return map_leaves(cast, args), map_leaves(cast, kwargs)

    def _cast(self, tensor: Tensor, dtype: str) -> Tensor:
        """The tensor in another type, with its mask; the tensor itself if it has that type."""
        result = self.builder.cast(tensor, dtype)
        if result is not tensor:
            result.mask = tensor.mask
        return result

    def _finished(self, emitter: Emitter, result: Any) -> Any:
        """The results with their inferred sizes; a mask is passed on where the analysis says so."""
        tensors = [leaf for leaf in flatten_outputs(result) if isinstance(leaf, Tensor)]
        if len(tensors) != len(emitter.outputs):
            raise Refused(f"it returns {len(tensors)} tensors, and {len(emitter.outputs)} are expected")
        given = emitter.inputs
        carried = next((t.mask for t in given if t.mask is not None), None)
        if facts_of(emitter.operation.class_name).merges_masks:
            carried = None
        replaced: dict[int, Tensor] = {}
        for number, (tensor, value) in enumerate(zip(tensors, emitter.outputs, strict=True)):
            if tensor.dtype != value.dtype and not _declares_otherwise(emitter):
                raise Refused(f"it returns {tensor.dtype}, and {value.dtype} is expected")
            fresh = not any(tensor is t for t in given)
            wanted = None if value.mask is None else tensor.mask or carried
            if tensor.mask is not wanted:
                if not fresh or tensor.data is not None:
                    tensor = replaced[number] = self.builder.node("Identity", tensor)
                tensor.mask = wanted
            if fresh and tensor.data is None and tensor.producer is not None:
                tensor.sizes = value.sizes
                tensor.stem = emitter.path if len(tensors) == 1 else f"{emitter.path}_{number}"
        if not replaced:
            return result
        return _renumbered(result, replaced)

    def _literal(self, leaf: Literal) -> Tensor:
        tensor = self.builder.constant(leaf.value, leaf.dtype)
        if tuple(leaf.shape) != tensor.sizes:
            tensor = self.builder.reshape(tensor, leaf.shape)
        literal = Tensor(tensor.dtype, leaf.shape, data=tensor.data)
        literal.literal = leaf.value
        return literal

    # -- the model's own inputs and outputs -----------------------------
    def _input(self, name: str, value: Value) -> Tensor:
        sizes = value.sizes or ()
        if not (self.options.nchw_inputs and _is_image(value)):
            return self.builder.add_input(name, value.dtype, sizes)
        self._note("nchw_inputs", name)
        first = self.builder.add_input(name, value.dtype, (sizes[0], sizes[-1], *sizes[1:-1]))
        return self.builder.node("Transpose", first, perm=[0, *range(2, len(sizes)), 1])

    def _outputs(self, graph: Graph, tensors: list[Tensor], inference: Inference) -> None:
        """Add the outputs, named as ``_output_names`` does; a repeated name gets a number."""
        taken = {t.name for t in self.builder.graph.inputs}
        refs = [leaf for leaf in flatten_outputs(graph.outputs) if isinstance(leaf, TensorRef)]
        names = _renamed(_output_names(graph), self.options.output_names, "output")
        for ref, tensor, base in zip(refs, tensors, names, strict=True):
            value = inference.value(ref)
            turned = self.options.nchw_outputs and _is_image(value)
            if turned:
                rank = tensor.rank
                tensor = self.builder.node("Transpose", tensor, perm=[0, rank - 1, *range(1, rank - 1)])
            name, number = base, 0
            while name in taken or (number and name in names):
                if self.options.output_names:
                    raise UsageError(f"an input and an output would both have the name {shown(name)!r}")
                number += 1
                name = f"{base}_{number}"
            taken.add(name)
            if turned:
                self._note("nchw_outputs", name)
            self._output(name, tensor)

    def _output(self, name: str, tensor: Tensor) -> None:
        if tensor.name or tensor.data is not None or tensor.producer is None:
            tensor = self.builder.node("Identity", tensor)
            if tensor.data is not None:
                constant = Tensor(tensor.dtype, tensor.sizes, data=tensor.data)
                tensor = self.builder._add(
                    "Identity", [constant], {}, "", [(constant.dtype, constant.sizes)]
                )[0]
        tensor.name = name
        self.builder.graph.outputs.append(tensor)

    # -- states -----------------------------
    def _state(self, name: str, dtype: str, sizes: Sequence[Size]) -> Tensor:
        name = self._fresh(name)
        self._note("state_inputs", name)
        return self.builder.add_input(name, dtype, sizes)

    def _end_states(self) -> None:
        """Add the states at the end as outputs, in the order of the inputs."""
        for name, tensor in self.states.outputs() if self.states else ():
            name = self._fresh(name)
            self._note("state_outputs", name)
            self._output(name, tensor)

    def _fresh(self, name: str) -> str:
        """The name; with a number if an input or output has it."""
        taken = {t.name for t in (*self.builder.graph.inputs, *self.builder.graph.outputs)}
        numbered = (f"{name}_{n}" if n else name for n in itertools.count())
        return next(each for each in numbered if each not in taken)

    def _note(self, key: str, name: str) -> None:
        """Note the name of an input or output in the file's metadata, one name per line."""
        known = self.builder.metadata.get(key)
        self.builder.metadata[key] = name if known is None else f"{known}\n{name}"


def _output_names(graph: Graph) -> list[str]:
    """The outputs' names by layer, as in ``model.output_names``; by path (``boxes/0``) where they are in a dict."""
    found = [(path, leaf) for path, leaf in flatten_with_path(graph.outputs) if isinstance(leaf, TensorRef)]
    keyed = any(isinstance(part, str) for path, _ in found for part in path)
    return [
        "/".join(map(str, path)) if keyed else graph.nodes[leaf.node].operation.name for path, leaf in found
    ]


def _renamed(names: list[str], given: Sequence[str], noun: str) -> Sequence[str]:
    """``given``, or ``names`` if nothing is given. Raises UsageError unless there is one name for each of ``names``."""
    if given and len(given) != len(names):
        stated = ", ".join(shown(name) for name in names)
        raise UsageError(f"{count(len(given), 'name')} for {count(len(names), noun)} ({stated})")
    return given or names


def value_of(tensor: Tensor) -> Value:
    """A tensor as a value of the axis analysis, with new axes."""
    mask = None if tensor.mask is None else tuple(new_axis(size) for size in tensor.mask.sizes)
    return Value(tuple(_axis(s) for s in tensor.sizes), tensor.dtype, constant=tensor.literal, mask=mask)


def _axis(size: Size) -> Axis:
    return new_axis(size, Role.BATCH if size == _BATCH else Role.UNKNOWN)


def _inferred(operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Value]:
    """The inferred results of a call that a wrapper makes. Raises Refused where inference fails."""

    def value(leaf: Any) -> Any:
        return value_of(leaf) if isinstance(leaf, Tensor) else leaf

    try:
        return infer_call(operation, map_leaves(value, args), map_leaves(value, kwargs))
    except (ShapeError, OpaqueError) as error:
        raise Refused(str(error)) from None


def _declares_otherwise(emitter: Emitter) -> bool:
    """Whether the type of a result can differ from the declared one: Keras declares every layer's result in its compute
    dtype, but a layer that computes nothing passes integers on unchanged."""
    return emitter.operation.kind == "layer" and any(t.dtype not in FLOATS for t in emitter.inputs)


def _with_batch(value: Value, batch: int) -> Value:
    axes = tuple(new_axis(batch, Role.BATCH) if axis.size == _BATCH else axis for axis in value.axes or ())
    return Value(axes, value.dtype)


def _is_image(value: Value) -> bool:
    """Whether a tensor is an image or volume with its channels last."""
    axes = value.axes or ()
    return len(axes) in (4, 5) and axes[1].role is not Role.CHANNEL


def _check(inference: Inference, prefix: str = "") -> None:
    """Raises UnsupportedError where a node cannot run or its results are not known."""
    for kind, found, hint in (
        ("cannot run", inference.faults, "; rewriter repair --onnx repairs a model before it is exported"),
        ("cannot be exported", inference.opaque, ""),
    ):
        for name, reason in found.items():
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            raise UnsupportedError(f"{shown(prefix + name)} {kind}: {reason}{more}{hint}")


def _check_classes(graph: Graph) -> None:
    """Raises UnsupportedError with the first call whose class has no lowering, before anything is lowered."""
    found: list[str] = []
    for path, _, node in graph.walk():
        if node.operation.opaque:
            found.append(_refusal(path_text(path), node.operation, node.operation.opaque))
        elif node.operation.kind in ("layer", "op"):
            try:
                lowering_for(node.operation)
            except Refused as error:
                found.append(_refusal(path_text(path), node.operation, str(error)))
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise UnsupportedError(found[0] + more)


def _refusal(path: str, operation: Operation, reason: str) -> str:
    return f"{shown(path)} ({shown(operation.class_name)}) has no ONNX form: {reason}"


def _renumbered(structure: Any, replaced: dict[int, Tensor]) -> Any:
    """The structure with tensors replaced, by their index in ``flatten_outputs``."""
    if isinstance(structure, Tensor):
        return replaced.get(0, structure)
    flat = [leaf for leaf in flatten_outputs(structure) if isinstance(leaf, Tensor)]
    by_identity = {id(leaf): replaced.get(n, leaf) for n, leaf in enumerate(flat)}
    return map_leaves(lambda leaf: by_identity.get(id(leaf), leaf), structure)
