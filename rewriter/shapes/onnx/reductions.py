"""Reductions: axes are dropped, or kept with size 1."""

from __future__ import annotations

import numpy as np

from ...ir.axis import Axis, Value, unit_axis
from ...ir.size import is_beyond, product, unknown
from ..call import Call, known, onnx_op
from ._operands import array, folded, operand, whole_numbers

REDUCTIONS = "Max Min Mean Sum Prod L1 L2 LogSum LogSumExp SumSquare"


def _reduced(call: Call, axes: tuple[Axis, ...], gone: set[int]) -> tuple[Axis, ...]:
    if call.flag("keepdims", True):
        return tuple(unit_axis("keepdims") if i in gone else a for i, a in enumerate(axes))
    return tuple(a for i, a in enumerate(axes) if i not in gone)


@onnx_op(*(f"Reduce{name}" for name in REDUCTIONS.split()))
def reduce(call: Call) -> Value:
    """``reduce(x[a, b, c], axes=(1,)) -> [a, 1, c]``; without keepdims ``[a, c]``; of all axes without axes."""
    x = operand(call, 0)
    axes, places = known(x), whole_numbers(call, 1, "axes")
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
