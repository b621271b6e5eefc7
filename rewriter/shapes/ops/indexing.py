"""Picking elements: slices, gathers, scatters."""

from __future__ import annotations

from typing import Any

from ...ir.axis import Axis, Value, cut_out, new_axis, same_kind, unit_axis
from ...ir.size import Poly, Size, Truth, ceildiv, same, unknown
from ..broadcast import Convention, broadcast
from ..call import Call, OpaqueError, ShapeError, known, op, unknown_axis
from ._operands import equate, flattened, operand

Axes = tuple[Axis, ...]


@op("numpy", "GetItem")
def get_item(call: Call) -> Value:
    """``x[a, b, c][:, 0, ..., None] -> [a, c, 1]``.

    The size of a slice of a symbolic axis holds where the slice is not empty (``x[h][1:-1]`` is ``h - 2``). It is
    unknown where a bound can lie at or beyond the axis's own end (``x[h][:3]``).
    """
    axes, keys = list(call.axes), _keys(call)
    taken = sum(1 for k in keys if k is not None and k is not Ellipsis)
    if taken > len(axes):
        raise ShapeError(f"{taken} indices for {call.x.text()}")
    if sum(1 for k in keys if k is Ellipsis) > 1:
        raise ShapeError("an index with more than one ellipsis")
    result: list[Axis] = []
    for key in keys:
        if key is Ellipsis:
            whole = len(axes) - (taken - _used(keys, key))
            result += axes[:whole]
            del axes[:whole]
        elif key is None:
            result.append(unit_axis("None index"))
        elif isinstance(key, slice):
            result.append(sliced(call, axes.pop(0), key))
        else:
            _check_index(axes.pop(0), call.whole("key", key))
    return call.like([*result, *axes])


def _keys(call: Call) -> list[Any]:
    given = call.arg(1, "key")
    keys = list(given) if isinstance(given, (list, tuple)) else [given]
    for key in keys:
        if isinstance(key, Value):
            raise OpaqueError("an index is a tensor")
        if (
            key is not None
            and key is not Ellipsis
            and not isinstance(key, (slice, int))
            or isinstance(key, bool)
        ):
            raise call.bad("key", key, "whole numbers, slices, None or ...")
    return keys


def _used(keys: list[Any], ellipsis: object) -> int:
    """How many axes the keys before the ellipsis take."""
    before = keys[: next(i for i, k in enumerate(keys) if k is ellipsis)]
    return sum(1 for k in before if k is not None)


def _check_index(axis: Axis, index: int) -> None:
    if isinstance(axis.size, int) and not -axis.size <= index < axis.size:
        raise ShapeError(f"index {index} is out of range for {axis}")


def sliced(call: Call, axis: Axis, key: slice) -> Axis:
    """``x[n][start:stop:step] -> [ceil((stop - start) / step)]``; the same axis where that is n."""
    start, stop = (None if v is None else call.whole("slice", v) for v in (key.start, key.stop))
    step = 1 if key.step is None else call.whole("slice step", key.step)
    if step == 0:
        raise call.bad("slice step", 0, "another number than 0")
    if isinstance(axis.size, int):
        places = range(*slice(start, stop, step).indices(axis.size))
        return _part(axis, len(places), places.start if step == 1 else None)
    size = _slice_size(axis.size, start, stop, step)
    return _part(axis, size, (start or 0) if step == 1 and (start or 0) >= 0 else None)


def cut_before(size: Size, stop: Size) -> Size:
    """``x[n][:stop] -> [stop]``, where one of the two is symbolic and the slice is not empty.

    It is n where the stop is never less, and ``n - k`` for a stop of ``-k``. Where neither is known to be the smaller,
    the stop is taken for it: exporters cut a table of positions to the length of a sequence. Not so for a multiple
    (``2*t``), which differs from odd sizes for every t, while the slice may have one.
    """
    if _never_below(-1, stop):
        stop = size + stop
    if _never_below(stop, size):
        return size
    if _never_below(size, stop) or isinstance(stop, int):
        return stop
    plain = all(coefficient == 1 for monomial, coefficient in stop.terms if monomial)
    return stop if plain and _never_below(stop, 0) else unknown()


