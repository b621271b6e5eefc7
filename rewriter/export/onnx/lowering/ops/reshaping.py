"""Ops that keep the elements and their order and change the axes."""

from __future__ import annotations

from ...dtypes import FLOATS, INTEGERS, number
from ...emitter import Emitter
from ...graph import Tensor
from ...registry import op, refuse_ops
from ._operands import argument, as_tensor, flattened
from .creation import diagonal_matrix


@op("numpy", "Reshape")
def reshape(call: Emitter) -> Tensor:
    """``reshape(x[a, b, c], newshape) -> newshape``."""
    return call.reshape(call.x, call.sizes)


@op("numpy", "Ravel")
def ravel(call: Emitter) -> Tensor:
    """``ravel(x[a, b]) -> [a*b]``."""
    return call.reshape(call.x, call.sizes)


@op("numpy", "ExpandDims")
def expand_dims(call: Emitter) -> Tensor:
    """``expand_dims(x[a, b], axis=1) -> [a, 1, b]``."""
    given = call.get("axis")
    places = given if isinstance(given, (list, tuple)) else (given,)
    rank = call.x.rank + len(places)
    return call.unsqueeze(call.x, *sorted(call.axis(p, rank) for p in places))


@op("numpy", "Squeeze")
def squeeze(call: Emitter) -> Tensor:
    """``squeeze(x[a, 1, b], axis=1) -> [a, b]``; without an axis, all axes with a fixed size of 1 are removed."""
    x = call.x
    if call.get("axis") is None:
        return call.squeeze(x, *(n for n, size in enumerate(x.sizes) if size == 1))
    return call.squeeze(x, *call.axis_tuple(call.get("axis"), x.rank))


@op("numpy", "BroadcastTo")
def broadcast_to(call: Emitter) -> Tensor:
    """``broadcast_to(x[b, 1], shape=(a, b, c)) -> [a, b, c]``; -1 leaves the axis as it is."""
    given = call.arg(1, "shape", None)
    if any(isinstance(size, Tensor) for size in given):
        return call.expand(as_tensor(call, argument(call, 0, "x")), call.sizes)
    target = [1 if size in (None, -1) else call.whole("shape", size, 0) for size in given]
    return call.op("Expand", as_tensor(call, argument(call, 0, "x")), target, as_sizes=call.sizes)


@op("numpy", "View")
def view(call: Emitter) -> Tensor:
    """``view(x[a, b], dtype) -> [a, b * bytes of x / bytes of dtype]``: the same bits, the lowest first."""
    x = call.x
    if x.dtype == call.dtype:
        return x
    if not {x.dtype, call.dtype} <= FLOATS | INTEGERS:
        raise call.refuse(f"BitCast does not support {x.dtype} as {call.dtype}")
    before, after = _bits(x.dtype), _bits(call.dtype)
    if before == after:
        return _bit_cast(call, x, call.dtype)
    whole = _bit_cast(call, x, f"int{before}") if x.dtype in FLOATS else x
    y = _narrower(call, whole, before, after) if before > after else _wider(call, whole, before, after)
    return _bit_cast(call, call.reshape(y, call.sizes), call.dtype)


def _bit_cast(call: Emitter, x: Tensor, dtype: str) -> Tensor:
    if x.dtype == dtype:
        return x
    if call.opset < 26:
        raise call.refuse("BitCast needs opset 26")
    return call.op("BitCast", x, to=number(dtype), as_dtype=dtype, as_sizes=x.sizes)


def _narrower(call: Emitter, x: Tensor, before: int, after: int) -> Tensor:
    """``x[..., n] -> [..., n, before / after]``, integers of ``after`` bits: a Cast drops the upper bits."""
    rest, parts = call.cast(x, "uint64" if x.dtype == "uint64" else "int64"), []
    for _ in range(before // after):
        low = call.op("Mod", rest, 2**after)
        rest = call.op("Div", call.op("Sub", rest, low), 2**after)
        parts.append(call.unsqueeze(call.cast(low, "int64"), low.rank))
    return call.cast(call.concat(parts, -1), _whole_of(call, after))


def _wider(call: Emitter, x: Tensor, before: int, after: int) -> Tensor:
    """``x[..., n] -> [..., n * before / after]``, integers of ``after`` bits."""
    ratio, wide = after // before, "uint64" if after == 64 else "int64"
    unsigned = call.cast(call.op("Mod", call.cast(x, "int64"), 2**before), wide)
    rows = call.reshape(unsigned, [*call.sizes, ratio])
    *lows, y = (call.op("Gather", rows, call.constant(n, "int64"), axis=rows.rank - 1) for n in range(ratio))
    for low in reversed(lows):
        y = call.op("Add", call.op("Mul", y, 2**before), low)
    return call.cast(y, _whole_of(call, after))


def _whole_of(call: Emitter, bits: int) -> str:
    """The result's type; for a floating point one, integers of the same width."""
    return call.dtype if call.dtype in INTEGERS else f"int{bits}"


def _bits(dtype: str) -> int:
    return 8 if dtype == "bool" else int("".join(c for c in dtype if c.isdigit()))


@op("numpy", "Diagflat")
def diagflat(call: Emitter) -> Tensor:
    """``diagflat(x[a, b], k) -> [a*b + |k|, a*b + |k|]``."""
    x = as_tensor(call, argument(call, 0, "x"))
    line = call.reshape(x, [1]) if x.rank == 0 else flattened(call, x)
    return diagonal_matrix(call, line, call.whole("k", call.get("k", 0)))


refuse_ops("complex numbers have no ONNX kernels", "math", "ViewAsComplex", "ViewAsReal")
