"""Image ops: one image ``[H, W, C]`` or a batch of them, either data format."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .....ir.size import Size, product
from .....shapes.dtypes import result_type
from .....shapes.windows import extent
from ...emitter import Emitter
from ...graph import Array, Tensor
from ...registry import op, refuse_ops
from .. import _resize_weights as weights
from .._resize import cut_to_aspect, filled_to_aspect, of_type, resized
from .._windows import Window, convolve, convolve_depthwise, padded
from . import _factorisations as factorisations
from ._operands import argument, as_tensor, floating, promoted_float, where
from ._sampling import at_coordinates, projected

refuse_ops("it is random", "image", "ElasticTransform")


def _image(call: Emitter, name: str = "images") -> Tensor:
    return as_tensor(call, argument(call, 0, name))


def _channels(call: Emitter, x: Tensor) -> int:
    """The axis of the channels."""
    return x.rank - 3 if call.channels_first() else x.rank - 1


def _last(call: Emitter, x: Tensor) -> Tensor:
    """``[B?, C, H, W] -> [B, H, W, C]``; channels last stay, one image becomes a batch."""
    if x.rank == 3:
        x = call.unsqueeze(x, 0)
    return call.transpose(x, [0, 2, 3, 1]) if call.channels_first() else x


def _back(call: Emitter, x: Tensor, rank: int) -> Tensor:
    """The inverse of ``_last``."""
    if call.channels_first():
        x = call.transpose(x, [0, 3, 1, 2])
    return call.squeeze(x, 0) if rank == 3 else x


# -- colours -----------------------------
@op("image", "RGBToGrayscale")
def to_grayscale(call: Emitter) -> Tensor:
    """``rgb_to_grayscale(x[B, H, W, 3]) -> [B, H, W, 1]``."""
    x = _image(call)
    axis = _channels(call, x)
    if x.sizes[axis] == 1:
        return x
    wide = call.cast(x, promoted_float(x.dtype))
    weights = call.constant([0.2989, 0.5870, 0.1140], wide.dtype)
    if axis == x.rank - 1:
        return call.cast(call.op("MatMul", wide, call.unsqueeze(weights, 1)), x.dtype)
    shares = call.op("Mul", wide, call.unsqueeze(weights, 1, 2))
    return call.cast(call.reduce("ReduceSum", shares, [axis], keepdims=True), x.dtype)


def _colours(call: Emitter, x: Tensor) -> list[Tensor]:
    axis = _channels(call, x)
    return [call.slice(x, axis, n, n + 1) for n in range(3)]


@op("image", "RGBToHSV")
def rgb_to_hsv(call: Emitter) -> Tensor:
    """``rgb_to_hsv(x[B, H, W, 3]) -> [B, H, W, 3]`` (``colorspace_op.h``)."""
    x = floating(call, _image(call))
    red, green, blue = _colours(call, x)
    zero = call.constant(0, x.dtype)
    value = call.op("Max", call.op("Max", red, green), blue)
    spread = call.op("Sub", value, call.op("Min", call.op("Min", red, green), blue))
    saturation = where(call, call.op("Greater", value, zero), call.op("Div", spread, value), zero)
    unit = call.op("Div", call.constant(1 / 6, x.dtype), spread)

    def turned(one: Tensor, two: Tensor, offset: float) -> Tensor:
        step = call.op("Mul", unit, call.op("Sub", one, two))
        return call.op("Add", step, offset) if offset else step

    hue = where(call, call.op("Equal", green, value), turned(blue, red, 2 / 6), turned(red, green, 4 / 6))
    hue = where(call, call.op("Equal", red, value), turned(green, blue, 0.0), hue)
    hue = where(call, call.op("Greater", spread, zero), hue, zero)
    hue = where(call, call.op("Less", hue, zero), call.op("Add", hue, 1.0), hue)
    return call.concat([hue, saturation, value], _channels(call, x))


@op("image", "HSVToRGB")
def hsv_to_rgb(call: Emitter) -> Tensor:
    """``hsv_to_rgb(x[B, H, W, 3]) -> [B, H, W, 3]`` (``colorspace_op.h``)."""
    x = floating(call, _image(call))
    hue, saturation, value = _colours(call, x)
    sixths = call.op("Mul", hue, 6.0)
    rest = call.op("Sub", call.constant(1, x.dtype), saturation)
    limits = call.constant(0, x.dtype), call.constant(1, x.dtype)

    def distance(centre: float) -> Tensor:
        return call.op("Abs", call.op("Sub", sixths, centre))

    shares = (
        call.op("Sub", distance(3.0), 1.0),
        call.op("Sub", call.constant(2, x.dtype), distance(2.0)),
        call.op("Sub", call.constant(2, x.dtype), distance(4.0)),
    )
    colours = []
    for share in shares:
        full = call.op("Mul", saturation, call.op("Clip", share, *limits))
        colours.append(call.op("Mul", call.op("Add", rest, full), value))
    return call.concat(colours, _channels(call, x))


# -- sizes -----------------------------
@op("image", "Resize")
def resize(call: Emitter) -> Tensor:
    """``resize(x[B, H, W, C], (h, w)) -> [B, h, w, C]``."""
    height, width = call.integers("size", 2, 1)

    def transform(x: Tensor) -> Tensor:
        if call.flag("crop_to_aspect_ratio"):
            x = cut_to_aspect(call, x, (height, width))
        elif call.flag("pad_to_aspect_ratio"):
            x = filled_to_aspect(call, x, (height, width))
        interpolation = call.text("interpolation", "bilinear").lower()
        return resized(call, x, (height, width), interpolation, call.flag("antialias"), call.channels_first())

    return of_type(call, transform)(_image(call))


_SIDES = (("top", "bottom", "target_height"), ("left", "right", "target_width"))


def _borders(call: Emitter, x: Tensor, what: str, sign: int) -> list[tuple[int, Size, Size, Size]]:
    """For height and width: the axis, the borders in front and at the end, and the resulting size."""
    start = x.rank - 2 if call.channels_first() else x.rank - 3
    rows: list[tuple[int, Size, Size, Size]] = []
    for axis, sides in enumerate(_SIDES, start):
        before, after = (call.get(f"{side}_{what}") for side in sides[:2])
        size, target = x.sizes[axis], call.get(sides[2])
        first: Size
        last: Size
        if target is None:
            first, last = call.whole(what, before, 0), call.whole(what, after, 0)
            rows.append((axis, first, last, size + sign * (first + last)))
            continue
        total = sign * (call.whole(sides[2], target, 0) - size)
        first = call.whole(what, before, 0) if before is not None else total - call.whole(what, after, 0)
        last = call.whole(what, after, 0) if after is not None else total - first
        rows.append((axis, first, last, target))
    return rows


@op("image", "PadImages")
def pad_images(call: Emitter) -> Tensor:
    """``pad_images(x[B, H, W, C], top, left, bottom, right) -> [B, top+H+bottom, left+W+right, C]``."""
    x = _image(call)
    before: list[Size] = [0] * x.rank
    after: list[Size] = [0] * x.rank
    for axis, first, last, _ in _borders(call, x, "padding", 1):
        before[axis], after[axis] = first, last
    return call.op("Pad", x, call.shape([*before, *after], x), mode="constant", as_sizes=call.sizes)


@op("image", "CropImages")
def crop_images(call: Emitter) -> Tensor:
    """``crop_images(x[B, H, W, C], top, left, bottom, right) -> [B, H-top-bottom, W-left-right, C]``."""
    x = _image(call)
    rows = _borders(call, x, "cropping", -1)
    starts = call.shape([first for _, first, _, _ in rows], x)
    ends = call.shape([first + size for _, first, _, size in rows], x)
    return call.op("Slice", x, starts, ends, [row[0] for row in rows], as_sizes=call.sizes)


@op("image", "ExtractPatches")
def extract_patches(call: Emitter) -> Tensor:
    """``extract_patches(x[B, H, W, C], (k, l)) -> [B, H', W', k*l*C]``; a third size gives patches of a volume."""
    given = call.get("size")
    count = len(given) if isinstance(given, (list, tuple)) else 2
    size = call.integers("size", count, 1)
    strides = call.integers("strides", count, 1) if call.get("strides") else size
    dilation = call.integers("dilation_rate", count, 1, 1)
    padding = call.text("padding", "valid", ("valid", "same"))
    x, first = floating(call, _image(call)), call.channels_first()
    single = x.rank == count + 1
    if single:
        x = call.unsqueeze(x, 0)
    channels = x.sizes[1 if first else -1]
    if not isinstance(channels, int):
        raise call.refuse("the number of channels is not fixed")
    if all(isinstance(n, int) for n in (x.sizes[2:] if first else x.sizes[1:-1])):
        y = _gathered(call, x, size, strides, dilation, padding)
    else:
        total = channels * int(np.prod(size))
        kernel = call.constant(np.eye(total).reshape(*size, channels, total), x.dtype)
        y = convolve(call, x, kernel, None, Window(strides, padding, dilation, first))
    return call.squeeze(y, 0) if single else y


def _gathered(
    call: Emitter,
    x: Tensor,
    size: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
    padding: str,
) -> Tensor:
    """Patches of an image of fixed size: gathered axis by axis."""
    first, count = call.channels_first(), len(size)
    image = x if first else call.transpose(x, [0, x.rank - 1, *range(1, x.rank - 1)])
    spans = [extent(k, d) for k, d in zip(size, dilation, strict=True)]
    image, pads = padded(call, image, spans, strides, padding)
    image = call.pad(image, [0, 0, *pads[:count]], [0, 0, *pads[count:]])
    for n, (k, step, rate) in enumerate(zip(size, strides, dilation, strict=True)):
        axis = 2 + 2 * n
        length = image.sizes[axis]
        assert isinstance(length, int)
        starts = np.arange((length - spans[n]) // step + 1) * step
        image = call.op("Gather", image, starts[:, None] + np.arange(k)[None] * rate, axis=axis)
    batch, channels, *rest = image.sizes
    windows, inner = rest[::2], rest[1::2]
    along, within = list(range(2, 2 + 2 * count, 2)), list(range(3, 3 + 2 * count, 2))
    depth = product([*inner, channels])
    if first:
        return call.reshape(call.transpose(image, [0, *within, 1, *along]), [batch, depth, *windows])
    return call.reshape(call.transpose(image, [0, *along, *within, 1]), [batch, *windows, depth])


# -- filters -----------------------------
@op("image", "GaussianBlur")
def gaussian_blur(call: Emitter) -> Tensor:
    """``gaussian_blur(x[B, H, W, C]) -> [B, H, W, C]``."""
    x = floating(call, _image(call))
    size, given = call.integers("kernel_size", 2, 1, 3), call.get("sigma", (1.0, 1.0))
    sigma = list(given) if isinstance(given, (list, tuple)) else [given] * 2
    if not all(isinstance(s, (int, float)) for s in sigma):
        raise call.refuse("its sigma is computed")
    lines = [_bell(n, float(s)) for n, s in zip(size, sigma, strict=True)]
    # As in Keras, the columns' line comes first, whatever the sizes (backend/tensorflow/image.py, 3.15).
    kernel = np.outer(lines[1], lines[0]).reshape(*size, 1, 1)
    return _back(call, _filtered(call, _last(call, x), kernel, "same"), x.rank)


def _bell(size: int, sigma: float) -> Array:
    places = np.arange(size) - (size - 1) / 2
    line = np.exp(-0.5 * (places / sigma) ** 2)
    return np.asarray(line / line.sum())


def _filtered(call: Emitter, x: Tensor, kernel: Array, padding: str) -> Tensor:
    """One kernel ``[k, l, 1, M]`` for every channel of ``[B, H, W, C]``."""
    channels = x.sizes[-1]
    if not isinstance(channels, int):
        raise call.refuse("the number of channels is not fixed")
    weights = call.constant(np.tile(kernel, [1, 1, channels, 1]), x.dtype)
    return convolve_depthwise(call, x, weights, None, Window((1, 1), padding, (1, 1), first=False))


@op("image", "SobelEdges")
def sobel_edges(call: Emitter) -> Tensor:
    """``sobel_edges(x[B, H, W, C]) -> [B, H, W, C, 2]``: the slopes down and across."""
    x = _last(call, floating(call, _image(call)))
    down = np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]])
    kernels = np.stack([down, down.T], axis=-1)[:, :, None, :]
    bordered = call.op("Pad", x, [0, 1, 1, 0, 0, 1, 1, 0], mode="reflect")
    y = call.reshape(_filtered(call, bordered, kernels, "valid"), [*x.sizes, 2])
    return call.transpose(y, [0, 3, 1, 2, 4]) if call.channels_first() else y


@op("image", "SSIM")
def ssim(call: Emitter) -> Tensor:
    """``ssim(x[B, H, W, C], y[B, H, W, C]) -> [B]``; two single images give ``[]``."""
    one, two = (as_tensor(call, argument(call, n, f"image{n + 1}")) for n in (0, 1))
    dtype, rank = promoted_float(one.dtype), one.rank
    x, y = (_last(call, call.cast(t, dtype)) for t in (one, two))
    line = _line(call.integer("filter_size", 1, 11), call.number("filter_sigma", 1.5))
    kernel = np.outer(line, line)[:, :, None, None]
    limit = call.number("max_val", 1.0)
    low, high = ((call.number(k, d) * limit) ** 2 for k, d in (("k1", 0.01), ("k2", 0.03)))

    def mean(t: Tensor) -> Tensor:
        return _filtered(call, t, kernel, "valid")

    def product_of(a: Tensor, b: Tensor) -> Tensor:
        return call.op("Mul", a, b)

    means = mean(x), mean(y)
    squares = [product_of(m, m) for m in means]
    crossed = product_of(*means)
    spreads = [
        call.op("Sub", mean(product_of(t, t)), square) for t, square in zip((x, y), squares, strict=True)
    ]
    shared = call.op("Sub", mean(product_of(x, y)), crossed)
    above = product_of(
        call.op("Add", call.op("Mul", crossed, 2.0), low), call.op("Add", call.op("Mul", shared, 2.0), high)
    )
    below = product_of(
        call.op("Add", call.op("Add", *squares), low), call.op("Add", call.op("Add", *spreads), high)
    )
    result = call.reduce("ReduceMean", call.op("Div", above, below), [1, 2, 3])
    return call.cast(call.squeeze(result, 0) if rank == 3 else result, call.dtype)


def _line(size: int, sigma: float) -> Array:
    line = np.exp(-((np.arange(size) - (size - 1) / 2.0) ** 2) / (2.0 * sigma**2))
    return np.asarray(line / line.sum())


# -- sampling at other positions -----------------------------
@op("image", "AffineTransform")
def affine_transform(call: Emitter) -> Tensor:
    """``affine_transform(x[B, H, W, C], transform[8] or [B, 8]) -> [B, H, W, C]``."""
    x = _image(call)
    transform = as_tensor(call, call.arg(1, "transform"), "float32")
    if transform.rank == 1:
        transform = call.unsqueeze(transform, 0)
    modes = ("constant", "nearest", "wrap", "reflect")
    return _projected(call, x, transform, call.text("fill_mode", "constant", modes))


def _projected(call: Emitter, x: Tensor, transform: Tensor, fill_mode: str) -> Tensor:
    interpolation = call.text("interpolation", "bilinear", ("nearest", "bilinear"))
    fill_value = call.number("fill_value", 0)
    return _back(
        call, projected(call, _last(call, x), transform, interpolation, fill_mode, fill_value), x.rank
    )


@op("image", "PerspectiveTransform")
def perspective_transform(call: Emitter) -> Tensor:
    """``perspective_transform(x[B, H, W, C], start[4, 2], end[4, 2]) -> [B, H, W, C]``."""
    x = _image(call)
    points = [
        as_tensor(call, call.arg(n, name), "float32") for n, name in ((1, "start_points"), (2, "end_points"))
    ]
    if call.text("interpolation", "bilinear") == "nearest":
        raise call.refuse("the nearest pixel depends on how TensorFlow rounds the solution of equations")
    start, end = (call.unsqueeze(p, 0) if p.rank == 2 else p for p in points)
    return _projected(call, x, _homography(call, start, end), "constant")


def _homography(call: Emitter, start: Tensor, end: Tensor) -> Tensor:
    """``homography(start[b, 4, 2], end[b, 4, 2]) -> [b, 8]``: projections of the end points to the start points.

    With end points (x, y) and start points (u, v), rows ``x y 1 0 0 0 -ux -uy`` give u, and ``0 0 0 x y 1 -vx -vy`` v.
    """
    batch = end.sizes[0]
    ones, none = (
        call.expand(call.constant(n, end.dtype), [batch, 4, count]) for n, count in ((1, 1), (0, 3))
    )
    point = call.concat([end, ones], 2)
    coordinates = [call.slice(start, 2, n, n + 1) for n in (0, 1)]
    halves = []
    for coordinate, parts in zip(coordinates, ([point, none], [none, point]), strict=True):
        halves.append(call.concat([*parts, call.op("Mul", call.op("Neg", coordinate), end)], 2))
    matrix, right = call.concat(halves, 1), call.concat(coordinates, 1)
    if matrix.data is None or right.data is None:
        return call.reshape(factorisations.solve(call, matrix, right), [batch, 8])
    fixed = np.linalg.solve(*(t.data.small.astype(np.float64) for t in (matrix, right) if t.data is not None))
    return call.constant(fixed[..., 0], "float32")


@op("image", "MapCoordinates")
def map_coordinates(call: Emitter) -> Tensor:
    """``map_coordinates(x[a, b], coordinates[2, ...]) -> [...]``."""
    x = _image(call, "inputs")
    coordinates = as_tensor(call, call.arg(1, "coordinates"))
    order = call.integer("order", 0)
    if order > 1:
        raise call.bad("order", order, "0 or 1")
    modes = ("constant", "nearest", "wrap", "mirror", "reflect")
    mode = call.text("fill_mode", "constant", modes)
    return at_coordinates(call, x, coordinates, order, mode, call.get("fill_value", 0) or 0)


@op("image", "ScaleAndTranslate")
def scale_and_translate(call: Emitter) -> Tensor:
    """``scale_and_translate(x[...], output_shape) -> output_shape``: a product with a matrix for each axis."""
    x = floating(call, _image(call))
    scale, translation = (
        as_tensor(call, call.arg(n, name)) for n, name in ((2, "scale"), (3, "translation"))
    )
    axes = [call.axis(d, x.rank, "spatial_dims") for d in call.get("spatial_dims")]
    y = x
    for n, axis in enumerate(axes):
        matrix = _scaled(call, x, axis, scale, translation, n)
        order = [*(a for a in range(x.rank) if a != axis), axis]
        y = call.op("MatMul", call.transpose(y, order), call.cast(matrix, y.dtype))
        y = call.transpose(y, [order.index(a) for a in range(x.rank)])
    return y


_METHODS = {
    **dict.fromkeys(("linear", "bilinear", "trilinear", "triangle"), "bilinear"),
    **dict.fromkeys(("cubic", "bicubic", "tricubic"), "bicubic"),
    "lanczos3": "lanczos3",
    "lanczos5": "lanczos5",
}


def _scaled(call: Emitter, x: Tensor, axis: int, scale: Tensor, translation: Tensor, place: int) -> Tensor:
    """``[size, wanted]``: the weights of the operand for each result position (``_compute_weight_mat``).

    Args:
        place: of the axis in ``scale`` and ``translation``.
    """
    kernel = weights.KERNELS[_METHODS[call.text("method", "", tuple(_METHODS))]]
    dtype = result_type(scale.dtype, translation.dtype)
    one, half = call.constant(1, dtype), call.constant(0.5, dtype)
    scale, translation = (
        call.op("Gather", call.cast(t, dtype), call.constant(place, "int64"), axis=0)
        for t in (scale, translation)
    )
    inverse = call.op("Reciprocal", scale)
    wider = call.op("Max", inverse, one) if call.flag("antialias", True) else one
    size, wanted = call.count(x, axis, "int64"), call.constant(call.sizes[axis], "int64")
    sources, results = (call.cast(weights.counted(call, n), dtype) for n in (size, wanted))
    at = call.op("Mul", call.op("Add", results, half), inverse)
    at = call.op("Sub", call.op("Sub", at, call.op("Mul", translation, inverse)), half)
    apart = call.op("Abs", call.op("Sub", call.unsqueeze(at, 0), call.unsqueeze(sources, 1)))
    y = kernel(call, call.op("Div", apart, wider))
    total = call.reduce("ReduceSum", y, [0], keepdims=True)
    enough = call.op("Greater", call.op("Abs", total), 1000.0 * float(np.finfo(np.float32).eps))
    y = where(call, enough, call.op("Div", y, where(call, enough, total, 1.0)), 0.0)
    last = call.op("Sub", call.cast(size, dtype), half)
    inside = call.op(
        "And", call.op("GreaterOrEqual", at, call.op("Neg", half)), call.op("LessOrEqual", at, last)
    )
    return where(call, inside, y, 0.0)
