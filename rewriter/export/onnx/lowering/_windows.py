"""Convolution and pooling by sliding windows: layout and padding, as Keras has them, for layers and ops alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ....ir.size import Size, ceildiv
from ....shapes.windows import extent
from ..emitter import Emitter
from ..graph import Tensor
from ..refusal import Refused


@dataclass(frozen=True)
class Window:
    """How a kernel slides: a number for each spatial axis, and whether the channels come first."""

    strides: Sequence[int]
    padding: str
    dilation: Sequence[int]
    first: bool

    @classmethod
    def of(cls, call: Emitter, dimensions: int) -> Window:
        """The window that the call is configured with."""
        return cls(
            call.integers("strides", dimensions, 1, 1),
            call.text("padding", "valid").lower(),
            call.integers("dilation_rate", dimensions, 1, 1),
            call.channels_first(),
        )

    def at_each_point(self) -> Window:
        """The window of a pointwise convolution of the same images."""
        ones = [1] * len(self.strides)
        return replace(self, strides=ones, padding="valid", dilation=ones)


def to_first(call: Emitter, x: Tensor, first: bool) -> Tensor:
    """``[B, S..., C] -> [B, C, S...]``; unchanged if it is channels first already."""
    return x if first else call.transpose(x, [0, x.rank - 1, *range(1, x.rank - 1)])


def from_first(call: Emitter, x: Tensor, first: bool) -> Tensor:
    """``[B, C, S...] -> [B, S..., C]``; unchanged with ``first``."""
    return x if first else call.transpose(x, [0, *range(2, x.rank), 1])


def convolve(call: Emitter, x: Tensor, kernel: Tensor, bias: Tensor | None, window: Window) -> Tensor:
    """``conv(x[B, S..., C], kernel[K..., C/groups, F]) -> [B, S'..., F]``; the kernel sets the number of groups."""
    image = to_first(call, x, window.first)
    channels, taken = image.sizes[1], kernel.sizes[-2]
    if not isinstance(channels, int) or not isinstance(taken, int):
        raise Refused("the number of channels is not fixed")
    turned = call.transpose(kernel, [kernel.rank - 1, kernel.rank - 2, *range(kernel.rank - 2)])
    return _slid(call, image, turned, bias, window, channels // taken)


def convolve_depthwise(
    call: Emitter, x: Tensor, kernel: Tensor, bias: Tensor | None, window: Window
) -> Tensor:
    """``depthwise(x[B, S..., C], kernel[K..., C, M]) -> [B, S'..., C*M]``."""
    image = to_first(call, x, window.first)
    rank = kernel.rank
    turned = call.transpose(kernel, [rank - 2, rank - 1, *range(rank - 2)])
    channels, multiplier = kernel.sizes[-2:]
    if not isinstance(channels, int):
        raise Refused("the number of channels is not fixed")
    turned = call.reshape(turned, [channels * multiplier, 1, *kernel.sizes[:-2]])
    return _slid(call, image, turned, bias, window, channels)


def _slid(
    call: Emitter, image: Tensor, kernel: Tensor, bias: Tensor | None, window: Window, groups: int
) -> Tensor:
    spans = [extent(k, d) for k, d in zip(_numbers(kernel.sizes[2:]), window.dilation, strict=True)]
    image, pads = padded(call, image, spans, window.strides, window.padding)
    y = call.op(
        "Conv",
        image,
        kernel,
        bias,
        kernel_shape=list(kernel.sizes[2:]),
        strides=list(window.strides),
        dilations=list(window.dilation),
        group=groups,
        pads=pads,
    )
    return from_first(call, y, window.first)


def convolve_transposed(
    call: Emitter,
    x: Tensor,
    kernel: Tensor,
    bias: Tensor | None,
    window: Window,
    output_padding: Sequence[int] | None,
) -> Tensor:
    """``conv_transpose(x[B, S..., C], kernel[K..., F, C]) -> [B, S'..., F]``.

    The whole result has ``(n-1)*s + span`` positions. TensorFlow crops it, the smaller half in front, or adds zeros at
    the end (``compute_conv_transpose_output_shape`` gives the size).
    """
    image = to_first(call, x, window.first)
    rank = kernel.rank
    turned = call.transpose(kernel, [rank - 1, rank - 2, *range(rank - 2)])
    before, after, extra = [], [], []
    sizes = _numbers(kernel.sizes[:-2])
    for n, (k, s, d) in enumerate(zip(sizes, window.strides, window.dilation, strict=True)):
        span = extent(k, d)
        p = None if output_padding is None else output_padding[n]
        if window.padding == "valid":
            surplus = -(max(span, s) - span) if p is None else -p
        else:
            surplus = span - s if p is None else span - span % 2 - p
        before.append(max(surplus, 0) // 2)
        after.append(max(surplus, 0) - max(surplus, 0) // 2)
        extra.append(max(-surplus, 0))
    y = _conv_transpose(call, image, turned, bias, window, [*before, *after], extra)
    return from_first(call, y, window.first)


def _conv_transpose(
    call: Emitter,
    image: Tensor,
    kernel: Tensor,
    bias: Tensor | None,
    window: Window,
    pads: list[int],
    extra: Sequence[int],
) -> Tensor:
    # An output padding has to be less than the stride or the dilation (ConvTranspose in ONNX's Operators.md).
    fits = all(e < max(s, d) for e, s, d in zip(extra, window.strides, window.dilation, strict=True))
    attributes: dict[str, Any] = {
        "pads": pads,
        "strides": list(window.strides),
        "dilations": list(window.dilation),
        "kernel_shape": list(kernel.sizes[2:]),
    }
    if fits:
        return call.op(
            "ConvTranspose",
            image,
            kernel,
            bias,
            output_padding=list(extra) if any(extra) else None,
            **attributes,
        )
    y = call.op("ConvTranspose", image, kernel, **attributes)
    y = call.pad(y, [0] * y.rank, [0, 0, *extra])
    if bias is None:
        return y
    return call.op("Add", y, call.reshape(bias, [1, bias.sizes[0], *([1] * (y.rank - 2))]))


def pool(
    call: Emitter,
    x: Tensor,
    kind: str,
    *,
    size: Sequence[int],
    strides: Sequence[int],
    padding: str,
    first: bool,
) -> Tensor:
    """``pool(x[B, S..., C]) -> [B, S'..., C]``; an average does not count padding.

    Args:
        kind: ``MaxPool`` or ``AveragePool``.
    """
    image = to_first(call, x, first)
    spans = list(size)
    options: dict[str, Any] = {"kernel_shape": spans, "strides": list(strides)}
    totals = _total(image.sizes[2:], spans, strides) if padding == "same" else [0] * len(spans)
    gaps = any(stride > span for span, stride in zip(spans, strides, strict=True))
    # No explicit pads: ONNX Runtime 1.31 merges a Pad node into the pads of the pool after it, and those are not
    # zeros. It does not change a pool with auto_pad.
    if totals is not None and not any(totals):
        y = call.op(kind, image, auto_pad="VALID", **options)
    elif totals is not None and gaps:
        y = call.op(kind, image, pads=_halves(totals), **options)
    else:
        sizes = _reduced(image, strides)
        if totals is None:
            image = _without_gap(call, image, spans, strides)
        y = call.op(kind, image, auto_pad="SAME_UPPER", as_sizes=sizes, **options)
    return from_first(call, y, first)


def _without_gap(call: Emitter, image: Tensor, spans: Sequence[int], strides: Sequence[int]) -> Tensor:
    """The image up to the end of the last window, where strides are larger than windows: ONNX Runtime would use
    negative pads.
    """
    for axis, (span, stride) in enumerate(zip(spans, strides, strict=True), 2):
        size = image.sizes[axis]
        if stride > span and not isinstance(size, int):
            count = call.op("Div", call.op("Add", call.size(image, axis), [stride - 1]), [stride])
            end = call.op("Add", call.op("Mul", call.op("Sub", count, [1]), [stride]), [span])
            image = call.op("Slice", image, [0], end, [axis], as_sizes=image.sizes)
    return image


def _reduced(image: Tensor, strides: Sequence[int]) -> tuple[Size, ...]:
    spatial = [ceildiv(n, s) for n, s in zip(image.sizes[2:], strides, strict=True)]
    return (*image.sizes[:2], *spatial)


def padded(
    call: Emitter, image: Tensor, spans: Sequence[int], strides: Sequence[int], padding: str
) -> tuple[Tensor, list[int]]:
    """The image and the pads of a node that slides windows of these extents over it.

    Where 'same' padding depends on an open size, a separate node pads the image and the pads are 0.
    """
    count = len(spans)
    if padding == "valid":
        return image, [0] * (2 * count)
    if padding == "causal":
        return image, [span - 1 for span in spans] + [0] * count
    totals = _total(image.sizes[2:], spans, strides)
    if totals is not None:
        return image, _halves(totals)
    return _padded_at_run_time(call, image, spans, strides), [0] * (2 * count)


def _halves(totals: Sequence[int]) -> list[int]:
    """Pads in front and at the end: the smaller half is in front."""
    before = [total // 2 for total in totals]
    return before + [t - b for t, b in zip(totals, before, strict=True)]


def _total(sizes: Sequence[Size], spans: Sequence[int], strides: Sequence[int]) -> list[int] | None:
    """How much TensorFlow pads each axis for 'same'; None where it depends on an open size."""
    totals = []
    for size, span, stride in zip(sizes, spans, strides, strict=True):
        if isinstance(size, int):
            totals.append(max((-(-size // stride) - 1) * stride + span - size, 0))
        elif stride == 1:
            totals.append(span - 1)
        elif span == 1:
            totals.append(0)
        else:
            return None
    return totals


def _padded_at_run_time(call: Emitter, image: Tensor, spans: Sequence[int], strides: Sequence[int]) -> Tensor:
    """``max((ceil(n / s) - 1) * s + span - n, 0)`` zeros on each axis, the smaller half in front."""
    count = len(spans)
    n = call.op("Shape", image, start=2, end=2 + count)
    s = list(strides)
    steps = call.op("Div", call.op("Add", n, [k - 1 for k in s]), s)
    last = call.op("Mul", call.op("Sub", steps, [1]), s)
    total = call.op("Max", call.op("Sub", call.op("Add", last, list(spans)), n), [0])
    before = call.op("Div", total, [2])
    after = call.op("Sub", total, before)
    pads = call.concat([call.constant([0, 0]), before, call.constant([0, 0]), after], 0)
    # The padded image ends with the last window. With gaps between windows it can be longer: the result is equal.
    spatial = [
        (ceildiv(n, s) - 1) * s + span for n, span, s in zip(image.sizes[2:], spans, strides, strict=True)
    ]
    return call.op("Pad", image, pads, mode="constant", as_sizes=[*image.sizes[:2], *spatial])


def adaptive_pool(call: Emitter, x: Tensor, kind: str, *, size: Sequence[int], first: bool) -> Tensor:
    """``adaptive_pool(x[B, S..., C]) -> [B, size..., C]``: window i is ``floor(i*n/m) .. ceil((i+1)*n/m)``.

    Axis by axis: an average is a product with a matrix, a maximum is taken over gathered positions.

    Args:
        kind: ``MaxPool`` or ``AveragePool``.
    """
    image = to_first(call, x, first)
    for place, wanted in enumerate(size, 2):
        n = image.sizes[place]
        if not isinstance(n, int):
            raise Refused("adaptive pooling of an axis of open size")
        limits = [(i * n // wanted, -(-(i + 1) * n // wanted)) for i in range(wanted)]
        if kind == "MaxPool":
            widest = max(end - start for start, end in limits)
            places = [[min(start + k, end - 1) for k in range(widest)] for start, end in limits]
            image = call.op("Gather", image, np.asarray(places, np.int64), axis=place)
            image = call.reduce("ReduceMax", image, [place + 1])
            continue
        matrix = np.zeros((n, wanted))
        for i, (start, end) in enumerate(limits):
            matrix[start:end, i] = 1 / (end - start)
        last = image.rank - 1
        order = [*range(place), *range(place + 1, last + 1), place]
        turned = call.op("MatMul", call.transpose(image, order), call.constant(matrix, image.dtype))
        image = call.transpose(turned, [order.index(n) for n in range(last + 1)])
    return from_first(call, image, first)


def _numbers(sizes: Sequence[Size]) -> list[int]:
    return [size for size in sizes if isinstance(size, int)]
