"""Reductions: axes are dropped, or kept with size 1."""

from __future__ import annotations

from collections.abc import Callable

from ...ir.axis import Axis, Value, unit_axis
from .. import dtypes
from ..call import Call, ShapeError, known, op
from ..dtypes import result_type
from ._operands import configured_dtype, equate, operand, optional

Axes = tuple[Axis, ...]


def _float_if_integral(dtype: str) -> str:
    return dtypes.FLOATX if dtypes.is_integral(dtype) else dtypes.keep(dtype)


def _mean(dtype: str) -> str:
    return result_type(dtype, "float32") if dtypes.is_integral(dtype) else dtype


REDUCTIONS: dict[tuple[str, Callable[[str], str]], str] = {
    ("numpy", dtypes.to_bool): "All Any",
    ("numpy", dtypes.keep): "Amax Amin Max Min Ptp Nanmax Nanmin",
    ("numpy", dtypes.to_int32): "Argmax Argmin Nanargmax Nanargmin CountNonzero",
    ("numpy", dtypes.promoted_float): "Median Var Nanmean Nanmedian Nanstd Nanvar",
    ("numpy", _mean): "Mean",
    ("numpy", _float_if_integral): "Std",
    ("numpy", dtypes.widened): "Sum Nansum Prod Nanprod",
    ("math", dtypes.to_default): "Logsumexp",
    ("linalg", _float_if_integral): "Norm",
}


def reduced(call: Call, axes: Axes) -> Axes:
    """``reduce(x[a, b, c], axis=1) -> [a, c]``; with keepdims ``[a, 1, c]``, without an axis ``[]``."""
    gone = call.axis_tuple(call.get("axis"), len(axes))
    if call.flag("keepdims"):
        return tuple(unit_axis("keepdims") if i in gone else a for i, a in enumerate(axes))
    return tuple(a for i, a in enumerate(axes) if i not in gone)


def _register(family: str, dtype_of: Callable[[str], str], names: str) -> None:
    @op(family, *names.split())
    def reduction(call: Call) -> Value:
        """``reduce(x[a, b, c], axis=1) -> [a, c]``; with keepdims ``[a, 1, c]``, without an axis ``[]``."""
        x = call.x
        return Value(reduced(call, known(x)), configured_dtype(call, dtype_of(x.dtype)))


for (_family, _dtype_rule), _names in REDUCTIONS.items():
    _register(_family, _dtype_rule, _names)


@op("numpy", "Average")
def average(call: Call) -> Value:
    """``average(x[a, b, c], axis=1, weights[b]) -> [a, c]``; weights have the size of the axis, or x's shape."""
    x, weights = operand(call, 0, "x"), optional(call, 1, "weights")
    axes, kinds = known(x), [x.dtype, "float"]
    if weights is not None:
        kinds.append(weights.dtype)
        _weighted(call, axes, known(weights))
    return Value(reduced(call, axes), result_type(*kinds))


def _weighted(call: Call, axes: Axes, weights: Axes) -> None:
    if len(weights) == len(axes):
        over = axes
    elif len(weights) == 1 and call.get("axis") is not None:
        over = tuple(axes[i] for i in call.axis_tuple(call.get("axis"), len(axes)))
    else:
        raise ShapeError(f"weights of rank {len(weights)} for a tensor of rank {len(axes)}")
    for axis, weight in zip(over, weights, strict=False):
        equate(axis, weight, "a tensor and its weights")


@op("numpy", "Percentile", "Quantile", "Nanpercentile", "Nanquantile")
def quantile(call: Call) -> Value:
    """``quantile(x[a, b], q[n], axis=1) -> [n, a]``; a scalar q adds no axis."""
    x, q = operand(call, 0, "x"), operand(call, 1, "q")
    dtype = (
        dtypes.integral_to_float(x.dtype)
        if "ercentile" in call.operation.class_name
        else result_type(x.dtype, "float")
    )
    return Value((*known(q), *reduced(call, known(x))), dtype)


@op("nn", "Moments")
def moments(call: Call) -> tuple[Value, Value]:
    """``moments(x[a, b, c], axes=1) -> [a, c], [a, c]``: mean and variance."""
    axes = call.axes
    gone = call.axis_tuple(call.get("axes"), len(axes), "axes")
    kept = tuple(a for i, a in enumerate(axes) if i not in gone)
    if call.flag("keepdims"):
        kept = tuple(unit_axis("keepdims") if i in gone else a for i, a in enumerate(axes))
    return call.like(kept), call.like(kept)


@op("numpy", "Trapezoid")
def trapezoid(call: Call) -> Value:
    """``trapezoid(y[a, b], axis=1) -> [a]``."""
    y = call.x
    return Value(reduced(call, known(y)), result_type(y.dtype, "float"))


@op("numpy", "Trace")
def trace(call: Call) -> Value:
    """``trace(x[n, m, a], axis1=0, axis2=1) -> [a]``."""
    axes = call.axes
    first = call.axis(call.get("axis1", 0), len(axes), "axis1")
    second = call.axis(call.get("axis2", 1), len(axes), "axis2")
    if first == second:
        raise ShapeError(f"axis1 and axis2 are both {first}")
    return call.like(
        [a for i, a in enumerate(axes) if i not in (first, second)], dtypes.widened(call.x.dtype)
    )


@op("numpy", "Size")
def size(call: Call) -> Value:
    """``size(x[...]) -> []``."""
    return Value((), "int32")
