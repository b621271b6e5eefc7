"""Resizes images as ``tf.image.resize`` does: by Resize, or by a product with a matrix for each axis.

TensorFlow's bicubic and Lanczos weights, and all weights with antialias, differ from ONNX's. Sources:
``resize_bicubic_op.cc`` and ``scale_and_translate_op.cc`` of TensorFlow 2.21.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ....ir.size import Size, unknown
from ..dtypes import INTEGERS
from ..emitter import Emitter
from ..graph import Array, Tensor
from ..refusal import Refused
from . import _resize_weights as weights

_TABLE = 1024  # TensorFlow takes bicubic weights from a table with this many steps.


def resized(
    call: Emitter,
    x: Tensor,
    size: Sequence[Size],
    interpolation: str = "bilinear",
    antialias: bool = False,
    first: bool = False,
) -> Tensor:
    """``resize(x[B, H, W, C]) -> [B, h, w, C]``, or of one image ``[H, W, C]``, or channels first.

    The result is float32 as in TensorFlow, except for ``nearest`` and where the size stays.
    """
    start = x.rank - 2 if first else x.rank - 3
    if list(x.sizes[start : start + 2]) == list(size):
        return x
    order = list(range(x.rank))
    if not first:
        order = [*order[:start], x.rank - 1, start, start + 1]
        x = call.transpose(x, order)
    fixed = all(isinstance(n, int) for n in (*x.sizes[-2:], *size))
    if interpolation == "bilinear" and not antialias and fixed and x.dtype in INTEGERS:
        # The result is rounded afterwards, and has to equal TensorFlow's to the last bit.
        y = _lerped(call, call.cast(x, "float32"), _numbers(size))
    elif interpolation == "bilinear" and not antialias and x.dtype in INTEGERS:
        y = _lerped_at(call, call.cast(x, "float32"), size)
    elif interpolation == "nearest":
        y = _by_resize(call, x, size, interpolation)
    elif x.dtype in INTEGERS:
        raise Refused("the rounded integers depend on TensorFlow's sums to the last bit")
    else:
        x = call.cast(x, "float64" if x.dtype == "float64" else "float32")
        if interpolation == "bilinear" and not antialias:
            y = _by_resize(call, x, size, interpolation)
        else:
            rows, columns = (
                _matrix(call, x, x.rank + n, size[n], interpolation, antialias) for n in (-2, -1)
            )
            y = call.op("MatMul", rows, call.op("MatMul", x, call.transpose(columns, [1, 0])))
        y = call.cast(y, "float32")
    return y if first else call.transpose(y, [order.index(n) for n in range(x.rank)])


def _by_resize(call: Emitter, x: Tensor, size: Sequence[Size], interpolation: str) -> Tensor:
    single = x.rank == 3
    if single:
        x = call.unsqueeze(x, 0)
    wanted = [*x.sizes[:2], *size]
    mode = {"bilinear": "linear", "nearest": "nearest"}[interpolation]
    y = call.op(
        "Resize",
        x,
        None,
        None,
        call.shape(wanted, x),
        mode=mode,
        coordinate_transformation_mode="half_pixel",
        # floor((i + 0.5) * scale): half a pixel is subtracted, and halves are rounded up.
        nearest_mode="round_prefer_ceil" if mode == "nearest" else None,
        as_sizes=wanted,
    )
    return call.squeeze(y, 0) if single else y


def _lerped(call: Emitter, x: Tensor, size: Sequence[Size]) -> Tensor:
    """``a + (b - a) * t`` along the width and then the height (``resize_bilinear_op.cc``)."""
    for axis, wanted in ((x.rank - 1, size[1]), (x.rank - 2, size[0])):
        length = x.sizes[axis]
        assert isinstance(length, int) and isinstance(wanted, int)
        half = np.float32(0.5)
        place = (np.arange(wanted, dtype=np.float32) + half) * (
            np.float32(length) / np.float32(wanted)
        ) - half
        start = np.floor(place)
        lower = np.maximum(start, 0).astype(np.int64)
        upper = np.minimum(np.ceil(place), length - 1).astype(np.int64)
        step = (place - start).reshape([-1] + [1] * (x.rank - 1 - axis))
        a, b = (call.op("Gather", x, index, axis=axis) for index in (lower, upper))
        x = call.op("Add", a, call.op("Mul", call.op("Sub", b, a), step))
    return x


def _lerped_at(call: Emitter, x: Tensor, size: Sequence[Size]) -> Tensor:
    """``_lerped`` where a size is known only at run time."""
    for axis, wanted in ((x.rank - 1, size[1]), (x.rank - 2, size[0])):
        length, count = call.count(x, axis, "int64"), _count(call, x, wanted)
        scale = call.op("Div", call.cast(length, "float32"), call.cast(count, "float32"))
        place = call.op("Sub", call.op("Mul", call.op("Add", weights.counted(call, count), 0.5), scale), 0.5)
        start = call.op("Floor", place)
        lower = call.op("Max", call.cast(start, "int64"), 0)
        upper = call.op("Min", call.cast(call.op("Ceil", place), "int64"), call.op("Sub", length, 1))
        step = call.op("Sub", place, start)
        step = call.unsqueeze(step, *range(1, x.rank - axis))
        sizes = [*x.sizes[:axis], wanted, *x.sizes[axis + 1 :]]
        a, b = (call.op("Gather", x, index, axis=axis, as_sizes=sizes) for index in (lower, upper))
        x = call.op("Add", a, call.op("Mul", call.op("Sub", b, a), step), as_sizes=sizes)
    return x


def _count(call: Emitter, x: Tensor, size: Size) -> Tensor:
    """A size as a scalar."""
    if isinstance(size, int):
        return call.constant(size, "int64")
    return call.squeeze(call.shape([size], x), 0)


def _matrix(call: Emitter, x: Tensor, axis: int, wanted: Size, interpolation: str, antialias: bool) -> Tensor:
    """The weights ``[wanted, n]`` for an axis of size n."""
    if interpolation not in _KERNELS:
        raise Refused(f"interpolation {interpolation!r}")
    size = x.sizes[axis]
    sharp = interpolation == "bicubic" and not antialias
    if isinstance(size, int) and isinstance(wanted, int):
        fixed = _bicubic(size, wanted) if sharp else _sampled(size, wanted, interpolation, antialias)
        return call.constant(fixed, x.dtype)
    counts = call.count(x, axis, "int64"), _count(call, x, wanted)
    open_ = (
        weights.bicubic(call, *counts) if sharp else weights.sampled(call, *counts, interpolation, antialias)
    )
    open_.sizes = (wanted, size)
    return call.cast(open_, x.dtype)


def _numbers(sizes: Sequence[Size]) -> list[int]:
    return [size for size in sizes if isinstance(size, int)]


def _bicubic(size: int, wanted: int) -> Array:
    def near(x: float) -> float:
        return (1.5 * x - 2.5) * x * x + 1

    def far(x: float) -> float:
        return ((-0.5 * x + 2.5) * x - 4) * x + 2

    matrix = np.zeros((wanted, size))
    scale = np.float32(size) / np.float32(wanted)
    for row in range(wanted):
        place = (np.float32(row) + np.float32(0.5)) * scale - np.float32(0.5)
        start = math.floor(place)
        step = float(np.rint((place - np.float32(start)) * np.float32(_TABLE))) / _TABLE
        weights = (far(1 + step), near(step), near(1 - step), far(2 - step))
        for offset, weight in enumerate(weights, -1):
            if 0 <= start + offset < size:
                matrix[row, start + offset] += weight
        matrix[row] /= matrix[row].sum()
    return matrix


def _lanczos(radius: float) -> Callable[[float], float]:
    def kernel(x: float) -> float:
        if x > radius:
            return 0.0
        if x <= 1e-3:
            return 1.0
        return radius * math.sin(math.pi * x) * math.sin(math.pi * x / radius) / (math.pi * x) ** 2

    return kernel


def _keys(x: float) -> float:
    if x >= 2:
        return 0.0
    return ((-0.5 * x + 2.5) * x - 4) * x + 2 if x >= 1 else (1.5 * x - 2.5) * x * x + 1


# In float64, for fixed sizes; `_resize_weights` has them as nodes.
_KERNELS: dict[str, tuple[float, Callable[[float], float]]] = {
    "bilinear": (1.0, lambda x: max(0.0, 1 - x)),
    "bicubic": (2.0, _keys),
    "lanczos3": (3.0, _lanczos(3.0)),
    "lanczos5": (5.0, _lanczos(5.0)),
}


def _sampled(size: int, wanted: int, interpolation: str, antialias: bool) -> Array:
    radius, kernel = _KERNELS[interpolation]
    matrix = np.zeros((wanted, size))
    inverse = size / wanted
    wider = max(inverse, 1.0) if antialias else 1.0
    for row in range(wanted):
        place = (row + 0.5) * inverse
        first = max(math.ceil(place - radius * wider - 0.5), 0)
        last = min(math.floor(place + radius * wider - 0.5), size - 1)
        for source in range(first, last + 1):
            matrix[row, source] = kernel(abs(source + 0.5 - place) / wider)
        total = matrix[row].sum()
        if abs(total) >= 1000 * float(np.finfo(np.float32).tiny):
            matrix[row] /= total
    return matrix


# -- aspect ratios and types -----------------------------
def spatial_axes(call: Emitter, x: Tensor) -> tuple[int, int]:
    """The axes of height and width."""
    start = x.rank - 2 if call.channels_first() else x.rank - 3
    return start, start + 1


def of_type(call: Emitter, transform: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A transform that keeps the type of its operand: integers are rounded and clipped to their range."""

    def typed(x: Tensor) -> Tensor:
        y = transform(x)
        if x.dtype not in INTEGERS or y.dtype == x.dtype:
            return call.cast(y, x.dtype)
        limits = np.iinfo(x.dtype)
        y = call.op(
            "Clip", call.op("Round", y), *(call.constant(n, y.dtype) for n in (limits.min, limits.max))
        )
        return call.cast(y, x.dtype)

    return typed


