"""Convolution and pooling ops, unfold and fold, and ops that move space to depth or back."""

from __future__ import annotations

from collections.abc import Sequence

from ...ir.axis import Axis, Role, Value, new_axis, same_kind
from ...ir.size import Size, Truth, divide, floordiv, same, unknown
from ..call import Call, ShapeError, known, need_rank, op
from ..spatial import Image, image, resized, slid
from ..windows import transposed, window
from ._operands import operand

Axes = tuple[Axis, ...]


def _padding(call: Call, *choices: str) -> str:
    value = call.text("padding", "valid")
    if value.lower() not in choices:
        raise call.bad("padding", value, " or ".join(choices))
    return value.lower()


def _kernel(call: Call, position: int, name: str, rank: int) -> list[Size]:
    axes = known(operand(call, position, name))
    if len(axes) != rank:
        raise ShapeError(f"takes a kernel of rank {rank} for {call.x.text()}, not {len(axes)}")
    return [a.size for a in axes]


def _image(call: Call) -> tuple[Image, int]:
    rank = len(need_rank(call.x, 3, 4, 5))
    return image(call, rank - 2), rank - 2


def _slid(call: Call, x: Image, kernel: Sequence[Size], padding: str) -> list[Axis]:
    n = len(x.spatial)
    strides, dilation = call.integers("strides", n, 1, 1), call.integers("dilation_rate", n, 1, 1)
    spatial = []
    for axis, k, s, d in zip(x.spatial, kernel, strides, dilation, strict=True):
        if padding == "valid" and not isinstance(k, int):
            spatial.append(same_kind(axis, unknown()))
        else:
            length = k if isinstance(k, int) else 1
            spatial.append(slid(axis, window(axis.size, length, s, d, padding), s, f"a window of {k}"))
    return spatial


@op("nn", "Conv")
def conv(call: Call) -> Value:
    """``conv(x[B, S..., C], kernel[k..., C/groups, F]) -> [B, S'..., F]``."""
    x, n = _image(call)
    *kernel, taken, filters = _kernel(call, 1, "kernel", n + 2)
    if isinstance(x.channel.size, int) and isinstance(taken, int) and (taken < 1 or x.channel.size % taken):
        raise ShapeError(f"a kernel over {taken} channels does not fit {x.channel}")
    spatial = _slid(call, x, kernel, _padding(call, "valid", "same", "causal"))
    return call.like(x.join(spatial, new_axis(filters, Role.CHANNEL, derived=x.channel)))


@op("nn", "DepthwiseConv")
def depthwise_conv(call: Call) -> Value:
    """``depthwise_conv(x[B, S..., C], kernel[k..., C, m]) -> [B, S'..., C*m]``."""
    x, n = _image(call)
    *kernel, taken, factor = _kernel(call, 1, "kernel", n + 2)
    _fits(taken, x.channel)
    spatial = _slid(call, x, kernel, _padding(call, "valid", "same"))
    return call.like(x.join(spatial, resized(x.channel, taken * factor)))


@op("nn", "SeparableConv")
def separable_conv(call: Call) -> Value:
    """``separable_conv(x[B, S..., C], depthwise[k..., C, m], pointwise[1..., C*m, F]) -> [B, S'..., F]``."""
    x, n = _image(call)
    *kernel, taken, factor = _kernel(call, 1, "depthwise_kernel", n + 2)
    *_, mixed, filters = _kernel(call, 2, "pointwise_kernel", n + 2)
    _fits(taken, x.channel)
    if same(mixed, taken * factor) is Truth.NO:
        raise ShapeError(f"a pointwise kernel over {mixed} channels does not fit {taken * factor} channels")
    spatial = _slid(call, x, kernel, _padding(call, "valid", "same"))
    return call.like(x.join(spatial, new_axis(filters, Role.CHANNEL, derived=x.channel)))


@op("nn", "ConvTranspose")
def conv_transpose(call: Call) -> Value:
    """``conv_transpose(x[B, S..., C], kernel[k..., F, C]) -> [B, S'..., F]``."""
    x, n = _image(call)
    *kernel, filters, taken = _kernel(call, 1, "kernel", n + 2)
    _fits(taken, x.channel)
    padding = _padding(call, "valid", "same")
    strides, dilation = call.integers("strides", n, 1, 1), call.integers("dilation_rate", n, 1, 1)
    given = call.get("output_padding")
    extra: Sequence[int | None] = [None] * n if given is None else call.integers("output_padding", n)
    spatial = []
    for axis, k, s, d, p in zip(x.spatial, kernel, strides, dilation, extra, strict=True):
        if isinstance(k, int):
            size = transposed(axis.size, k, s, d, padding, p)
            spatial.append(slid(axis, size, s, "a transposed convolution"))
        else:
            spatial.append(same_kind(axis, unknown()))
    return call.like(x.join(spatial, new_axis(filters, Role.CHANNEL, derived=x.channel)))


