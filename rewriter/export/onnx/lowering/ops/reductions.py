"""Reductions over axes, which are dropped or stay with size 1."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .....ir.size import Size, product
from .....shapes.dtypes import result_type, widened
from ...emitter import Emitter
from ...graph import Tensor
from ...registry import op
from .. import _normalization as normalization
from ._factorisations import singular_values
from ._operands import (
    argument,
    as_tensor,
    common,
    declared,
    eye,
    flattened,
    is_float,
    is_nan,
    is_negative_zero,
    promoted_float,
    reduce_bool,
    where,
)
from .sorting import ordered


def _axes(call: Emitter, rank: int, name: str = "axis") -> tuple[int, ...]:
    return call.axis_tuple(call.get(name), rank, name)


def _reduced(call: Emitter, op_type: str, x: Tensor, keepdims: bool | None = None) -> Tensor:
    """A reduction over the configured axes; ``keepdims`` is the configured one unless given."""
    keep = call.flag("keepdims") if keepdims is None else keepdims
    return call.reduce(op_type, x, _axes(call, x.rank), keep)


def _reduced_bool(call: Emitter, op_type: str, x: Tensor, keepdims: bool | None = None) -> Tensor:
    keep = call.flag("keepdims") if keepdims is None else keepdims
    return reduce_bool(call, op_type, x, _axes(call, x.rank), keep)


@op("numpy", "All", "Any")
def truth(call: Emitter) -> Tensor:
    """Whether all, or any, elements are not 0."""
    op_type = "ReduceMin" if call.operation.class_name == "All" else "ReduceMax"
    return _reduced_bool(call, op_type, call.cast(call.x, "bool"))


@op("numpy", "Max", "Amax", "Min", "Amin")
def extreme(call: Emitter) -> Tensor:
    """The largest or smallest number, including ``initial``."""
    x, initial = call.x, call.get("initial")
    largest = call.operation.class_name in ("Max", "Amax")
    op_type = "ReduceMax" if largest else "ReduceMin"
    if x.dtype == "bool":
        y = _reduced_bool(call, op_type, x)
        if initial is None:
            return y
        whole = call.op("Max" if largest else "Min", call.cast(y, "int32"), as_tensor(call, initial, "int32"))
        return call.cast(whole, "bool")
    y = _reduced(call, op_type, x)
    if initial is None:
        return y
    return call.op("Max" if largest else "Min", y, as_tensor(call, initial, x.dtype))


@op("numpy", "Ptp")
def peak_to_peak(call: Emitter) -> Tensor:
    """The largest minus the smallest."""
    x = call.x
    if x.dtype == "bool":
        raise call.refuse("TensorFlow does not compute it for bool")
    return call.op("Sub", _reduced(call, "ReduceMax", x), _reduced(call, "ReduceMin", x))


@op("numpy", "Nanmax", "Nanmin")
def extreme_number(call: Emitter) -> Tensor:
    """The largest or smallest number without NaN; NaN where all are NaN."""
    x, largest = call.x, call.operation.class_name == "Nanmax"
    op_type = "ReduceMax" if largest else "ReduceMin"
    if x.dtype == "bool":
        return _reduced_bool(call, op_type, x)
    if not is_float(x.dtype):
        return _reduced(call, op_type, x)
    lost = is_nan(call, x)
    rest = where(call, lost, call.constant(-math.inf if largest else math.inf, x.dtype), x)
    none = _reduced_bool(call, "ReduceMin", lost)
    return where(call, none, call.constant(math.nan, x.dtype), _reduced(call, op_type, rest))


# -- positions -----------------------------
def _position(call: Emitter, x: Tensor, largest: bool) -> Tensor:
    """The first position of the largest or smallest number, -0.0 being less than 0.0."""
    if is_float(x.dtype):
        if x.rank:
            x = call.cast(x, result_type(x.dtype, "float32"))
            least = -float(np.finfo(x.dtype).tiny)
            x = where(call, is_negative_zero(call, x), call.constant(least, x.dtype), x)
    elif x.dtype == "bool":
        x = call.cast(x, "uint8")
    keep, axis, rank = call.flag("keepdims"), call.get("axis"), x.rank
    op_type = "ArgMax" if largest else "ArgMin"
    if axis is not None:
        y = call.op(op_type, x, axis=call.axis(axis, rank), keepdims=int(keep))
        return call.cast(y, "int32")
    flat = call.reshape(x, [1]) if rank == 0 else flattened(call, x)
    y = call.cast(call.op(op_type, flat, axis=0, keepdims=0), "int32")
    return call.reshape(y, [1] * rank) if keep and rank else y


@op("numpy", "Argmax", "Argmin")
def position(call: Emitter) -> Tensor:
    """``argmax(x[a, b], axis=1) -> int32[a]``."""
    return _position(call, call.x, call.operation.class_name == "Argmax")


@op("numpy", "Nanargmax", "Nanargmin")
def position_of_number(call: Emitter) -> Tensor:
    """The position of the largest or smallest number without NaN; -1 where all are NaN."""
    x, largest = call.x, call.operation.class_name == "Nanargmax"
    if not is_float(x.dtype):
        return _position(call, x, largest)
    lost = is_nan(call, x)
    rest = where(call, lost, call.constant(-math.inf if largest else math.inf, x.dtype), x)
    none = _reduced_bool(call, "ReduceMin", lost)
    return where(call, none, call.constant(-1, "int32"), _position(call, rest, largest))


@op("numpy", "CountNonzero")
def count_nonzero(call: Emitter) -> Tensor:
    """How many elements are not 0."""
    x = call.x
    some = x if x.dtype == "bool" else call.op("Not", call.op("Equal", x, call.constant(0, x.dtype)))
    return _reduced(call, "ReduceSum", call.cast(some, "int32"), False)


# -- sums -----------------------------
@op("numpy", "Sum")
def total(call: Emitter) -> Tensor:
    """The sum, in at least 32 bits."""
    return _reduced(call, "ReduceSum", call.cast(call.x, widened(call.x.dtype)))


@op("numpy", "Prod")
def all_multiplied(call: Emitter) -> Tensor:
    """The product, in at least 32 bits."""
    dtype = call.x.dtype if call.get("dtype") is not None else widened(call.x.dtype)
    return declared(call, _reduced(call, "ReduceProd", call.cast(call.x, dtype)))


@op("numpy", "Nansum", "Nanprod")
def total_of_numbers(call: Emitter) -> Tensor:
    """The sum or product without NaN."""
    x, adds = call.x, call.operation.class_name == "Nansum"
    if is_float(x.dtype):
        x = where(call, is_nan(call, x), 0.0 if adds else 1.0, x)
    return _reduced(call, "ReduceSum" if adds else "ReduceProd", call.cast(x, widened(x.dtype)))


def _mean_type(dtype: str) -> str:
    return result_type(dtype, "float32")


@op("numpy", "Mean")
def mean(call: Emitter) -> Tensor:
    """The mean, computed in float32 at least."""
    wide = call.cast(call.x, _mean_type(call.x.dtype))
    return call.cast(_reduced(call, "ReduceMean", wide), call.dtype)


def _variance(call: Emitter, x: Tensor) -> Tensor:
    centre = _reduced(call, "ReduceMean", x, True)
    apart = call.op("Sub", x, centre)
    return _reduced(call, "ReduceMean", call.op("Mul", apart, apart))


@op("numpy", "Var")
def variance(call: Emitter) -> Tensor:
    """The mean square distance from the mean, computed in float32 at least."""
    return call.cast(_variance(call, call.cast(call.x, _mean_type(call.x.dtype))), call.dtype)


@op("numpy", "Std")
def standard_deviation(call: Emitter) -> Tensor:
    """The square root of the variance."""
    return call.op("Sqrt", _variance(call, call.cast(call.x, call.dtype)))


def _nan_mean(call: Emitter, x: Tensor, keepdims: bool) -> Tensor:
    known = call.op("Not", is_nan(call, x))
    added = _reduced(call, "ReduceSum", where(call, known, x, 0.0), keepdims)
    return call.op("Div", added, _reduced(call, "ReduceSum", call.cast(known, x.dtype), keepdims))


@op("numpy", "Nanmean")
def mean_of_numbers(call: Emitter) -> Tensor:
    """The mean without NaN."""
    x = call.x
    if call.get("axis") in ((), []):
        return declared(call, x)
    if not is_float(x.dtype):
        return _reduced(call, "ReduceMean", call.cast(x, "float32"))
    return declared(call, _nan_mean(call, x, call.flag("keepdims")))


@op("numpy", "Nanvar", "Nanstd")
def variance_of_numbers(call: Emitter) -> Tensor:
    """The variance, or its root, without NaN."""
    x = call.cast(call.x, result_type(call.x.dtype, "float"))
    known = call.op("Not", is_nan(call, x))
    centre = x if call.get("axis") in ((), []) else _nan_mean(call, x, True)
    apart = where(call, known, call.op("Sub", x, centre), 0.0)
    added = _reduced(call, "ReduceSum", call.op("Mul", apart, apart))
    result = call.op("Div", added, _reduced(call, "ReduceSum", call.cast(known, x.dtype)))
    return call.op("Sqrt", result) if call.operation.class_name == "Nanstd" else result


@op("math", "Logsumexp")
def log_sum_exp(call: Emitter) -> Tensor:
    """``log(sum(exp(x)))`` without an overflow."""
    x = call.x
    if not is_float(x.dtype):
        raise call.refuse(f"TensorFlow does not compute it for {x.dtype}")
    top = _reduced(call, "ReduceMax", x, True)
    finite = call.op("Less", call.op("Abs", top), call.constant(math.inf, x.dtype))
    top = where(call, finite, top, 0.0)
    powers = call.op("Exp", call.op("Sub", x, top))
    axes = _axes(call, x.rank)
    y = call.op("Add", call.op("Log", call.reduce("ReduceSum", powers, axes, True)), top)
    if axes and not call.flag("keepdims"):
        y = call.squeeze(y, *axes)
    return declared(call, y)


@op("linalg", "Norm")
def norm(call: Emitter) -> Tensor:
    """The norm of vectors along one axis, or of matrices along two."""
    x = call.x
    x = call.cast(x, "float32" if x.dtype == "int64" else promoted_float(x.dtype))
    return declared(call, norm_of(call, x, call.get("ord"), call.get("axis"), call.flag("keepdims")))


def norm_of(call: Emitter, x: Tensor, order: Any, axis: Any, keepdims: bool) -> Tensor:
    """``norm(x[a, b], axis=1) -> [a]``. ``order``: a number, ``"fro"``, ``"nuc"``, or None (2-norm, Frobenius)."""
    given = range(x.rank) if axis is None else axis if isinstance(axis, (list, tuple)) else (axis,)
    axes = [call.axis(a, x.rank) for a in given]
    order = {"inf": math.inf, "-inf": -math.inf}.get(order, order) if isinstance(order, str) else order
    size = call.op("Abs", x)
    if len(axes) == 1:
        return _vector_norm(call, x, size, order, axes, keepdims)
    if len(axes) != 2:
        raise call.refuse("TensorFlow has norms over one or two axes only")
    if order in (None, "fro"):
        return call.op("Sqrt", call.reduce("ReduceSum", call.op("Mul", x, x), axes, keepdims))
    if order in ("nuc", 2, -2):
        if keepdims and list(given) != sorted(axes):
            raise call.refuse("TensorFlow inserts the kept axes in other places")
        return _spectral_norm(call, x, order, axes, keepdims)
    if order not in (1, -1, math.inf, -math.inf):
        raise call.refuse(f"TensorFlow has no matrix norm of order {order!r}")
    first, second = axes if order in (1, -1) else axes[::-1]
    sums = call.reduce("ReduceSum", size, [first], True)
    y = call.reduce("ReduceMax" if order > 0 else "ReduceMin", sums, [second], True)
    return y if keepdims else call.squeeze(y, *sorted(axes))


def _spectral_norm(call: Emitter, x: Tensor, order: Any, axes: list[int], keepdims: bool) -> Tensor:
    """The sum, largest or least of the singular values."""
    rest = [n for n in range(x.rank) if n not in axes]
    values = singular_values(call, call.transpose(x, [*rest, *axes]))
    kind_of = {"nuc": "ReduceSum", 2: "ReduceMax", -2: "ReduceMin"}[order]
    y = call.reduce(kind_of, values, [-1])
    return call.unsqueeze(y, *sorted(axes)) if keepdims else y


def _vector_norm(
    call: Emitter, x: Tensor, size: Tensor, order: Any, axes: list[int], keepdims: bool
) -> Tensor:
    if order is None or order == 2:
        return call.op("Sqrt", call.reduce("ReduceSum", call.op("Mul", x, x), axes, keepdims))
    if not isinstance(order, (int, float)):
        raise call.refuse(f"TensorFlow has no vector norm of order {order!r}")
    if math.isinf(order):
        return call.reduce("ReduceMax" if order > 0 else "ReduceMin", size, axes, keepdims)
    if order == 0:
        some = call.op("Not", call.op("Equal", x, 0.0))
        return call.reduce("ReduceSum", call.cast(some, x.dtype), axes, keepdims)
    if order == 1:
        return call.reduce("ReduceSum", size, axes, keepdims)
    powers = call.reduce("ReduceSum", call.op("Pow", size, float(order)), axes, keepdims)
    return call.op("Pow", powers, 1.0 / order)


@op("numpy", "Average")
def average(call: Emitter) -> Tensor:
    """``average(x[a, b], axis=1, weights[b]) -> [a]``."""
    weights = argument(call, 1, "weights")
    x = call.x
    if weights is None:
        return declared(
            call, _reduced(call, "ReduceMean", call.cast(x, result_type(x.dtype, "float")), False)
        )
    dtype = result_type(common(call, x, weights), "float")
    x, weights = call.cast(x, dtype), as_tensor(call, weights, dtype)
    axes = _axes(call, x.rank)
    if weights.rank == x.rank:
        added = call.reduce("ReduceSum", weights, axes)
    elif weights.rank == 1 and len(axes) == 1:
        added = call.reduce("ReduceSum", weights, [0])
        weights = call.reshape(weights, [weights.sizes[0], *([1] * (x.rank - 1 - axes[0]))])
    else:
        raise call.refuse(f"weights of rank {weights.rank} for a tensor of rank {x.rank}")
    return declared(call, call.op("Div", call.reduce("ReduceSum", call.op("Mul", x, weights), axes), added))


# -- quantiles -----------------------------
def _asked(call: Emitter, percent: bool) -> Tensor:
    """The requested quantiles as float64, after TensorFlow's own conversion."""
    given = argument(call, 1, "q")
    if percent:
        return call.cast(call.op("Div", as_tensor(call, given, "float32"), 100.0), "float64")
    first = given if isinstance(given, Tensor) else as_tensor(call, given)
    return call.cast(first, "float64")


