"""Picking elements: slices, gathers, scatters, the k largest."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ir.axis import Axis, Role, Value, new_axis, remade
from ...ir.size import Size, unknown
from ..call import Call, OpaqueError, ShapeError, known, onnx_op
from ..ops.indexing import cut_before, sliced
from ._operands import array, few, folded, given, operand, optional, sizes, whole_numbers

_FAR = (
    10**7
)  # an index of this size or more is beyond every axis: exporters write 1000000000, 2**31 - 1 and 2**63 - 1


@onnx_op("Slice")
def slice_(call: Call) -> Value:
    """``slice(x[n], start, end, axis, step) -> [ceil((end - start) / step)]``."""
    x = operand(call, 0)
    axes = known(x)
    bounds = [_bounds(call, i, name) for i, name in ((1, "starts"), (2, "ends"))]
    starts, ends = ([] if b is None else b for b in bounds)
    stated = whole_numbers(call, 3, "axes")
    places = [call.axis(a, len(axes), "axes") for a in (range(len(starts)) if stated is None else stated)]
    steps = whole_numbers(call, 4, "steps") or [1] * len(places)
    if not len(starts) == len(ends) == len(places) == len(steps):
        raise ShapeError("starts, ends, axes and steps differ in number")
    result, keys = list(axes), [slice(None)] * len(axes)
    for place, start, end, step in zip(places, starts, ends, steps, strict=True):
        if not isinstance(start, int) or not isinstance(end, int):
            whole = start == 0 and step == 1 and end == axes[place].size
            if not whole:
                size = cut_before(axes[place].size, end) if step == 1 and start == 0 else unknown()
                result[place] = axes[place] if size == axes[place].size else remade(axes[place], size)
            continue
        keys[place] = _key(start, end, step)
        result[place] = sliced(call, axes[place], keys[place])
    numbers = array(x)
    return folded(result, x.dtype, None if numbers is None else numbers[tuple(keys)])


def _key(start: int, end: int, step: int) -> slice:
    """The bounds as a slice; a bound beyond the axis becomes None, its end."""
    first, last = (
        (-_FAR, _FAR) if step > 0 else (_FAR, -_FAR)
    )  # beyond the axis, on the side where the slice starts and where it ends
    start, end = (max(-_FAR, min(bound, _FAR)) for bound in (start, end))
    if start == last or end == first:
        return slice(0, 0, step)
    return slice(None if start == first else start, None if end == last else end, step)


def _bounds(call: Call, position: int, name: str) -> list[Size] | None:
    """Starts or ends; unknown sizes where only their number is known."""
    value = optional(call, position)
    if value is not None and sizes(value) is None:
        length = known(value)[0].size if known(value) else 1
        if isinstance(length, int) and length < 65:
            return [unknown() for _ in range(length)]
    return given(call, position, name)


@onnx_op("Gather")
def gather(call: Call) -> Value:
    """``gather(x[a, b, c], indices[i, j], axis=1) -> [a, i, j, c]``."""
    x, indices = operand(call, 0), operand(call, 1)
    axes, picked = known(x), known(indices)
    place = call.axis(call.get("axis", 0), len(axes))
    if len(picked) == 1 and indices.is_constant:
        picked = (remade(axes[place], picked[0].size),)
    if x.is_constant and not indices.is_constant and len(axes) == 2 and place == 0:
        picked, axes = known(indices), (axes[0], new_axis(axes[1].size, Role.FEATURE))
    numbers, chosen = array(x), array(indices)
    result = (*axes[:place], *picked, *axes[place + 1 :])
    if (
        numbers is None
        or chosen is None
        or not few(result)
        or not all(isinstance(i, int) for i in chosen.flat)
    ):
        return Value(result, x.dtype)
    try:
        return folded(result, x.dtype, np.asarray(numbers.take(chosen.astype(int), place), dtype=object))
    except IndexError:
        raise ShapeError(f"an index is out of range for {axes[place]}") from None


@onnx_op("GatherElements")
def gather_elements(call: Call) -> Value:
    """``gather_elements(x[a, b], indices[a, n], axis=1) -> [a, n]``."""
    return Value(known(operand(call, 1)), operand(call, 0).dtype)


@onnx_op("GatherND")
def gather_nd(call: Call) -> Value:
    """``gather_nd(x[a, b, c], indices[n, 2]) -> [n, c]``."""
    axes, indices = known(operand(call, 0)), known(operand(call, 1))
    depth = indices[-1].size if indices else 0
    shared = call.integer("batch_dims", 0, 0)
    if not isinstance(depth, int):
        raise OpaqueError("the depth of its indices is known only when it runs")
    if shared + depth > len(axes):
        raise ShapeError(f"its indices pick along {shared + depth} axes of {operand(call, 0).text()}")
    return Value((*indices[:-1], *axes[shared + depth :]), operand(call, 0).dtype)


@onnx_op("Scatter", "ScatterElements", "ScatterND", "TensorScatter", "ReverseSequence")
def updated(call: Call) -> Value:
    """``scatter(x[a, b], indices, updates) -> [a, b]``."""
    x = operand(call, 0)
    return Value(known(x), x.dtype)


@onnx_op("TopK")
def top_k(call: Call) -> list[Value]:
    """``top_k(x[a, n], k) -> [a, k], [a, k]``: values and positions."""
    x = operand(call, 0)
    axes = list(known(x))
    place = call.axis(call.get("axis", -1), len(axes))
    count = given(call, 1, "k")
    axes[place] = remade(axes[place], count[0] if count else unknown())
    return [Value(tuple(axes), x.dtype), Value(tuple(axes), "int64")]


@onnx_op("OneHot")
def one_hot(call: Call) -> Value:
    """``one_hot(x[a, b], depth) -> [a, b, depth]``."""
    axes: list[Axis] = list(known(operand(call, 0)))
    depth: Any = sizes(operand(call, 1))
    place = call.axis(call.get("axis", -1), len(axes) + 1)
    axes.insert(place, new_axis(depth[0] if depth else unknown()))
    return Value(tuple(axes), operand(call, 2).dtype)
