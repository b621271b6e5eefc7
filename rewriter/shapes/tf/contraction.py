"""Contractions: MatMul, BatchMatMul, Einsum."""

from __future__ import annotations

from ...ir.axis import Value
from ..call import Call, ShapeError, known, need_rank, tf_op
from ..onnx import contraction as onnx
from ..onnx._operands import operand
from ._calls import told
from .naming import TRANSPOSED

_BATCHED = ("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")


@tf_op("MatMul", f"MatMul{TRANSPOSED}", "SparseMatMul")
def matmul(call: Call) -> Value:
    """``matmul(x[m, k], y[k, n]) -> [m, n]``; ``transpose_a`` and ``transpose_b`` transpose x and y."""
    for position in (0, 1):
        need_rank(operand(call, position), 2)
    turned = {"transA": call.flag("transpose_a"), "transB": call.flag("transpose_b")}
    return onnx.gemm(told(call, "Gemm", call.args[:2], **turned))


@tf_op(*_BATCHED, *(f"{name}{TRANSPOSED}" for name in _BATCHED))
def batched_matmul(call: Call) -> Value:
    """``matmul(x[..., m, k], y[..., k, n]) -> [..., m, n]``; ``adj_x`` and ``adj_y`` transpose x and y."""
    for position in (0, 1):
        if len(known(operand(call, position))) < 2:
            raise ShapeError(f"takes matrices, not {operand(call, position).text()}")
    turned = {"transA": call.flag("adj_x"), "transB": call.flag("adj_y")}
    return onnx.fused_matmul(told(call, "FusedMatMul", call.args[:2], **turned))


@tf_op("Einsum", "XlaEinsum")
def einsum(call: Call) -> Value:
    """``einsum("bij,bjk->bik", x[b, i, j], y[b, j, k]) -> [b, i, k]``."""
    return onnx.einsum(told(call, "Einsum", equation=call.text("equation")))
