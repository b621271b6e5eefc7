"""Folds nodes on constants with NumPy. Large results are computed when the file is written, to save memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .dtypes import NAMES, cast_array, numpy_dtype
from .graph import Array, Data, Tensor
from .sizes import numbers

_Fold = Callable[..., Array]

_UNARY: dict[str, Callable[[Array], Array]] = {
    "Abs": np.abs,
    "Ceil": np.ceil,
    "Cos": np.cos,
    "Exp": np.exp,
    "Floor": np.floor,
    "Log": np.log,
    "Neg": np.negative,
    "Not": np.logical_not,
    "Reciprocal": np.reciprocal,
    "Sign": np.sign,
    "Sin": np.sin,
    "Sqrt": np.sqrt,
    "Tanh": np.tanh,
}
_BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "And": np.logical_and,
    "Equal": np.equal,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "MatMul": np.matmul,
    "Mul": np.multiply,
    "Or": np.logical_or,
    "Pow": np.power,
    "Sub": np.subtract,
}


def _axes(axes: Array | list[int]) -> tuple[int, ...]:
    """Axes, from an operand or, as before opset 18, an attribute."""
    return tuple(int(a) for a in np.asarray(axes).reshape(-1))


def _div(a: Array, b: Array) -> Array:
    # ONNX truncates a quotient of whole numbers towards zero (Div, as in C), NumPy rounds it down.
    if a.dtype.kind in "iu":
        return np.asarray(a // b + ((a % b != 0) & ((a < 0) != (b < 0))))
    return np.divide(a, b)


def _reshape(x: Array, target: Array, allowzero: int = 0) -> Array:
    return x.reshape([x.shape[n] if t == 0 and not allowzero else int(t) for n, t in enumerate(target)])


def _slice(
    x: Array, starts: Array, ends: Array, axes: Array | None = None, steps: Array | None = None
) -> Array:
    index = [slice(None)] * x.ndim
    for n in range(len(starts)):
        step = 1 if steps is None else int(steps[n])
        axis = n if axes is None else int(axes[n])
        end = int(ends[n])
        index[axis] = slice(int(starts[n]), None if step < 0 and end < -x.shape[axis] else end, step)
    return x[tuple(index)]


def _pad(
    x: Array, pads: Array, value: Array | None = None, axes: Array | None = None, mode: str = "constant"
) -> Array:
    half = len(pads) // 2
    widths = [(0, 0)] * x.ndim
    for n in range(half):
        widths[n if axes is None else int(axes[n])] = (int(pads[n]), int(pads[n + half]))
    if mode == "constant":
        return np.pad(x, widths, constant_values=0 if value is None else value.item())
    padded: Array = np.pad(x, widths, mode=mode)  # type: ignore[call-overload]
    return padded


def _reduced(function: Callable[..., Any]) -> _Fold:
    def fold(x: Array, axes: Array | None = None, keepdims: int = 1) -> Array:
        return np.asarray(function(x, axis=None if axes is None else _axes(axes), keepdims=bool(keepdims)))

    return fold


_FOLDS: dict[str, _Fold] = {
    **{name: lambda x, f=function: f(x) for name, function in _UNARY.items()},
    **{name: lambda a, b, f=function: f(a, b) for name, function in _BINARY.items()},
    "Cast": lambda x, to: cast_array(x, NAMES[to]),
    "Concat": lambda *parts, axis: np.concatenate(parts, axis),
    "Div": _div,
    "Expand": lambda x, target: np.broadcast_to(
        x, np.broadcast_shapes(x.shape, tuple(int(t) for t in target))
    ),
    "Flatten": lambda x, axis=1: x.reshape(math.prod(x.shape[:axis]), -1),
    "Gather": lambda x, indices, axis=0: np.take(x, indices, axis),
    "Identity": lambda x: x,
    "Max": lambda *parts: np.max(np.broadcast_arrays(*parts), axis=0),
    "Min": lambda *parts: np.min(np.broadcast_arrays(*parts), axis=0),
    "Pad": _pad,
    "Range": lambda a, b, step: np.arange(a, b, step, dtype=a.dtype),
    "ReduceMean": _reduced(np.mean),
    "ReduceProd": _reduced(np.prod),
    "ReduceSum": _reduced(np.sum),
    "Reshape": _reshape,
    "Shape": lambda x, start=0, end=None: np.asarray(x.shape[start:end], np.int64),
    "Slice": _slice,
    "Squeeze": lambda x, axes: x.squeeze(_axes(axes)),
    "Tile": lambda x, repeats: np.tile(x, _axes(repeats)),
    "Transpose": lambda x, perm=None: x.transpose(perm),
    "Unsqueeze": lambda x, axes: np.expand_dims(x, _axes(axes)),
    "Where": lambda condition, a, b: np.asarray(np.where(condition, a, b)),
}
# How many numbers a fold may add to the file; a larger broadcast is computed at run time.
_SPARE = 4096


def folded(op_type: str, inputs: list[Tensor | None], attributes: dict[str, Any], dtype: str) -> Data | None:
    """The result of a node on constants; None if it cannot be folded.

    Small operands are folded at once. For larger ones, the shape has to be known without the numbers.
    """
    fold = _FOLDS.get(op_type)
    if fold is None or not all(t is None or t.data is not None for t in inputs):
        return None
    data = [None if t is None else t.data for t in inputs]
    total = sum(d.count for d in data if d is not None)

    def compute() -> Array:
        with np.errstate(all="ignore"):
            result = fold(*(None if d is None else d.load() for d in data), **attributes)
        return np.asarray(result).astype(numpy_dtype(dtype), copy=False)

    if total <= _SPARE:
        size = _expected(op_type, inputs)
        if size is not None and size > total + _SPARE:
            return None
        made = compute()
        return Data(made.shape, dtype, lambda: made) if made.size <= total + _SPARE else None
    from .sizes import result_sizes

    sizes = result_sizes(op_type, inputs, attributes)
    if sizes is None or any(not isinstance(s, int) for s in sizes):
        return None
    shape = tuple(s for s in sizes if isinstance(s, int))
    if math.prod(shape) > total + _SPARE:
        return None
    return Data(shape, dtype, compute)


def _expected(op_type: str, inputs: list[Tensor | None]) -> int | None:
    """The number of results of a node that can make many numbers from few; None for other nodes."""
    if op_type in ("Expand", "Tile"):
        factors = numbers(inputs[1])
        count = math.prod(factors or [])
        first = inputs[0]
        return count * (first.data.count if op_type == "Tile" and first is not None and first.data else 1)
    if op_type == "Range":
        start, end, step = (t.data.small.item() for t in inputs if t is not None and t.data is not None)
        return abs(int((end - start) / step)) if step else 0
    return None
