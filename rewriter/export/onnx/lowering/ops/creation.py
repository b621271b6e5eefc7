"""Ops that make a tensor from numbers, a grid or a matrix from vectors, or one-hot vectors from classes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .....ir.size import Size
from .....shapes.dtypes import result_type
from ...emitter import Emitter
from ...graph import Tensor
from ...registry import op, refuse_ops
from ._operands import argument, as_tensor, declared, eye, flattened, kind, reduce_bool, where


@op("numpy", "Arange")
def arange(call: Emitter) -> Tensor:
    """``arange(start, stop, step) -> [ceil((stop - start) / step)]``."""
    start, stop, step = argument(call, 0, "start"), argument(call, 1, "stop"), argument(call, 2, "step")
    if stop is None:
        start, stop = 0, start
    parts = [as_tensor(call, v, call.dtype) for v in (start, stop, 1 if step is None else step)]
    return call.op("Range", *(call.reshape(p, []) for p in parts), as_sizes=call.sizes)


@op("numpy", "Full")
def full(call: Emitter) -> Tensor:
    """``full(value, shape=(a, b)) -> [a, b]``."""
    return call.expand(as_tensor(call, argument(call, 0, "fill_value"), call.dtype), call.sizes)


# -- evenly spaced numbers -----------------------------
def _limits(call: Emitter, dtype: str) -> tuple[Tensor, Tensor, int]:
    """Start, stop, and the axis of the numbers."""
    start, stop = (
        as_tensor(call, argument(call, n, name), dtype) for n, name in enumerate(("start", "stop"))
    )
    return start, stop, call.axis(call.get("axis", 0), max(start.rank, stop.rank) + 1)


def _line(call: Emitter, start: Tensor, stop: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """``num`` numbers from start to stop along a new axis, and the step."""
    count, closed = call.integer("num", 0, 50), call.flag("endpoint", True)
    steps = count - 1 if closed else count
    if count < 2 and not (count == 1 and call.get("retstep") in (None, False)):
        raise call.refuse(f"a line of {count} points")
    step = call.op("Div", call.op("Sub", stop, start), float(max(steps, 1)))
    if not closed and count > 1:
        stop = call.op("Sub", stop, step)
        # TensorFlow computes the line again, from start to the point before the end.
    delta = call.op("Div", call.op("Sub", stop, start), float(max(count - 1, 1)))
    rank = max(start.rank, stop.rank)
    first, last, by = (_with_axis(call, t, rank, axis) for t in (start, stop, delta))
    shape = [count if n == axis else 1 for n in range(rank + 1)]
    numbers = call.constant(np.arange(count).reshape(shape), start.dtype)
    line = call.op("Add", first, call.op("Mul", by, numbers))
    # Both ends are the given ones, even if infinite.
    for place, end in ((count - 1, last), (0, first)):
        line = call.op("Where", call.constant((np.arange(count) == place).reshape(shape)), end, line)
    return line, step


def _with_axis(call: Emitter, x: Tensor, rank: int, axis: int) -> Tensor:
    x = call.unsqueeze(x, *range(rank - x.rank))
    return call.unsqueeze(x, axis)


def _line_type(call: Emitter) -> str:
    given = call.get("dtype")
    if given is not None:
        return call.dtype
    kinds = [kind(call, argument(call, n, name)) for n, name in enumerate(("start", "stop"))]
    return result_type(*kinds, "float")


@op("numpy", "Linspace")
def linspace(call: Emitter) -> Any:
    """``linspace(start[a], stop[a], num=n) -> [n, a]``."""
    start, stop, axis = _limits(call, _line_type(call))
    line, step = _line(call, start, stop, axis)
    line = declared(call, line)
    return (line, declared(call, step, 1)) if call.flag("retstep") else line


@op("numpy", "Logspace")
def logspace(call: Emitter) -> Tensor:
    """The base to the power of ``linspace``."""
    start, stop, axis = _limits(call, _line_type(call))
    return _raised(call, start, stop, axis, call.number("base", 10))


def _raised(call: Emitter, start: Tensor, stop: Tensor, axis: int, base: float) -> Tensor:
    line, _ = _line(call, start, stop, axis)
    return declared(call, call.op("Pow", call.constant(base, line.dtype), line))


@op("numpy", "Geomspace")
def geomspace(call: Emitter) -> Tensor:
    """Numbers with a constant ratio between neighbours, with the sign of start."""
    dtype = call.dtype if call.get("dtype") is not None else "float32"
    start, stop, axis = _limits(call, dtype)
    logs = [call.op("Div", call.op("Log", call.op("Abs", t)), math.log(10)) for t in (start, stop)]
    powers = _raised(call, logs[0], logs[1], axis, 10.0)
    sign = call.op("Sign", start)
    if axis > 0 and start.rank:
        # TensorFlow multiplies by the signs with NumPy's alignment, which is right for the first axis only.
        raise call.refuse("TensorFlow applies the signs of start along the wrong axis")
    return call.op("Mul", powers, sign)


@op("numpy", "Meshgrid")
def meshgrid(call: Emitter) -> list[Tensor]:
    """``meshgrid(x[n], y[m]) -> [m, n], [m, n]``; with indexing "ij" ``[n, m]``."""
    operands = [as_tensor(call, v) for v in call.args]
    if len({x.dtype for x in operands}) > 1:
        raise call.refuse("TensorFlow takes vectors of one type")
    rank = len(operands)
    swapped = call.text("indexing", "xy", ("xy", "ij")) == "xy" and rank > 1
    results = []
    for number, x in enumerate(operands):
        place = {0: 1, 1: 0}.get(number, number) if swapped else number
        line = call.reshape(x, [1]) if x.rank == 0 else flattened(call, x)
        line = call.unsqueeze(line, *(n for n in range(rank) if n != place))
        sizes = call.outputs[number].sizes
        results.append(call.expand(line, sizes if sizes is not None else call.sizes))
    return results


# -- diagonals -----------------------------
@op("numpy", "Diag")
def diag(call: Emitter) -> Tensor:
    """``diag(x[n], k) -> [n+|k|, n+|k|]``; a matrix gives its diagonal."""
    x, k = call.x, call.whole("k", call.get("k", 0))
    if x.rank == 2:
        return _diagonal(call, x, k)
    return diagonal_matrix(call, x, k)


def diagonal_matrix(call: Emitter, x: Tensor, k: int) -> Tensor:
    """``x[n]`` along diagonal k of a matrix of zeros."""
    size = call.size(x, 0)
    square = eye(call, size, size, 0, (x.sizes[0], x.sizes[0]))
    y = where(call, square, call.unsqueeze(x, 1), call.constant(0, x.dtype))
    return call.pad(y, [max(-k, 0), max(k, 0)], [max(k, 0), max(-k, 0)])


@op("numpy", "Diagonal")
def diagonal(call: Emitter) -> Tensor:
    """``diagonal(x[n, m, a], offset) -> [a, min(n, m)]``."""
    x = call.x
    first, second = (call.axis(call.get(n, d), x.rank, n) for n, d in (("axis1", 0), ("axis2", 1)))
    order = [*(n for n in range(x.rank) if n not in (first, second)), first, second]
    return _diagonal(call, call.transpose(x, order), call.whole("offset", call.get("offset", 0)))


def _diagonal(call: Emitter, x: Tensor, k: int) -> Tensor:
    """``x[..., n, m] -> [..., length]``."""
    rows, columns = x.sizes[-2:]
    if isinstance(rows, int) and isinstance(columns, int):
        along = [(i, i + k) for i in range(rows) if 0 <= i + k < columns]
        flat = call.reshape(x, [*x.sizes[:-2], rows * columns])
        return call.op("Gather", flat, [i * columns + j for i, j in along], axis=flat.rank - 1)
    height, width = (call.shape([size], x) for size in (rows, columns))
    down, right = max(-k, 0), max(k, 0)
    count = call.op("Min", call.op("Sub", height, down), call.op("Sub", width, right))
    count = call.squeeze(call.op("Max", count, 0), 0)
    size = call.sizes[-1]
    step = call.positions(count, size)
    places = call.op("Add", call.op("Mul", call.op("Add", step, down), width), call.op("Add", step, right))
    flat = call.op("Reshape", x, [*[0] * (x.rank - 2), -1], as_sizes=[*x.sizes[:-2], rows * columns])
    return call.op("Gather", flat, places, axis=flat.rank - 1, as_sizes=[*x.sizes[:-2], size])


@op("numpy", "Vander")
def vander(call: Emitter) -> Tensor:
    """``vander(x[n], N) -> [n, N]``: the powers of x, decreasing unless ``increasing``."""
    x, count = call.x, call.get("N")
    wide = call.cast(x, result_type(x.dtype, "float32"))
    n = call.size(x, 0) if count is None else call.whole("N", count, 0)
    size: Size = x.sizes[0] if count is None else call.whole("N", count, 0)
    if isinstance(n, int):
        powers = call.constant(
            list(range(n)) if call.flag("increasing") else list(range(n))[::-1], wide.dtype
        )
    else:
        limit = call.op("Squeeze", n, [0])
        rising = call.positions(limit, size)
        last = call.op("Sub", limit, 1)
        powers = call.cast(rising if call.flag("increasing") else call.op("Sub", last, rising), wide.dtype)
    return call.cast(call.op("Pow", call.unsqueeze(wide, 1), powers), x.dtype)


# -- classes -----------------------------
def one_hot_of(call: Emitter, x: Tensor, classes: int, axis: int, dtype: str) -> Tensor:
    """1 where the index along the new axis is the class; nowhere for a class that is negative or too large.

    Not ONNX's OneHot, which counts negative classes from the end.
    """
    x = call.cast(x, "int64")
    shape = [classes if n == axis else 1 for n in range(x.rank + 1)]
    numbers = call.constant(np.arange(classes).reshape(shape), "int64")
    return call.cast(call.op("Equal", call.unsqueeze(x, axis), numbers), dtype)


@op("nn", "OneHot")
def one_hot(call: Emitter) -> Tensor:
    """``one_hot(x[a, b], classes) -> [a, b, classes]``."""
    x = as_tensor(call, argument(call, 0, "x"))
    if call.flag("sparse"):
        raise call.refuse("its result is sparse")
    axis = call.axis(call.get("axis", -1), x.rank + 1)
    return one_hot_of(call, x, call.integer("num_classes"), axis, call.dtype)


@op("nn", "MultiHot")
def multi_hot(call: Emitter) -> Tensor:
    """``multi_hot(x[b, n], classes) -> [b, classes]``; a vector gives ``[classes]``."""
    x = as_tensor(call, argument(call, 0, "inputs"))
    if call.flag("sparse"):
        raise call.refuse("its result is sparse")
    given = call.get("num_classes")
    classes = call.whole("num_classes", call.get("num_tokens") if given is None else given, 0)
    axis = call.axis(call.get("axis", -1), x.rank + 1)
    hot = one_hot_of(call, x, classes, axis, "bool")
    return call.cast(reduce_bool(call, "ReduceMax", hot, [1 if x.rank > 1 else 0]), call.dtype)


refuse_ops("the op of Keras 3.15 calls a function that does not exist", "numpy", "Histogram")
