"""Linear algebra on the last two axes; the axes before them are batch axes."""

from __future__ import annotations

from ...ir.axis import Axis, Value, new_axis
from ...ir.size import Size, Truth, same, unknown
from ..broadcast import Convention, broadcast
from ..call import Call, ShapeError, known, need_rank, op
from ..dtypes import result_type
from ._operands import equate, operand

Axes = tuple[Axis, ...]


def matrix(value: Value) -> Axes:
    """The axes of a tensor of rank 2 or more. Raises ShapeError for a lower rank."""
    axes = known(value)
    if len(axes) < 2:
        raise ShapeError(f"takes a tensor of rank 2 or more, not {value.text()}")
    return axes


def square(value: Value) -> Axes:
    """The axes of a tensor of square matrices. Raises ShapeError where the last two sizes differ."""
    axes = matrix(value)
    if same(axes[-1].size, axes[-2].size) is Truth.NO:
        raise ShapeError(f"takes square matrices, not {axes[-2]} by {axes[-1]}")
    return axes


def smaller(a: Axis, b: Axis) -> Axis:
    """A new axis with the smaller of two sizes, unknown where that is not clear."""
    size: Size
    if isinstance(a.size, int) and isinstance(b.size, int):
        size = min(a.size, b.size)
    elif same(a.size, b.size) is Truth.YES:
        size = a.size
    else:
        size = unknown()
    return new_axis(size)


@op("linalg", "Cholesky", "CholeskyInverse", "Inv")
def square_to_square(call: Call) -> Value:
    """``inv(x[..., n, n]) -> [..., n, n]``."""
    return call.like(square(call.x))


@op("linalg", "Det")
@op("math", "Logdet")
def det(call: Call) -> Value:
    """``det(x[..., n, n]) -> [...]``."""
    return call.like(square(call.x)[:-2])


@op("numpy", "Slogdet")
def slogdet(call: Call) -> tuple[Value, Value]:
    """``slogdet(x[..., n, n]) -> [...], [...]``: signs and logarithms."""
    axes = square(call.x)[:-2]
    return call.like(axes), call.like(axes)


@op("linalg", "Eig", "Eigh")
def eig(call: Call) -> tuple[Value, Value]:
    """``eig(x[..., n, n]) -> [..., n], [..., n, n]``."""
    axes = square(call.x)
    return call.like(axes[:-1]), call.like(axes)


@op("linalg", "LuFactor")
def lu_factor(call: Call) -> tuple[Value, Value]:
    """``lu_factor(x[..., m, n]) -> [..., m, n], [..., min(m, n)]``."""
    axes = matrix(call.x)
    return call.like(axes), call.like([*axes[:-2], smaller(*axes[-2:])])


@op("linalg", "Qr")
def qr(call: Call) -> tuple[Value, Value]:
    """``qr(x[..., m, n]) -> [..., m, k], [..., k, n]`` with ``k = min(m, n)``, or m for mode "complete"."""
    *batch, m, n = matrix(call.x)
    k = smaller(m, n) if call.text("mode", "reduced", ("reduced", "complete")) == "reduced" else m
    return call.like([*batch, m, k]), call.like([*batch, k, n])


@op("linalg", "SVD")
def svd(call: Call) -> Value | tuple[Value, Value, Value]:
    """``svd(x[..., m, n]) -> [..., m, k], [..., k], [..., k, n]`` with ``k = min(m, n)``; full matrices are square."""
    *batch, m, n = matrix(call.x)
    k = smaller(m, n)
    if not call.flag("compute_uv", True):
        return call.like([*batch, k])
    full = call.flag("full_matrices", True)
    left, right = (m, n) if full else (k, k)
    return call.like([*batch, m, left]), call.like([*batch, k]), call.like([*batch, right, n])


@op("linalg", "Pinv")
def pinv(call: Call) -> Value:
    """``pinv(x[..., m, n]) -> [..., n, m]``."""
    *batch, m, n = matrix(call.x)
    return call.like([*batch, n, m])


@op("linalg", "MatrixRank")
def matrix_rank(call: Call) -> Value:
    """``matrix_rank(x[..., m, n]) -> [...]``."""
    return call.like(matrix(call.x)[:-2], "int32")


@op("linalg", "Solve", "SolveTriangular")
def solve(call: Call) -> Value:
    """``solve(a[..., n, n], b[..., n, k]) -> [..., n, k]``; b may be one vector for each matrix."""
    a, b = operand(call, 0, "a"), operand(call, 1, "b")
    rows, solved = square(a), known(b)
    if len(solved) not in (len(rows), len(rows) - 1):
        raise ShapeError(f"cannot solve {a.text()} with {b.text()}: the ranks do not fit")
    equate(rows[-1], solved[-2] if len(solved) == len(rows) else solved[-1], "a and b")
    return Value(solved, b.dtype)


@op("linalg", "Lstsq")
def lstsq(call: Call) -> Value:
    """``lstsq(a[m, n], b[m, k]) -> [n, k]``; b may be a vector."""
    a, b = operand(call, 0, "a"), operand(call, 1, "b")
    rows, given = need_rank(a, 2), need_rank(b, 1, 2)
    equate(rows[0], given[0], "a and b")
    return Value((rows[1], *given[1:]), a.dtype)


@op("math", "CDist")
def cdist(call: Call) -> Value:
    """``cdist(x[..., m, d], y[..., n, d]) -> [..., m, n]``."""
    x, y = operand(call, 0, "x"), operand(call, 1, "y")
    a, b = matrix(x), matrix(y)
    equate(a[-1], b[-1], "the points")
    batch = broadcast(Convention.NUMPY, [a[:-2], b[:-2]])
    return Value((*batch, a[-2], b[-2]), result_type(x.dtype, y.dtype, "float"))


@op("numpy", "Corrcoef")
def corrcoef(call: Call) -> Value:
    """``corrcoef(x[n, m]) -> [n, n]``; for a vector ``[]``."""
    axes = call.axes
    dtype = "float64" if call.x.dtype == "int64" else result_type(call.x.dtype, "float")
    if len(axes) > 2:
        raise ShapeError(f"takes a tensor of rank 1 or 2, not {call.x.text()}")
    return call.like([axes[0], axes[0]] if len(axes) == 2 else [], dtype)


@op("numpy", "Correlate")
def correlate(call: Call) -> Value:
    """``correlate(x[n], y[m]) -> [max(n, m) - min(n, m) + 1]``; "same" ``max(n, m)``, "full" ``n + m - 1``."""
    x, y = operand(call, 0, "x1"), operand(call, 1, "x2")
    a, b = need_rank(x, 1)[0].size, need_rank(y, 1)[0].size
    kind = result_type(x.dtype, y.dtype)
    if kind == "int64":
        kind = "float64"
    elif kind not in ("bfloat16", "float16", "float64"):
        kind = "float32"
    mode = call.text("mode", "valid", ("valid", "same", "full"))
    size: Size = unknown()
    if mode == "full":
        size = a + b - 1
    elif isinstance(a, int) and isinstance(b, int):
        size = max(a, b) if mode == "same" else max(a, b) - min(a, b) + 1
    return Value((new_axis(size),), kind)
