"""Layers that ``keras.applications`` defines for its own models."""

from __future__ import annotations

from ...emitter import Emitter
from ...graph import Tensor
from ...registry import layer


@layer("LayerScale")
def layer_scale(call: Emitter) -> Tensor:
    """``x[B, H, W, C] * gamma[C]`` (ConvNeXt)."""
    return call.op("Mul", call.x, call.weight("vars/0", "gamma"))


@layer("StochasticDepth")
def stochastic_depth(call: Emitter) -> Tensor:
    """``f(x) -> x``: only training leaves paths out (ConvNeXt)."""
    return call.x


@layer("CustomScaleLayer")
def custom_scale(call: Emitter) -> Tensor:
    """``x + r * scale`` (InceptionResNetV2)."""
    x, residual = call.inputs
    return call.op("Add", x, call.op("Mul", residual, call.number("scale", 1.0)))
