"""Recurrent operators: LSTM, GRU, RNN.

``x[T, B, F], w[D, gates*H, F] -> y[T, D, B, H], y_h[D, B, H], y_c[D, B, H]``; with ``layout`` 1 the batch comes first
(https://onnx.ai/onnx/operators/onnx__LSTM.html).
"""

from __future__ import annotations

from ...ir.axis import Role, Value, new_axis
from ...ir.size import Truth, floordiv, same
from ..call import Call, ShapeError, need_rank, onnx_op
from ..spatial import hint_time
from ._operands import operand
from .batch import takes_as_batch

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


@onnx_op("com.microsoft:DynamicQuantizeLSTM")
def quantised_lstm(call: Call) -> list[Value]:
    """``lstm(x[T, B, F], w[D, F, 4*H]) -> [T, D, B, H], [D, B, H], [D, B, H]``."""
    x = operand(call, 0)
    axes, weights = need_rank(x, 3), need_rank(operand(call, 1), 3)
    takes_as_batch(axes[1])
    hint_time(axes[0])
    units = new_axis(floordiv(weights[2].size, GATES["LSTM"]), Role.FEATURE, derived=axes[2])
    directions = new_axis(weights[0].size)
    state = Value((directions, axes[1], units), x.dtype)
    return [Value((axes[0], directions, axes[1], units), x.dtype), state, state]


@onnx_op(*GATES)
def recurrent(call: Call) -> list[Value]:
    """``lstm(x[T, B, F]) -> [T, D, B, H], [D, B, H], [D, B, H]``."""
    x = operand(call, 0)
    axes, weights = need_rank(x, 3), need_rank(operand(call, 1), 3)
    first = call.flag("layout")
    batch, time = (axes[0], axes[1]) if first else (axes[1], axes[0])
    takes_as_batch(batch)
    hint_time(time)
    if same(weights[2].size, axes[2].size) is Truth.NO:
        raise ShapeError(f"its weights were trained on features of {weights[2].size}, and it takes {axes[2]}")
    units = new_axis(
        floordiv(weights[1].size, GATES[call.operation.class_name]), Role.FEATURE, derived=axes[2]
    )
    directions = new_axis(weights[0].size)
    whole = (batch, time, directions, units) if first else (time, directions, batch, units)
    state = (batch, directions, units) if first else (directions, batch, units)
    return [Value(whole, x.dtype), Value(state, x.dtype), Value(state, x.dtype)]
