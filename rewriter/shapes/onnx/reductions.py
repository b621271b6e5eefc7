"""Reductions: axes are dropped, or kept with size 1."""

from __future__ import annotations

import numpy as np

from ...ir.axis import Axis, Value, unit_axis
from ...ir.size import is_beyond, product, unknown
from ..call import Call, OpaqueError, known, onnx_op
from ._operands import array, axes_of_shape, folded, operand, optional, sizes, whole_numbers

REDUCTIONS = "Max Min Mean Sum Prod L1 L2 LogSum LogSumExp SumSquare"


def _reduced(call: Call, axes: tuple[Axis, ...], gone: set[int]) -> tuple[Axis, ...]:
    if call.flag("keepdims", True):
        return tuple(unit_axis("keepdims") if i in gone else a for i, a in enumerate(axes))
    return tuple(a for i, a in enumerate(axes) if i not in gone)


def _somewhere_reduced(call: Call, axes: tuple[Axis, ...], places: Value) -> tuple[Axis, ...]:
    """The unknown axes left by a reduction over unknown axes. Raises OpaqueError where their number is unknown too."""
    count = known(places)[0].size if known(places) else 1
    if call.flag("keepdims", True):
        return axes_of_shape([unknown() for _ in axes])
    if not isinstance(count, int) or not 0 < count <= len(axes):
        raise OpaqueError("which axes it reduces is known only when it runs")
    return axes_of_shape([unknown() for _ in axes[count:]])


@onnx_op(*(f"Reduce{name}" for name in REDUCTIONS.split()))
def reduce(call: Call) -> Value:
    """``reduce(x[a, b, c], axes=(1,)) -> [a, 1, c]``; without keepdims ``[a, c]``. Without axes, over all of them."""
    x = operand(call, 0)
    axes = known(x)
    if (stated := optional(call, 1)) is not None and sizes(stated) is None:
        return Value(_somewhere_reduced(call, axes, stated), x.dtype)
    places = whole_numbers(call, 1, "axes")
    if not places:
        places = [] if call.flag("noop_with_empty_axes") else list(range(len(axes)))
    gone = {call.axis(p, len(axes), "axes") for p in places}
    result = _reduced(call, axes, gone)
    numbers = array(x)
    if numbers is None or call.operation.class_name != "ReduceProd" or numbers.ndim != 1:
        return Value(result, x.dtype)
    total = product(numbers.tolist())
    whole = np.empty([1] * len(result), dtype=object)
    whole[...] = unknown() if is_beyond(total) else total
    return folded(result, x.dtype, whole if gone else None)


@onnx_op("ArgMax", "ArgMin")
def arg(call: Call) -> Value:
    """``argmax(x[a, b, c], axis=1) -> [a, 1, c]``; without keepdims ``[a, c]``."""
    axes = known(operand(call, 0))
    return Value(_reduced(call, axes, {call.axis(call.get("axis", 0), len(axes))}), "int64")
