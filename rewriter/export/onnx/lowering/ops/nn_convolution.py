"""Convolution and pooling ops, patches, and depth to space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .....ir.size import Size
from ...emitter import Emitter
from ...graph import Tensor
from ...registry import op
from .._windows import (
    Window,
    adaptive_pool,
    convolve,
    convolve_depthwise,
    convolve_transposed,
    from_first,
    pool,
    to_first,
)
from ._operands import argument, as_tensor, floating


def _image(call: Emitter) -> Tensor:
    return floating(call, as_tensor(call, argument(call, 0, "inputs", "x")))


def _kernel(call: Emitter, position: int, name: str, x: Tensor) -> Tensor:
    kernel = as_tensor(call, argument(call, position, name))
    if not all(isinstance(size, int) for size in kernel.sizes):
        raise call.refuse("its kernel has no fixed size")
    if kernel.dtype != x.dtype:
        raise call.refuse(f"TensorFlow takes a kernel of {x.dtype}")
    return kernel


@op("nn", "Conv")
def conv(call: Emitter) -> Tensor:
    """``conv(x[B, S..., C], kernel[k..., C/groups, F]) -> [B, S'..., F]``."""
    x = _image(call)
    return convolve(call, x, _kernel(call, 1, "kernel", x), None, Window.of(call, x.rank - 2))


@op("nn", "DepthwiseConv")
def depthwise_conv(call: Emitter) -> Tensor:
    """``depthwise_conv(x[B, S..., C], kernel[k..., C, m]) -> [B, S'..., C*m]``."""
    x = _image(call)
    return convolve_depthwise(call, x, _kernel(call, 1, "kernel", x), None, Window.of(call, x.rank - 2))


@op("nn", "SeparableConv")
def separable_conv(call: Emitter) -> Tensor:
    """``separable_conv(x[B, S..., C], depthwise[k..., C, m], pointwise[1..., C*m, F]) -> [B, S'..., F]``."""
    x = _image(call)
    window = Window.of(call, x.rank - 2)
    y = convolve_depthwise(call, x, _kernel(call, 1, "depthwise_kernel", x), None, window)
    return convolve(call, y, _kernel(call, 2, "pointwise_kernel", x), None, window.at_each_point())


@op("nn", "ConvTranspose")
def conv_transpose(call: Emitter) -> Tensor:
    """``conv_transpose(x[B, S..., C], kernel[k..., F, C]) -> [B, S'..., F]``."""
    x = _image(call)
    given = call.get("output_padding")
    extra = None if given is None else call.integers("output_padding", x.rank - 2)
    kernel = _kernel(call, 1, "kernel", x)
    return convolve_transposed(call, x, kernel, None, Window.of(call, x.rank - 2), extra)


@op("nn", "MaxPool", "AveragePool")
def pooled(call: Emitter) -> Tensor:
    """``max_pool(x[B, S..., C], size) -> [B, S'..., C]``."""
    x = _image(call)
    size = call.integers("pool_size", x.rank - 2, 1)
    strides = size if call.get("strides") is None else call.integers("strides", x.rank - 2, 1)
    padding = call.text("padding", "valid").lower()
    kind = call.operation.class_name
    return pool(call, x, kind, size=size, strides=strides, padding=padding, first=call.channels_first())


@op("nn", "AdaptiveMaxPool", "AdaptiveAveragePool")
def adaptively_pooled(call: Emitter) -> Tensor:
    """``adaptive_max_pool(x[B, S..., C], size) -> [B, size..., C]``."""
    x = _image(call)
    size = call.integers("output_size", x.rank - 2, 1)
    kind = call.operation.class_name.removeprefix("Adaptive")
    return adaptive_pool(call, x, kind, size=size, first=call.channels_first())


# -- patches -----------------------------
def _patch(call: Emitter) -> dict[str, tuple[int, ...]]:
    kernel = call.integers("kernel_size", 2, 1)
    dilation, padding = call.integers("dilation", 2, 1, 1), call.integers("padding", 2, 0, 0)
    return {
        "kernel": kernel,
        "dilation": dilation,
        "padding": padding,
        "stride": call.integers("stride", 2, 1, 1),
    }


@op("nn", "Unfold")
def unfold(call: Emitter) -> Tensor:
    """``unfold(x[B, C, H, W], (k, l)) -> [B, C*k*l, H'*W']``: every window as a column."""
    x, window = call.x, _patch(call)
    before = [0, 0, *window["padding"]]
    x = call.pad(x, before, before)
    counts: list[int] = []
    for n in range(2):
        axis = 2 + 2 * n
        places = _places(call, x.sizes[axis], *(window[key][n] for key in ("kernel", "dilation", "stride")))
        counts.append(places.shape[1])
        x = call.op("Gather", x, places, axis=axis)
    x = call.transpose(x, [0, 1, 2, 4, 3, 5])
    batch, channels, k, m = x.sizes[:4]
    return call.reshape(x, [batch, channels * k * m, counts[0] * counts[1]])


def _places(call: Emitter, size: Size, kernel: int, dilation: int, stride: int) -> Any:
    """``[kernel, count]``: the axis position of each element of each window."""
    if not isinstance(size, int):
        raise call.refuse("windows over an axis of open size")
    count = (size - dilation * (kernel - 1) - 1) // stride + 1
    return (np.arange(kernel) * dilation)[:, None] + (np.arange(count) * stride)[None, :]


@op("nn", "Fold")
def fold(call: Emitter) -> Tensor:
    """``fold(x[B, C*k*l, n], (h, w), (k, l)) -> [B, C, h, w]``: every column is added at its window."""
    if call.opset < 18:
        raise call.refuse("Col2Im needs opset 18")
    x, window = floating(call, call.x), _patch(call)
    return call.op(
        "Col2Im",
        x,
        list(call.integers("output_size", 2, 1)),
        list(window["kernel"]),
        dilations=list(window["dilation"]),
        pads=[*window["padding"], *window["padding"]],
        strides=list(window["stride"]),
        as_sizes=call.sizes,
    )


def _rearranged(call: Emitter, op_type: str, sizes: Sequence[Size]) -> Tensor:
    first = call.channels_first()
    x = to_first(call, call.x, first)
    order = list(sizes) if first else [sizes[0], sizes[-1], *sizes[1:-1]]
    y = call.op(op_type, x, blocksize=call.integer("block_size", 1), as_sizes=order)
    return from_first(call, y, first)


@op("nn", "DepthToSpace", "SpaceToDepth")
def rearranged(call: Emitter) -> Tensor:
    """``depth_to_space(x[B, H, W, C*n*n], n) -> [B, H*n, W*n, C]``, and the inverse."""
    return _rearranged(call, call.operation.class_name, call.sizes)
