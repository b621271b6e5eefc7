"""Images sampled on a grid, cropped, assembled from patches, or unpooled."""

from __future__ import annotations

from ...ir.axis import Axis, Role, Value, new_axis
from ...ir.size import Size, floordiv, product, unknown
from ..call import Call, OpaqueError, ShapeError, known, need_rank, onnx_op
from ._operands import axes_of_shape, given, operand, optional, sizes
from .convolution import image_of, numbers

Axes = tuple[Axis, ...]


@onnx_op("GridSample")
def grid_sample(call: Call) -> Value:
    """``grid_sample(x[B, C, H, W], grid[B, h, w, 2]) -> [B, C, h, w]``."""
    parts, grid = image_of(call), known(operand(call, 1))
    if len(grid) != len(parts.spatial) + 2:
        raise ShapeError(f"a grid {operand(call, 1).text()} does not fit {operand(call, 0).text()}")
    return Value(parts.join(grid[1:-1], parts.channel), operand(call, 0).dtype)


@onnx_op("AffineGrid")
def affine_grid(call: Call) -> Value:
    """``affine_grid(theta[B, n, n+1], size=(B, C, S...)) -> [B, S..., n]``."""
    theta, size = operand(call, 0), sizes(operand(call, 1))
    axes = need_rank(theta, 3)
    if size is None:
        raise OpaqueError("its size is known only when it runs")
    return Value((axes[0], *axes_of_shape(size[2:]), new_axis(axes[1].size)), theta.dtype)


@onnx_op("RoiAlign")
def roi_align(call: Call) -> Value:
    """``roi_align(x[B, C, H, W], rois[R, 4], batches[R]) -> [R, C, h, w]``."""
    parts, rois = image_of(call), need_rank(operand(call, 1), 2)
    height, width = (call.integer(name, 1, 1) for name in ("output_height", "output_width"))
    return Value(
        (rois[0], parts.channel, new_axis(height, Role.HEIGHT), new_axis(width, Role.WIDTH)),
        operand(call, 0).dtype,
    )


@onnx_op("Col2Im")
def columns_to_image(call: Call) -> Value:
    """``col2im(x[B, C*prod(block), L], image=(S...), block) -> [B, C, S...]``."""
    x = operand(call, 0)
    axes = need_rank(x, 3)
    image, block = sizes(operand(call, 1)), sizes(operand(call, 2))
    if image is None:
        raise OpaqueError("its image is known only when it runs")
    window = unknown() if block is None else product(block)
    channels = floordiv(axes[1].size, window) if isinstance(window, int) and window > 0 else unknown()
    return Value((axes[0], new_axis(channels, Role.CHANNEL), *axes_of_shape(image)), x.dtype)


@onnx_op("CenterCropPad")
def centre(call: Call) -> Value:
    """``centered(x[a, b], shape=(c, d)) -> [c, d]``; with ``axes``, only these axes change."""
    x = operand(call, 0)
    axes = list(known(x))
    places = [call.axis(a, len(axes), "axes") for a in call.config.get("axes") or range(len(axes))]
    wanted = sizes(operand(call, 1)) or [unknown() for _ in places]
    if len(wanted) != len(places):
        raise ShapeError(f"{len(wanted)} sizes for {len(places)} axes")
    for place, size in zip(places, wanted, strict=True):
        old = axes[place]
        axes[place] = old if size == old.size else new_axis(size, old.role, derived=old)
    return Value(tuple(axes), x.dtype)


@onnx_op("MaxUnpool")
def max_unpool(call: Call) -> Value:
    """``max_unpool(x[B, C, S...], positions) -> [B, C, S'...]``: ``(n-1)*stride - padding + kernel``, or as stated."""
    parts, x = image_of(call), operand(call, 0)
    if optional(call, 2) is not None:
        stated = sizes(operand(call, 2))
        if stated is None:
            raise OpaqueError("its size is known only when it runs")
        return Value((parts.batch, parts.channel, *axes_of_shape(stated[2:])), x.dtype)
    count = len(parts.spatial)
    kernel = call.integers("kernel_shape", count, 1)
    strides, pads = numbers(call, "strides", count, 1), numbers(call, "pads", 2 * count, 0)
    spatial: list[Axis] = []
    for i, axis in enumerate(parts.spatial):
        size: Size = (axis.size - 1) * strides[i] - pads[i] - pads[i + count] + kernel[i]
        spatial.append(new_axis(size, axis.role, derived=axis))
    return Value(parts.join(spatial, parts.channel), x.dtype)


@onnx_op("com.microsoft:CropAndResize")
def crop_and_resize(call: Call) -> Value:
    """``crop_and_resize(x[B, C, H, W], rois[R, 4], batches[R], size=(h, w)) -> [R, C, h, w]``."""
    parts, rois = image_of(call), need_rank(operand(call, 1), 2)
    size = given(call, 3, "crop_size") or [unknown(), unknown()]
    return Value((rois[0], parts.channel, *axes_of_shape(size)), operand(call, 0).dtype)
