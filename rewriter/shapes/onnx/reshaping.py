"""The same elements under other axes: Reshape, Flatten, Transpose, Squeeze, Unsqueeze, Expand, Tile."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...ir.axis import Axis, Role, Value, new_axis, remade, unit_axis
from ...ir.size import Size, Truth, has_given_name, product, same, unknown
from ..broadcast import Fit, fit, leave_open, refuse_crossed
from ..call import Call, OpaqueError, ShapeError, known, onnx_op
from ..facts import transposed
from ..reshape import reshape as reshaped
from ._operands import array, axes_of_shape, folded, given, operand, optional, sizes, whole_numbers

Axes = tuple[Axis, ...]


@onnx_op("Reshape")
def reshape(call: Call) -> Value:
    """``reshape(x[a, b, c], shape) -> shape``; one entry may be -1, and a 0 keeps the axis at its place."""
    x = operand(call, 0)
    axes, target = known(x), _target(call)
    if not call.flag("allowzero"):
        for place, size in enumerate(target):
            if size == 0 and place >= len(axes):
                raise ShapeError(f"its shape keeps axis {place} of {x.text()}, which does not exist")
        target = [axes[i].size if size == 0 else size for i, size in enumerate(target)]
    elif 0 in target and not all(isinstance(a.size, int) for a in axes):
        return Value(axes_of_shape(target), x.dtype)  # no elements: one of the open sizes is 0
    result = reshaped(axes, target)
    numbers = array(x)
    ints = [a.size for a in result if isinstance(a.size, int)]
    if numbers is None or len(ints) != len(result):
        return Value(result, x.dtype)
    return folded(result, x.dtype, numbers.reshape(ints))


def _target(call: Call) -> list[Size]:
    shape = optional(call, 1)
    if shape is None:
        found = given(call, 1, "shape")
        if found is None:
            raise call.bad("shape", None, "a shape")
        return found
    return _stated(shape)


def _stated(shape: Value) -> list[Size]:
    """A target shape; unknown sizes where only its rank is known. Raises OpaqueError where that is unknown too."""
    found = sizes(shape)
    if found is not None:
        return found
    rank = known(shape)[0].size if len(known(shape)) == 1 else None
    if not isinstance(rank, int) or rank > 64:
        raise OpaqueError("its target is known only when it runs")
    return [unknown() for _ in range(rank)]


@onnx_op("Flatten")
def flatten(call: Call) -> Value:
    """``flatten(x[a, b, c], axis=1) -> [a, b*c]``."""
    x = operand(call, 0)
    axes = known(x)
    place = call.whole("axis", call.get("axis", 1))
    if not -len(axes) <= place <= len(axes):
        raise ShapeError(f"axis {place} is out of range for {x.text()}")
    place = place + len(axes) if place < 0 else place
    halves = [product(a.size for a in part) for part in (axes[:place], axes[place:])]
    return Value(reshaped(axes, halves), x.dtype)


@onnx_op("Transpose")
def transpose(call: Call) -> Value:
    """``transpose(x[a, b, c], perm=(2, 0, 1)) -> [c, a, b]``; without ``perm`` the axes are reversed."""
    x = operand(call, 0)
    axes = known(x)
    order = call.config.get("perm")
    order = list(range(len(axes)))[::-1] if order is None else [call.whole("perm", p) for p in order]
    if sorted(order) != list(range(len(axes))):
        raise ShapeError(f"{order} is not a permutation of the axes of {x.text()}")
    numbers = array(x)
    made = transposed(x, order)
    return made if numbers is None else replace(made, constant=numbers.transpose(order).tolist())


@onnx_op("Squeeze")
def squeeze(call: Call) -> Value:
    """``squeeze(x[a, 1, b], axes=(1,)) -> [a, b]``; without axes, every axis of size 1 is dropped."""
    x = operand(call, 0)
    axes, places = known(x), whole_numbers(call, 1, "axes")
    if places is None and any(same(a.size, 1) is Truth.UNKNOWN for a in axes):
        raise OpaqueError("it drops the axes of size 1, and these are known only when it runs")
    gone = [i for i, a in enumerate(axes) if a.size == 1] if places is None else places
    gone = [call.axis(i, len(axes), "axes") for i in gone]
    for i in gone:
        open_batch = axes[i].role is Role.BATCH and not isinstance(axes[i].size, int)
        if open_batch or same(axes[i].size, 1) is Truth.NO:
            raise ShapeError(f"cannot squeeze axis {i}: {axes[i]} is not 1")
        if has_given_name(axes[i].size):
            leave_open(axes[i], Axis(1))
    return _relabelled(x, [a for i, a in enumerate(axes) if i not in gone])


@onnx_op("Unsqueeze")
def unsqueeze(call: Call) -> Value:
    """``unsqueeze(x[a, b], axes=(1,)) -> [a, 1, b]``."""
    x = operand(call, 0)
    places = whole_numbers(call, 1, "axes") or []
    rank = len(known(x)) + len(places)
    new = {call.axis(p, rank, "axes") for p in places}
    if len(new) != len(places):
        raise ShapeError(f"the axes {places} contain a duplicate")
    rest = iter(known(x))
    return _relabelled(x, [unit_axis("Unsqueeze") if i in new else next(rest) for i in range(rank)])


def _relabelled(x: Value, axes: list[Axis]) -> Value:
    """The same numbers under new axes, where only unit axes are inserted or dropped."""
    numbers, ints = array(x), [a.size for a in axes if isinstance(a.size, int)]
    if numbers is None or len(ints) != len(axes) or int(np.prod(ints)) != numbers.size:
        return Value(tuple(axes), x.dtype)
    return folded(axes, x.dtype, numbers.reshape(ints))


@onnx_op("Expand")
def expand(call: Call) -> Value:
    """``expand(x[b, 1], shape=(a, b, c)) -> [a, b, c]``, right-aligned."""
    x = operand(call, 0)
    shape = _stated(operand(call, 1))
    axes = known(x)
    target: list[Size] = [*([1] * (len(axes) - len(shape))), *shape]
    missing = len(target) - len(axes)
    wanted = axes_of_shape(target)
    refuse_crossed([(axes[i - missing] if i >= missing else None, axis) for i, axis in enumerate(wanted)])
    result = [
        _stretched(axes[place - missing], size) if place >= missing else new_axis(size)
        for place, size in enumerate(target)
    ]
    numbers = array(x)
    ints = [a.size for a in result if isinstance(a.size, int)]
    small = len(ints) == len(result) and product(ints) != 0
    if numbers is None or not small or int(np.prod(ints, dtype=object)) > 4096:
        return Value(tuple(result), x.dtype)
    return folded(result, x.dtype, np.broadcast_to(numbers, ints))


def _stretched(axis: Axis, size: Size) -> Axis:
    """An axis broadcast to a size, which can also be 1 or the axis's own. Raises ShapeError where it does not fit."""
    answer = same(axis.size, size)
    if answer is Truth.YES or size == 1:
        return axis
    if axis.size == 1:
        return new_axis(size, axis.role if axis.role is Role.BATCH else Role.UNKNOWN)
    if answer is Truth.NO or fit(axis, new_axis(size)) is Fit.BY_LUCK:
        raise ShapeError(f"cannot repeat {axis} to {size}")
    if has_given_name(axis.size):
        leave_open(axis, new_axis(size))
    return new_axis(size if isinstance(size, int) else unknown(), axis.role, derived=axis)


@onnx_op("Tile")
def tile(call: Call) -> Value:
    """``tile(x[a, b], repeats=(1, n)) -> [a, b*n]``."""
    x = operand(call, 0)
    axes, repeats = known(x), given(call, 1, "repeats")
    if repeats is None or len(repeats) != len(axes):
        raise ShapeError(f"{len(repeats or [])} repeats for {x.text()}")
    return Value(
        tuple(a if n == 1 else remade(a, a.size * n) for a, n in zip(axes, repeats, strict=True)),
        x.dtype,
    )
