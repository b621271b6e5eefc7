"""Ops that move axes or reverse the elements along them."""

from __future__ import annotations

from collections.abc import Sequence

from ...emitter import Emitter
from ...graph import Tensor
from ...registry import op
from ._operands import flattened


@op("numpy", "Transpose")
def transpose(call: Emitter) -> Tensor:
    """``transpose(x[a, b, c], axes=(0, 2, 1)) -> [a, c, b]``; without axes they are reversed."""
    x, given = call.x, call.get("axes")
    return call.transpose(x, _places(call, "axes", given, x.rank) if given else list(range(x.rank))[::-1])


def _places(call: Emitter, name: str, given: object, rank: int) -> list[int]:
    values = given if isinstance(given, (list, tuple)) else (given,)
    return [call.axis(v, rank, name) for v in values]


@op("numpy", "Swapaxes")
def swapaxes(call: Emitter) -> Tensor:
    """``swapaxes(x[a, b, c], 0, 2) -> [c, b, a]``."""
    x = call.x
    one, two = (call.axis(call.get(name), x.rank, name) for name in ("axis1", "axis2"))
    return _swapped(call, x, one, two)


def _swapped(call: Emitter, x: Tensor, one: int, two: int) -> Tensor:
    return call.transpose(x, [{one: two, two: one}.get(n, n) for n in range(x.rank)])


@op("numpy", "Moveaxis")
def moveaxis(call: Emitter) -> Tensor:
    """``moveaxis(x[a, b, c], 2, 0) -> [c, a, b]``."""
    x = call.x
    source = _places(call, "source", call.get("source"), x.rank)
    target = _places(call, "destination", call.get("destination"), x.rank)
    order = [n for n in range(x.rank) if n not in source]
    for place, axis in sorted(zip(target, source, strict=True)):
        order.insert(place, axis)
    return call.transpose(x, order)


@op("numpy", "Rot90")
def rot90(call: Emitter) -> Tensor:
    """``rot90(x[a, b, c], axes=(0, 1)) -> [b, a, c]``, k quarter turns."""
    x = call.x
    one, two = _places(call, "axes", call.get("axes", [0, 1]), x.rank)
    turns = call.whole("k", call.get("k", 1)) % 4
    if turns == 2:
        if x.sizes[one] != x.sizes[two]:
            # Keras reshapes between the quarter turns to the unturned sizes (backend/tensorflow/numpy.py, 3.15).
            raise call.refuse("on TensorFlow half a turn mixes up the elements of a non-square tensor")
        return flipped(call, x, [one, two])
    if turns == 1:
        return _swapped(call, flipped(call, x, [two]), one, two)
    return flipped(call, _swapped(call, x, one, two), [two]) if turns else x


def flipped(call: Emitter, x: Tensor, axes: Sequence[int]) -> Tensor:
    """``x`` reversed along axes."""
    if not axes:
        return x
    count = len(axes)
    ends = [-(2**63)] * count
    return call.op("Slice", x, [-1] * count, ends, list(axes), [-1] * count, as_sizes=x.sizes)


@op("numpy", "Flip")
def flip(call: Emitter) -> Tensor:
    """``flip(x[...]) -> [...]``: reversed along the axes, by default all."""
    return flipped(call, call.x, call.axis_tuple(call.get("axis"), call.x.rank))


@op("numpy", "Fliplr")
def fliplr(call: Emitter) -> Tensor:
    """``fliplr(x[a, b, ...]) -> [a, b, ...]``: reversed along axis 1."""
    return flipped(call, call.x, [1])


@op("numpy", "Flipud")
def flipud(call: Emitter) -> Tensor:
    """``flipud(x[a, ...]) -> [a, ...]``: reversed along axis 0."""
    return flipped(call, call.x, [0])


@op("numpy", "Roll")
def roll(call: Emitter) -> Tensor:
    """``roll(x[...], shift) -> [...]``: elements that leave an axis at one end return at the other."""
    x, given, axis = call.x, call.get("shift"), call.get("axis")
    shifts = [call.whole("shift", s) for s in (given if isinstance(given, (list, tuple)) else (given,))]
    if axis is None:
        return call.reshape(_rolled(call, flattened(call, x), sum(shifts), 0), x.sizes) if x.rank else x
    places = _places(call, "axis", axis, x.rank)
    if len(shifts) == 1:
        shifts *= len(places)
    if len(shifts) != len(places):
        raise call.bad("shift", given, f"{len(places)} whole numbers")
    for shift, place in zip(shifts, places, strict=True):
        x = _rolled(call, x, shift, place)
    return x


def _rolled(call: Emitter, x: Tensor, shift: int, axis: int) -> Tensor:
    size = call.size(x, axis)
    start: int | Tensor
    if isinstance(size, int):
        start = -shift % size if size else 0
        if not start:
            return x
    else:
        start = call.op("Mod", call.constant([-shift], "int64"), call.op("Max", size, [1]))
    end, begin = call.slice(x, axis, start), call.slice(x, axis, 0, start)
    return call.op("Concat", end, begin, axis=axis, as_sizes=x.sizes)


@op("numpy", "Tril", "Triu")
def triangle(call: Emitter) -> Tensor:
    """``tril(x[..., n, m], k) -> [..., n, m]``: 0 above (below) diagonal k."""
    k = call.constant(call.whole("k", call.get("k", 0)), "int64")
    return call.op("Trilu", call.x, k, upper=int(call.operation.class_name == "Triu"))