def _rows(call: Emitter, x: Tensor) -> tuple[Tensor, tuple[int, ...], list[int]]:
    """``x[a, b, c]`` with the reduced axes merged into the last one; those axes, and the others."""
    axes = _axes(call, x.rank)
    rest = [n for n in range(x.rank) if n not in axes]
    turned = call.transpose(x, [*rest, *axes])
    sizes: list[Size] = [x.sizes[n] for n in rest]
    return call.reshape(turned, [*sizes, product(x.sizes[a] for a in axes)]), axes, rest


def _bounds(call: Emitter, place: Tensor, last: Tensor, method: str) -> list[tuple[Tensor, Tensor | None]]:
    """The positions to mix for a place between 0 and ``last``, each with its weight (None for equal weights)."""

    def at(op_type: str) -> Tensor:
        rounded = call.op(op_type, place)
        return call.op("Max", call.op("Min", rounded, last), call.constant(0, "float64"))

    if method in _ROUNDED:
        return [(at(_ROUNDED[method]), None)]
    if method == "midpoint":
        return [(at("Floor"), None), (at("Ceil"), None)]
    if method != "linear":
        raise call.refuse(f"TensorFlow has no quantile method {method!r}")
    one = call.constant(1, "float64")
    below = call.op("Max", call.op("Sub", at("Ceil"), one), call.constant(0, "float64"))
    above = call.op("Min", call.op("Add", below, one), last)
    share = call.op("Sub", above, place)
    return [(above, call.op("Sub", one, share)), (below, share)]


