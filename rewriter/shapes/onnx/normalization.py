"""Normalisations: every axis stays, and the scale has to fit."""

from __future__ import annotations

from ...ir.axis import Role, Value, unit_axis
from ...ir.size import Truth, same
from ..broadcast import Convention, broadcast
from ..call import Call, ShapeError, known, onnx_op
from ._operands import operand, optional
from .batch import takes_as_batch


def _channels(call: Call) -> None:
    """Check ``scale[C]`` against axis 1 and hint its role. Raises ShapeError where the number of channels differs."""
    axes = known(operand(call, 0))
    if len(axes) < 2:
        return
    takes_as_batch(axes[0])
    axes[1].origin.hint(Role.CHANNEL)
    scale = optional(call, 1)
    trained = known(scale) if scale is not None else ()
    if len(trained) == 1 and same(trained[0].size, axes[1].size) is Truth.NO:
        raise ShapeError(f"its weights were trained on channels of {trained[0].size}, and it takes {axes[1]}")


@onnx_op("BatchNormalization", "InstanceNormalization", "GroupNormalization")
def by_channel(call: Call) -> list[Value]:
    """``f(x[B, C, ...]) -> [B, C, ...]``; in training, BatchNormalization also gives its statistics ``[C]``."""
    x = operand(call, 0)
    if call.operation.class_name != "GroupNormalization":
        _channels(call)
    axes = known(x)
    return [Value(axes, x.dtype), *(Value(axes[1:2], x.dtype) for _ in range(4))]


@onnx_op("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization")
def by_layer(call: Call) -> list[Value]:
    """``f(x[..., n], scale[n]) -> [..., n]``, mean and deviation ``[..., 1]``."""
    x = operand(call, 0)
    axes = known(x)
    start = call.axis(call.get("axis", -1), len(axes))
    scale = optional(call, 1)
    if scale is not None:
        result = broadcast(Convention.NUMPY, [axes, known(scale)], unify=False)
        if len(result) != len(axes):
            raise ShapeError(f"its scale has rank {len(known(scale))}, and it takes {x.text()}")
    statistics = (*axes[:start], *(unit_axis("keepdims") for _ in axes[start:]))
    return [Value(axes, x.dtype), Value(statistics, "float32"), Value(statistics, "float32")]
