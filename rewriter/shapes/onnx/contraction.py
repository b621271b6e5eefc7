"""Contractions: MatMul, Gemm, Einsum."""

from __future__ import annotations

from dataclasses import replace

from ...ir.axis import Axis, Role, Value, new_axis
from ...ir.size import Truth, same
from ..broadcast import Column, Convention, align, broadcast, leave_open, refuse_crossed, stacked
from ..call import Call, ShapeError, known, need_rank, onnx_op
from ._operands import operand, optional

Axes = tuple[Axis, ...]


def _contract(a: Axis, b: Axis) -> None:
    answer = same(a.size, b.size)
    if answer is Truth.NO:
        raise ShapeError(f"contracts axes of different sizes: {a} here and {b} there")
    leave_open(a, b)
    if answer is Truth.YES and not (a.factors or b.factors):
        a.origin.unify(b.origin)


def _mixed(weights: Value, new: Axis, old: Axis) -> Axis:
    """The output axis of a product: with constant weights, a feature derived from the contracted axis ``old``."""
    return new_axis(new.size, Role.FEATURE, derived=old) if weights.is_constant else new


@onnx_op("MatMul", "MatMulInteger")
def matmul(call: Call) -> Value:
    """``matmul(x[..., m, k], y[..., k, n]) -> [..., m, n]``; a vector is a row on the left, a column on the right."""
    x, y = operand(call, 0), operand(call, 1)
    a, b = known(x), known(y)
    if not a or not b:
        raise ShapeError("a scalar has no axis to contract")
    _contract(a[-1], b[-2] if len(b) > 1 else b[0])
    refuse_crossed(_columns(a, b))
    leading = stacked([a[:-2], b[:-2]])
    last = (_mixed(y, b[-1], a[-1]),) if len(b) > 1 else ()
    first = tuple(_mixed(x, axis, b[-2] if len(b) > 1 else b[0]) for axis in a[-2:-1])
    return Value((*leading, *first, *last), x.dtype)


def _columns(a: Axes, b: Axes) -> list[Column]:
    """Which axes of a product of matrices meet: the leading ones, the rows, the summed ones, the columns."""
    rows: list[Column] = [(axis, None) for axis in a[-2:-1]]
    summed: Column = (a[-1], b[-2] if len(b) > 1 else b[0])
    columns: list[Column] = [(None, b[-1])] if len(b) > 1 else []
    return [*align(Convention.NUMPY, [a[:-2], b[:-2]]), *rows, summed, *columns]


def fused_matmul(call: Call) -> Value:
    """``matmul(x[..., m, k], y[..., k, n])`` with ``transA`` and ``transB``; with ``transBatchA`` and ``transBatchB``
    the operand is ``x[m, ..., k]``."""
    turned = []
    for position, side in ((0, "A"), (1, "B")):
        value = operand(call, position)
        axes = known(value)
        if call.flag(f"transBatch{side}") and len(axes) > 2:
            axes = (*axes[1:-1], axes[0], axes[-1])
        if call.flag(f"trans{side}") and len(axes) > 1:
            axes = (*axes[:-2], axes[-1], axes[-2])
        turned.append(replace(value, axes=axes))
    return matmul(replace(call, args=tuple(turned)))


@onnx_op("Gemm")
def gemm(call: Call) -> Value:
    """``gemm(a[M, K], b[K, N], c[M, N]) -> [M, N]``; ``transA`` and ``transB`` transpose a and b."""
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
    """``einsum("bij,bjk->bik", x[b, i, j], y[b, j, k]) -> [b, i, k]``; the axes of an ellipsis are right-aligned.

    Without an arrow the result has the labels that occur once, in alphabetical order.
    """
    equation = call.text("equation").replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(call.args):
        raise ShapeError(f"{len(call.args)} inputs for the equation {equation!r}")
    ranks = [len(known(operand(call, position))) for position in range(len(terms))]
    spans = [rank - len(term.replace("...", "")) for rank, term in zip(ranks, terms, strict=True)]
    longest = max((span for span, term in zip(spans, terms, strict=True) if "..." in term), default=0)
    if not arrow:
        once = sorted(c for c in set(left) - set(",.") if left.count(c) == 1)
        right = ("..." if "." in left else "") + "".join(once)
    found: dict[str, Axis] = {}
    for position, (term, span) in enumerate(zip(terms, spans, strict=True)):
        labels = _labels(term, span, longest)
        axes = need_rank(operand(call, position), len(labels))
        for label, axis in zip(labels, axes, strict=True):
            if label in found:
                if found[label].size == 1 != axis.size:
                    found[label] = axis
                elif axis.size != 1:
                    _contract(found[label], axis)
            found.setdefault(label, axis)
    result = _labels(right, longest, longest)
    if not set(result) <= set(found):
        raise call.bad("equation", equation, "result labels that occur in the inputs")
    return Value(tuple(found[label] for label in result), operand(call, 0).dtype)


def _labels(term: str, span: int, longest: int) -> list[str]:
    """The labels of a term, with those of an ellipsis of ``span`` axes counted from the right."""
    before, dots, after = term.partition("...")
    inner = [f".{longest - span + i}" for i in range(span)] if dots else []
    return [*before, *inner, *after]