_ROUNDED = {"lower": "Floor", "higher": "Ceil", "nearest": "Round"}


def _mixed(call: Emitter, parts: list[tuple[Tensor, Tensor | None]], dtype: str) -> Tensor:
    if len(parts) == 1:
        return parts[0][0]
    shares = [0.5 if share is None else call.cast(share, dtype) for _, share in parts]
    first, second = (call.op("Mul", y, share) for (y, _), share in zip(parts, shares, strict=True))
    return call.op("Add", first, second)


def _quantile(call: Emitter, q: Tensor, method: str) -> Tensor:
    """``[*q, *rest]``: sorted along the axes, then a mix of the two numbers around each place."""
    x = call.cast(call.x, result_type(call.x.dtype, "float"))
    rows, axes, rest = _rows(call, x)
    line = ordered(call, rows, -1)[0]
    last = call.op("Sub", call.count(rows, rows.rank - 1, "float64"), call.constant(1, "float64"))
    place = call.op("Mul", last, q)
    parts = [
        (call.op("Gather", line, call.cast(position, "int64"), axis=line.rank - 1), share)
        for position, share in _bounds(call, place, last, method)
    ]
    y = _mixed(call, parts, x.dtype)
    lost = reduce_bool(call, "ReduceMax", is_nan(call, rows), [rows.rank - 1])
    lost = call.unsqueeze(lost, *range(lost.rank, lost.rank + q.rank))
    y = where(call, lost, call.constant(math.nan, x.dtype), y)
    y = call.transpose(y, [*range(len(rest), len(rest) + q.rank), *range(len(rest))])
    return _kept(call, y, axes, q.rank)


