"""Reshaping: the same elements in the same order under other axes."""

from __future__ import annotations

from typing import Any

from ...ir.axis import Axis, Value, new_axis, remade, same_kind, unit_axis
from ...ir.size import Size, Truth, is_unknown, same, unknown
from ..call import Call, ShapeError, known, op, unknown_axis
from ..reshape import reshape as reshaped
from ._operands import flattened

Axes = tuple[Axis, ...]


@op("numpy", "Reshape")
def reshape(call: Call) -> Value:
    """``reshape(x[a, b, c], newshape) -> newshape``; one entry may be -1."""
    return call.like(reshaped(call.axes, _target(call)))


def _target(call: Call) -> list[Size]:
    """The target shape. A None in it was an unknown size when the file was written; a single None without a -1 can have
    only one value, so it becomes -1."""
    given = call.arg(1, "newshape", None)
    if isinstance(given, int) and not isinstance(given, bool):
        given = [given]
    if not isinstance(given, (list, tuple)):
        raise call.bad("newshape", given, "a list of whole numbers")
    sizes: list[Any] = [None if v is None else call.size("newshape", v, -1) for v in given]
    if sizes.count(None) == 1 and -1 not in sizes:
        sizes[sizes.index(None)] = -1
    return [unknown() if v is None else v for v in sizes]


@op("numpy", "Ravel")
def ravel(call: Call) -> Value:
    """``ravel(x[a, b]) -> [a*b]``."""
    return call.like(flattened(call.axes))


@op("numpy", "ExpandDims")
def expand_dims(call: Call) -> Value:
    """``expand_dims(x[a, b], axis=1) -> [a, 1, b]``."""
    axes, given = call.axes, call.get("axis")
    places = given if isinstance(given, (list, tuple)) else (given,)
    rank = len(axes) + len(places)
    new = {call.axis(p, rank) for p in places}
    if len(new) != len(places):
        raise ShapeError(f"the axes {list(places)} contain a duplicate")
    rest = iter(axes)
    return call.like([unit_axis("ExpandDims") if i in new else next(rest) for i in range(rank)])


@op("numpy", "Squeeze")
def squeeze(call: Call) -> Value:
    """``squeeze(x[a, 1, b], axis=1) -> [a, b]``; without an axis, every axis of size 1 is dropped."""
    axes = call.axes
    if call.get("axis") is None:
        return call.like([a for a in axes if a.size != 1])
    given = call.get("axis")
    gone = call.axis_tuple(given, len(axes))
    if isinstance(given, (list, tuple)) and len(gone) < len(given):
        raise ShapeError(f"squeezes an axis of {call.x.text()} twice")
    for i in gone:
        if same(axes[i].size, 1) is not Truth.YES and not is_unknown(axes[i].size):
            raise ShapeError(f"cannot squeeze axis {i}: {axes[i]} is not 1")
    return call.like([a for i, a in enumerate(axes) if i not in gone])


@op("numpy", "BroadcastTo")
def broadcast_to(call: Call) -> Value:
    """``broadcast_to(x[b, 1], shape=(a, b, c)) -> [a, b, c]``."""
    axes, given = call.axes, call.arg(1, "shape", None)
    if not isinstance(given, (list, tuple)):
        raise call.bad("shape", given, "a list of whole numbers")
    missing = len(given) - len(axes)
    if missing < 0:
        raise ShapeError(f"cannot broadcast {call.x.text()} to rank {len(given)}")
    result = []
    for place, size in enumerate(given):
        target = None if size is None else call.size("shape", size, -1)
        old = axes[place - missing] if place >= missing else unit_axis("BroadcastTo")
        result.append(_stretched(old, target))
    return call.like(result)


def _stretched(axis: Axis, size: Size | None) -> Axis:
    if size is None or size == -1:
        return axis if axis.size != 1 else unknown_axis()
    answer = same(axis.size, size)
    if answer is Truth.YES:
        return axis
    if answer is Truth.NO and axis.size != 1:
        raise ShapeError(f"cannot broadcast {axis} to {size}")
    return same_kind(axis, size)


@op("numpy", "View")
def view(call: Call) -> Value:
    """``view(x[a, b], dtype) -> [a, b * old bytes / new bytes]``."""
    axes, x = call.axes, call.x
    dtype = call.text("dtype", x.dtype)
    old, new = _bytes(call, x.dtype), _bytes(call, dtype)
    if old == new:
        return call.like(axes, dtype)
    if not axes:
        raise ShapeError("a scalar cannot be viewed as a dtype of another width")
    total = axes[-1].size * old
    if isinstance(total, int) and total % new:
        raise ShapeError(f"{axes[-1]} of {x.dtype} is not a whole number of {dtype}")
    return call.like([*axes[:-1], remade(axes[-1], total // new)], dtype)


def _bytes(call: Call, dtype: str) -> int:
    widths = {
        "bool": 1,
        "int8": 1,
        "uint8": 1,
        "float16": 2,
        "bfloat16": 2,
        "int16": 2,
        "uint16": 2,
        "float32": 4,
    }
    widths |= {
        "int32": 4,
        "uint32": 4,
        "float64": 8,
        "int64": 8,
        "uint64": 8,
        "complex64": 8,
        "complex128": 16,
    }
    if dtype not in widths:
        raise call.bad("dtype", dtype, "a dtype")
    return widths[dtype]


@op("numpy", "Diagflat")
def diagflat(call: Call) -> Value:
    """``diagflat(x[a, b], k) -> [a*b + |k|, a*b + |k|]``."""
    size = flattened(call.axes)[0].size + abs(call.whole("k", call.get("k", 0)))
    return call.like([new_axis(size), new_axis(size)])


@op("math", "ViewAsComplex")
def view_as_complex(call: Call) -> Value:
    """``view_as_complex(x[..., 2]) -> [...]``."""
    axes = call.axes
    if not axes or same(axes[-1].size, 2) is Truth.NO:
        raise ShapeError(f"the last axis of {call.x.text()} is not a pair of a real and an imaginary part")
    return call.like(axes[:-1], "complex64")


@op("math", "ViewAsReal")
def view_as_real(call: Call) -> Value:
    """``view_as_real(x[...]) -> [..., 2]``."""
    return call.like([*known(call.x), new_axis(2)], "float32")
