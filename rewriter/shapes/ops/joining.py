"""Joining tensors along an old or a new axis, and splitting them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ...ir.axis import Axis, Value, cut_out, new_axis, unit_axis
from ...ir.size import Size, divide, floordiv
from ..call import Call, OpaqueError, ShapeError, known, op
from ..dtypes import result_type
from ..layers.merging import joined
from ._operands import MAX_OUTPUTS, agree, flattened, operand, sequence

Axes = tuple[Axis, ...]


@op("numpy", "Concatenate")
def concatenate(call: Call) -> Value:
    """``concatenate([x[n, c], y[m, c]], axis=0) -> [n+m, c]``."""
    values = sequence(call, 0, "xs")
    return _joined(call, values, [known(v) for v in values], call.get("axis", 0))


def _joined(call: Call, values: Sequence[Value], operands: list[Axes], axis: object) -> Value:
    return Value(joined(operands, axis, call), result_type(*(v.dtype for v in values)))


@op("numpy", "Append")
def append(call: Call) -> Value:
    """``append(x[n, c], y[m, c], axis=0) -> [n+m, c]``; without an axis both are flattened."""
    values = [operand(call, 0, "x1"), operand(call, 1, "x2")]
    operands = [known(v) for v in values]
    if call.get("axis") is None:
        return _joined(call, values, [flattened(axes) for axes in operands], 0)
    return _joined(call, values, operands, call.get("axis"))


@op("numpy", "Stack")
def stack(call: Call) -> Value:
    """``stack([x[a, b], y[a, b]], axis=1) -> [a, 2, b]``."""
    values = sequence(call, 0, "x")
    axes = known(values[0])
    for value in values[1:]:
        agree(axes, known(value), "the stacked tensors")
    place = call.axis(call.get("axis", 0), len(axes) + 1)
    new = new_axis(len(values))
    return Value((*axes[:place], new, *axes[place:]), result_type(*(v.dtype for v in values)))


@op("numpy", "Hstack")
def hstack(call: Call) -> Value:
    """``hstack([x[a, n], y[a, m]]) -> [a, n+m]``; vectors join along their only axis."""
    values = sequence(call, 0, "xs")
    operands = [known(v) or (unit_axis("Stack"),) for v in values]
    return _joined(call, values, operands, 0 if len(operands[0]) == 1 else 1)


@op("numpy", "Vstack")
def vstack(call: Call) -> Value:
    """``vstack([x[n, a], y[m, a]]) -> [n+m, a]``; vectors are joined end to end, unlike in NumPy."""
    values = sequence(call, 0, "xs")
    return _joined(call, values, [known(v) for v in values], 0)


def _rows(axes: Axes) -> Axes:
    return (*(unit_axis("Stack") for _ in range(2 - len(axes))), *axes)


@op("numpy", "Dstack")
def dstack(call: Call) -> Value:
    """``dstack([x[a, b, n], y[a, b, m]]) -> [a, b, n+m]``; a matrix is ``[a, b, 1]``, a vector ``[1, b, 1]``."""
    values = sequence(call, 0, "xs")
    return _joined(call, values, [_layers(known(v)) for v in values], 2)


def _layers(axes: Axes) -> Axes:
    if len(axes) >= 3:
        return axes
    return (*_rows(axes), unit_axis("Stack"))


_SPLIT_AXIS = {"Hsplit": 1, "Vsplit": 0, "Dsplit": 2}


@op("numpy", "Split")
def split(call: Call) -> list[Value]:
    """``split(x[a, 2n], 2, axis=1) -> [a, n], [a, n]``; a list gives the places to cut."""
    return _split(call, call.axis(call.get("axis", 0), len(call.axes)))


@op("numpy", "Hsplit", "Vsplit", "Dsplit")
def split_fixed(call: Call) -> list[Value]:
    """``hsplit(x[a, 2n], 2) -> [a, n], [a, n]``."""
    place, rank = _SPLIT_AXIS[call.operation.class_name], len(call.axes)
    if rank == 1 and place == 1:
        place = 0
    if rank <= place or rank < 2 and call.operation.class_name == "Vsplit":
        raise ShapeError(f"takes a tensor of a higher rank, not {call.x.text()}")
    return _split(call, place)


def _split(call: Call, place: int) -> list[Value]:
    axis, given = call.axes[place], call.get("indices_or_sections")
    if isinstance(given, (list, tuple)):
        return _parts(call, place, _cuts(call, axis, given))
    count = _count(call, given)
    if isinstance(axis.size, int) and axis.size % count:
        raise ShapeError(f"{axis} cannot be split into {count} equal parts")
    part = divide(axis.size, count)
    return _parts(call, place, [floordiv(axis.size, count) if part is None else part] * count)


def _cuts(call: Call, axis: Axis, given: Sequence[object]) -> list[Size]:
    places = [call.whole("indices_or_sections", v, 0) for v in given]
    sizes: list[Size] = []
    last: Size = 0
    for place in (*places, axis.size):
        size = place - last
        if isinstance(size, int) and size < 0:
            raise ShapeError(f"cannot cut {axis} at {places}")
        sizes.append(size)
        last = place
    return sizes


def _count(call: Call, given: object) -> int:
    count = call.whole("indices_or_sections", given, 1)
    if count > MAX_OUTPUTS:
        raise OpaqueError(f"{count} outputs are more than the {MAX_OUTPUTS} that are supported")
    return count


def _parts(call: Call, place: int, sizes: Sequence[Size]) -> list[Value]:
    axes = call.axes
    old = axes[place]
    nothing: Size = 0
    starts = itertools.accumulate(sizes, initial=nothing)
    parts = [
        old if size == old.size else cut_out(old, start, size)
        for start, size in zip(starts, sizes, strict=False)
    ]
    return [call.like([*axes[:place], part, *axes[place + 1 :]]) for part in parts]


@op("numpy", "ArraySplit")
def array_split(call: Call) -> list[Value]:
    """``array_split(x[n, a], 3) -> [ceil(n/3), a], [ceil((n-1)/3), a], [ceil((n-2)/3), a]``."""
    place = call.axis(call.get("axis", 0), len(call.axes))
    size, count = call.axes[place].size, _count(call, call.get("indices_or_sections"))
    return _parts(call, place, [floordiv(size + (count - 1 - i), count) for i in range(count)])


@op("core", "Unstack")
def unstack(call: Call) -> list[Value]:
    """``unstack(x[a, 3, b], axis=1) -> [a, b], [a, b], [a, b]``."""
    axes = call.axes
    place = call.axis(call.get("axis", 0), len(axes))
    given = call.get("num")
    size = axes[place].size if given is None else call.whole("num", given, 0)
    if not isinstance(size, int):
        raise ShapeError(f"cannot unstack {axes[place]}: its size is not known")
    if isinstance(axes[place].size, int) and size != axes[place].size:
        raise ShapeError(f"num is {size} where the axis is {axes[place]}")
    if size > MAX_OUTPUTS:
        raise OpaqueError(f"{size} outputs are more than the {MAX_OUTPUTS} that are supported")
    return [call.like([*axes[:place], *axes[place + 1 :]]) for _ in range(size)]