def _fits(taken: Size, channel: Axis) -> None:
    if same(taken, channel.size) is Truth.NO:
        raise ShapeError(f"a kernel over {taken} channels does not fit {channel}")


@op("nn", "MaxPool", "AveragePool")
def pool(call: Call) -> Value:
    """``max_pool(x[B, S..., C], size) -> [B, S'..., C]``."""
    x, n = _image(call)
    size = call.integers("pool_size", n, 1)
    strides = size if call.get("strides") is None else call.integers("strides", n, 1)
    padding = _padding(call, "valid", "same")
    spatial = [
        slid(axis, window(axis.size, k, s, 1, padding), s, f"a window of {k}")
        for axis, k, s in zip(x.spatial, size, strides, strict=True)
    ]
    return call.like(x.join(spatial, x.channel))


@op("nn", "AdaptiveMaxPool", "AdaptiveAveragePool")
def adaptive_pool(call: Call) -> Value:
    """``adaptive_max_pool(x[B, S..., C], size) -> [B, size..., C]``."""
    x, n = _image(call)
    size = call.integers("output_size", n, 1)
    return call.like(x.join([resized(a, s) for a, s in zip(x.spatial, size, strict=True)], x.channel))


@op("nn", "Unfold")
def unfold(call: Call) -> Value:
    """``unfold(x[B, C, H, W], (k, l)) -> [B, C*k*l, H'*W']``."""
    x = image(call, 2, first=True)
    kernel, dilation = call.integers("kernel_size", 2, 1), call.integers("dilation", 2, 1, 1)
    pads, strides = call.integers("padding", 2, 0, 0), call.integers("stride", 2, 1, 1)
    height, width = (
        slid(a, window(a.size + 2 * p, k, s, d), s, f"a window of {k}")
        for a, k, d, p, s in zip(x.spatial, kernel, dilation, pads, strides, strict=True)
    )
    places = new_axis(height.size * width.size)
    return call.like([x.batch, resized(x.channel, x.channel.size * kernel[0] * kernel[1]), places])


@op("nn", "Fold")
def fold(call: Call) -> Value:
    """``fold(x[B, C*k*l, n], (h, w), (k, l)) -> [B, C, h, w]``."""
    batch, mixed, _ = need_rank(call.x, 3)
    kernel, size = call.integers("kernel_size", 2, 1), call.integers("output_size", 2, 1)
    count = kernel[0] * kernel[1]
    if isinstance(mixed.size, int) and mixed.size % count:
        raise ShapeError(f"{mixed} is not a multiple of the kernel's {count}")
    channel = new_axis(floordiv(mixed.size, count), Role.CHANNEL, derived=mixed)
    return call.like([batch, channel, new_axis(size[0], Role.HEIGHT), new_axis(size[1], Role.WIDTH)])


@op("nn", "DepthToSpace")
def depth_to_space(call: Call) -> Value:
    """``depth_to_space(x[B, H, W, C*n*n], n) -> [B, H*n, W*n, C]``."""
    x, n = image(call, 2), call.integer("block_size", 1)
    if isinstance(x.channel.size, int) and x.channel.size % (n * n):
        raise ShapeError(f"{x.channel} is not a multiple of {n * n}")
    channel = resized(x.channel, _divided(x.channel.size, n * n))
    return call.like(x.join([resized(a, a.size * n) for a in x.spatial], channel))


@op("nn", "SpaceToDepth")
def space_to_depth(call: Call) -> Value:
    """``space_to_depth(x[B, H*n, W*n, C], n) -> [B, H, W, C*n*n]``."""
    x, n = image(call, 2), call.integer("block_size", 1)
    for axis in x.spatial:
        if isinstance(axis.size, int) and axis.size % n:
            raise ShapeError(f"{axis} is not a multiple of {n}")
    spatial = [resized(a, _divided(a.size, n)) for a in x.spatial]
    return call.like(x.join(spatial, resized(x.channel, x.channel.size * n * n)))


def _divided(size: Size, by: int) -> Size:
    part = divide(size, by)
    return floordiv(size, by) if part is None else part
