"""Ops that move axes, change the order of the elements along them, or keep a triangle."""

from __future__ import annotations

from ...ir.axis import Value
from ..call import Call, ShapeError, op
from ..facts import transposed


@op("numpy", "Transpose")
def transpose(call: Call) -> Value:
    """``transpose(x[a, b, c], axes=(0, 2, 1)) -> [a, c, b]``; without axes they are reversed."""
    axes, given = call.axes, call.get("axes")
    if given is None:
        return transposed(call.x, range(len(axes))[::-1])
    order = _places(call, "axes", given, len(axes))
    if len(order) != len(axes):
        raise ShapeError(f"axes {order} for a tensor of rank {len(axes)}")
    return transposed(call.x, order)


@op("numpy", "Swapaxes")
def swapaxes(call: Call) -> Value:
    """``swapaxes(x[a, b, c], 0, 2) -> [c, b, a]``."""
    rank = len(call.axes)
    i, j = (call.axis(call.get(name), rank, name) for name in ("axis1", "axis2"))
    return transposed(call.x, _exchanged(rank, i, j))


def _exchanged(rank: int, i: int, j: int) -> list[int]:
    order = list(range(rank))
    order[i], order[j] = j, i
    return order


@op("numpy", "Moveaxis")
def moveaxis(call: Call) -> Value:
    """``moveaxis(x[a, b, c], 2, 0) -> [c, a, b]``."""
    axes = call.axes
    source = _places(call, "source", call.get("source"), len(axes))
    target = _places(call, "destination", call.get("destination"), len(axes))
    if len(source) != len(target):
        raise ShapeError(f"cannot move {len(source)} axes to {len(target)} places")
    rest = iter(i for i in range(len(axes)) if i not in source)
    moved = dict(zip(target, source, strict=True))
    return transposed(call.x, [moved[i] if i in moved else next(rest) for i in range(len(axes))])


def _places(call: Call, name: str, given: object, rank: int) -> list[int]:
    values = given if isinstance(given, (list, tuple)) else (given,)
    places = [call.axis(v, rank, name) for v in values]
    if len(set(places)) != len(places):
        raise ShapeError(f"{name} {list(values)} name an axis twice")
    return places


@op("numpy", "Rot90")
def rot90(call: Call) -> Value:
    """``rot90(x[a, b, c], axes=(0, 1)) -> [b, a, c]``; with an even k the axes stay."""
    rank = len(call.axes)
    places = _places(call, "axes", call.get("axes", [0, 1]), rank)
    if len(places) != 2:
        raise ShapeError(f"rotates in a plane of 2 axes, not {len(places)}")
    if call.whole("k", call.get("k", 1)) % 2:
        return transposed(call.x, _exchanged(rank, *places))
    return transposed(call.x, range(rank))


@op("numpy", "Flip", "Roll")
def flip(call: Call) -> Value:
    """``flip(x[...]) -> [...]``; the same axes, with the elements in another order."""
    axes = call.axes
    call.axis_tuple(call.get("axis"), len(axes))
    return call.like(axes)


@op("numpy", "Fliplr", "Flipud")
def flip_fixed(call: Call) -> Value:
    """``fliplr(x[a, b, ...]) -> [a, b, ...]``."""
    axes, least = call.axes, 2 if call.operation.class_name == "Fliplr" else 1
    if len(axes) < least:
        raise ShapeError(f"takes a tensor of rank {least} or more, not {call.x.text()}")
    return call.like(axes)


@op("numpy", "Tril", "Triu")
def triangle(call: Call) -> Value:
    """``tril(x[..., n, m]) -> [..., n, m]``."""
    return call.like(call.axes)
