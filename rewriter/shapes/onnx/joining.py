"""Joining tensors along an axis, splitting and padding them."""

from __future__ import annotations

import numpy as np

from ...ir.axis import Axis, Value, remade
from ...ir.size import Size, ceildiv, unknown
from ..call import Call, OpaqueError, ShapeError, known, onnx_op
from ..layers.merging import joined
from ._operands import array, few, folded, given, operand, optional, sizes, whole_numbers


@onnx_op("Concat")
def concat(call: Call) -> Value:
    """``concat([x[n, c], y[m, c]], axis=0) -> [n+m, c]``."""
    values = [operand(call, i) for i in range(len(call.args))]
    place = call.get("axis", 1)
    axes = joined([known(v) for v in values], place, call)
    arrays = [array(v) for v in values] if few(axes) else [None]
    if any(a is None for a in arrays):
        return Value(axes, values[0].dtype)
    place = call.axis(place, len(axes))
    return folded(axes, values[0].dtype, np.concatenate([a for a in arrays if a is not None], place))


@onnx_op("Split")
def split(call: Call) -> list[Value]:
    """``split(x[a, n+m], (n, m), axis=1) -> [a, n], [a, m]``; without sizes, equal parts."""
    x = operand(call, 0)
    axes = known(x)
    place = call.axis(call.get("axis", 0), len(axes))
    parts = _parts(call, axes[place])
    total: Size = 0
    for size in parts:
        total = total + size
    whole = axes[place].size
    if isinstance(total, int) and isinstance(whole, int) and total != whole:
        raise ShapeError(f"{axes[place]} is split into {len(parts)} parts of {total} in all")
    numbers = array(x)
    result, start = [], 0
    for size in parts:
        axis = axes[place] if size == whole else remade(axes[place], size)
        part = None
        if numbers is not None and isinstance(size, int):
            part = numbers.take(range(start, start + size), place)
            start += size
        result.append(folded([*axes[:place], axis, *axes[place + 1 :]], x.dtype, part))
    return result


def _parts(call: Call, axis: Axis) -> list[Size]:
    stated = whole_numbers(call, 1, "split")
    if stated is not None:
        return list(stated)
    count = call.integer("num_outputs", 1, call.integer("outputs", 1, 1))
    if count > 65_536:
        raise OpaqueError(f"{count} outputs are more than are supported")
    size = ceildiv(axis.size, count)
    last = axis.size - size * (count - 1)
    if isinstance(last, int) and last < 0:
        raise ShapeError(f"{axis} is split into {count} parts")
    return [*([size] * (count - 1)), last]


@onnx_op("Pad")
def pad(call: Call) -> Value:
    """``pad(x[n], (before, after)) -> [n + before + after]``; a negative number cuts entries off."""
    x = operand(call, 0)
    axes = known(x)
    places = list(range(len(axes)))
    if optional(call, 3) is not None:
        places = [call.axis(a, len(axes), "axes") for a in whole_numbers(call, 3, "axes") or []]
    pads = _pads(call, 2 * len(places))
    result = list(axes)
    for number, place in enumerate(places):
        before, after = pads[number], pads[number + len(places)]
        if before != 0 or after != 0:
            result[place] = remade(axes[place], axes[place].size + before + after)
    return Value(tuple(result), x.dtype)


def _pads(call: Call, count: int) -> list[Size]:
    """The padding before each axis, then after each; unknown where it is known only when the model runs."""
    value = optional(call, 1)
    if value is not None and sizes(value) is None:
        return [unknown() for _ in range(count)]
    pads = given(call, 1, "pads") or []
    if len(pads) != count:
        raise ShapeError(f"it has {len(pads)} paddings, but needs {count}")
    return pads
