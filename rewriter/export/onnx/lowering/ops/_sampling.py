"""Reading an image between its pixels: projections of images, and tensors at coordinates.

Source of the fill modes: ``image_ops.h`` of TensorFlow 2.21 and ``backend/tensorflow/image.py`` of Keras 3.15.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from .....ir.size import Size
from ...emitter import Emitter
from ...graph import Tensor, array_of
from ._operands import flattened, where


# -- projections -----------------------------
def projected(
    call: Emitter, images: Tensor, transforms: Tensor, interpolation: str, fill_mode: str, fill_value: float
) -> Tensor:
    """``project(images[B, H, W, C], transforms[B or 1, 8]) -> [B, H, W, C]``.

    The pixel at ``(x, y)`` of the result is read at ``(a0*x + a1*y + a2, a3*x + a4*y + a5) / (a6*x + a7*y + 1)``.
    """
    batch, height, width, channels = images.sizes
    sizes = [call.count(images, axis, "float32") for axis in (1, 2)]
    x, y = _grid(call, height, width, sizes)
    a = [call.slice(transforms, 1, n, n + 1) for n in range(8)]
    scale = call.op("Add", _weighted(call, a[6], x, a[7], y), 1.0)
    coordinates = []
    for n, size in zip((3, 0), sizes, strict=True):
        place = call.op("Div", call.op("Add", _weighted(call, a[n], x, a[n + 1], y), a[n + 2]), scale)
        coordinates.append(_MAPPED[fill_mode](call, place, size))
    wide = "float64" if images.dtype == "float64" else "float32"
    flat = call.reshape(images, [batch, height * width, channels])
    if interpolation == "nearest":
        coordinates = [_rounded(call, c) for c in coordinates]
        result = _pixel(call, flat, coordinates, sizes, fill_value)
    else:
        result = _between(call, flat, coordinates, sizes, fill_value, wide)
    infinite = call.unsqueeze(call.op("Equal", scale, 0.0), 2)
    result = where(call, infinite, call.constant(fill_value, result.dtype), result)
    return call.cast(call.reshape(result, images.sizes), images.dtype)


def _grid(call: Emitter, height: Size, width: Size, sizes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """``[1, H*W]``: the column and the row of every pixel. ``sizes`` are height and width as scalars."""
    if isinstance(height, int) and isinstance(width, int):
        rows, columns = np.divmod(np.arange(height * width, dtype=np.float32), np.float32(width))
        return call.constant(columns[None], "float32"), call.constant(rows[None], "float32")
    high, wide = (call.cast(size, "int64") for size in sizes)
    place = call.positions(call.op("Mul", high, wide), height * width)
    found = (call.op("Mod", place, wide), call.op("Div", place, wide))
    x, y = (call.cast(call.unsqueeze(t, 0), "float32") for t in found)
    return x, y


def _weighted(call: Emitter, a: Tensor, x: Tensor, b: Tensor, y: Tensor) -> Tensor:
    return call.op("Add", call.op("Mul", a, x), call.op("Mul", b, y))


def _last_of(call: Emitter, size: Tensor) -> Tensor:
    return call.op("Sub", size, 1.0)


def _clamped(call: Emitter, x: Tensor, size: Tensor) -> Tensor:
    return call.op("Max", call.op("Min", x, _last_of(call, size)), 0.0)


def _reflected(call: Emitter, x: Tensor, size: Tensor) -> Tensor:
    period = call.op("Mul", size, 2.0)
    turns = call.op("Floor", call.op("Div", call.op("Neg", x), period))
    below = call.op("Add", call.op("Mul", turns, period), x)
    below = where(
        call,
        call.op("Less", below, call.op("Neg", size)),
        call.op("Add", below, period),
        call.op("Sub", call.op("Neg", below), 1.0),
    )
    above = call.op("Sub", x, call.op("Mul", call.op("Floor", call.op("Div", x, period)), period))
    back = call.op("Sub", call.op("Sub", period, above), 1.0)
    above = where(call, call.op("GreaterOrEqual", above, size), back, above)
    return _of_several(call, x, size, _clamped(call, _outside(call, x, size, below, above), size))


def _wrapped(call: Emitter, x: Tensor, size: Tensor) -> Tensor:
    last = _last_of(call, size)
    turns = call.op("Floor", call.op("Div", call.op("Neg", x), last))
    below = call.op("Add", x, call.op("Mul", call.op("Add", turns, 1.0), size))
    above = call.op("Sub", x, call.op("Mul", call.op("Floor", call.op("Div", x, last)), size))
    return _of_several(call, x, size, _clamped(call, _outside(call, x, size, below, above), size))


def _of_several(call: Emitter, x: Tensor, size: Tensor, place: Tensor) -> Tensor:
    """The place; 0 on an axis with one position."""
    known = array_of(size)
    if known is not None and known > 1:
        return place
    return where(call, call.op("LessOrEqual", size, 1.0), call.op("Mul", x, 0.0), place)


def _outside(call: Emitter, x: Tensor, size: Tensor, below: Tensor, above: Tensor) -> Tensor:
    inside = where(call, call.op("Greater", x, _last_of(call, size)), above, x)
    return where(call, call.op("Less", x, 0.0), below, inside)


_MAPPED: dict[str, Callable[[Emitter, Tensor, Tensor], Tensor]] = {
    "constant": lambda call, x, size: x,
    "nearest": _clamped,
    "reflect": _reflected,
    "wrap": _wrapped,
}


def _rounded(call: Emitter, x: Tensor) -> Tensor:
    """The nearest integer, halves away from 0."""
    return call.op("Mul", call.op("Sign", x), call.op("Floor", call.op("Add", call.op("Abs", x), 0.5)))


def _pixel(
    call: Emitter, flat: Tensor, at: list[Tensor], sizes: Sequence[Tensor], fill_value: float
) -> Tensor:
    """``pixel(flat[B, H*W, C], (y, x)[b, n], (H, W)) -> [B, n, C]`` at whole coordinates; the fill value outside."""
    inside: Tensor | None = None
    index: Tensor | None = None
    for place, size in zip(at, sizes, strict=True):
        within = call.op("And", call.op("GreaterOrEqual", place, 0.0), call.op("Less", place, size))
        inside = within if inside is None else call.op("And", inside, within)
        whole = call.cast(_clamped(call, place, size), "int64")
        index = (
            whole if index is None else call.op("Add", call.op("Mul", index, call.cast(size, "int64")), whole)
        )
    assert inside is not None and index is not None
    if index.sizes[0] == 1:
        found = call.op("Gather", flat, call.squeeze(index, 0), axis=1)
    else:
        sizes_found = [*index.sizes, flat.sizes[2]]
        found = call.op("GatherND", flat, call.unsqueeze(index, 2), batch_dims=1, as_sizes=sizes_found)
    return where(call, call.unsqueeze(inside, 2), found, call.constant(fill_value, flat.dtype))


def _between(
    call: Emitter, flat: Tensor, at: list[Tensor], sizes: Sequence[Tensor], fill_value: float, wide: str
) -> Tensor:
    """Bilinear interpolation between the four pixels around every coordinate."""
    lower = [call.op("Floor", place) for place in at]
    upper = [call.op("Add", place, 1.0) for place in lower]
    shares = [
        (call.op("Sub", high, place), call.op("Sub", place, low))
        for place, low, high in zip(at, lower, upper, strict=True)
    ]
    rows = []
    for y, share in zip((lower[0], upper[0]), shares[0], strict=True):
        parts = [
            _shared(call, _pixel(call, flat, [y, x], sizes, fill_value), part, wide)
            for x, part in zip((lower[1], upper[1]), shares[1], strict=True)
        ]
        rows.append(_shared(call, call.op("Add", *parts), share, wide))
    return call.op("Add", *rows)


def _shared(call: Emitter, x: Tensor, share: Tensor, dtype: str) -> Tensor:
    return call.op("Mul", call.cast(x, dtype), call.cast(call.unsqueeze(share, 2), dtype))


# -- coordinates -----------------------------
def at_coordinates(
    call: Emitter, x: Tensor, coordinates: Tensor, order: int, fill_mode: str, fill_value: float
) -> Tensor:
    """``sample(x[a, b], coordinates[2, ...]) -> [...]``: the nearest element, or an interpolation."""
    nodes = []
    for n in range(x.rank):
        place = call.op("Gather", coordinates, call.constant(n, "int64"), axis=0)
        size = call.count(x, n, "int64")
        options = []
        for index, weight in _nodes(call, place, order):
            options.append((*_safe(call, index, size, fill_mode), weight))
        nodes.append(options)
    flat = flattened(call, x)
    wide = coordinates.dtype
    fill = call.cast(call.constant(fill_value, x.dtype), wide)
    total: Tensor | None = None
    for items in itertools.product(*nodes):
        index, valid, weight = items[0]
        for n, (more, also, share) in enumerate(items[1:], 1):
            index = call.op("Add", call.op("Mul", index, call.count(x, n, "int64")), more)
            valid = also if valid is None else call.op("And", valid, also)
            weight = share if weight is None else call.op("Mul", weight, share)
        found = call.cast(call.op("Gather", flat, index, axis=0), wide)
        if valid is not None:
            found = where(call, valid, found, fill)
        part = found if weight is None else call.op("Mul", weight, found)
        total = part if total is None else call.op("Add", total, part)
    assert total is not None
    if "int" in x.dtype and wide.startswith(("float", "bfloat")):
        total = call.op("Round", total)
    return call.cast(total, x.dtype)


def _nodes(call: Emitter, place: Tensor, order: int) -> list[tuple[Tensor, Tensor | None]]:
    """Integer coordinates with their weights; None is the weight 1."""
    if order == 0:
        whole = place if "int" in place.dtype else call.op("Round", place)
        return [(call.cast(whole, "int64"), None)]
    lower = call.op("Floor", place)
    share = call.op("Sub", place, lower)
    index = call.cast(lower, "int64")
    rest = call.op("Sub", call.constant(1, place.dtype), share)
    return [(index, rest), (call.op("Add", index, 1), share)]


def _safe(call: Emitter, index: Tensor, size: Tensor, fill_mode: str) -> tuple[Tensor, Tensor | None]:
    """The coordinate moved inside, and whether it was inside; None where that does not matter."""
    zero = call.constant(0, "int64")
    clipped = call.op("Max", call.op("Min", index, call.op("Sub", size, 1)), zero)
    if fill_mode == "constant":
        return clipped, call.op("And", call.op("GreaterOrEqual", index, zero), call.op("Less", index, size))
    if fill_mode == "nearest":
        return clipped, None
    if fill_mode == "wrap":
        return call.op("Mod", index, size), None
    period = call.op("Mul", size, 2)
    rest = call.op("Mod", call.op("Abs", index), period)
    back = call.op("Sub", period, rest)
    if fill_mode == "reflect":
        back = call.op("Sub", back, 1)
    return where(call, call.op("Less", rest, size), rest, back), None