def _never_below(a: Size, b: Size) -> bool:
    """True if ``a >= b`` for every value of the symbols."""
    difference = a - b
    low = difference if isinstance(difference, int) else difference.minimum
    return low is not None and low >= 0


def _part(axis: Axis, size: Size, start: Size | None = None) -> Axis:
    """The axis after a slice of this size; a slice of one entry is a unit axis that counts as written by the author."""
    if size == axis.size:
        return axis
    return unit_axis("a slice", axis) if size == 1 else cut_out(axis, start, size)


def _slice_size(size: Poly, start: int | None, stop: int | None, step: int) -> Size:
    """The length of a slice of a symbolic size, where it is not empty; unknown where an index can lie outside."""
    low = size.minimum or 0
    if step > 0:
        first = _place(size, start, 0, inside=start is None or start >= 0 or low + start >= 0)
        last = _place(size, stop, size, inside=stop is None or stop <= low)
    else:
        first = _place(size, stop, -1, inside=stop is None or stop >= 0 or low + stop >= -1)
        last = _place(size, start, size - 1, inside=start is None or start < low)
        # The elements are at last, last - |step|, ..., down to but not including first.
    if first is None or last is None:
        return unknown()
    length = last - first
    if isinstance(length, int) and length <= 0:
        return 0
    return ceildiv(length, abs(step))


def _place(size: Poly, index: int | None, default: Size, inside: bool) -> Size | None:
    """The place of an index (negative: from the end); None where it can lie outside and would be clamped."""
    if index is None:
        return default
    if not inside:
        return None
    return size + index if index < 0 else index


@op("numpy", "Take")
def take(call: Call) -> Value:
    """``take(x[a, b, c], indices[i, j], axis=1) -> [a, i, j, c]``; without an axis x is flattened."""
    axes, indices = call.axes, known(operand(call, 1, "indices"))
    if call.get("axis") is None:
        return call.like(indices)
    place = call.axis(call.get("axis"), len(axes))
    picked = indices
    if len(indices) == 1 and not isinstance(call.arg(1, "indices"), Value):
        picked = (_part(axes[place], indices[0].size),)
    return call.like([*axes[:place], *picked, *axes[place + 1 :]])


@op("numpy", "TakeAlongAxis")
def take_along_axis(call: Call) -> Value:
    """``take_along_axis(x[a, b], indices[a, n], axis=1) -> [a, n]``."""
    axes, indices = call.axes, known(operand(call, 1, "indices"))
    place = 0
    if call.get("axis") is None:
        axes = flattened(axes)
    if len(axes) != len(indices):
        raise ShapeError(f"takes indices of rank {len(axes)}, not {len(indices)}")
    if call.get("axis") is not None:
        place = call.axis(call.get("axis"), len(axes))
    lined_up = (*axes[:place], indices[place], *axes[place + 1 :])
    return call.like(broadcast(Convention.NUMPY, [lined_up, indices]))


@op("core", "Slice")
def slice_(call: Call) -> Value:
    """``slice(x[a, b], start=(i, j), shape=(m, -1)) -> [m, b - j]``; -1 means up to the end."""
    axes, shape = call.axes, call.arg(2, "shape", None)
    if not isinstance(shape, (list, tuple)) or len(shape) != len(axes):
        raise ShapeError(f"a slice of {call.x.text()} cannot have the shape {shape}")
    starts = call.arg(1, "start_indices", None)
    known_starts = list(starts) if isinstance(starts, (list, tuple)) else None
    if known_starts is not None and len(known_starts) != len(axes):
        raise ShapeError(f"{len(known_starts)} start indices for {call.x.text()}")
    result = []
    for i, (axis, given) in enumerate(zip(axes, shape, strict=True)):
        start = known_starts[i] if known_starts is not None else None
        result.append(_window(call, axis, start, call.size("shape", given, -1)))
    return call.like(result)


