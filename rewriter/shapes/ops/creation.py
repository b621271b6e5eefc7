"""Ops that make a tensor from numbers, a grid from vectors, diagonals, encodings and histograms."""

from __future__ import annotations

import math

from ...ir.axis import Axis, Value, new_axis
from ...ir.size import Size, Truth, ceildiv, is_unknown, same
from .. import dtypes
from ..broadcast import Convention, broadcast
from ..call import Call, OpaqueError, ShapeError, known, op, unknown_axis
from ..dtypes import result_type, strong
from ._operands import configured_dtype, flattened, operand, value_of

Axes = tuple[Axis, ...]


@op("numpy", "Arange")
def arange(call: Call) -> Value:
    """``arange(start, stop, step) -> [ceil((stop - start) / step)]`` for numbers and sizes; unknown for others."""
    given = [call.arg(0, "start"), call.arg(1, "stop", None), call.arg(2, "step", None)]
    start, stop, step = (0, given[0], given[2]) if given[1] is None else given
    step = 1 if step is None else step
    kinds = [value_of(call, v, "an operand").dtype for v in (start, stop, step)]
    dtype = configured_dtype(call, result_type(*kinds))
    if not all(isinstance(v, (int, float)) for v in (start, stop, step)):
        return Value((_counted(call, start, stop, step),), dtype)
    if step == 0 or not all(math.isfinite(v) and abs(v) < 2**62 for v in (start, stop, step)):
        raise call.bad("step", step, "a step other than 0, and finite numbers below 2**62")
    return Value((new_axis(max(0, math.ceil((stop - start) / step))),), dtype)


def _counted(call: Call, start: object, stop: object, step: object) -> Axis:
    """The axis of ``arange`` between sizes; unknown for another tensor, or if the stop can lie before the start."""
    if isinstance(step, Value) or not isinstance(step, (int, float)) or int(step) != step or step == 0:
        return unknown_axis()
    first, last = (_bound(call, bound) for bound in (start, stop))
    if first is None or last is None:
        return unknown_axis()
    length = ceildiv((last - first) * (1 if step > 0 else -1), abs(int(step)))
    low = length if isinstance(length, int) else length.minimum
    return unknown_axis() if low is None or low < 0 else new_axis(length)


def _bound(call: Call, bound: object) -> Size | None:
    if isinstance(bound, float):
        return int(bound) if bound.is_integer() else None
    size = call.size("bound", bound)
    return None if is_unknown(size) else size


@op("numpy", "Full")
def full(call: Call) -> Value:
    """``full(value, shape=(a, b)) -> [a, b]``."""
    shape = call.arg(1, "shape", None)
    if not isinstance(shape, (list, tuple)):
        shape = (shape,)
    return Value(
        tuple(new_axis(call.size("shape", s, 0)) for s in shape), configured_dtype(call, dtypes.FLOATX)
    )


@op("numpy", "Linspace", "Logspace", "Geomspace")
def spaced(call: Call) -> Value | tuple[Value, Value]:
    """``linspace(start[a], stop[a], num=n) -> [n, a]``; ``axis`` is the place of the new axis."""
    start, stop = operand(call, 0, "start"), operand(call, 1, "stop")
    axes = broadcast(Convention.NUMPY, [known(start), known(stop)])
    place = call.axis(call.get("axis", 0), len(axes) + 1)
    dtype = result_type(configured_dtype(call, strong(start.dtype)), "float")
    result = Value((*axes[:place], new_axis(call.integer("num", 0, 50)), *axes[place:]), dtype)
    if call.operation.class_name == "Linspace" and call.flag("retstep"):
        return result, Value(axes, dtype)
    return result