def _kept(call: Emitter, y: Tensor, axes: tuple[int, ...], before: int) -> Tensor:
    return call.unsqueeze(y, *(before + a for a in axes)) if call.flag("keepdims") and axes else y


def _nan_quantile(call: Emitter, q: Tensor, method: str) -> Tensor:
    """``_quantile`` without NaN: each row has its own last place."""
    x = call.x
    if not is_float(x.dtype):
        return _quantile(call, q, method)
    if q.rank > 1 and call.get("axis") is not None:
        raise call.refuse("TensorFlow returns the axes of its quantiles in another order")
    rows, axes, _ = _rows(call, x)
    table = call.reshape(rows, [product(rows.sizes[:-1]), rows.sizes[-1]])
    known = call.op("Not", is_nan(call, table))
    line = ordered(call, where(call, known, table, call.constant(math.inf, x.dtype)), -1)[0]
    count = call.reduce("ReduceSum", call.cast(known, "float64"), [1], True)
    zero = call.constant(0, "float64")
    last = call.op("Max", call.op("Sub", count, call.constant(1, "float64")), zero)
    place = call.op("Mul", last, q if q.rank == 1 else call.reshape(q, [1, product(q.sizes)]))
    parts = [
        (call.op("GatherElements", line, call.cast(position, "int64"), axis=1), share)
        for position, share in _bounds(call, place, last, method)
    ]
    y = _mixed(call, parts, x.dtype)
    y = where(call, call.op("Equal", count, zero), call.constant(math.nan, x.dtype), y)
    y = call.reshape(call.transpose(y, [1, 0]), [*q.sizes, *rows.sizes[:-1]])
    return _kept(call, y, axes, q.rank)


