"""Operators on quantised numbers: those of ONNX and of ONNX Runtime's domain ``com.microsoft``.

Each tensor has a scale and a zero point beside it, so most rules are the plain operator's rule on every third input.
Source: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md.
"""

from __future__ import annotations

from dataclasses import replace

from ...ir.axis import Value
from ..call import Call, known, onnx_op
from ._operands import operand, optional
from .contraction import fused_matmul, gemm, matmul
from .convolution import conv, global_pool, pool
from .elementwise import joined_values
from .joining import concat
from .reductions import reduce


def _with(call: Call, *positions: int) -> Call:
    """The call with only the inputs at these positions."""
    return replace(call, args=tuple(optional(call, position) for position in positions))


@onnx_op("DynamicQuantizeLinear")
def dynamic_quantize(call: Call) -> list[Value]:
    """``quantized(x[...]) -> [...], scale[], zero[]``."""
    return [Value(known(operand(call, 0)), "uint8"), Value((), "float32"), Value((), "uint8")]


@onnx_op("QLinearMatMul")
def quantised_matmul(call: Call) -> Value:
    """``matmul(a[..., m, k], b[..., k, n]) -> [..., m, n]``."""
    return matmul(_with(call, 0, 3))


@onnx_op("com.microsoft:MatMulIntegerToFloat", "com.microsoft:DynamicQuantizeMatMul")
def float_matmul(call: Call) -> Value:
    """``matmul(a[..., m, k], b[..., k, n]) -> [..., m, n]`` in floats."""
    result = matmul(_with(call, 0, 1))
    return Value(result.axes, "float32")


@onnx_op("com.microsoft:FusedMatMul")
def fused(call: Call) -> Value:
    """``matmul(a[..., m, k], b[..., k, n]) -> [..., m, n]``; either operand can be transposed first."""
    return fused_matmul(call)


@onnx_op("com.microsoft:QGemm")
def quantised_gemm(call: Call) -> Value:
    """``gemm(a[m, k], b[k, n], c[n]) -> [m, n]``."""
    return gemm(_with(call, 0, 3, 6))


@onnx_op("QLinearConv")
def quantised_conv(call: Call) -> Value:
    """``conv(x[B, C, S...], w[F, C/groups, K...]) -> [B, F, S'...]``."""
    return conv(_with(call, 0, 3))


@onnx_op("com.microsoft:QLinearAdd", "com.microsoft:QLinearMul")
def quantised_binary(call: Call) -> Value:
    """``f(x[..., a, 1], y[a, b]) -> [..., a, b]``, right-aligned."""
    return joined_values(_with(call, 0, 3), unify=call.operation.class_name == "QLinearAdd")


@onnx_op("com.microsoft:QLinearConcat")
def quantised_concat(call: Call) -> Value:
    """``concat([x[n, c], y[m, c]], axis=0) -> [n+m, c]``: the result's scale and zero point come first."""
    return concat(_with(call, *range(2, len(call.args), 3)))


@onnx_op(
    "com.microsoft:QLinearSigmoid", "com.microsoft:QLinearLeakyRelu", "com.microsoft:QLinearSoftmax",
    "com.microsoft:QuantizeLinear", "com.microsoft:DequantizeLinear",
)  # fmt: skip
def quantised_unary(call: Call) -> Value:
    """``f(x[...]) -> [...]``."""
    x = operand(call, 0)
    return Value(known(x), x.dtype)


@onnx_op("com.microsoft:QLinearReduceMean")
def quantised_mean(call: Call) -> Value:
    """``mean(x[a, b, c], axes=(1,)) -> [a, 1, c]``."""
    return reduce(_with(call, 0))


@onnx_op("com.microsoft:QLinearAveragePool")
def quantised_pool(call: Call) -> Value:
    """``pool(x[B, C, S...]) -> [B, C, S'...]``; channels last where the node states it."""
    return pool(_with(call, 0))[0]


@onnx_op("com.microsoft:QLinearGlobalAveragePool")
def quantised_global_pool(call: Call) -> Value:
    """``pool(x[B, C, S...]) -> [B, C, 1...]``; channels last where the node states it."""
    return global_pool(_with(call, 0))