@op("numpy", "Meshgrid")
def meshgrid(call: Call) -> list[Value]:
    """``meshgrid(x[n], y[m]) -> [m, n], [m, n]``; with indexing "ij" ``[n, m]``."""
    values = [value_of(call, v, "an operand") for v in call.args]
    axes = [flattened(known(v))[0] for v in values]
    indexing = call.text("indexing", "xy", ("xy", "ij"))
    if indexing == "xy" and len(axes) > 1:
        axes[:2] = axes[1::-1]
    if len(values) > 64:
        raise OpaqueError("a grid of more than 64 axes")
    return [Value(tuple(axes), dtypes.keep(v.dtype)) for v in values]


@op("numpy", "Diag")
def diag(call: Call) -> Value:
    """``diag(x[n], k) -> [n+|k|, n+|k|]``; for a matrix, its diagonal."""
    axes, k = call.axes, call.whole("k", call.get("k", 0))
    if len(axes) == 1:
        side = axes[0].size + abs(k)
        return call.like([new_axis(side, derived=axes[0]), new_axis(side, derived=axes[0])])
    if len(axes) != 2:
        raise ShapeError(f"takes a tensor of rank 1 or 2, not {call.x.text()}")
    return call.like([_diagonal(axes[0], axes[1], k)])


@op("numpy", "Diagonal")
def diagonal(call: Call) -> Value:
    """``diagonal(x[n, m, a], offset) -> [a, min(n, m)]``."""
    axes = call.axes
    first = call.axis(call.get("axis1", 0), len(axes), "axis1")
    second = call.axis(call.get("axis2", 1), len(axes), "axis2")
    if first == second:
        raise ShapeError(f"axis1 and axis2 are both {first}")
    rest = [a for i, a in enumerate(axes) if i not in (first, second)]
    return call.like(
        [*rest, _diagonal(axes[first], axes[second], call.whole("offset", call.get("offset", 0)))]
    )


def _diagonal(rows: Axis, columns: Axis, offset: int) -> Axis:
    if isinstance(rows.size, int) and isinstance(columns.size, int):
        left = columns.size - offset if offset > 0 else rows.size + offset
        return new_axis(max(0, min(rows.size, columns.size, left)))
    if offset == 0 and same(rows.size, columns.size) is Truth.YES:
        return rows if rows.is_same(columns) else new_axis(rows.size)
    return unknown_axis()


@op("numpy", "Vander")
def vander(call: Call) -> Value:
    """``vander(x[n], N) -> [n, N]``; N is n unless given."""
    axes = call.axes
    if len(axes) != 1:
        raise ShapeError(f"takes a tensor of rank 1, not {call.x.text()}")
    count = call.get("N")
    return call.like([*axes, new_axis(axes[0].size if count is None else call.whole("N", count, 0))])


@op("nn", "OneHot")
def one_hot(call: Call) -> Value:
    """``one_hot(x[a, b], classes) -> [a, b, classes]``."""
    axes = list(known(operand(call, 0, "x")))
    place = call.axis(call.get("axis", -1), len(axes) + 1)
    axes.insert(place, new_axis(call.integer("num_classes", 0)))
    return Value(tuple(axes), configured_dtype(call, dtypes.FLOATX))


@op("nn", "MultiHot")
def multi_hot(call: Call) -> Value:
    """``multi_hot(x[b, n], classes) -> [b, classes]``; for a vector ``[classes]``."""
    x = operand(call, 0, "inputs")
    axes = list(known(x))
    given = call.get("num_classes")
    count = call.integer("num_tokens", 0) if given is None else call.whole("num_classes", given, 0)
    axes.insert(call.axis(call.get("axis", -1), len(axes) + 1), new_axis(count))
    kept = axes[-1:] if len(axes) == 2 else [axes[0], *axes[2:]]
    return Value(tuple(kept), configured_dtype(call, dtypes.FLOATX))


@op("numpy", "Histogram")
def histogram(call: Call) -> tuple[Value, Value]:
    """``histogram(x[...], bins=n) -> [n], [n+1]``: counts and edges."""
    bins = call.integer("bins", 0, 10)
    return call.like([new_axis(bins)]), call.like([new_axis(bins + 1)])
