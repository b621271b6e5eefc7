"""Batch, spatial and channel axes of an image-like tensor by ``data_format``, and helpers that rules share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import BadFileError, shown
from ..ir.axis import Axis, Role, Value, remade
from ..ir.graph import Operation, leaves
from ..ir.size import Size
from .call import Call, OpaqueError, need_rank, positive

SPATIAL_ROLES: dict[int, tuple[Role, ...]] = {
    1: (Role.TIME,),
    2: (Role.HEIGHT, Role.WIDTH),
    3: (Role.DEPTH, Role.HEIGHT, Role.WIDTH),
}
_FLOATS = frozenset({"float16", "bfloat16", "float32", "float64", "float8_e4m3fn", "float8_e5m2"})


@dataclass(frozen=True, slots=True)
class Image:
    """The axes of an image-like tensor by kind; ``join`` builds axes of the same layout."""

    batch: Axis
    spatial: tuple[Axis, ...]
    channel: Axis
    first: bool

    def join(self, spatial: Sequence[Axis], channel: Axis) -> tuple[Axis, ...]:
        return (self.batch, channel, *spatial) if self.first else (self.batch, *spatial, channel)


def image(call: Call, dimensions: int, first: bool | None = None) -> Image:
    """The first operand as ``[B, S1..Sn, C]`` or ``[B, C, S1..Sn]``; hints the roles of its axes.

    Raises:
        ShapeError: the operand has another rank.
    """
    axes = need_rank(call.x, dimensions + 2)
    if first is None:
        first = call.channels_first()
    parts = Image(axes[0], axes[2:] if first else axes[1:-1], axes[1] if first else axes[-1], first)
    hint_all(parts.spatial, SPATIAL_ROLES[dimensions])
    parts.channel.origin.hint(Role.CHANNEL)
    return parts


def hint_all(axes: Sequence[Axis], roles: Sequence[Role]) -> None:
    """Hint a role for each axis; an axis with a stronger role keeps it."""
    for axis, role in zip(axes, roles, strict=True):
        axis.origin.hint(role)


def hint_time(axis: Axis) -> None:
    """Hint that an axis is time; a merged axis (``H*W`` flattened) gets no hint."""
    if not axis.factors:
        axis.origin.hint(Role.TIME)


def resized(axis: Axis, size: Size, what: str = "") -> Axis:
    """The axis resized to ``size``: of the same role, derived from it; the same axis where the size is the same.

    Raises:
        ShapeError: ``size`` is below 1.
    """
    if size == axis.size:
        return axis
    return remade(axis, positive(size, f"{axis} after {what}" if what else str(axis)))


def slid(axis: Axis, size: Size, stride: int, what: str) -> Axis:
    """The axis after a sliding window; with a stride above 1 it is another axis even where the size is the same."""
    if stride > 1 and size == axis.size:
        return remade(axis, size)
    return resized(axis, size, what)


def autocast(call: Call, value: Value) -> str:
    """The dtype of an operand as a layer's ``call`` sees it: floats become the layer's compute dtype."""
    return call.compute_dtype() or value.dtype if value.dtype in _FLOATS else value.dtype


def masked(value: Value, mask: tuple[Axis, ...] | None) -> Value:
    """The same value with this mask."""
    return replace(value, mask=mask)


def flatly(structure: Any) -> list[Value]:
    """The tensors of a nested argument, in order."""
    return [leaf for leaf in leaves(structure) if isinstance(leaf, Value)]


def operand(call: Call, position: int, name: str) -> Value | None:
    """A tensor argument by position or keyword, None where the call has none. Never looks into the configuration."""
    found = call.args[position] if position < len(call.args) else call.kwargs.get(name)
    return found if isinstance(found, Value) else None


def required(call: Call, position: int, name: str) -> Value:
    """A required tensor argument. Raises BadFileError where it is missing."""
    value = operand(call, position, name)
    if value is None:
        raise BadFileError(f"layer {shown(call.operation.name)!r} is called without a tensor for {name!r}")
    return value


def call_flag(call: Call, name: str) -> bool:
    """A boolean keyword argument of the call, False by default."""
    value = call.kwargs.get(name)
    if value is not None and not isinstance(value, (bool, int)):
        raise call.bad(name, value, "true or false")
    return bool(value)


def child(call: Call, *names: str) -> Operation:
    """The inner layer under the first of these keys that has one. Raises OpaqueError where the file has none."""
    for name in names:
        found = call.operation.children.get(name)
        if isinstance(found, Operation):
            return found
    raise OpaqueError(f"the layer inside {shown(call.operation.name)!r} is not known")


def children(call: Call, name: str) -> list[Operation]:
    """The list of inner layers under this key. Raises OpaqueError where the file has none."""
    found = call.operation.children.get(name)
    if not isinstance(found, list) or not found:
        raise OpaqueError(f"the layers inside {shown(call.operation.name)!r} are not known")
    return found


def kept(call: Call, dtype: str | None = None) -> Value:
    """``f(x[...]) -> [...]``: keeps every axis and the mask; the dtype is the layer's unless given."""
    x = call.x
    return Value(call.axes, dtype or call.compute_dtype() or x.dtype, mask=x.mask)
