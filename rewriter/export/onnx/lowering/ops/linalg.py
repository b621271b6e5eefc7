"""Linear algebra on the last two axes; the axes before them are batch axes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...emitter import Emitter
from ...graph import Tensor
from ...registry import op, refuse_ops
from . import _factorisations as factorisations
from ._operands import as_tensor, both, is_nan, where

refuse_ops("eigenvalues of a matrix that is not symmetric are complex", "linalg", "Eig")
refuse_ops(
    "Keras declares pivots of another type than it computes, and they differ between libraries",
    "linalg",
    "LuFactor",
)


def _matrices(call: Emitter, position: int = 0, name: str = "x") -> Tensor:
    """An operand in a type that TensorFlow factorises. Raises Refused for other types."""
    x = as_tensor(call, call.arg(position, name))
    if x.dtype not in ("float32", "float64"):
        raise call.refuse(f"TensorFlow does not factorise matrices of {x.dtype}")
    return x


@op("linalg", "Det")
def det(call: Emitter) -> Tensor:
    """``det(x[..., n, n]) -> [...]``; ONNX Runtime has a kernel for float32."""
    x = _matrices(call)
    if x.dtype == "float32":
        return call.op("Det", x, as_sizes=call.sizes)
    sign, size = factorisations.log_determinant(call, x)
    return call.op("Mul", sign, call.op("Exp", size))


@op("numpy", "Slogdet")
def slogdet(call: Emitter) -> list[Tensor]:
    """``slogdet(x[..., n, n]) -> [...], [...]``: the sign of the determinant and the logarithm of its size."""
    return list(factorisations.log_determinant(call, _matrices(call)))


@op("math", "Logdet")
def logdet(call: Emitter) -> Tensor:
    """``logdet(x[..., n, n]) -> [...]`` of positive definite matrices; NaN for others, as TensorFlow."""
    roots = factorisations.diagonal(call, factorisations.cholesky(call, _matrices(call)))
    return call.op("Mul", call.reduce("ReduceSum", call.op("Log", roots), [-1]), 2.0)


@op("linalg", "Cholesky")
def cholesky(call: Emitter) -> Tensor:
    """``cholesky(x[..., n, n]) -> [..., n, n]``, from the lower triangle; NaN where Keras raises an error."""
    y = factorisations.cholesky(call, _matrices(call))
    return factorisations.turned(call, y) if call.flag("upper") else y


@op("linalg", "CholeskyInverse")
def cholesky_inverse(call: Emitter) -> Tensor:
    """``cholesky_inverse(L[..., n, n]) -> [..., n, n]``: the inverse of ``L L^T``, or of ``L^T L`` with ``upper``."""
    x, upper = _matrices(call), call.flag("upper")
    identity = call.expand(factorisations.identity_matrix(call, x), x.sizes)
    y = factorisations.solve_triangular(call, x, identity, lower=not upper)
    turned = factorisations.turned(call, y)
    return call.op("MatMul", y, turned) if upper else call.op("MatMul", turned, y)


@op("linalg", "Inv")
def inv(call: Emitter) -> Tensor:
    """``inv(x[..., n, n]) -> [..., n, n]``; not finite where Keras raises an error for a singular matrix."""
    x = _matrices(call)
    return factorisations.solve(call, x, call.expand(factorisations.identity_matrix(call, x), x.sizes))


@op("linalg", "Solve", "SolveTriangular")
def solve(call: Emitter) -> Tensor:
    """``solve(a[..., n, n], b[..., n, k]) -> [..., n, k]``; b may be one vector for each matrix."""
    a, b = _matrices(call, 0, "a"), _matrices(call, 1, "b")
    if a.dtype != b.dtype:
        raise call.refuse(f"TensorFlow does not solve {a.dtype} with {b.dtype}")
    vector = b.rank == a.rank - 1
    b = call.unsqueeze(b, b.rank) if vector else b
    if a.sizes[:-2] != b.sizes[:-2]:
        raise call.refuse("its operands have different batch axes")
    if call.operation.class_name == "Solve":
        y = factorisations.solve(call, a, b)
    else:
        y = factorisations.solve_triangular(call, a, b, call.flag("lower"))
    return call.squeeze(y, y.rank - 1) if vector else y


@op("linalg", "Qr")
def qr(call: Emitter) -> list[Tensor]:
    """``qr(x[..., m, n]) -> [..., m, k], [..., k, n]`` with ``k = min(m, n)``, or m for mode "complete"."""
    x = _matrices(call)
    m, n = x.sizes[-2:]
    if not isinstance(m, int) or not isinstance(n, int):
        raise call.refuse("its matrices are of open size")
    q, r = factorisations.qr(call, x)
    if call.text("mode", "reduced", ("reduced", "complete")) == "reduced" and n < m:
        q, r = call.slice(q, -1, 0, n), call.slice(r, -2, 0, n)
    return [q, r]


@op("linalg", "SVD")
def svd(call: Emitter) -> Tensor | tuple[Tensor, Tensor, Tensor]:
    """``svd(x[..., m, n]) -> U, [..., min(m, n)], V``: the singular values, largest first."""
    values = factorisations.singular_values(call, _matrices(call))
    if not call.flag("compute_uv", True):
        return values
    reason = "the signs of singular vectors are not defined, and differ between libraries"
    return call.undefined(0, reason), values, call.undefined(2, reason)


@op("linalg", "Eigh")
def eigh(call: Emitter) -> tuple[Tensor, Tensor]:
    """``eigh(x[..., n, n]) -> [..., n], V``: the eigenvalues, least first, from the lower triangle."""
    x = _matrices(call)
    lower = factorisations.triangle(call, x, upper=False)
    on = factorisations.identity_matrix(call, x)
    both_sides = call.op("Add", lower, factorisations.turned(call, lower))
    x = call.op("Sub", both_sides, call.op("Mul", lower, on))
    # The eigenvalues of c - x are its singular values, if c is at least the largest eigenvalue of x.
    bound = call.op("Sqrt", call.reduce("ReduceSum", call.op("Mul", x, x), [-2, -1], keepdims=True))
    rest = factorisations.singular_values(call, call.op("Sub", call.op("Mul", on, bound), x))
    values = call.op("Sub", call.squeeze(bound, bound.rank - 1), rest)
    return values, call.undefined(
        1, "the signs of eigenvectors are not defined, and differ between libraries"
    )


@op("linalg", "MatrixRank")
def matrix_rank(call: Emitter) -> Tensor:
    """``matrix_rank(x[..., m, n]) -> int32[...]``: how many singular values exceed ``tol``."""
    x = _matrices(call)
    values = factorisations.singular_values(call, x)
    if call.get("tol") is None:
        least = call.op("Mul", call.slice(values, -1, 0, 1), _epsilon(x) * _larger(call, x))
    else:
        least = call.constant(call.number("tol"), x.dtype)
    return call.reduce("ReduceSum", call.cast(call.op("Greater", values, least), "int32"), [-1])


@op("linalg", "Pinv")
def pinv(call: Emitter) -> Tensor:
    """``pinv(x[..., m, n]) -> [..., n, m]``; singular values up to ``rcond`` of the largest count as 0."""
    x = _matrices(call)
    share = call.get("rcond")
    least = 10 * _epsilon(x) * _larger(call, x) if share is None else call.number("rcond")
    return factorisations.pseudo_inverse(call, x, _above(call, "Greater", least))


@op("linalg", "Lstsq")
def lstsq(call: Emitter) -> Tensor:
    """``lstsq(a[m, n], b[m, k]) -> [n, k]``, the shortest x with the least ``|a x - b|``; b may be a vector."""
    a, b = _matrices(call, 0, "a"), _matrices(call, 1, "b")
    if a.dtype != b.dtype:
        raise call.refuse(f"TensorFlow does not solve {a.dtype} with {b.dtype}")
    share = call.get("rcond")
    least = _epsilon(a) * _larger(call, a) if share is None else call.number("rcond")
    least = _epsilon(a) if least < 0 else least
    inverse = factorisations.pseudo_inverse(call, a, _above(call, "GreaterOrEqual", least))
    return call.op("MatMul", inverse, b)


def _above(call: Emitter, comparison: str, share: float) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda values, largest: call.op(comparison, values, call.op("Mul", largest, share))


def _epsilon(x: Tensor) -> float:
    return float(np.finfo(x.dtype).eps)


def _larger(call: Emitter, x: Tensor) -> int:
    """The larger size of the matrices. Raises Refused where one is open."""
    sizes = [size for size in x.sizes[-2:] if isinstance(size, int)]
    if len(sizes) < 2:
        raise call.refuse("its matrices are of open size")
    return max(sizes)


@op("math", "CDist")
def cdist(call: Emitter) -> Tensor:
    """``cdist(x[..., m, d], y[..., n, d]) -> [..., m, n]``: the distance of every pair of points."""
    x, y = both(call)
    apart = call.op("Sub", call.unsqueeze(x, x.rank - 1), call.unsqueeze(y, y.rank - 2))
    return call.op("Sqrt", call.reduce("ReduceSum", call.op("Mul", apart, apart), [-1]))


@op("numpy", "Corrcoef")
def corrcoef(call: Emitter) -> Tensor:
    """``corrcoef(x[n, m]) -> [n, n]``."""
    x = call.cast(call.x, call.dtype)
    if x.rank != 2:
        raise call.refuse("TensorFlow accepts only a matrix")
    x = call.op("Sub", x, call.reduce("ReduceMean", x, [-1], keepdims=True))
    covariance = call.op("MatMul", x, call.transpose(x, [1, 0]))
    spread = call.op("Sqrt", call.reduce("ReduceSum", call.op("Mul", x, x), [-1]))
    both_spreads = call.op("Mul", call.unsqueeze(spread, 1), call.unsqueeze(spread, 0))
    y = call.op("Div", covariance, both_spreads)
    clipped = call.op("Clip", y, call.constant(-1, y.dtype), call.constant(1, y.dtype))
    return where(call, is_nan(call, y), y, clipped)


@op("numpy", "Correlate")
def correlate(call: Emitter) -> Tensor:
    """``correlate(x[n], y[m]) -> [n - m + 1]``; "same" ``max(n, m)``, "full" ``n + m - 1``."""
    x, y = both(call)
    n, m = x.sizes[0], y.sizes[0]
    if not isinstance(n, int) or not isinstance(m, int):
        raise call.refuse("its vectors are of open size")
    mode = call.text("mode", "valid", ("valid", "same", "full"))
    if mode == "valid" and n < m:
        raise call.refuse("TensorFlow expects the longer operand first")
    margin = 0 if mode == "valid" else m - 1
    image, kernel = (call.unsqueeze(t, 0, 1) for t in (x, y))
    z = call.op("Conv", image, kernel, kernel_shape=[m], pads=[margin, margin])
    z = call.squeeze(z, 0, 1)
    if mode != "same":
        return z
    start = (n + m - 1 - max(n, m)) // 2
    return call.slice(z, 0, start, start + max(n, m))
