"""Contractions: MatMul, Gemm, Einsum."""

from __future__ import annotations

from ...ir.axis import Axis, Role, Value, new_axis
from ...ir.size import Truth, same
from ..broadcast import Convention, broadcast
from ..call import Call, OpaqueError, ShapeError, known, need_rank, onnx_op
from ._operands import operand, optional

Axes = tuple[Axis, ...]


def _contract(a: Axis, b: Axis) -> None:
    answer = same(a.size, b.size)
    if answer is Truth.NO:
        raise ShapeError(f"contracts axes of different sizes: {a} here and {b} there")
    if answer is Truth.YES and not (a.factors or b.factors):
        a.origin.unify(b.origin)


def _mixed(weights: Value, new: Axis, old: Axis) -> Axis:
    """The axis that a product with constant weights makes: a feature, derived from the one it mixes."""
    return new_axis(new.size, Role.FEATURE, derived=old) if weights.is_constant else new


@onnx_op("MatMul", "MatMulInteger")
def matmul(call: Call) -> Value:
    """``matmul(x[..., m, k], y[..., k, n]) -> [..., m, n]``; a vector is a row on the left, a column on the right."""
    x, y = operand(call, 0), operand(call, 1)
    a, b = known(x), known(y)
    if not a or not b:
        raise ShapeError("a scalar has no axis to contract")
    _contract(a[-1], b[-2] if len(b) > 1 else b[0])
    leading = broadcast(Convention.NUMPY, [a[:-2], b[:-2]])
    last = (_mixed(y, b[-1], a[-1]),) if len(b) > 1 else ()
    first = tuple(_mixed(x, axis, b[-2] if len(b) > 1 else b[0]) for axis in a[-2:-1])
    return Value((*leading, *first, *last), x.dtype)


@onnx_op("Gemm")
def gemm(call: Call) -> Value:
    """``gemm(a[M, K], b[K, N], c[M, N]) -> [M, N]``; ``transA`` and ``transB`` turn a and b."""
    x, y, bias = operand(call, 0), operand(call, 1), optional(call, 2)
    a, b = need_rank(x, 2), need_rank(y, 2)
    if call.flag("transA"):
        a = a[::-1]
    if call.flag("transB"):
        b = b[::-1]
    _contract(a[1], b[0])
    result = (a[0], _mixed(y, b[1], a[1]))
    if bias is not None and len(broadcast(Convention.NUMPY, [result, known(bias)], unify=False)) != 2:
        raise ShapeError(f"a bias of rank {len(known(bias))}")
    return Value(result, x.dtype)


@onnx_op("Einsum")
def einsum(call: Call) -> Value:
    """``einsum("bij,bjk->bik", x[b, i, j], y[b, j, k]) -> [b, i, k]``; without an ellipsis."""
    equation = call.text("equation").replace(" ", "")
    left, arrow, right = equation.partition("->")
    if not arrow or "." in equation:
        raise OpaqueError("an einsum with an ellipsis or an implicit result is not followed")
    terms = left.split(",")
    if len(terms) != len(call.args):
        raise ShapeError(f"{len(call.args)} inputs for the equation {equation!r}")
    found: dict[str, Axis] = {}
    for position, term in enumerate(terms):
        axes = need_rank(operand(call, position), len(term))
        for label, axis in zip(term, axes, strict=True):
            if label in found:
                if found[label].size == 1 != axis.size:
                    found[label] = axis
                elif axis.size != 1:
                    _contract(found[label], axis)
            found.setdefault(label, axis)
    if not set(right) <= set(found):
        raise call.bad("equation", equation, "a result of labels that the inputs have")
    return Value(tuple(found[label] for label in right), operand(call, 0).dtype)
