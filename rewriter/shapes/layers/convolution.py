"""Convolutions: plain, depthwise, separable and transposed, in one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Callable

from ...ir.axis import Axis, Role, Value, new_axis
from ..call import Call, ShapeError, layer
from ..spatial import Image, image, resized
from ..windows import transposed, window

_Channels = Callable[[Call, Image], Axis]


def _conv(dimensions: int, channels: _Channels, dilated_strides: bool) -> Callable[[Call], Value]:
    paddings = ("valid", "same", "causal") if dimensions == 1 else ("valid", "same")

    def rule(call: Call) -> Value:
        """``conv(x[B, S..., C]) -> [B, S'..., filters]``; stride 1 with padding 'same' keeps the spatial axes."""
        kernel = call.integers("kernel_size", dimensions, 1)
        strides = call.integers("strides", dimensions, 1, 1)
        dilation = call.integers("dilation_rate", dimensions, 1, 1)
        if not dilated_strides and max(strides) > 1 and max(dilation) > 1:
            raise call.bad("dilation_rate", list(dilation), "1 together with strides above 1")
        padding = lowered(call, "padding", paddings)
        x = image(call, dimensions)
        channel = channels(call, x)
        spatial = [
            resized(axis, window(axis.size, k, s, d, padding), f"a window of {k}")
            for axis, k, s, d in zip(x.spatial, kernel, strides, dilation, strict=True)
        ]
        return call.like(x.join(spatial, channel), call.compute_dtype())

    return rule


def lowered(call: Call, name: str, choices: tuple[str, ...]) -> str:
    """A configured word in lower case; the file may have any case, as in Keras's ``standardize_padding``."""
    value = call.text(name, choices[0])
    if value.lower() not in choices:
        raise call.bad(name, value, " or ".join(choices))
    return value.lower()


def _filters(call: Call, x: Image) -> Axis:
    filters = call.integer("filters", 1)
    groups = call.integer("groups", 1, 1)
    if filters % groups:
        raise call.bad("filters", filters, f"a multiple of groups={groups}")
    _divides(groups, x.channel)
    return new_axis(filters, Role.CHANNEL, derived=x.channel)


def _divides(groups: int, channel: Axis) -> None:
    if isinstance(channel.size, int) and channel.size % groups:
        raise ShapeError(f"{channel} cannot be split into {groups} groups")


def _multiplied(call: Call, x: Image) -> Axis:
    factor = call.integer("depth_multiplier", 1, 1)
    # With one filter per channel, each output channel is computed from one input channel: the axis is the same.
    return x.channel if factor == 1 else new_axis(x.channel.size * factor, Role.CHANNEL, derived=x.channel)


def _pointwise(call: Call, x: Image) -> Axis:
    call.integer("depth_multiplier", 1, 1)
    return new_axis(call.integer("filters", 1), Role.CHANNEL, derived=x.channel)


for _n in (1, 2, 3):
    layer(f"Conv{_n}D", f"Convolution{_n}D")(_conv(_n, _filters, dilated_strides=False))
for _n in (1, 2):
    layer(f"DepthwiseConv{_n}D")(_conv(_n, _multiplied, dilated_strides=True))
    layer(f"SeparableConv{_n}D", f"SeparableConvolution{_n}D")(_conv(_n, _pointwise, dilated_strides=True))


def _conv_transpose(dimensions: int) -> Callable[[Call], Value]:
    def rule(call: Call) -> Value:
        """``conv_transpose(x[B, S..., C]) -> [B, S'..., filters]``."""
        filters = call.integer("filters", 1)
        kernel = call.integers("kernel_size", dimensions, 1)
        strides = call.integers("strides", dimensions, 1, 1)
        dilation = call.integers("dilation_rate", dimensions, 1, 1)
        if max(strides) > 1 and max(dilation) > 1:
            raise call.bad("dilation_rate", list(dilation), "1 together with strides above 1")
        padding = lowered(call, "padding", ("valid", "same"))
        extra: tuple[int | None, ...] = (None,) * dimensions
        if call.get("output_padding") is not None:
            extra = call.integers("output_padding", dimensions)
            if any(p is not None and p >= s for p, s in zip(extra, strides, strict=True)):
                raise call.bad("output_padding", call.get("output_padding"), "less than the stride")
        x = image(call, dimensions)
        spatial = [
            resized(axis, transposed(axis.size, k, s, d, padding, p), "a transposed convolution")
            for axis, k, s, d, p in zip(x.spatial, kernel, strides, dilation, extra, strict=True)
        ]
        return call.like(
            x.join(spatial, new_axis(filters, Role.CHANNEL, derived=x.channel)), call.compute_dtype()
        )

    return rule


for _n in (1, 2, 3):
    layer(f"Conv{_n}DTranspose", f"Convolution{_n}DTranspose")(_conv_transpose(_n))
