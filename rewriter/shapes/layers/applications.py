"""Layers that ``keras.applications`` defines for its own models and saves under its own modules."""

from __future__ import annotations

from ...ir.axis import Value
from ..broadcast import Convention, broadcast
from ..call import Call, ShapeError, known, layer


@layer("LayerScale", "StochasticDepth")
def convnext(call: Call) -> Value:
    """``scale(x[B, H, W, C]) -> [B, H, W, C]`` (ConvNeXt)."""
    return call.like(call.axes, call.compute_dtype())


@layer("CustomScaleLayer")
def inception_resnet(call: Call) -> Value:
    """``scale([x[B, H, W, C], r[B, H, W, C]]) -> [B, H, W, C]``: ``x + r * scale`` (InceptionResNetV2)."""
    operands = [known(value) for value in call.inputs]
    if len(operands) != 2:
        raise ShapeError(f"takes two tensors, not {len(operands)}")
    return call.like(broadcast(Convention.NUMPY, operands), call.compute_dtype())
