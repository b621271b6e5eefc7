"""Normalisations: every axis stays, and the scale has to fit."""

from __future__ import annotations

from ...ir.axis import Value
from ...ir.size import Truth, same
from ..call import Call, ShapeError, known, tf_op
from ..onnx._operands import operand
from ._calls import image_of


@tf_op("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
def fused_batch_norm(call: Call) -> list[Value]:
    """``f(x[B, S..., C], scale[C], offset[C], mean[C], variance[C]) -> [B, S..., C]``, and the statistics ``[C]``."""
    parts, x, scale = image_of(call), operand(call, 0), known(operand(call, 1))
    if len(scale) != 1 or same(scale[0].size, parts.channel.size) is Truth.NO:
        raise ShapeError(
            f"its weights were trained on channels of {operand(call, 1).text()}, and it takes {parts.channel}"
        )
    statistics = [Value((scale[0],), "float32") for _ in range(4)]
    return [Value(known(x), x.dtype), *statistics, Value(None, reason="a value that only its gradient uses")]


@tf_op("_FusedBatchNormEx")
def fused_with_activation(call: Call) -> list[Value]:
    """``fused_batch_norm`` with an activation."""
    return fused_batch_norm(call)