def fixed_size(x: Tensor, axis: int) -> int:
    """The size of an axis. Raises Refused where it is open."""
    size = x.sizes[axis]
    if not isinstance(size, int):
        raise Refused("its images are of open size")
    return size


def _ratio(a: int, b: int, c: int) -> int:
    """``a * b / c`` in float32, truncated to an integer."""
    return int(np.float32(a * b) / np.float32(c))


def _ratio_at(call: Emitter, a: Tensor, b: int, c: int) -> Tensor:
    """``_ratio`` of ``a``, ``int64[1]``."""
    return call.cast(call.op("Div", call.cast(call.op("Mul", a, b), "float32"), float(c)), "int64")


def _measured(call: Emitter, x: Tensor, size: tuple[int, int]) -> list[tuple[int, Tensor, Tensor]]:
    """Height and width of ``x``: the axis, its size, and the size that fits the other one; both ``int64[1]``."""
    axes = spatial_axes(call, x)
    measured = [call.shape([x.sizes[axis]], x) for axis in axes]
    return [(axes[n], measured[n], _ratio_at(call, measured[1 - n], size[n], size[1 - n])) for n in (0, 1)]


def _is_open(x: Tensor, places: Sequence[int]) -> bool:
    return not all(isinstance(x.sizes[place], int) for place in places)


