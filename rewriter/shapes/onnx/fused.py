"""Fused operators of ONNX Runtime's domain ``com.microsoft``, which its optimizer writes into a file.

Source: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md.
"""

from __future__ import annotations

from ...ir.axis import Role, Value, new_axis, unit_axis
from ...ir.size import floordiv
from ..broadcast import Convention, broadcast
from ..call import Call, known, onnx_op
from ._operands import operand, optional
from .contraction import gemm
from .convolution import conv

_UNARY = "Gelu QuickGelu BiasSoftmax Inverse Trilu"
_BIASED = "BiasGelu FastGelu BiasDropout"


@onnx_op(*(f"com.microsoft:{name}" for name in _UNARY.split()))
def unary(call: Call) -> Value:
    """``f(x[...]) -> [...]``."""
    x = operand(call, 0)
    return Value(known(x), x.dtype)


@onnx_op(*(f"com.microsoft:{name}" for name in _BIASED.split()))
def biased(call: Call) -> list[Value]:
    """``f(x[..., c] + bias[c]) -> [..., c]``; BiasDropout also gives its mask."""
    x, bias = operand(call, 0), optional(call, 1)
    axes = known(x) if bias is None else broadcast(Convention.NUMPY, [known(x), known(bias)], unify=False)
    return [Value(axes, x.dtype), Value(axes, "bool")]


@onnx_op("com.microsoft:SkipLayerNormalization", "com.microsoft:SkipSimplifiedLayerNormalization")
def skip_normalization(call: Call) -> list[Value]:
    """``normalized(x[b, s, c] + skip[b, s, c]) -> [b, s, c]``, mean and deviation ``[b, s, 1]``, sum ``[b, s, c]``."""
    x = operand(call, 0)
    axes = broadcast(Convention.NUMPY, [known(x), known(operand(call, 1))])
    statistics = (*axes[:-1], unit_axis("keepdims"))
    return [Value(axes, x.dtype), Value(statistics), Value(statistics), Value(axes, x.dtype)]


@onnx_op("com.microsoft:FusedConv")
def fused_conv(call: Call) -> Value:
    """``conv(x[B, C, S...], w[F, C/groups, K...]) -> [B, F, S'...]``, with a fused sum and activation."""
    return conv(call)


@onnx_op("com.microsoft:FusedGemm", "com.microsoft:GemmFastGelu")
def fused_gemm(call: Call) -> Value:
    """``gemm(a[m, k], b[k, n]) -> [m, n]``, with a fused activation."""
    return gemm(call)


@onnx_op("com.microsoft:MatMulNBits")
def packed_matmul(call: Call) -> Value:
    """``matmul(a[..., k], packed) -> [..., n]``."""
    x = operand(call, 0)
    axes = known(x)
    return Value((*axes[:-1], new_axis(call.integer("N", 1), Role.FEATURE, derived=axes[-1])), x.dtype)


@onnx_op("com.microsoft:Rfft")
def rfft(call: Call) -> Value:
    """``rfft(x[..., n]) -> [..., n // 2 + 1, 2]``."""
    x = operand(call, 0)
    axes = known(x)
    return Value((*axes[:-1], new_axis(floordiv(axes[-1].size, 2) + 1), new_axis(2)), x.dtype)
