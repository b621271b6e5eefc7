"""Numerical preprocessing: Rescaling, Normalization."""

from __future__ import annotations

from typing import Any

from .....ir.size import Size
from ...emitter import Emitter
from ...graph import Tensor
from ...refusal import Refused
from ...registry import layer

_EPSILON = 1e-7  # the default of keras.config.epsilon()


@layer("Rescaling")
def rescaling(call: Emitter) -> Tensor:
    """``x * scale + offset``; an array as scale or offset is broadcast."""
    x = call.cast(call.x, call.dtype)
    scale, offset = (_array(call, name, default) for name, default in (("scale", 1.0), ("offset", 0.0)))
    y = x if _is(scale, 1) else call.op("Mul", x, scale)
    y = y if _is(offset, 0) else call.op("Add", y, offset)
    return call.identity(y) if y is call.x and y.sizes != call.sizes else y


def _array(call: Emitter, name: str, default: float) -> Tensor:
    """A number or an array, bare or as Keras serialises it."""
    value: Any = call.get(name, default)
    if isinstance(value, dict):
        inner = value.get("config")
        value = inner.get("value") if isinstance(inner, dict) else None
    return call.constant(call.numbers(name, value), call.dtype)


def _is(tensor: Tensor, number: float) -> bool:
    return tensor.rank == 0 and tensor.data is not None and float(tensor.data.small) == number


@layer("Normalization")
def normalization(call: Emitter) -> Tensor:
    """``(x - mean) / max(sqrt(variance), epsilon)``, or its inverse, along the axes that are kept."""
    x = call.cast(call.x, call.dtype)
    axis = call.get("axis", -1)
    listed = [] if axis is None else list(axis) if isinstance(axis, (list, tuple)) else [axis]
    kept = sorted(call.axis(a, x.rank) for a in listed)
    mean, variance = (_statistic(call, x, name, n, kept) for n, name in enumerate(("mean", "variance")))
    deviation = call.op("Max", call.op("Sqrt", variance), call.constant(_EPSILON, x.dtype))
    if call.flag("invert"):
        return call.op("Add", mean, call.op("Mul", x, deviation))
    return call.op("Div", call.op("Sub", x, mean), deviation)


def _statistic(call: Emitter, x: Tensor, name: str, number: int, kept: list[int]) -> Tensor:
    """The mean or variance, shaped to broadcast; a configured one aligns with the kept axes from the right."""
    value = call.get(name)
    if isinstance(value, dict):
        inner = value.get("config")
        value = inner.get("value") if isinstance(inner, dict) else None
    sizes: list[Size] = [1] * x.rank
    if value is None:
        found = call.weight(f"vars/{number}", name, x.dtype)
        for place, size in zip(kept, found.sizes, strict=True):
            sizes[place] = size
        return call.reshape(found, sizes)
    given = call.numbers(name, value)
    if given.ndim > len(kept):
        raise Refused(f"its {name} has {given.ndim} axes, and the layer keeps {len(kept)}")
    for place, size in zip(reversed(kept), reversed(given.shape), strict=False):
        sizes[place] = size
    return call.constant(given.reshape([s if isinstance(s, int) else -1 for s in sizes]), x.dtype)
