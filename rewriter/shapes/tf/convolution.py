"""Windows over images, channels last or first: convolution, pooling, resizing.

``SAME``: ``ceil(n / s)``; ``VALID``: ``(n - e) // s + 1``; ``EXPLICIT``: as ``VALID`` with the padded size as n
(``tensorflow/core/framework/common_shape_fns.cc``).
"""

from __future__ import annotations

from ...ir.axis import Axis, Role, Value, new_axis, remade
from ...ir.size import Size, Truth, ceildiv, floordiv, same, unknown
from ..call import Call, OpaqueError, ShapeError, known, need_rank, tf_op
from ..onnx._operands import operand, sizes
from ..onnx.batch import takes_as_batch
from ..spatial import Image, hint_all, slid
from ..windows import extent
from ._calls import along_places, image_of

_PADDINGS = ("SAME", "VALID", "EXPLICIT")


def _slid(call: Call, parts: Image, kernel: tuple[int, ...]) -> list[Axis]:
    strides, dilations = along_places(call, "strides", parts), along_places(call, "dilations", parts)
    padding = call.text("padding", "VALID", _PADDINGS)
    result = []
    for number, axis in enumerate(parts.spatial):
        span = extent(kernel[number], dilations[number])
        if padding == "SAME":
            size = ceildiv(axis.size, strides[number])
        else:
            room = axis.size + _padded(call, parts, number) if padding == "EXPLICIT" else axis.size
            size = floordiv(room - span, strides[number]) + 1
        result.append(slid(axis, size, strides[number], call.operation.class_name))
    return result


def _padded(call: Call, parts: Image, number: int) -> int:
    pads = call.integers("explicit_paddings", 2 * (len(parts.spatial) + 2), 0, [])
    place = number + (2 if parts.first else 1)
    return pads[2 * place] + pads[2 * place + 1]


def _kernel(call: Call, weights: tuple[Axis, ...], count: int) -> tuple[int, ...]:
    kernel = tuple(axis.size for axis in weights[:count])
    if not all(isinstance(size, int) for size in kernel):
        raise OpaqueError("its kernel is known only when it runs")
    return tuple(size for size in kernel if isinstance(size, int))


def _trained(call: Call, parts: Image, weights: tuple[Axis, ...]) -> None:
    if len(weights) != len(parts.spatial) + 2:
        raise ShapeError(
            f"its weights were trained on rank {len(weights)}, and it takes {operand(call, 0).text()}"
        )


@tf_op("Conv2D", "Conv3D", "Conv")
def conv(call: Call) -> Value:
    """``conv(x[B, S..., C], w[K..., C/groups, F]) -> [B, S'..., F]``."""
    parts, weights = image_of(call), known(operand(call, 1))
    _trained(call, parts, weights)
    groups_open = isinstance(weights[-2].size, int) and isinstance(parts.channel.size, int)
    if groups_open and parts.channel.size % weights[-2].size:  # type: ignore[operator]
        raise ShapeError(
            f"its weights were trained on channels of {weights[-2].size}, and it takes {parts.channel}"
        )
    filters = new_axis(weights[-1].size, Role.CHANNEL, derived=parts.channel)
    spatial = _slid(call, parts, _kernel(call, weights, len(parts.spatial)))
    return Value(parts.join(spatial, filters), operand(call, 0).dtype)


@tf_op("DepthwiseConv2dNative")
def depthwise(call: Call) -> Value:
    """``conv(x[B, H, W, C], w[K, L, C, m]) -> [B, H', W', C*m]``; each output channel has one input channel."""
    parts, weights = image_of(call, rank=4), known(operand(call, 1))
    _trained(call, parts, weights)
    if same(parts.channel.size, weights[2].size) is Truth.NO:
        raise ShapeError(
            f"its weights were trained on channels of {weights[2].size}, and it takes {parts.channel}"
        )
    times = weights[3].size
    channel = parts.channel if times == 1 else remade(parts.channel, parts.channel.size * times)
    return Value(parts.join(_slid(call, parts, _kernel(call, weights, 2)), channel), operand(call, 0).dtype)


