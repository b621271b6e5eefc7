"""Factorisations of matrices, one column at a time in a Scan: Cholesky, LU, QR, triangular systems, singular values.

The last two axes hold the matrices; the axes before them are batch axes. Sizes may be open, except where a function
says otherwise. Indices of rows and columns are ``int64``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...emitter import Emitter
from ...graph import Tensor
from .._scan import scanned
from ._operands import eye, places, where

_SWEEPS = 12  # One-sided Jacobi converges quadratically: ten sweeps do for 150 columns in float64.


def indices(call: Emitter, x: Tensor, axis: int) -> Tensor:
    """``int64[n]``: 0, 1, 2 … along an axis of x."""
    axis %= x.rank
    return places(call, call.size(x, axis), x.sizes[axis])


def at(call: Emitter, x: Tensor, place: Tensor, axis: int) -> Tensor:
    """``x[..., place, ...]``: one position along an axis, which goes."""
    return call.op("Gather", x, place, axis=axis % x.rank)


def outer(call: Emitter, x: Tensor, y: Tensor) -> Tensor:
    """``outer(x[..., m], y[..., n]) -> [..., m, n]``."""
    return call.op("Mul", call.unsqueeze(x, x.rank), call.unsqueeze(y, y.rank - 1))


def turned(call: Emitter, x: Tensor) -> Tensor:
    """``turned(x[..., m, n]) -> [..., n, m]``."""
    return call.transpose(x, [*range(x.rank - 2), x.rank - 1, x.rank - 2])


def diagonal(call: Emitter, x: Tensor) -> Tensor:
    """``diagonal(x[..., n, n]) -> [..., n]``."""
    on = _diagonals(call, x)
    return call.reduce("ReduceSum", where(call, on, x, 0), [-1])


def identity_matrix(call: Emitter, x: Tensor) -> Tensor:
    """The identity, as large as ``x[..., n, n]``, without batch axes."""
    return call.cast(_diagonals(call, x), x.dtype)


def _diagonals(call: Emitter, x: Tensor) -> Tensor:
    return eye(call, call.size(x, -2), call.size(x, -1), 0, x.sizes[-2:])


def triangle(call: Emitter, x: Tensor, upper: bool) -> Tensor:
    """``x[..., m, n]`` with zeros on the other side of the diagonal."""
    down, across = call.unsqueeze(indices(call, x, -2), 1), call.unsqueeze(indices(call, x, -1), 0)
    kept = call.op("LessOrEqual", down, across) if upper else call.op("GreaterOrEqual", down, across)
    return where(call, kept, x, 0)


# -- Cholesky -----------------------------
def cholesky(call: Emitter, a: Tensor) -> Tensor:
    """``a[..., n, n] -> L[..., n, n]`` with ``a = L L^T``, from the lower triangle; NaN where a is not positive."""
    rows = indices(call, a, -1)

    def step(states: list[Tensor], place: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        (rest,) = states
        column = at(call, rest, place, -1)
        root = call.op("Sqrt", at(call, column, place, -1))
        column = call.op("Div", column, call.unsqueeze(root, root.rank))
        column = where(call, call.op("GreaterOrEqual", rows, place), column, 0)
        return [call.op("Sub", rest, outer(call, column, column))], [column]

    columns = scanned(call, [rows], [a], step)[1]
    return call.transpose(columns, [*range(1, columns.rank), 0])


# -- triangular systems -----------------------------
def solve_triangular(call: Emitter, a: Tensor, b: Tensor, lower: bool, unit: bool = False) -> Tensor:
    """``x[..., n, k]`` with ``a x = b``; of ``a[..., n, n]`` one triangle is read; with ``unit`` its diagonal is 1."""
    rows = indices(call, a, -1)

    def step(states: list[Tensor], place: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        (x,) = states
        column, row = at(call, a, place, -1), at(call, x, place, -2)
        if not unit:
            pivot = at(call, column, place, -1)
            row = call.op("Div", row, call.unsqueeze(pivot, pivot.rank))
        rest = call.op("Greater" if lower else "Less", rows, place)
        x = call.op("Sub", x, outer(call, where(call, rest, column, 0), row))
        here = call.unsqueeze(call.op("Equal", rows, place), 1)
        return [where(call, here, call.unsqueeze(row, row.rank - 1), x)], []

    order = rows if lower else call.slice(rows, 0, -1, None, -1)
    return scanned(call, [order], [b], step)[0]


# -- LU -----------------------------
def lu(call: Emitter, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``a[..., n, n]`` -> L below and U on and above the diagonal, the rows ``int64[..., n]``, their sign ``[...]``.

    ``a[rows] = L U``, L with ones on its diagonal; pivots are the first of the largest in their column.
    """
    lines = indices(call, a, -1)
    down, across = call.unsqueeze(lines, 1), call.unsqueeze(lines, 0)
    order = call.expand(lines, a.sizes[:-1])
    sign = call.expand(call.constant(1, a.dtype), a.sizes[:-2])

    def step(states: list[Tensor], place: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        rest, order, sign = states
        size = call.op("Abs", at(call, rest, place, -1))
        size = where(call, call.op("GreaterOrEqual", lines, place), size, -1)
        pivot = call.op("ArgMax", size, axis=size.rank - 1, keepdims=1)
        moved = where(call, call.op("Equal", lines, pivot), place, lines)
        moved = where(call, call.op("Equal", lines, place), pivot, moved)
        order = call.op("GatherElements", order, moved, axis=order.rank - 1)
        spread = call.op(
            "Expand", call.unsqueeze(moved, moved.rank), call.op("Shape", rest), as_sizes=rest.sizes
        )
        rest = call.op("GatherElements", rest, spread, axis=rest.rank - 2)
        column, row = at(call, rest, place, -1), at(call, rest, place, -2)
        top = at(call, column, place, -1)
        top = call.unsqueeze(where(call, call.op("Equal", top, 0.0), 1.0, top), top.rank)
        factors = where(call, call.op("Greater", lines, place), call.op("Div", column, top), 0)
        right = where(call, call.op("Greater", lines, place), row, 0)
        below = call.op("And", call.op("Greater", down, place), call.op("Equal", across, place))
        rest = call.op("Sub", rest, outer(call, factors, right))
        rest = where(call, below, call.unsqueeze(factors, factors.rank), rest)
        swapped = call.op("Not", call.op("Equal", call.squeeze(pivot, pivot.rank - 1), place))
        return [rest, order, where(call, swapped, call.op("Neg", sign), sign)], []

    packed, order, sign = scanned(call, [lines], [a, order, sign], step)
    return packed, order, sign


def solve(call: Emitter, a: Tensor, b: Tensor) -> Tensor:
    """``x[..., n, k]`` with ``a x = b``, for ``a[..., n, n]`` and ``b[..., n, k]`` with the same batch axes."""
    packed, order, _ = lu(call, a)
    spread = call.op("Expand", call.unsqueeze(order, order.rank), call.op("Shape", b), as_sizes=b.sizes)
    b = call.op("GatherElements", b, spread, axis=b.rank - 2)
    return solve_triangular(
        call, packed, solve_triangular(call, packed, b, lower=True, unit=True), lower=False
    )


def log_determinant(call: Emitter, a: Tensor) -> tuple[Tensor, Tensor]:
    """``a[..., n, n]`` -> the sign of its determinant ``[...]``, and the logarithm of its size ``[...]``."""
    packed, _, sign = lu(call, a)
    pivots = diagonal(call, packed)
    signs = call.reduce("ReduceProd", call.op("Sign", pivots), [-1])
    logs = call.reduce("ReduceSum", call.op("Log", call.op("Abs", pivots)), [-1])
    return call.op("Mul", sign, signs), logs


# -- QR -----------------------------
def qr(call: Emitter, a: Tensor) -> tuple[Tensor, Tensor]:
    """``a[..., m, n] -> Q[..., m, m], R[..., m, n]`` by Householder's reflections; m and n are fixed.

    The signs are those of LAPACK and Eigen: a reflection turns the sign of the diagonal (Eigen's ``Householder.h``).
    """
    m, n = (size for size in a.sizes[-2:] if isinstance(size, int))
    lines = indices(call, a, -2)
    start = call.expand(call.constant(np.eye(m), a.dtype), [*a.sizes[:-1], m])
    tiny = call.constant(np.finfo("float64" if a.dtype == "float64" else "float32").tiny, a.dtype)

    def step(states: list[Tensor], place: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        r, q = states
        column = at(call, r, place, -1)
        head = call.unsqueeze(at(call, column, place, -1), column.rank - 1)
        tail = where(call, call.op("Greater", lines, place), column, 0)
        rest = call.reduce("ReduceSum", call.op("Mul", tail, tail), [-1], keepdims=True)
        none = call.op("LessOrEqual", rest, tiny)
        norm = call.op("Sqrt", call.op("Add", call.op("Mul", head, head), rest))
        beta = where(call, call.op("GreaterOrEqual", head, 0.0), call.op("Neg", norm), norm)
        beta = where(call, none, 1.0, beta)
        tau = where(call, none, 0.0, call.op("Div", call.op("Sub", beta, head), beta))
        below = call.op("Div", tail, where(call, none, 1.0, call.op("Sub", head, beta)))
        v = where(call, call.op("Equal", lines, place), 1.0, below)
        scaled = call.op("Mul", v, tau)
        across = call.op("MatMul", call.unsqueeze(v, v.rank - 1), r)
        r = call.op("Sub", r, call.op("Mul", call.unsqueeze(scaled, v.rank), across))
        along = call.op("MatMul", q, call.unsqueeze(v, v.rank))
        q = call.op("Sub", q, call.op("Mul", along, call.unsqueeze(scaled, v.rank - 1)))
        return [r, q], []

    steps = call.constant(np.arange(min(m, n)), "int64")
    r, q = scanned(call, [steps], [a, start], step)
    return q, triangle(call, r, upper=True)


# -- singular values -----------------------------
def condensed(call: Emitter, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``a[..., m, n]`` with ``m >= n`` -> P[..., m, n], G[..., n, n] and Q[..., n, n] with ``a = P G Q^T``.

    P and Q have orthogonal columns. G comes from two factorisations QR, after which Jacobi's method needs few sweeps
    even if the rows of a are of very different size (Drmac and Veselic, 2008).
    """
    n = a.sizes[-1]
    assert isinstance(n, int)
    p, upper = qr(call, a)
    q, lower = qr(call, turned(call, call.slice(upper, -2, 0, n)))
    return call.slice(p, -1, 0, n), turned(call, lower), q


def orthogonalised(call: Emitter, a: Tensor) -> tuple[Tensor, Tensor]:
    """``a[..., n, n] -> AV[..., n, e], V[..., n, e]`` with orthogonal columns; n is fixed, e the next even number.

    One-sided Jacobi: pairs of columns are turned until all are orthogonal. Their lengths are the singular values, in
    any order; an additional column is 0. Disjoint pairs are turned at once (Golub and Van Loan, 8.5).
    """
    n = a.sizes[-1]
    assert isinstance(n, int)
    batch = a.sizes[:-2]
    orthogonal = float(np.finfo(a.dtype).eps) * n**0.5
    right = call.expand(call.constant(np.eye(n), a.dtype), [*batch, n, n])
    both = call.concat([a, right], -2)
    even = n + n % 2
    if n % 2:
        both = call.pad(both, [0] * both.rank, [0] * (both.rank - 1) + [1])
    half = even // 2
    # The first column keeps its place, the others move on by one.
    order = [0, half, *range(1, half - 1), *range(half + 1, even), half - 1] if half > 1 else [0, 1]

    def step(states: list[Tensor], place: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        (x,) = states
        one, two = call.slice(x, -1, 0, half), call.slice(x, -1, half, even)
        upper = [call.slice(t, -2, 0, -n) for t in (one, two)]
        alpha, beta, gamma = (
            call.reduce("ReduceSum", call.op("Mul", u, v), [-2], keepdims=True)
            for u, v in ((upper[0], upper[0]), (upper[1], upper[1]), (upper[0], upper[1]))
        )
        least = call.op("Mul", call.op("Sqrt", call.op("Mul", alpha, beta)), orthogonal)
        straight = call.op("LessOrEqual", call.op("Abs", gamma), least)
        double = call.op("Mul", where(call, straight, 1.0, gamma), 2.0)
        zeta = call.op("Div", call.op("Sub", beta, alpha), double)
        root = call.op("Sqrt", call.op("Add", call.op("Mul", zeta, zeta), 1.0))
        tangent = call.op("Reciprocal", call.op("Add", call.op("Abs", zeta), root))
        tangent = where(call, call.op("Less", zeta, 0.0), call.op("Neg", tangent), tangent)
        tangent = where(call, straight, 0.0, tangent)
        cosine = call.op("Reciprocal", call.op("Sqrt", call.op("Add", call.op("Mul", tangent, tangent), 1.0)))
        sine = call.op("Mul", cosine, tangent)
        first = call.op("Sub", call.op("Mul", cosine, one), call.op("Mul", sine, two))
        second = call.op("Add", call.op("Mul", sine, one), call.op("Mul", cosine, two))
        x = call.op("Gather", call.concat([first, second], -1), order, axis=x.rank - 1, as_sizes=x.sizes)
        return [x], []

    rounds = call.constant(np.arange(_SWEEPS * max(even - 1, 1)), "int64")
    (x,) = scanned(call, [rounds], [both], step)
    upper, lower = call.slice(x, -2, 0, -n), call.slice(x, -2, -n)
    upper.sizes = lower.sizes = (*batch, n, even)
    return upper, lower


def singular_values(call: Emitter, a: Tensor) -> Tensor:
    """``a[..., m, n] -> [..., min(m, n)]``, largest first; m and n are fixed."""
    a, _ = upright(call, a)
    count = a.sizes[-1]
    a, largest = _reduced(call, a)
    lengths = _lengths(call, orthogonalised(call, condensed(call, a)[1])[0])
    lengths = call.op("Mul", lengths, call.squeeze(largest, -1))
    types = [(a.dtype, (*a.sizes[:-2], count)), ("int64", (*a.sizes[:-2], count))]
    return call.several("TopK", types, lengths, call.shape([count]), axis=-1)[0]


def pseudo_inverse(call: Emitter, a: Tensor, keep: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """``a[..., m, n] -> [..., n, m]``; ``keep(values[..., k], largest[..., 1])``: which singular values are not 0."""
    a, wide = upright(call, a)
    a, largest = _reduced(call, a)
    p, a, q = condensed(call, a)
    images, right = orthogonalised(call, a)
    images, right = call.op("MatMul", p, images), call.op("MatMul", q, right)
    values = _lengths(call, images)
    kept = keep(values, call.reduce("ReduceMax", values, [-1], keepdims=True))
    values = call.unsqueeze(where(call, kept, values, np.inf), values.rank - 1)
    y = call.op("MatMul", call.op("Div", right, values), turned(call, call.op("Div", images, values)))
    y = call.op("Div", y, largest)
    return turned(call, y) if wide else y


def upright(call: Emitter, a: Tensor) -> tuple[Tensor, bool]:
    """``a[..., m, n]`` or, if it has more columns than rows, ``[..., n, m]``; and whether it is turned.

    Raises Refused where a size is open.
    """
    m, n = a.sizes[-2:]
    wide = isinstance(m, int) and not (isinstance(n, int) and n <= m)
    a = turned(call, a) if wide else a
    if not isinstance(a.sizes[-1], int) or not isinstance(a.sizes[-2], int):
        raise call.refuse("its matrices are of open size")
    return a, wide


def _reduced(call: Emitter, a: Tensor) -> tuple[Tensor, Tensor]:
    """``a[..., m, n]`` over its largest entry ``[..., 1, 1]``, so that no product of four entries overflows; and that
    entry, 1 if it is 0 or not finite."""
    largest = call.reduce("ReduceMax", call.op("Abs", a), [-2, -1], keepdims=True)
    usable = call.op("And", call.op("Greater", largest, 0.0), call.op("Less", largest, np.inf))
    largest = where(call, usable, largest, 1.0)
    return call.op("Div", a, largest), largest


def _lengths(call: Emitter, x: Tensor) -> Tensor:
    """The lengths ``[..., n]`` of the columns of ``x[..., m, n]``."""
    return call.op("Sqrt", call.reduce("ReduceSum", call.op("Mul", x, x), [-2]))
