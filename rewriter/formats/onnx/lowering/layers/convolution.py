"""Convolutions: plain, depthwise, separable and transposed, in one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...emitter import Emitter
from ...graph import Tensor
from ...registry import layer
from .._activations import activated
from .._windows import convolve, convolve_depthwise, convolve_transposed


def _window(call: Emitter, dimensions: int) -> dict[str, Any]:
    return {
        "strides": call.integers("strides", dimensions, 1, 1),
        "padding": call.text("padding", "valid").lower(),
        "dilation": call.integers("dilation_rate", dimensions, 1, 1),
        "first": call.channels_first(),
    }


def _bias(call: Emitter, path: str) -> Tensor | None:
    return call.weight(path, "bias") if call.flag("use_bias", True) else None


def _conv(dimensions: int) -> Callable[[Emitter], Tensor]:
    def lowering(call: Emitter) -> Tensor:
        """``conv(x[B, S..., C]) -> [B, S'..., filters]``."""
        kernel = call.weight("vars/0", "kernel")
        return activated(
            call, convolve(call, call.x, kernel, _bias(call, "vars/1"), **_window(call, dimensions))
        )

    return lowering


def _depthwise(dimensions: int) -> Callable[[Emitter], Tensor]:
    def lowering(call: Emitter) -> Tensor:
        """``depthwise(x[B, S..., C]) -> [B, S'..., C*depth_multiplier]``."""
        kernel = call.weight("vars/0", "kernel")
        y = convolve_depthwise(call, call.x, kernel, _bias(call, "vars/1"), **_window(call, dimensions))
        return activated(call, y)

    return lowering


def _separable(dimensions: int) -> Callable[[Emitter], Tensor]:
    def lowering(call: Emitter) -> Tensor:
        """``separable(x[B, S..., C]) -> [B, S'..., filters]``: depthwise, then over the channels."""
        depthwise = call.weight("vars/0", "depthwise_kernel")
        pointwise = call.weight("vars/1", "pointwise_kernel")
        window = _window(call, dimensions)
        y = convolve_depthwise(call, call.x, depthwise, None, **window)
        ones = (1,) * dimensions
        y = convolve(
            call,
            y,
            pointwise,
            _bias(call, "vars/2"),
            strides=ones,
            padding="valid",
            dilation=ones,
            first=window["first"],
        )
        return activated(call, y)

    return lowering


def _transposed(dimensions: int) -> Callable[[Emitter], Tensor]:
    def lowering(call: Emitter) -> Tensor:
        """``conv_transpose(x[B, S..., C]) -> [B, S'..., filters]``."""
        extra = call.get("output_padding")
        y = convolve_transposed(
            call,
            call.x,
            call.weight("vars/0", "kernel"),
            _bias(call, "vars/1"),
            output_padding=None if extra is None else call.integers("output_padding", dimensions),
            **_window(call, dimensions),
        )
        return activated(call, y)

    return lowering


for _n in (1, 2, 3):
    layer(f"Conv{_n}D", f"Convolution{_n}D")(_conv(_n))
    layer(f"Conv{_n}DTranspose", f"Convolution{_n}DTranspose")(_transposed(_n))
for _n in (1, 2):
    layer(f"DepthwiseConv{_n}D")(_depthwise(_n))
    layer(f"SeparableConv{_n}D", f"SeparableConvolution{_n}D")(_separable(_n))