def _register_quantile(name: str, percent: bool, of_numbers: bool) -> None:
    @op("numpy", name)
    def quantile(call: Emitter) -> Tensor:
        """``quantile(x[a, b], q[n], axis=1) -> [n, a]``."""
        # The op Quantile does not pass its method on (keras/src/ops/numpy.py, 3.15).
        method = "linear" if name == "Quantile" else call.text("method", "linear")
        compute = _nan_quantile if of_numbers else _quantile
        return declared(call, compute(call, _asked(call, percent), method))


_register_quantile("Quantile", False, False)
_register_quantile("Percentile", True, False)
_register_quantile("Nanquantile", False, True)
_register_quantile("Nanpercentile", True, True)


def _register_median(name: str, compute: Callable[[Emitter, Tensor, str], Tensor]) -> None:
    @op("numpy", name)
    def median(call: Emitter) -> Tensor:
        """The middle number, or the mean of the two middle numbers."""
        if name == "Nanmedian" and call.get("axis") in ((), []):
            return declared(call, call.x)
        return declared(call, compute(call, call.constant(0.5, "float64"), "linear"))


_register_median("Median", _quantile)
_register_median("Nanmedian", _nan_quantile)


# -- others -----------------------------
@op("nn", "Moments")
def moments(call: Emitter) -> tuple[Tensor, Tensor]:
    """``moments(x[a, b, c], axes=1) -> [a, c], [a, c]``: mean and variance."""
    x = call.x
    if not is_float(x.dtype):
        raise call.refuse(f"TensorFlow does not compute it for {x.dtype}")
    axes = _axes(call, x.rank, "axes")
    wide = normalization.at_least_float32(call, x)
    results = []
    for y in normalization.moments(call, wide, axes):
        if x.dtype in ("float16", "bfloat16"):
            limit = 65504.0
            y = call.cast(call.op("Clip", y, call.constant(-limit), call.constant(limit)), x.dtype)
        results.append(y if call.flag("keepdims") or not axes else call.squeeze(y, *axes))
    return results[0], results[1]


