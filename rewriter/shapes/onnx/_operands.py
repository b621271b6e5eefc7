"""Inputs and attributes of ONNX operators, and numbers that are known before the model runs.

``Value.constant`` of an integer tensor may contain sizes: ``Shape`` of ``[B, 28]`` is the constant ``[B, 28]``. Shape
arithmetic works on arrays of these objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import BadFileError, shown
from ...ir.axis import Axis, Role, Value, new_axis
from ...ir.size import Poly, Size, product, unknown
from ..call import Call, OpaqueError

Axes = tuple[Axis, ...]
_LARGEST = 4096  # elements; the numbers of larger constants are not tracked
_MAX_RANK = 64


def operand(call: Call, position: int) -> Value:
    """A required input. Raises BadFileError where the node has none."""
    value = optional(call, position)
    if value is None:
        raise BadFileError(
            f"node {shown(call.operation.name)!r} ({shown(call.operation.class_name)}) has no input {position}"
        )
    return value


def optional(call: Call, position: int) -> Value | None:
    """An input that may be omitted; None where it is."""
    given = call.args[position] if position < len(call.args) else None
    return given if isinstance(given, Value) else None


def array(value: Value | None) -> np.ndarray[Any, Any] | None:
    """The numbers of a tensor as an object array of integers, sizes or floats; None where they are not known.

    Raises:
        BadFileError: a constant has another number of elements than its shape.
    """
    if value is None or value.constant is None or value.axes is None:
        return None
    constant = value.constant
    if not isinstance(constant, (list, bool, int, float, Poly)):
        return None
    shape = [a.size for a in value.axes]
    if not all(isinstance(size, int) for size in shape):
        return None
    flat = _flat(constant)
    result = np.empty(len(flat), dtype=object)
    result[:] = flat
    try:
        return result.reshape([size for size in shape if isinstance(size, int)])
    except ValueError:
        raise BadFileError("a constant has another number of elements than its shape") from None


def few(axes: Sequence[Axis]) -> bool:
    """True if a tensor is small enough for its numbers to be tracked."""
    total = product(a.size for a in axes)
    return isinstance(total, int) and total <= _LARGEST


def _flat(constant: Any) -> list[Any]:
    level = [constant]
    for _ in range(_MAX_RANK):
        if not level or not isinstance(level[0], list):
            break
        level = [item for row in level for item in row]
    return level


def folded(axes: Sequence[Axis], dtype: str, result: np.ndarray[Any, Any] | None) -> Value:
    """A value with its numbers as constant; without them where there are none or too many."""
    if result is None or result.size > _LARGEST:
        return Value(tuple(axes), dtype)
    return Value(tuple(axes), dtype, constant=result.tolist())


def sizes(value: Value | None) -> list[Size] | None:
    """The numbers of a scalar or vector as sizes, those of another kind as unknown; None where they are not known."""
    found = array(value)
    if found is None or found.ndim > 1:
        return None
    items = [found.item()] if found.ndim == 0 else list(found)
    return [
        item if isinstance(item, (int, Poly)) and not isinstance(item, bool) else unknown() for item in items
    ]


def number(value: Value | None) -> Size | None:
    """A single whole number or size; None where it is not known."""
    found = sizes(value)
    return found[0] if found is not None and len(found) == 1 else None


def given(call: Call, position: int, name: str) -> list[Size] | None:
    """Whole numbers from an input or, as in older opsets, from an attribute; None where neither is there.

    Raises:
        OpaqueError: the input is there, but its numbers are known only when the model runs.
    """
    value = optional(call, position)
    if value is not None:
        found = sizes(value)
        if found is None:
            raise OpaqueError(f"the numbers of its input {position} are known only when it runs")
        return found
    attribute = call.config.get(name)
    if attribute is None:
        return None
    items = attribute if isinstance(attribute, list) else [attribute]
    return [call.whole(name, item) for item in items]


def whole_numbers(call: Call, position: int, name: str) -> list[int] | None:
    """As ``given``, but integers only. Raises OpaqueError where a number is symbolic or unknown."""
    found = given(call, position, name)
    if found is None:
        return None
    if not all(isinstance(item, int) for item in found):
        raise OpaqueError(f"its {name} are known only when it runs")
    return [item for item in found if isinstance(item, int)]


def vector(length: Size, role: Role = Role.UNKNOWN) -> Axes:
    return (new_axis(length, role),)


def axes_of_shape(shape: Sequence[Size]) -> Axes:
    """New axes of these sizes."""
    return tuple(new_axis(size) for size in shape)
