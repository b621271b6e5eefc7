"""Losses: scores of classes against labels (https://onnx.ai/onnx/operators/onnx__SoftmaxCrossEntropyLoss.html)."""

from __future__ import annotations

from ...ir.axis import Role, Value
from ...ir.size import Truth, same
from ..call import Call, ShapeError, known, onnx_op
from ._operands import operand
from .batch import takes_as_batch


@onnx_op("SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss")
def loss(call: Call) -> list[Value]:
    """``loss(scores[B, C, ...], labels[B, ...]) -> []``, without reduction ``[B, ...]``; also the log-probabilities."""
    scores = operand(call, 0)
    axes, labels = known(scores), known(operand(call, 1))
    if len(axes) < 2 or len(labels) != len(axes) - 1:
        raise ShapeError(
            f"takes labels of one axis less than the scores, not {scores.text()} and {operand(call, 1).text()}"
        )
    takes_as_batch(axes[0])
    axes[1].origin.hint(Role.CHANNEL)
    kept = (axes[0], *axes[2:])
    for a, b in zip(kept, labels, strict=True):
        if same(a.size, b.size) is Truth.NO:
            raise ShapeError(f"the labels have {b} where the scores have {a}")
    reduced = call.text("reduction", "mean", ("none", "mean", "sum")) != "none"
    return [Value(() if reduced else kept, scores.dtype), Value(axes, scores.dtype)]
