"""Convolutions: plain, depthwise, separable and transposed, in one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Callable

from ...emitter import Emitter
from ...graph import Tensor
from ...registry import layer
from .._activations import activated
from .._windows import Window, convolve, convolve_depthwise, convolve_transposed


def _bias(call: Emitter, path: str) -> Tensor | None:
    return call.weight(path, "bias") if call.flag("use_bias", True) else None


def _conv(dimensions: int) -> Callable[[Emitter], Tensor]:
    def lowering(call: Emitter) -> Tensor:
        """``conv(x[B, S..., C]) -> [B, S'..., filters]``."""
        kernel = call.weight("vars/0", "kernel")
        y = convolve(call, call.x, kernel, _bias(call, "vars/1"), Window.of(call, dimensions))
        return activated(call, y)

    return lowering


def _depthwise(dimensions: int) -> Callable[[Emitter], Tensor]:
    def lowering(call: Emitter) -> Tensor:
        """``depthwise(x[B, S..., C]) -> [B, S'..., C*depth_multiplier]``."""
        kernel = call.weight("vars/0", "kernel")
        y = convolve_depthwise(call, call.x, kernel, _bias(call, "vars/1"), Window.of(call, dimensions))
        return activated(call, y)

    return lowering


def _separable(dimensions: int) -> Callable[[Emitter], Tensor]:
    def lowering(call: Emitter) -> Tensor:
        """``separable(x[B, S..., C]) -> [B, S'..., filters]``: depthwise, then over the channels."""
        depthwise = call.weight("vars/0", "depthwise_kernel")
        pointwise = call.weight("vars/1", "pointwise_kernel")
        window = Window.of(call, dimensions)
        y = convolve_depthwise(call, call.x, depthwise, None, window)
        y = convolve(call, y, pointwise, _bias(call, "vars/2"), window.at_each_point())
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
            Window.of(call, dimensions),
            None if extra is None else call.integers("output_padding", dimensions),
        )
        return activated(call, y)

    return lowering


for _n in (1, 2, 3):
    layer(f"Conv{_n}D", f"Convolution{_n}D")(_conv(_n))
    layer(f"Conv{_n}DTranspose", f"Convolution{_n}DTranspose")(_transposed(_n))
for _n in (1, 2):
    layer(f"DepthwiseConv{_n}D")(_depthwise(_n))
    layer(f"SeparableConv{_n}D", f"SeparableConvolution{_n}D")(_separable(_n))