@op("numpy", "Trapezoid")
def trapezoid(call: Emitter) -> Tensor:
    """``trapezoid(y[a, b], axis=1) -> [a]``: the area below the line through the points."""
    y, axis = call.cast(call.x, result_type(call.x.dtype, "float")), call.x.rank - 1
    place = call.axis(call.get("axis", -1), y.rank)
    y = call.transpose(y, [*(n for n in range(y.rank) if n != place), place])
    heights = call.op("Add", call.slice(y, axis, 1), call.slice(y, axis, 0, -1))
    areas = call.op("Mul", call.op("Mul", heights, 0.5), _steps(call, place, y))
    return call.reduce("ReduceSum", areas, [axis])


def _steps(call: Emitter, place: int, y: Tensor) -> Tensor:
    x = call.get("x")
    if x is None:
        return call.constant(call.get("dx", 1.0), y.dtype)
    try:
        axis = call.get("axis", -1)
        steps = np.moveaxis(np.diff(np.asarray(x, np.float64), axis=axis), axis, -1)
    except (ValueError, TypeError):
        raise call.refuse("its x is not a list of numbers along the axis") from None
    return call.constant(steps, y.dtype)


@op("numpy", "Trace")
def trace(call: Emitter) -> Tensor:
    """``trace(x[n, m, a], axis1=0, axis2=1) -> [a]``."""
    x = call.cast(call.x, widened(call.x.dtype))
    first, second = (call.axis(call.get(n, d), x.rank, n) for n, d in (("axis1", 0), ("axis2", 1)))
    offset = call.whole("offset", call.get("offset", 0))
    x = call.transpose(x, [*(n for n in range(x.rank) if n not in (first, second)), first, second])
    rows, columns = call.size(x, x.rank - 2), call.size(x, x.rank - 1)
    diagonal = eye(call, rows, columns, offset, x.sizes[-2:])
    return call.reduce("ReduceSum", where(call, diagonal, x, call.constant(0, x.dtype)), [-2, -1])


@op("numpy", "Size")
def size(call: Emitter) -> Tensor:
    """``size(x[...]) -> int32[]``."""
    count = product(call.x.sizes)
    if isinstance(count, int):
        return call.constant(count, "int32")
    return call.cast(call.op("Size", call.x, as_dtype="int64", as_sizes=()), "int32")