def _window(call: Call, axis: Axis, start: Any, length: Size) -> Axis:
    size = length
    if length == -1:
        if not isinstance(start, int) or isinstance(start, bool):
            return same_kind(axis, unknown())
        size = axis.size - call.whole("start_indices", start, 0)
    if isinstance(size, int) and isinstance(axis.size, int) and not 0 <= size <= axis.size:
        raise ShapeError(f"a slice of size {size} does not fit {axis}")
    return _part(axis, size)


@op("core", "SliceUpdate", "ScatterUpdate")
def updated(call: Call) -> Value:
    """``slice_update(x[a, b], start, updates) -> [a, b]``."""
    return call.like(call.axes)


@op("core", "Scatter")
def scatter(call: Call) -> Value:
    """``scatter(indices[n, 2], values[n], shape=(a, b)) -> [a, b]``."""
    shape = call.get("shape")
    if not isinstance(shape, (list, tuple)):
        raise call.bad("shape", shape, "a list of whole numbers")
    axes = [unknown_axis() if s is None else new_axis(call.whole("shape", s, 0)) for s in shape]
    return call.like(axes, operand(call, 1, "values").dtype)


@op("numpy", "UnravelIndex")
def unravel_index(call: Call) -> list[Value]:
    """``unravel_index(indices[n], shape=(a, b)) -> [n], [n]``."""
    indices, shape = operand(call, 0, "indices"), call.get("shape")
    if not isinstance(shape, (list, tuple)):
        raise call.bad("shape", shape, "a list of whole numbers")
    return [call.like(known(indices)) for _ in shape]


@op("numpy", "SearchSorted")
def search_sorted(call: Call) -> Value:
    """``searchsorted(sorted[n], values[...]) -> [...]``."""
    ordered, values = known(operand(call, 0, "sorted_sequence")), operand(call, 1, "values")
    if len(ordered) != 1:
        raise ShapeError(f"searches a sequence of rank 1, not {len(ordered)}")
    small = isinstance(ordered[0].size, int) and ordered[0].size < 2**31
    return Value(known(values), "int32" if small else "int64")


@op("numpy", "Digitize")
def digitize(call: Call) -> Value:
    """``digitize(x[...], bins[n]) -> [...]``."""
    bins = known(operand(call, 1, "bins"))
    if len(bins) > 1:
        raise ShapeError(f"takes bins of rank 1, not {len(bins)}")
    return call.like(call.axes, "int32")


@op("numpy", "IsIn")
def is_in(call: Call) -> Value:
    """``isin(x[...], y[...]) -> [...]``: the shape of x."""
    return Value(known(operand(call, 0, "x1")), "bool")


@op("math", "InTopK")
def in_top_k(call: Call) -> Value:
    """``in_top_k(targets[n], predictions[n, c]) -> [n]``."""
    targets, predictions = known(operand(call, 0, "targets")), known(operand(call, 1, "predictions"))
    if len(targets) == 1 and len(predictions) == 2:
        equate(targets[0], predictions[0], "targets and predictions")
    return Value(targets, "bool")


@op("math", "SegmentSum", "SegmentMax", "SegmentMin", "SegmentProd")
def segment(call: Call) -> Value:
    """``segment_sum(data[n, ...], segment_ids[n], num_segments=s) -> [s, ...]``; without s the size is unknown."""
    data, ids = operand(call, 0, "data"), operand(call, 1, "segment_ids")
    axes = known(data)
    if not axes or len(known(ids)) != 1:
        raise ShapeError("takes data of rank 1 or more and segment ids of rank 1")
    if same(axes[0].size, known(ids)[0].size) is Truth.NO:
        raise ShapeError(f"the data have {axes[0]} where the segment ids have {known(ids)[0]}")
    count = call.get("num_segments")
    first = unknown_axis() if count is None else new_axis(call.whole("num_segments", count, 0))
    return Value((first, *axes[1:]), data.dtype)