def cut_to_aspect(call: Emitter, x: Tensor, size: tuple[int, int]) -> Tensor:
    """The middle of the image, cropped to the aspect ratio of ``size`` (``smart_resize``)."""
    places = spatial_axes(call, x)
    if _is_open(x, places):
        return _cut_at(call, x, size)
    height, width = (fixed_size(x, p) for p in places)
    kept = (
        max(min(height, _ratio(width, size[0], size[1])), 1),
        max(min(width, _ratio(height, size[1], size[0])), 1),
    )
    for place, whole, part in zip(places, (height, width), kept, strict=True):
        if whole != part:
            start = (whole - part) // 2
            x = call.slice(x, place, start, start + part)
    return x


def _cut_at(call: Emitter, x: Tensor, size: tuple[int, int]) -> Tensor:
    y = x
    for axis, whole, fitting in _measured(call, x, size):
        kept = call.op("Max", call.op("Min", whole, fitting), 1)
        start = call.op("Div", call.op("Sub", whole, kept), 2)
        sizes = [unknown() if n == axis else s for n, s in enumerate(y.sizes)]
        y = call.op("Slice", y, start, call.op("Add", start, kept), [axis], as_sizes=sizes)
    return y


def filled_to_aspect(call: Emitter, x: Tensor, size: tuple[int, int]) -> Tensor:
    """The image between bars of ``fill_value``, with nearly the aspect ratio of ``size``."""
    places = spatial_axes(call, x)
    if _is_open(x, places):
        return _filled_at(call, x, size)
    height, width = (fixed_size(x, p) for p in places)
    wanted = (
        max(height, _ratio(width, size[0], size[1])),
        max(width, _ratio(height, size[1], size[0])),
    )
    bars = [0] * x.rank
    for place, whole, part in zip(places, wanted, (height, width), strict=True):
        bars[place] = (whole - part) // 2
    return call.pad(x, bars, bars, call.get("fill_value", 0.0))


def _filled_at(call: Emitter, x: Tensor, size: tuple[int, int]) -> Tensor:
    bars, sizes = [call.constant([0], "int64")] * x.rank, list(x.sizes)
    for axis, whole, fitting in _measured(call, x, size):
        bars[axis] = call.op("Div", call.op("Sub", call.op("Max", whole, fitting), whole), 2)
        sizes[axis] = unknown()
    fill = call.constant(call.get("fill_value", 0.0), x.dtype)
    return call.op("Pad", x, call.concat([*bars, *bars], 0), fill, mode="constant", as_sizes=sizes)
