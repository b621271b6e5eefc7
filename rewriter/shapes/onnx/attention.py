"""Attention over heads: ONNX's own operators and those of ONNX Runtime's domain ``com.microsoft``.

Sources: https://onnx.ai/onnx/operators/onnx__Attention.html (opset 23),
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md.
"""

from __future__ import annotations

from ...ir.axis import Axis, Role, Value, new_axis
from ...ir.size import Size, floordiv, unknown
from ..call import Call, known, need_rank, onnx_op
from ._operands import operand, optional
from .batch import takes_as_batch

Axes = tuple[Axis, ...]


def _features(size: Size, old: Axis) -> Axis:
    return new_axis(size, Role.FEATURE, derived=old)


@onnx_op("Attention")
def attention(call: Call) -> list[Value]:
    """``attention(q[b, s, h*d], k[b, t, g*d], v[b, t, g*e]) -> [b, s, h*e]``, keys ``[b, g, p+t, d]``, values
    ``[b, g, p+t, e]``, scores ``[b, h, s, p+t]``; operands can also have a heads axis: ``q[b, h, s, d]``.
    """
    q, k, v = (need_rank(operand(call, i), 3, 4) for i in range(3))
    for axes in (q, k, v):
        takes_as_batch(axes[0])
    past = optional(call, 4)
    heads, groups = call.integer("q_num_heads", 0, 0), call.integer("kv_num_heads", 0, 0)
    if len(q) == 3:
        width: Size = floordiv(v[2].size, groups) if groups else unknown()
        depth: Size = floordiv(k[2].size, groups) if groups else unknown()
        y: Axes = (q[0], q[1], _features(width * heads, q[2]))
        inner, rows, group = new_axis(heads or unknown()), q[1], new_axis(groups or unknown())
        length: Size = k[1].size
    else:
        width, depth = v[-1].size, k[-1].size
        y = (q[0], q[1], q[2], _features(width, q[3]))
        inner, rows, group, length = q[1], q[2], k[1], k[-2].size
    if past is not None:
        length = length + need_rank(past, 4)[2].size
    keys = new_axis(length)
    dtype = operand(call, 0).dtype
    return [
        Value(y, dtype),
        Value((q[0], group, keys, new_axis(depth)), dtype),
        Value((q[0], group, keys, new_axis(width)), dtype),
        Value((q[0], inner, rows, keys), dtype),
    ]


@onnx_op("com.microsoft:Attention", "com.microsoft:QAttention")
def fused_attention(call: Call) -> list[Value]:
    """``attention(x[b, s, c], w[c, q+k+v]) -> [b, s, v], present``; it includes the projections."""
    x, weights = need_rank(operand(call, 0), 3), need_rank(operand(call, 1), 2)
    takes_as_batch(x[0])
    sizes = call.config.get("qkv_hidden_sizes")
    width = call.whole("qkv_hidden_sizes", sizes[2]) if isinstance(sizes, list) and len(sizes) == 3 else None
    features = floordiv(weights[1].size, 3) if width is None else width
    dtype = optional(call, 3 if call.operation.class_name == "QAttention" else 0) or operand(call, 0)
    heads = call.integer("num_heads", 0, 0)
    present = (
        new_axis(2),
        x[0],
        new_axis(heads or unknown()),
        new_axis(unknown()),
        new_axis(floordiv(features, heads) if heads else unknown()),
    )
    return [Value((x[0], x[1], _features(features, x[2])), dtype.dtype), Value(present, dtype.dtype)]


@onnx_op("com.microsoft:MultiHeadAttention")
def multi_head_attention(call: Call) -> list[Value]:
    """``attention(q[b, s, c], k[b, t, c], v[b, t, e]) -> [b, s, e]``; also the keys and the values with their past."""
    query = operand(call, 0)
    q, value = known(query), optional(call, 2)
    takes_as_batch(q[0])
    heads = call.integer("num_heads", 1)
    if len(q) == 5:  # [b, s, heads, 3, d]: all three in one
        width: Size = q[2].size * q[4].size
    elif value is None:  # keys and values in one: [b, t, heads, 2, d]
        width = q[2].size
    else:
        v = known(value)
        width = v[2].size if len(v) == 3 else v[1].size * v[3].size
    state = (q[0], new_axis(heads), new_axis(unknown()), new_axis(floordiv(width, heads)))
    y = (q[0], q[1], _features(width, q[2]))
    return [Value(y, query.dtype), Value(state, query.dtype), Value(state, query.dtype)]


@onnx_op("com.microsoft:GroupQueryAttention")
def group_query_attention(call: Call) -> list[Value]:
    """``attention(q[b, s, h*d], k[b, t, g*d], v) -> [b, s, h*d], keys, values``; without k, all three are packed in
    ``q[b, s, (h+2*g)*d]``."""
    query = operand(call, 0)
    q = need_rank(query, 3)
    takes_as_batch(q[0])
    heads, groups = call.integer("num_heads", 1), call.integer("kv_num_heads", 1)
    packed = optional(call, 1) is None
    depth = floordiv(q[2].size, heads + 2 * groups if packed else heads)
    state = (q[0], new_axis(groups), new_axis(unknown()), new_axis(depth))
    y = (q[0], q[1], _features(depth * heads, q[2]))
    return [Value(y, query.dtype), Value(state, query.dtype), Value(state, query.dtype)]


@onnx_op("RotaryEmbedding", "com.microsoft:RotaryEmbedding")
def rotary_embedding(call: Call) -> Value:
    """``rotated(x[b, ..., d]) -> [b, ..., d]``."""
    x = operand(call, 0)
    axes = known(x)
    if axes:
        takes_as_batch(axes[0])
    return Value(axes, x.dtype)


@onnx_op("com.microsoft:EmbedLayerNormalization")
def embed(call: Call) -> list[Value]:
    """``embed(words[b, s], segments, table[v, c]) -> [b, s, c], mask[b], sum[b, s, c]``."""
    words, table = need_rank(operand(call, 0), 2), operand(call, 2)
    takes_as_batch(words[0])
    y = (*words, _features(need_rank(table, 2)[1].size, words[1]))
    return [Value(y, table.dtype), Value(words[:1], "int32"), Value(y, table.dtype)]


@onnx_op("LinearAttention")
def linear_attention(call: Call) -> Value:
    """``attention(q[b, s, h*d], k, v[b, s, g*e]) -> [b, s, h*e]``; g, the values' heads, is always ``kv_num_heads``."""
    q, v = operand(call, 0), operand(call, 2)
    axes = need_rank(q, 3)
    heads, groups = call.integer("q_num_heads", 1), call.integer("kv_num_heads", 1)
    width = floordiv(need_rank(v, 3)[2].size, groups) * heads
    takes_as_batch(axes[0])
    return Value((axes[0], axes[1], _features(width, axes[2])), q.dtype)
