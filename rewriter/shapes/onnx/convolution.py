"""Windows over channels-first images: convolution, pooling, resizing.

An axis of size n with padding p, kernel extent e and stride s gives ``(n + p - e) // s + 1`` windows
(https://onnx.ai/onnx/operators/onnx__Conv.html, onnx__MaxPool.html).
"""

from __future__ import annotations

from ...ir.axis import Axis, Role, Value, new_axis, remade, unit_axis
from ...ir.size import Size, Truth, ceildiv, floordiv, same, unknown
from ..call import Call, OpaqueError, ShapeError, known, onnx_op
from ..spatial import SPATIAL_ROLES, Image, slid
from ..windows import extent
from ._operands import given, operand, optional, sizes
from .batch import takes_as_batch

_PADS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")


def image_of(call: Call) -> Image:
    """The first input as ``[B, C, S1..Sn]``; hints the roles of its axes. Raises ShapeError for a rank below 3.

    ``[B, S1..Sn, C]`` where a quantised operator has ``channels_last``.
    """
    axes = known(operand(call, 0))
    if len(axes) < 3:
        raise ShapeError(f"takes a tensor of rank 3 or more, not {operand(call, 0).text()}")
    first = not call.flag("channels_last")
    spatial, channel = (axes[2:], axes[1]) if first else (axes[1:-1], axes[-1])
    parts = Image(axes[0], spatial, channel, first=first)
    takes_as_batch(parts.batch)
    parts.channel.origin.hint(Role.CHANNEL)
    for axis, role in zip(parts.spatial, SPATIAL_ROLES.get(len(parts.spatial), ()), strict=False):
        axis.origin.hint(role)
    return parts


def numbers(call: Call, name: str, count: int, default: int) -> tuple[int, ...]:
    if call.config.get(name) is None:
        return (default,) * count
    return call.integers(name, count, 0)


def _slid(call: Call, parts: Image, kernel: tuple[int, ...]) -> list[Axis]:
    count = len(parts.spatial)
    strides, dilations = numbers(call, "strides", count, 1), numbers(call, "dilations", count, 1)
    pads = numbers(call, "pads", 2 * count, 0)
    auto = call.text("auto_pad", "NOTSET", _PADS)
    what = call.operation.class_name
    result = []
    for i, axis in enumerate(parts.spatial):
        if strides[i] < 1:
            raise call.bad("strides", list(strides), "numbers of at least 1")
        if auto.startswith("SAME"):
            size = ceildiv(axis.size, strides[i])
        else:
            padding = (0, 0) if auto == "VALID" else (pads[i], pads[i + count])
            room = axis.size + sum(padding) - extent(kernel[i], dilations[i])
            size = floordiv(room, strides[i]) + 1
            if call.flag("ceil_mode"):
                size = _rounded_up(axis.size + padding[0], room, strides[i])
        result.append(slid(axis, size, strides[i], what))
    return result


def _rounded_up(end: Size, room: Size, stride: int) -> Size:
    """The number of windows with ``ceil_mode``: a last partial window counts, unless it starts in the end padding."""
    count = ceildiv(room, stride) + 1
    if isinstance(count, int) and isinstance(end, int):
        return count - 1 if (count - 1) * stride >= end else count
    return count if stride == 1 else unknown()


def _agree(axis: Axis, size: Size, what: str) -> None:
    if same(axis.size, size) is Truth.NO:
        raise ShapeError(f"its weights were trained on {what} of {size}, and it takes {axis}")


@onnx_op("Conv", "ConvInteger", "DeformConv")
def conv(call: Call) -> Value:
    """``conv(x[B, C, S...], w[F, C/groups, K...]) -> [B, F, S'...]``."""
    parts, weights = image_of(call), known(operand(call, 1))
    if len(weights) != len(parts.spatial) + 2:
        raise ShapeError(
            f"its weights were trained on rank {len(weights)}, and it takes {operand(call, 0).text()}"
        )
    kernel = tuple(a.size for a in weights[2:])
    if not all(isinstance(k, int) for k in kernel):
        raise OpaqueError("its kernel is known only when it runs")
    _agree(parts.channel, weights[1].size * call.integer("group", 1, 1), "channels")
    filters = new_axis(weights[0].size, Role.CHANNEL, derived=parts.channel)
    spatial = _slid(call, parts, tuple(k for k in kernel if isinstance(k, int)))
    return Value(parts.join(spatial, filters), operand(call, 0).dtype)


