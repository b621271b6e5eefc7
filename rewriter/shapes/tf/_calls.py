"""TensorFlow calls in ONNX's form, for the rules that both share; layouts and axes of TensorFlow's attributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ...ir.axis import Axis, Role, Value
from ...ir.graph import Operation
from ..call import Call, OpaqueError, ShapeError, known
from ..onnx._operands import operand, whole_numbers
from ..onnx.batch import takes_as_batch
from ..spatial import SPATIAL_ROLES, Image


def told(call: Call, class_name: str, args: Sequence[Any] | None = None, **config: Any) -> Call:
    """The call under ONNX's name, with these inputs (by default its own) and this configuration."""
    operation = Operation(call.operation.name, "op", class_name, config, "onnx")
    return replace(call, operation=operation, args=call.args if args is None else tuple(args))


def constant_axes(call: Call, position: int, rank: int, name: str = "axis") -> list[int]:
    """The non-negative axes that an input states. Raises OpaqueError where they are known only when it runs."""
    places = whole_numbers(call, position, name)
    if places is None:
        raise OpaqueError(f"its {name} are known only when it runs")
    return [call.axis(place, rank, name) for place in places]


def one_axis(call: Call, position: int, rank: int) -> int:
    """The one axis that an input states. Raises ShapeError where there are several."""
    places = constant_axes(call, position, rank)
    if len(places) != 1:
        raise ShapeError(f"it takes one axis, not {len(places)}")
    return places[0]


def channels_first(call: Call) -> bool:
    """Whether the channels come before the spatial axes (``NCHW``). Raises OpaqueError for packed layouts."""
    layout = call.text("data_format", "NHWC")
    if layout not in ("NHWC", "NCHW", "NDHWC", "NCDHW", "NWC", "NCW"):
        raise OpaqueError(f"the layout {layout} is not supported")
    return layout.startswith("NC")


def image_of(call: Call, position: int = 0, rank: int | None = None) -> Image:
    """An input as ``[B, S..., C]`` or ``[B, C, S...]``; hints the roles of its axes.

    Raises:
        ShapeError: it has another rank than ``rank``, or one below 3.
    """
    value = operand(call, position)
    axes = known(value)
    if len(axes) < 3 or (rank is not None and len(axes) != rank):
        raise ShapeError(f"takes a tensor of rank {rank or 3}, not {value.text()}")
    first = channels_first(call)
    parts = Image(axes[0], axes[2:] if first else axes[1:-1], axes[1] if first else axes[-1], first)
    takes_as_batch(parts.batch)
    parts.channel.origin.hint(Role.CHANNEL)
    for axis, role in zip(parts.spatial, SPATIAL_ROLES.get(len(parts.spatial), ()), strict=False):
        axis.origin.hint(role)
    return parts


def along_places(call: Call, name: str, parts: Image, default: int = 1) -> tuple[int, ...]:
    """The numbers of the spatial axes in an attribute with one number for each axis (``strides``, ``ksize``)."""
    count = len(parts.spatial) + 2
    values = call.integers(name, count, 1, [default] * count) if call.get(name) else (default,) * count
    return values[2:] if parts.first else values[1:-1]


def like(value: Value, axes: Sequence[Axis]) -> Value:
    """A result with these axes and the dtype of an operand."""
    return Value(tuple(axes), value.dtype)
