"""Sorting, running totals and differences: the axes stay, or all are flattened into one."""

from __future__ import annotations

from ...ir.axis import Axis, Value, remade
from ...ir.size import Size
from .. import dtypes
from ..call import Call, ShapeError, op
from ._operands import configured_dtype, flattened

Axes = tuple[Axis, ...]


def _along(call: Call, default: int | None) -> Axes:
    axes, axis = call.axes, call.get("axis", default)
    if axis is None:
        return flattened(axes)
    call.axis(axis, len(axes))
    return axes


@op("numpy", "Sort")
def sort(call: Call) -> Value:
    """``sort(x[a, b]) -> [a, b]``; with axis None ``[a*b]``."""
    return call.like(_along(call, -1))


@op("numpy", "Argsort", "Argpartition")
def argsort(call: Call) -> Value:
    """``argsort(x[a, b]) -> [a, b]``; with axis None ``[a*b]``."""
    return call.like(_along(call, -1), "int32")


@op("numpy", "Cumsum", "Cumprod", "Nancumsum", "Nancumprod")
def cumulative(call: Call) -> Value:
    """``cumsum(x[a, b], axis=1) -> [a, b]``; without an axis ``[a*b]``."""
    if isinstance(call.get("axis"), (list, tuple)):
        # Keras saves such a model and states a shape, but no backend adds up along several axes.
        raise ShapeError("runs along one axis or, flattened, along all, not along a list of them")
    return call.like(_along(call, None), dtypes.bool_to_int32(configured_dtype(call, call.x.dtype)))


@op("math", "TopK")
def top_k(call: Call) -> tuple[Value, Value]:
    """``top_k(x[..., n], k) -> [..., k], [..., k]``: values and their indices."""
    axes, k = call.axes, call.integer("k", 0)
    if not axes:
        raise ShapeError("a scalar has no axis to pick from")
    last = axes[-1]
    if isinstance(last.size, int) and k > last.size:
        raise ShapeError(f"takes the top {k} of {last}")
    kept = [*axes[:-1], remade(last, k)]
    return call.like(kept), call.like(kept, "int32")


@op("numpy", "Diff")
def diff(call: Call) -> Value:
    """``diff(x[a, b], n=1, axis=1) -> [a, b-1]``; a symbolic size holds where the result is not empty."""
    axes = call.axes
    place, order = call.axis(call.get("axis", -1), len(axes)), call.integer("n", 0, 1)
    old = axes[place]
    size: Size = old.size - order
    if isinstance(size, int):
        size = max(size, 0)
    new = old if order == 0 else remade(old, size)
    return call.like([*axes[:place], new, *axes[place + 1 :]])
