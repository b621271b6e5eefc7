"""Connectionist temporal classification, of ``keras.ops.nn``."""

from __future__ import annotations

from ...ir.axis import Value, new_axis
from ..call import Call, need_rank, op
from ..dtypes import result_type
from ._operands import equate, operand


@op("nn", "CTCLoss")
def ctc_loss(call: Call) -> Value:
    """``ctc_loss(target[B, n], output[B, T, C], target_length[B], output_length[B]) -> [B]``."""
    names = ("target", "output", "target_length", "output_length")
    values = [operand(call, i, n) for i, n in enumerate(names)]
    batches = [need_rank(value, rank)[0] for value, rank in zip(values, (2, 3, 1, 1), strict=True)]
    for batch in batches[1:]:
        equate(batches[0], batch, "the batch")
    return Value((batches[0],), result_type(values[1].dtype, "float32"))


@op("nn", "CTCDecode")
def ctc_decode(call: Call) -> tuple[Value, Value]:
    """``ctc_decode(x[B, T, C], lengths[B]) -> [paths, B, T], [B, paths]``."""
    axes = need_rank(operand(call, 0, "inputs"), 3)
    greedy = call.text("strategy", "greedy", ("greedy", "beam_search")) == "greedy"
    paths = new_axis(1 if greedy else call.integer("top_paths", 1, 1))
    return call.like([paths, *axes[:2]], "int32"), call.like(
        [axes[0], paths], result_type(call.x.dtype, "float32")
    )
