"""Facts about values: what is known of a tensor's numbers and axes, apart from sizes and roles.

The axis rules give the axes. The facts about the numbers follow from the kind of operation, here in one place:
operations that only move or drop numbers keep every fact, elementwise operations keep the order in which the author
transposed the tensor, and all others drop the facts about the old numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..ir.axis import CONSTANT, Axis, AxisFacts, Facts, Role, Tensor, Value, new_axis, unit_axis
from ..ir.graph import Operation, map_leaves
from ..ir.size import Size
from .call import Call
from .keras_facts import facts_of

# The result has the numbers of the first operand: moved, repeated or some dropped (dropout changes none at inference).
# Class names of layers, of Keras's ops and of the operators of ONNX and TensorFlow.
KEEPING = frozenset(
    {
        *("Cropping1D", "Cropping2D", "Cropping3D", "Gather", "GetItem", "Slice", "Split", "Take"),
        *("BroadcastTo", "Expand", "Repeat", "RepeatVector", "Tile"),
        *("ExpandDims", "Flatten", "Ravel", "Rearrange", "Reshape", "Squeeze", "Unsqueeze"),
        *("Flip", "Fliplr", "Flipud", "Moveaxis", "Permute", "Roll", "Rot90", "Swapaxes", "Transpose"),
        *("ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout"),
        *("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"),
        *("Cast", "ConvertToTensor", "Copy", "Identity", "Masking", "StopGradient"),
        *(
            "EnsureShape",
            "GatherV2",
            "PreventGradient",
            "ReadVariableOp",
            "Snapshot",
            "StridedSlice",
            "Unpack",
        ),
    }
)
# The rules of these record how the numbers moved (``transposed``).
TRANSPOSING = frozenset(["Moveaxis", "Permute", "Rearrange", "Rot90", "Swapaxes", "Transpose"])
# Layers that end with their activation.
ACTIVATED = frozenset(
    {"Activation", "Dense", "EinsumDense"}
    | {f"{kind}Conv{n}D" for kind in ("", "Separable", "Depthwise") for n in (1, 2, 3)}
    | {f"Conv{n}DTranspose" for n in (1, 2, 3)}
)
SOFTMAXES = frozenset({"Softmax", "Sparsemax", "softmax", "sparsemax"})
# ``x[..., k] @ y[..., k, n]``: the places of the axes decide which are summed, not the author.
_BY_PLACE = frozenset({"Matmul", "Dot", "MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"})
_SUMS = frozenset({"Sum", "ReduceSum"})
_MEANS = frozenset(
    {"GlobalAveragePool", "Mean", "ReduceMean"} | {f"GlobalAveragePooling{n}D" for n in (1, 2, 3)}
)
# Of KEEPING: they can put the numbers of a sum or a mean beside other rows of the tensor that they come from.
_REARRANGING = frozenset({"Flip", "Fliplr", "Flipud", "Gather", "GatherV2", "Roll", "Take"})
_DIFFERENCES = frozenset({"Sub", "Subtract"})
_QUOTIENTS = frozenset({"Divide", "TrueDivide", "DivideNoNan", "Div", "DivNoNan", "RealDiv"})
# Elementwise with one tensor and a number; their rules make new axes all the same.
_ARITHMETIC = frozenset(
    {
        "Add",
        "AddV2",
        "Div",
        "Divide",
        "Maximum",
        "Minimum",
        "Mul",
        "Multiply",
        "Pow",
        "Power",
        "RealDiv",
        "Sub",
        "Subtract",
        "TrueDivide",
    }
)
# With a number as the other operand they keep the fact ``total``: ``x / (sum(x) + epsilon)``.
_OFFSETS = frozenset({"Add", "AddV2", "Maximum"})
# These are elementwise in ONNX, and reductions in Keras and TensorFlow.
_ONNX_ELEMENTWISE = frozenset({"Max", "Mean", "Min", "Sum"})
_EXPORTED = frozenset({"onnx", "tf"})
# They call a function; its nodes set the facts of the results.
_CALLING = frozenset({"PartitionedCall", "StatefulPartitionedCall"})


def constant_axes(sizes: Sequence[Size]) -> tuple[Axis, ...]:
    """The axes of a constant; those of size 1 count as written by the author."""
    return tuple(unit_axis(CONSTANT) if size == 1 else new_axis(size) for size in sizes)


def transposed(x: Value, order: Sequence[int]) -> Value:
    """``transposed(x[a, b, c], (0, 2, 1)) -> [a, c, b]``; the author's order becomes a fact (``Facts.moved``).

    A unit axis moved to the place of the batch counts as written there: ``s[B, 1] -> [1, B]`` makes a column a row.
    """
    assert x.axes is not None
    before = x.facts.moved or range(len(order))
    moved = tuple(before[i] for i in order)
    straight = moved == tuple(range(len(order)))
    axes = [x.axes[i] for i in order]
    if axes and axes[0].size == 1 and axes[0] is not x.axes[0]:
        axes[0] = replace(axes[0], facts=AxisFacts("Transpose"))
    return Value(tuple(axes), x.dtype, facts=Facts(x.facts.weights, () if straight else moved))


def is_exported(operation: Operation) -> bool:
    """True for an operator of an exported graph (ONNX, TensorFlow): the exporter adds nodes of its own."""
    return operation.module in _EXPORTED


def declares_less(operation: Operation) -> bool:
    """True for an operator of a SavedModel: Keras 2 leaves known sizes of function arguments open."""
    return operation.module == "tf"


def sums_by_place(operation: Operation) -> bool:
    """True for a matrix product that sums over the last axis of one operand and the last but one of the other."""
    return operation.kind == "op" and operation.class_name in _BY_PLACE


def centres(operation: Operation, values: Sequence[Value]) -> bool:
    """True for ``x - mean(x)``, along any axes: the axes left in the mean are axes of ``x``."""
    return (
        operation.class_name in _DIFFERENCES
        and len(values) == 2
        and any(a.tensor is not None and a.tensor == b.facts.mean for a, b in (values, values[::-1]))
    )


def summed_by(call: Call) -> int | None:
    """The one axis over which a node sums a tensor; None for any other operation."""
    return _one_axis(call) if call.operation.class_name in _SUMS else None


def settled(call: Call, result: Any) -> Any:
    """A rule's result with the facts about its numbers."""
    name = call.operation.class_name
    if facts_of(name).wraps or name in _CALLING or call.operation.kind == "model":
        return result
    return map_leaves(lambda leaf: _settled(call, leaf) if isinstance(leaf, Value) else leaf, result)


