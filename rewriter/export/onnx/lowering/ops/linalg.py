"""Linear algebra on the last two axes; the axes before them are batch axes."""

from __future__ import annotations

from ...emitter import Emitter
from ...graph import Tensor
from ...registry import op, refuse_ops
from ._operands import both, is_nan, where

refuse_ops(
    "ONNX has no factorisation of matrices",
    "linalg",
    "Cholesky",
    "CholeskyInverse",
    "Eig",
    "Eigh",
    "Inv",
    "Lstsq",
    "LuFactor",
    "MatrixRank",
    "Pinv",
    "Qr",
    "SVD",
    "Solve",
    "SolveTriangular",
)
refuse_ops("ONNX has no factorisation of matrices", "math", "Logdet")
refuse_ops("ONNX has only the determinant itself, which overflows sooner", "numpy", "Slogdet")


@op("linalg", "Det")
def det(call: Emitter) -> Tensor:
    """``det(x[..., n, n]) -> [...]``."""
    x = call.x
    if x.dtype == "float64":
        raise call.refuse("ONNX Runtime computes determinants in float32")
    return call.op("Det", x, as_sizes=call.sizes)


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
