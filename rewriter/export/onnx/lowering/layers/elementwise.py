"""Layers that keep every axis: activations, dropout and noise (which do nothing at inference)."""

from __future__ import annotations

from .....shapes.layers.elementwise import REGULARIZATION
from ...emitter import Emitter
from ...graph import Tensor
from ...registry import layer
from .. import _activations as functions

_DROPOUT = (*REGULARIZATION, "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D")


@layer(*_DROPOUT)
def passed(call: Emitter) -> Tensor:
    """``f(x[...]) -> x``: only training changes anything."""
    return call.x


@layer("Activation")
def activation(call: Emitter) -> Tensor:
    """``f(x[...]) -> [...]``."""
    return functions.activated(call, call.x)


@layer("ReLU")
def relu(call: Emitter) -> Tensor:
    """``max(x, 0)`` with a slope below ``threshold`` and a limit of ``max_value``."""
    slope, limit, threshold = (call.get(name) for name in ("negative_slope", "max_value", "threshold"))
    x = call.x
    return functions.relu(
        call,
        x,
        float(slope or 0),
        None if limit is None else float(limit),
        float(threshold or 0),
    )


@layer("ThresholdedReLU")
def thresholded_relu(call: Emitter) -> Tensor:
    """x above ``theta``, else 0."""
    return call.op("ThresholdedRelu", call.x, alpha=call.number("theta", 1.0))


@layer("LeakyReLU")
def leaky_relu(call: Emitter) -> Tensor:
    """x above 0, ``negative_slope * x`` below."""
    slope = "negative_slope" if "negative_slope" in call.config else "alpha"
    return functions.leaky_relu(call, call.x, call.number(slope, 0.3))


@layer("ELU")
def elu(call: Emitter) -> Tensor:
    """x above 0, ``alpha * (exp(x) - 1)`` below."""
    return functions.elu(call, call.x, call.number("alpha", 1.0))


@layer("PReLU")
def prelu(call: Emitter) -> Tensor:
    """x above 0, ``alpha * x`` below; alpha has a number for every position, shared along ``shared_axes``."""
    return call.op("PRelu", call.x, call.weight("vars/0", "alpha"))


@layer("Softmax")
def softmax(call: Emitter) -> Tensor:
    """``softmax(x[...], axis, mask) -> [...]``: masked positions get 0."""
    x, mask = call.x, call.optional(1, "mask")
    if mask is None:
        mask = x.mask
    if mask is not None:
        if mask.dtype != "bool":
            mask = call.op("Greater", mask, 0.5)
        # The large negative number that Keras uses (keras/src/layers/activations/softmax.py, 3.15).
        x = call.op("Where", mask, x, call.constant(-3e4 if x.dtype == "float16" else -1e9, x.dtype))
    axes = call.axis_tuple(call.get("axis", -1), x.rank)
    y = functions.softmax(call, x, axes[0]) if len(axes) == 1 else _over_several(call, x, axes)
    if mask is None:
        return y
    return call.op("Where", mask, y, call.constant(0, y.dtype))


def _over_several(call: Emitter, x: Tensor, axes: tuple[int, ...]) -> Tensor:
    largest = call.reduce("ReduceMax", x, axes, keepdims=True)
    powers = call.op("Exp", call.op("Sub", x, largest))
    return call.op("Div", powers, call.reduce("ReduceSum", powers, axes, keepdims=True))