def _settled(call: Call, made: Value) -> Value:
    name, given = call.operation.class_name, call.inputs
    if made.axes is None or not given or given[0].axes is None:
        return made
    x = given[0]
    axes = made.axes
    if name not in KEEPING:
        made = _with(made, _anew(axes), Facts(moved=_order_after(call, x, axes)))
    elif name not in TRANSPOSING:
        kept = replace(x.facts, total=None, mean=None) if name in _REARRANGING else x.facts
        made = _with(made, axes, replace(kept, moved=_carried(x, axes), weights=_still(x, axes), scaled=None))
    softmax = _softmax_axes(call)
    if softmax is not None:
        return _summing(made, softmax)
    elementwise = call.operation.module == "onnx" and name in _ONNX_ELEMENTWISE
    if name in _SUMS and not elementwise:
        place = summed_by(call)
        if place is None or x.tensor is None:
            return made
        return replace(made, facts=replace(made.facts, total=(x.tensor, place)))
    if name in _MEANS and not elementwise and all(value.is_constant for value in given[1:]):
        return replace(made, facts=replace(made.facts, mean=x.tensor))
    if name in _QUOTIENTS and len(given) == 2:
        total = given[1].facts.total
        if (
            total is None
            or total[0] != x.tensor
            or not _lines_up(given[1].axes or (), x.axes or (), total[1])
        ):
            return made
        return _summing(made, [total[1]])
    if name == "Mul":
        return replace(made, facts=replace(made.facts, scaled=constants_along(call)))
    if name in _OFFSETS or (name == "Max" and elementwise):
        return replace(made, facts=replace(made.facts, total=_total_of_sum(call, given)))
    return made


def _with(value: Value, axes: tuple[Axis, ...], facts: Facts) -> Value:
    kept = all(a is b for a, b in zip(axes, value.axes or (), strict=True))
    if kept and facts == value.facts:
        return value
    return replace(value, axes=axes, facts=facts)