@tf_op("Conv2DBackpropInput", "Conv3DBackpropInputV2")
def conv_transpose(call: Call) -> Value:
    """``conv_transpose(shape, w[K..., F, C], x[B, S..., C]) -> shape``."""
    parts, weights = image_of(call, 2), known(operand(call, 1))
    x, target = operand(call, 2), sizes(operand(call, 0))
    if len(weights) != len(parts.spatial) + 2:
        raise ShapeError(f"its weights were trained on rank {len(weights)}, and it takes {x.text()}")
    if same(parts.channel.size, weights[-1].size) is Truth.NO:
        raise ShapeError(
            f"its weights were trained on channels of {weights[-1].size}, and it takes {parts.channel}"
        )
    filters = new_axis(weights[-2].size, Role.CHANNEL, derived=parts.channel)
    rank = len(parts.spatial) + 2
    if target is not None and len(target) not in (rank, rank - 2):
        raise ShapeError(f"an output shape of {len(target)} sizes does not fit {x.text()}")
    wanted: list[Size] = [unknown() for _ in parts.spatial]
    if target is not None:
        whole = len(target) == rank
        wanted = target if not whole else target[2:] if parts.first else target[1:-1]
    strides = along_places(call, "strides", parts)
    spatial = [
        slid(axis, size, stride, "Conv2DBackpropInput")
        for axis, size, stride in zip(parts.spatial, wanted, strides, strict=True)
    ]
    return Value(parts.join(spatial, filters), x.dtype)


@tf_op("MaxPool", "AvgPool", "MaxPool3D", "AvgPool3D", "MaxPoolWithArgmax")
def pool(call: Call) -> list[Value]:
    """``pool(x[B, S..., C]) -> [B, S'..., C]``; MaxPoolWithArgmax gives the positions too."""
    parts = image_of(call)
    axes = parts.join(_slid(call, parts, along_places(call, "ksize", parts)), parts.channel)
    made = Value(axes, operand(call, 0).dtype)
    return [made, Value(axes, "int64")] if call.operation.class_name == "MaxPoolWithArgmax" else [made]


@tf_op("ResizeNearestNeighbor", "ResizeBilinear", "ResizeBicubic", "ResizeArea", "ScaleAndTranslate")
def resize(call: Call) -> Value:
    """``resize(x[B, H, W, C], (h, w)) -> [B, h, w, C]``."""
    x = operand(call, 0)
    axes = need_rank(x, 4)
    takes_as_batch(axes[0])
    axes[3].origin.hint(Role.CHANNEL)
    hint_all(axes[1:3], (Role.HEIGHT, Role.WIDTH))
    target = sizes(operand(call, 1)) or [unknown(), unknown()]
    if len(target) != 2:
        raise ShapeError(f"its target has {len(target)} sizes, not 2")
    spatial = [a if a.size == size else remade(a, size) for a, size in zip(axes[1:3], target, strict=True)]
    kept = call.operation.class_name in ("ResizeNearestNeighbor",)
    return Value((axes[0], *spatial, axes[3]), x.dtype if kept else "float32")


@tf_op("CropAndResize")
def crop_and_resize(call: Call) -> Value:
    """``crop_and_resize(x[B, H, W, C], boxes[R, 4], batches[R], (h, w)) -> [R, h, w, C]``."""
    axes, boxes = need_rank(operand(call, 0), 4), need_rank(operand(call, 1), 2)
    target = sizes(operand(call, 3)) or [unknown(), unknown()]
    return Value((boxes[0], *(new_axis(size) for size in target[:2]), axes[3]), "float32")


@tf_op("ExtractImagePatches")
def patches(call: Call) -> Value:
    """``patches(x[B, H, W, C]) -> [B, H', W', k*l*C]``."""
    x = operand(call, 0)
    axes = need_rank(x, 4)
    parts = Image(axes[0], axes[1:3], axes[3], first=False)
    takes_as_batch(parts.batch)
    kernel = along_places(call, "ksizes", parts)
    dilations = along_places(call, "rates", parts)
    strides = along_places(call, "strides", parts)
    same_size = call.text("padding", "VALID", ("SAME", "VALID")) == "SAME"
    spatial = []
    for axis, k, d, s in zip(parts.spatial, kernel, dilations, strides, strict=True):
        size = ceildiv(axis.size, s) if same_size else floordiv(axis.size - extent(k, d), s) + 1
        spatial.append(slid(axis, size, s, "ExtractImagePatches"))
    return Value(parts.join(spatial, new_axis(parts.channel.size * kernel[0] * kernel[1])), x.dtype)
