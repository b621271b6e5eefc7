"""Layers that ``keras.applications`` defines for its own models: ConvNeXt, InceptionResNetV2.

A file names their module; a class of that name from anywhere else is somebody's code.
"""

from __future__ import annotations

from ...ir.axis import Axis, Value, new_axis
from ...ir.size import Truth, same
from ..broadcast import Convention, broadcast
from ..call import Call, OpaqueError, ShapeError, known, layer
from ..spatial import autocast


def _axes(call: Call) -> tuple[Axis, ...]:
    """The first operand's axes. Raises OpaqueError for a class of another origin."""
    if ".applications." not in call.operation.module:
        raise OpaqueError("a class of that name is known in keras.applications only")
    return call.axes


@layer("StochasticDepth")
def stochastic_depth(call: Call) -> Value:
    """``stochastic_depth(x[B, ...]) -> [B, ...]``."""
    return call.like(_axes(call), autocast(call, call.x))


@layer("LayerScale")
def layer_scale(call: Call) -> Value:
    """``layer_scale(x[..., C]) -> [..., C]``, times one weight for each channel."""
    axes = _axes(call)
    weight = new_axis(call.integer("projection_dim", 1))
    if not axes or same(axes[-1].size, weight.size) is Truth.NO:
        raise ShapeError(f"scales {weight.size} channels, not {call.x.text()}")
    return call.like(axes, autocast(call, call.x))


@layer("CustomScaleLayer")
def custom_scale(call: Call) -> Value:
    """``custom_scale([x[...], y[...]]) -> [...]``: ``x + scale * y``."""
    _axes(call)
    operands = [known(value) for value in call.inputs]
    if len(operands) != 2:
        raise ShapeError(f"takes two tensors, not {len(operands)}")
    return call.like(broadcast(Convention.NUMPY, operands), autocast(call, call.x))