def _anew(axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
    """The axes without the facts that hold only for the old numbers."""
    if not any(a.facts.sums_to_one or a.facts.split for a in axes):
        return axes
    return tuple(replace(a, facts=AxisFacts(a.facts.written)) for a in axes)


def _still(x: Value, axes: Sequence[Axis]) -> bool:
    """True for the weights of a softmax until some are dropped along the axis over which they sum to one."""
    marked = [a for a in x.axes or () if a.facts.sums_to_one]
    fewer = len(marked) > sum(a.facts.sums_to_one for a in axes)
    return x.facts.weights and not (fewer and len(axes) == len(x.axes or ()))


def constants_along(call: Call) -> int | None:
    """The one axis longer than 1 of the first constant operand that no node made, from the right from 0; else None."""
    first = next((v for v in call.inputs if v.is_constant and v.tensor is None), None)
    long = (
        [i for i, axis in enumerate(reversed(first.axes or ())) if axis.size != 1]
        if first is not None
        else []
    )
    return long[0] if len(long) == 1 else None


# -- the order -----------------------------
def _order_after(call: Call, x: Value, axes: Sequence[Axis]) -> tuple[int, ...]:
    """The author's order after an elementwise operation; empty where another operand or a layer defines the axes."""
    before = x.axes or ()
    others = any(value.axes for value in call.inputs[1:])
    if not x.facts.moved or others or len(axes) != len(before):
        return ()
    number = call.operation.class_name in _ARITHMETIC and all(
        a.size == b.size for a, b in zip(axes, before, strict=True)
    )
    if not number and not all(a.is_identical(b) for a, b in zip(axes, before, strict=True)):
        return ()
    place = _stated_channel(call, len(axes))
    return () if place is not None and axes[place].role is Role.CHANNEL else x.facts.moved


def _stated_channel(call: Call, rank: int) -> int | None:
    """The channel axis that a layer states, by ``axis`` or ``data_format``; None where it states none."""
    if facts_of(call.operation.class_name).channel_axis:
        axis = call.get("axis", -1)
        axis = axis[0] if isinstance(axis, (list, tuple)) and len(axis) == 1 else axis
        return axis if isinstance(axis, int) and -rank <= axis < rank else None
    layout = call.get("data_format")
    return (
        None if layout not in ("channels_first", "channels_last") else 1 if layout == "channels_first" else -1
    )


def _carried(x: Value, axes: Sequence[Axis]) -> tuple[int, ...]:
    """The author's order after unit axes were inserted or dropped, or axes cut; empty where axes were regrouped."""
    moved = x.facts.moved
    assert x.axes is not None
    if not moved or len(axes) == len(x.axes):
        return moved
    full = [place for place, axis in zip(moved, x.axes, strict=True) if axis.size != 1]
    if [a.size for a in axes if a.size != 1] != [a.size for a in x.axes if a.size != 1]:
        return ()
    rest = iter(full)
    return tuple(-1 if axis.size == 1 else next(rest) for axis in axes)


# -- weights -----------------------------
def _summing(value: Value, places: Sequence[int]) -> Value:
    """The value marked as weights that sum to one along an axis, or over several together."""
    assert value.axes is not None
    axes = list(value.axes)
    for place in places if len(places) == 1 else ():
        if -len(axes) <= place < len(axes):
            axes[place] = replace(axes[place], facts=replace(axes[place].facts, sums_to_one=True))
    return replace(value, axes=tuple(axes), facts=replace(value.facts, weights=True))


def _lines_up(total: Sequence[Axis], axes: Sequence[Axis], place: int) -> bool:
    """True if a tensor divided by its sum over ``place``, right-aligned, is divided by the sum of its own row."""
    sizes: list[Size] = [1 for _ in range(len(axes) - len(total))]
    sizes += [axis.size for axis in total]
    wanted: list[Size] = [axis.size for axis in axes]
    wanted[place] = 1
    return sizes == wanted


def _softmax_axes(call: Call) -> list[int] | None:
    """The axes of the softmax that an operation ends with; None where it ends with none."""
    name: Any = call.operation.class_name
    config: Any = call.config
    if name in ACTIVATED:
        name, config = _function(call.get("activation"))
    if not isinstance(name, str) or name not in SOFTMAXES:
        return None
    axis = config.get("axis", -1) if isinstance(config, dict) else -1
    return list(axis) if isinstance(axis, (list, tuple)) else [axis if isinstance(axis, int) else -1]


def _function(given: Any) -> tuple[Any, Any]:
    """The name and configuration of an activation, from its name or from the form in which Keras 3 serialises it."""
    if not isinstance(given, dict):
        return given, {}
    name, config = given.get("class_name"), given.get("config")
    return (config, {}) if name == "function" else (name, config)


def _one_axis(call: Call) -> int | None:
    """The one axis in ``axis``, ``axes`` or the second operand of an exported operator; None without exactly one."""
    axis = call.get("axis", call.get("axes"))
    if axis is None and is_exported(call.operation) and len(call.inputs) == 2:
        axis = call.inputs[1].constant
    if isinstance(axis, (list, tuple)) and len(axis) == 1:
        axis = axis[0]
    return axis if isinstance(axis, int) and not isinstance(axis, bool) else None


def _total_of_sum(call: Call, given: Sequence[Value]) -> tuple[Tensor, int] | None:
    """The fact ``total`` of the one tensor among the operands; None where there are several."""
    tensors = [value for value in given if value.axes]
    return tensors[0].facts.total if len(tensors) == 1 else None