@onnx_op("ConvTranspose")
def conv_transpose(call: Call) -> Value:
    """``conv_transpose(x[B, C, S...], w[C, F/groups, K...]) -> [B, F, S'...]``."""
    parts, weights = image_of(call), known(operand(call, 1))
    count = len(parts.spatial)
    if len(weights) != count + 2:
        raise ShapeError(
            f"its weights were trained on rank {len(weights)}, and it takes {operand(call, 0).text()}"
        )
    _agree(parts.channel, weights[0].size, "channels")
    strides, dilations = numbers(call, "strides", count, 1), numbers(call, "dilations", count, 1)
    pads, extra = numbers(call, "pads", 2 * count, 0), numbers(call, "output_padding", count, 0)
    stated = numbers(call, "output_shape", count, 0)
    auto = call.text("auto_pad", "NOTSET", _PADS)
    spatial = []
    for i, axis in enumerate(parts.spatial):
        kernel = weights[2 + i].size
        if not isinstance(kernel, int):
            raise OpaqueError("its kernel is known only when it runs")
        padding = 0 if auto == "VALID" else pads[i] + pads[i + count]
        size: Size = (axis.size - 1) * strides[i] + extra[i] + extent(kernel, dilations[i]) - padding
        if stated[i]:
            size = stated[i]
        elif auto.startswith("SAME"):
            size = axis.size * strides[i]
        spatial.append(slid(axis, size, strides[i], "ConvTranspose"))
    filters = new_axis(weights[1].size * call.integer("group", 1, 1), Role.CHANNEL, derived=parts.channel)
    return Value(parts.join(spatial, filters), operand(call, 0).dtype)


@onnx_op("MaxPool", "AveragePool", "LpPool")
def pool(call: Call) -> list[Value]:
    """``pool(x[B, C, S...]) -> [B, C, S'...]``; MaxPool gives the positions too."""
    parts = image_of(call)
    axes = parts.join(_slid(call, parts, call.integers("kernel_shape", len(parts.spatial), 1)), parts.channel)
    return [Value(axes, operand(call, 0).dtype), Value(axes, "int64")]


@onnx_op("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pool(call: Call) -> Value:
    """``global_pool(x[B, C, S...]) -> [B, C, 1...]``."""
    parts = image_of(call)
    return Value(
        parts.join([unit_axis("keepdims") for _ in parts.spatial], parts.channel), operand(call, 0).dtype
    )


@onnx_op("DepthToSpace")
def depth_to_space(call: Call) -> Value:
    """``depth_to_space(x[B, C*b*b, H, W]) -> [B, C, H*b, W*b]``."""
    parts, block = image_of(call), call.integer("blocksize", 1)
    channel = new_axis(floordiv(parts.channel.size, block * block), Role.CHANNEL, derived=parts.channel)
    spatial = [remade(a, a.size * block) for a in parts.spatial]
    return Value(parts.join(spatial, channel), operand(call, 0).dtype)


@onnx_op("SpaceToDepth")
def space_to_depth(call: Call) -> Value:
    """``space_to_depth(x[B, C, H, W]) -> [B, C*b*b, H/b, W/b]``."""
    parts, block = image_of(call), call.integer("blocksize", 1)
    channel = new_axis(parts.channel.size * (block * block), Role.CHANNEL, derived=parts.channel)
    spatial = [remade(a, floordiv(a.size, block)) for a in parts.spatial]
    return Value(parts.join(spatial, channel), operand(call, 0).dtype)


@onnx_op("Resize", "Upsample")
def resize(call: Call) -> Value:
    """``resize(x[..., n], scales or sizes) -> [..., n']``."""
    x = operand(call, 0)
    axes = known(x)
    places = [call.axis(a, len(axes)) for a in call.config.get("axes") or range(len(axes))]
    targets = _targets(call, axes, places)
    result = list(axes)
    for place, size in zip(places, targets, strict=True):
        old = axes[place]
        result[place] = old if size == old.size else remade(old, size)
    return Value(tuple(result), x.dtype)


def _targets(call: Call, axes: tuple[Axis, ...], places: list[int]) -> list[Size]:
    wanted = optional(call, 3)
    if wanted is not None and call.text("keep_aspect_ratio_policy", "stretch") == "stretch":
        found = given(call, 3, "sizes") or [] if sizes(wanted) is not None else []
        if len(found) == len(places):
            return found
    position = 1 if call.operation.class_name == "Upsample" or len(call.args) == 2 else 2
    scales = optional(call, position)
    factors = call.config.get("scales") if scales is None else scales.constant
    if not isinstance(factors, list) or len(factors) != len(places):
        return [unknown() for _ in places]
    return [_scaled(axes[place].size, float(scale)) for place, scale in zip(places, factors, strict=True)]


def _scaled(size: Size, scale: float) -> Size:
    """``floor(size * scale)``."""
    if isinstance(size, int):
        return int(size * scale)
    if scale.is_integer():
        return size * int(scale)
    inverse = 1 / scale if scale > 0 else 0.5
    return floordiv(size, int(inverse)) if inverse.is_integer() else unknown()
