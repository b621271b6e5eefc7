"""Softmax, normalisation and losses of ``keras.ops.nn``."""

from __future__ import annotations

from ...ir.axis import Role, Value, remade
from ...ir.size import floordiv
from ..call import Call, ShapeError, known, need_rank, op
from ..dtypes import FLOATX, result_type
from ._operands import agree, equate, operand, optional


@op("nn", "Softmax", "LogSoftmax", "Sparsemax")
def softmax(call: Call) -> Value:
    """``softmax(x[...]) -> [...]``."""
    axes = call.axes
    call.axis_tuple(call.get("axis", -1), len(axes))
    return call.like(axes)


@op("nn", "Normalize")
def normalize(call: Call) -> Value:
    """``normalize(x[...]) -> [...]``."""
    axes = call.axes
    call.axis_tuple(call.get("axis", -1), len(axes))
    return call.like(axes, FLOATX)


@op("nn", "LayerNorm", "RMSNorm")
def layer_norm(call: Call) -> Value:
    """``layer_norm(x[...], gamma, beta) -> [...]``."""
    axes = known(operand(call, 0, "x"))
    call.axis_tuple(call.get("axis", -1), len(axes))
    return call.like(axes)


@op("nn", "BatchNorm")
def batch_norm(call: Call) -> Value:
    """``batch_normalization(x[..., C], mean[C], variance[C]) -> [..., C]``; the normalised axis is the channel."""
    x = operand(call, 0, "x")
    axes = known(x)
    channel = axes[call.axis(call.get("axis"), len(axes))]
    for position, name in enumerate(("mean", "variance", "offset", "scale"), 1):
        vector = optional(call, position, name)
        if vector is not None:
            equate(channel, need_rank(vector, 1)[0], f"x and {name}")
    channel.origin.hint(Role.CHANNEL)
    return Value(axes, x.dtype)


@op("nn", "Glu")
def glu(call: Call) -> Value:
    """``glu(x[..., 2n]) -> [..., n]``."""
    axes = list(call.axes)
    place = call.axis(call.get("axis", -1), len(axes))
    old = axes[place]
    if isinstance(old.size, int) and old.size % 2:
        raise ShapeError(f"{old} cannot be halved")
    axes[place] = remade(old, floordiv(old.size, 2))
    return call.like(axes)


@op("nn", "BinaryCrossentropy")
def binary_crossentropy(call: Call) -> Value:
    """``binary_crossentropy(target[...], output[...]) -> [...]``."""
    target, output = operand(call, 0, "target"), operand(call, 1, "output")
    agree(known(output), known(target), "target and output")
    return Value(known(output), output.dtype)


@op("nn", "CategoricalCrossentropy")
def categorical_crossentropy(call: Call) -> Value:
    """``categorical_crossentropy(target[..., C], output[..., C]) -> [...]``."""
    target, output = operand(call, 0, "target"), operand(call, 1, "output")
    axes = known(output)
    agree(axes, known(target), "target and output")
    place = call.axis(call.get("axis", -1), len(axes))
    return Value((*axes[:place], *axes[place + 1 :]), output.dtype)


@op("nn", "SparseCategoricalCrossentropy")
def sparse_categorical_crossentropy(call: Call) -> Value:
    """``sparse_categorical_crossentropy(target[...], output[..., C]) -> [...]``; target may end in an axis of 1."""
    target, output = known(operand(call, 0, "target")), operand(call, 1, "output")
    axes = known(output)
    place = call.axis(call.get("axis", -1), len(axes))
    if len(target) == len(axes) and target[-1].size == 1:
        target = target[:-1]
    rest = (*axes[:place], *axes[place + 1 :])
    agree(rest, target, "target and output")
    return Value(rest, output.dtype)


@op("nn", "PSNR")
def psnr(call: Call) -> Value:
    """``psnr(x[...], y[...]) -> []``."""
    x, y = operand(call, 0, "x1"), operand(call, 1, "x2")
    agree(known(x), known(y), "both images")
    return Value((), FLOATX)


@op("nn", "Polar")
def polar(call: Call) -> Value:
    """``polar(abs[...], angle[...]) -> [...]``."""
    radius, angle = operand(call, 0, "abs_"), operand(call, 1, "angle")
    agree(known(radius), known(angle), "radius and angle")
    return Value(known(radius), FLOATX)


@op("nn", "DotProductAttention")
def dot_product_attention(call: Call) -> Value:
    """``dot_product_attention(query[B, T, N, H], key[B, S, M, H], value[B, S, M, H]) -> [B, T, N, H]``."""
    query, key, value = (operand(call, i, n) for i, n in enumerate(("query", "key", "value")))
    q, k, v = (need_rank(x, 4) for x in (query, key, value))
    agree(k[:3], v[:3], "key and value")
    equate(q[0], k[0], "query and key")
    equate(q[3], k[3], "query and key")
    for axis in (q[1], k[1]):
        axis.origin.hint(Role.TIME)
    return Value((*q[:3], v[3]), result_type(query.dtype, key.dtype, value.dtype))
