"""Numerical preprocessing: Rescaling, Normalization."""

from __future__ import annotations

from typing import Any

from ...ir.axis import Axis, Value, new_axis
from ..broadcast import Convention, broadcast
from ..call import Call, OpaqueError, layer
from ..spatial import kept, masked

_MAX_RANK = 16


@layer("Rescaling")
def rescaling(call: Call) -> Value:
    """``rescaling(x[...], scale) -> [...]``; a scale or offset that is an array is broadcast."""
    factors = [_array_axes(call, name) for name in ("scale", "offset")]
    axes = broadcast(Convention.NUMPY, [call.axes, *factors], unify=False)
    result = call.like(axes, call.compute_dtype())
    return masked(result, call.x.mask if len(axes) == len(call.axes) else None)


def _array_axes(call: Call, name: str) -> tuple[Axis, ...]:
    """The axes of a number (none), of nested lists, or of a NumPy array as Keras serialises it."""
    value: Any = call.get(name)
    if isinstance(value, dict):
        inner = value.get("config")
        value = inner.get("value") if isinstance(inner, dict) else None
        if value is None:
            raise OpaqueError(f"its {name} is of unknown shape")
    sizes: list[int] = []
    while isinstance(value, (list, tuple)):
        sizes.append(len(value))
        if not value or len(sizes) > _MAX_RANK:
            break
        value = value[0]
    return tuple(new_axis(size) for size in sizes)


@layer("Normalization")
def normalization(call: Call) -> Value:
    """``normalization(x[..., C], axis=-1) -> [..., C]``."""
    axis = call.get("axis", -1)
    for number in () if axis is None else axis if isinstance(axis, (list, tuple)) else (axis,):
        call.axis(number, len(call.axes))
    return kept(call)
