"""Selecting elements: slices, gathers, scatters, positions in a sorted sequence, reductions of segments."""

from __future__ import annotations

from typing import Any

import numpy as np

from .....ir.size import Size, product, unknown
from ...dtypes import FLOATS
from ...emitter import Emitter
from ...graph import Tensor
from ...registry import op
from ._operands import argument, as_tensor, common, flattened, pair, reduce_bool, where

_END = 2**63 - 1


# -- slices -----------------------------
@op("numpy", "GetItem")
def get_item(call: Emitter) -> Tensor:
    """``x[a, b, c][:, 0, ..., None] -> [a, c, 1]``."""
    x = as_tensor(call, argument(call, 0, "x"))
    given = call.arg(1, "key")
    keys = list(given) if isinstance(given, (list, tuple)) else [given]
    taken = sum(1 for key in keys if key is not None and key is not Ellipsis)
    if Ellipsis not in keys:
        keys.append(Ellipsis)
    whole = keys.index(Ellipsis)
    keys[whole : whole + 1] = [slice(None)] * (x.rank - taken)
    new = [n for n, key in enumerate(k for k in keys if not isinstance(k, int)) if key is None]
    kept = iter(size for n, size in enumerate(call.sizes) if n not in new)
    taking = [key for key in keys if key is not None]
    x = _sliced(call, x, taking, [1 if isinstance(key, int) else next(kept) for key in taking])
    for axis in reversed(range(len(taking))):
        if isinstance(taking[axis], int):
            x = call.op("Gather", x, call.constant(taking[axis], "int64"), axis=axis)
    return call.unsqueeze(x, *new)


def _sliced(call: Emitter, x: Tensor, keys: list[Any], sizes: list[Size]) -> Tensor:
    """The slices among the keys, as one node; ``sizes`` are the resulting sizes."""
    rows = []
    result = list(x.sizes)
    for axis, key in enumerate(keys):
        if not isinstance(key, slice) or key == slice(None):
            continue
        step = 1 if key.step is None else call.whole("slice step", key.step)
        first, last = (0, _END) if step > 0 else (-1, -_END - 1)
        rows.append(
            (first if key.start is None else key.start, last if key.stop is None else key.stop, axis, step)
        )
        result[axis] = sizes[axis]
    if not rows:
        return x
    starts, ends, axes, steps = (list(column) for column in zip(*rows, strict=True))
    return call.op("Slice", x, starts, ends, axes, steps if set(steps) != {1} else None, as_sizes=result)


@op("core", "Slice")
def slice_(call: Emitter) -> Tensor:
    """``slice(x[a, b], start=(i, j), shape=(m, -1)) -> [m, b - j]``; -1 takes the rest."""
    x = as_tensor(call, argument(call, 0, "inputs"))
    given = call.arg(2, "shape", None)
    starts = as_tensor(call, call.arg(1, "start_indices"), "int64")
    if any(isinstance(size, Tensor) for size in given):
        ends = call.op("Add", starts, call.shape(call.sizes, x))
        return call.op("Slice", x, starts, ends, list(range(x.rank)), as_sizes=call.sizes)
    lengths = [call.whole("shape", v, -1) for v in given]
    ends = call.op("Add", starts, [max(length, 0) for length in lengths])
    open_ended = np.asarray([length == -1 for length in lengths])
    if open_ended.any():
        ends = where(call, call.constant(open_ended), call.constant(_END, "int64"), ends)
    return call.op("Slice", x, starts, ends, list(range(x.rank)), as_sizes=call.sizes)


@op("core", "SliceUpdate")
def slice_update(call: Emitter) -> Tensor:
    """``slice_update(x[a, b], start, updates) -> [a, b]``; a start is moved to fit all updates in."""
    x = as_tensor(call, argument(call, 0, "inputs"))
    starts = as_tensor(call, call.arg(1, "start_indices"), "int64")
    updates = as_tensor(call, call.arg(2, "updates"), x.dtype)
    room = call.op("Sub", call.shape(x.sizes, x), call.shape(updates.sizes, updates))
    starts = call.op("Max", call.op("Min", starts, room), [0] * x.rank)
    pads = call.concat([starts, call.op("Sub", room, starts)], 0)
    there = call.expand(call.constant(np.ones([1] * x.rank, bool)), updates.sizes)
    filled, inside = (
        call.op("Pad", t, pads, call.constant(0, t.dtype), mode="constant", as_sizes=x.sizes)
        for t in (updates, there)
    )
    return where(call, inside, filled, x)


# -- gathers -----------------------------
def _whole(call: Emitter, indices: Tensor) -> Tensor:
    return indices if indices.dtype in ("int32", "int64") else call.cast(indices, "int64")


@op("numpy", "Take")
def take(call: Emitter) -> Tensor:
    """``take(x[a, b, c], indices[i, j], axis=1) -> [a, i, j, c]``; without an axis x is flattened."""
    x = as_tensor(call, argument(call, 0, "x"))
    indices = _whole(call, as_tensor(call, call.arg(1, "indices")))
    if call.get("axis") is None:
        return call.op("Gather", flattened(call, x), indices, axis=0)
    return call.op("Gather", x, indices, axis=call.axis(call.get("axis"), x.rank))


@op("numpy", "TakeAlongAxis")
def take_along_axis(call: Emitter) -> Tensor:
    """``take_along_axis(x[a, b], indices[a, n], axis=1) -> [a, n]``."""
    x = as_tensor(call, argument(call, 0, "x"))
    indices = _whole(call, as_tensor(call, call.arg(1, "indices")))
    if call.get("axis") is None:
        return call.op("GatherElements", flattened(call, x), indices, axis=0)
    axis = call.axis(call.get("axis"), x.rank)
    wanted = list(call.sizes)
    indices = call.expand(indices, wanted)
    wanted[axis] = x.sizes[axis]
    return call.op("GatherElements", call.expand(x, wanted), indices, axis=axis)


# -- scatters -----------------------------
def scattered(
    call: Emitter, x: Tensor, indices: Tensor, updates: Tensor, reduction: str | None = None
) -> Tensor:
    """``scatter(x[a, b, c], indices[n, 2], updates[n, c]) -> [a, b, c]``, combined with x by ``reduction``.

    Args:
        reduction: ``add``, ``mul``, ``max``, ``min``, or None to replace elements.
    """
    if reduction in ("max", "min") and call.opset < 18:
        raise call.refuse(f"scattering by {reduction} needs opset 18")
    # ONNX Runtime 1.31 does not reduce float16 and bfloat16.
    wide = "float32" if reduction and x.dtype in ("float16", "bfloat16") else x.dtype
    y = call.op(
        "ScatterND",
        call.cast(x, wide),
        call.cast(indices, "int64"),
        call.cast(updates, wide),
        reduction=reduction,
    )
    return call.cast(y, x.dtype)


@op("core", "Scatter")
def scatter(call: Emitter) -> Tensor:
    """``scatter(indices[n, 2], values[n], shape=(a, b)) -> [a, b]``: values at the same position add up."""
    indices = as_tensor(call, argument(call, 0, "indices"))
    values = as_tensor(call, call.arg(1, "values"))
    shape = call.shape(call.sizes)
    zeros = call.op("Expand", call.constant(0, values.dtype), shape, as_sizes=call.sizes)
    return scattered(call, zeros, indices, values, "add")


@op("core", "ScatterUpdate")
def scatter_update(call: Emitter) -> Tensor:
    """``scatter_update(x[a, b], indices[n, 2], updates[n]) -> [a, b]``."""
    x = as_tensor(call, argument(call, 0, "inputs"))
    indices = as_tensor(call, call.arg(1, "indices"))
    updates = as_tensor(call, call.arg(2, "updates"), x.dtype)
    reduction = call.get("reduction")
    if reduction not in (None, "add", "max", "min", "mul"):
        raise call.bad("reduction", reduction, "add, max, min or mul")
    return scattered(call, x, indices, updates, reduction)


def _limit(dtype: str, highest: bool) -> Any:
    """The highest or lowest number of a type."""
    if dtype == "bfloat16":
        return 3.3895314e38 if highest else -3.3895314e38
    limits: Any = np.finfo(dtype) if dtype in FLOATS else np.iinfo(dtype)
    return limits.max if highest else limits.min


@op("math", "SegmentSum", "SegmentMax", "SegmentMin", "SegmentProd")
def segment(call: Emitter) -> Tensor:
    """``segment_sum(data[n, ...], segment_ids[n], num_segments=s) -> [s, ...]``; a negative id is ignored.

    Without ``num_segments``, s depends on the data.
    """
    data = as_tensor(call, argument(call, 0, "data"))
    ids = as_tensor(call, call.arg(1, "segment_ids"), "int64")
    reduction = {"Sum": "add", "Max": "max", "Min": "min", "Prod": "mul"}[
        call.operation.class_name.removeprefix("Segment")
    ]
    in_order = call.flag("sorted")
    if call.get("num_segments") is None:
        count = _segments(call, ids, in_order, reduction)
    elif in_order:
        raise call.refuse("TensorFlow takes num_segments only without sorted")
    else:
        count = call.constant([call.whole("num_segments", call.get("num_segments"), 0)], "int64")
    start = {"add": 0, "mul": 1}.get(reduction, _limit(data.dtype, reduction == "min"))
    # Ignored elements go into an extra segment.
    ids = call.unsqueeze(where(call, call.op("Less", ids, 0), count, ids), 1)
    more = call.op("Add", count, 1)
    sizes = (call.sizes[0] + 1, *data.sizes[1:])
    empty = call.op(
        "Expand",
        call.constant(start, data.dtype),
        call.shape([more, *data.sizes[1:]], data),
        as_sizes=sizes,
    )
    y = scattered(call, empty, ids, data, reduction)
    if in_order and reduction in ("max", "min"):
        # TensorFlow's sorted reductions give 0 for an empty segment.
        none = call.op("Expand", call.constant(False), more, as_sizes=sizes[:1])
        some = call.op(
            "Expand", call.constant(True), call.op("Shape", call.squeeze(ids, 1)), as_sizes=ids.sizes[:1]
        )
        some = call.op("ScatterND", none, ids, some)
        y = where(call, call.unsqueeze(some, *range(1, y.rank)), y, 0)
    return call.op("Slice", y, [0], count, [0], as_sizes=call.sizes)


def _segments(call: Emitter, ids: Tensor, in_order: bool, reduction: str) -> Tensor:
    """``int64[1]``: how many segments TensorFlow makes if their number is not given."""
    if in_order:
        return call.op("Add", call.op("Slice", ids, [-1], [_END], [0], as_sizes=[1]), 1)
    if reduction != "add":
        return call.op("Add", call.reduce("ReduceMax", ids, [0], keepdims=True), 1)
    found = call.several("Unique", [("int64", [unknown()])], ids)[0]
    return call.op("Shape", found)


# -- positions -----------------------------
@op("numpy", "UnravelIndex")
def unravel_index(call: Emitter) -> list[Tensor]:
    """``unravel_index(indices[n], shape=(a, b)) -> [n], [n]``."""
    x = as_tensor(call, argument(call, 0, "indices"))
    shape = [call.whole("shape", size, 1) for size in call.get("shape")]
    if x.rank != 1 and shape != shape[::-1]:
        raise call.refuse("TensorFlow orders the coordinates wrongly for indices whose rank is not 1")
    places = []
    for size in reversed(shape):
        if x.dtype in FLOATS:
            rest = call.op("Floor", call.op("Div", x, size))
            place = call.op("Sub", x, call.op("Mul", rest, size))
        else:
            place = call.op("Mod", x, size)
            rest = call.op("Div", call.op("Sub", x, place), size)
        x = rest
        places.append(place)
    return places[::-1]


@op("numpy", "SearchSorted")
def search_sorted(call: Emitter) -> Tensor:
    """``searchsorted(sorted[n], values[...]) -> [...]``: how many are below a value, or up to it."""
    ordered = as_tensor(call, argument(call, 0, "sorted_sequence"))
    values = as_tensor(call, call.arg(1, "values"))
    if ordered.dtype != values.dtype:
        raise call.refuse(f"TensorFlow does not search {ordered.dtype} for {values.dtype}")
    side = call.text("side", "left", ("left", "right"))
    before = call.op(
        "Less" if side == "left" else "LessOrEqual", ordered, call.unsqueeze(values, values.rank)
    )
    return _count(call, before)


def _count(call: Emitter, x: Tensor) -> Tensor:
    return call.reduce("ReduceSum", call.cast(x, call.dtype), [x.rank - 1])


@op("numpy", "Digitize")
def digitize(call: Emitter) -> Tensor:
    """``digitize(x[...], bins[n]) -> int32[...]``: how many bins start at or below a number."""
    x = as_tensor(call, argument(call, 0, "x"))
    x = x if x.dtype == "float64" else call.cast(x, "float32")
    bins = call.cast(as_tensor(call, call.arg(1, "bins"), "float32"), x.dtype)
    return _count(call, call.op("Not", call.op("Less", call.unsqueeze(x, x.rank), bins)))


@op("numpy", "IsIn")
def is_in(call: Emitter) -> Tensor:
    """``isin(x[...], y[...]) -> bool[...]``."""
    one, two = pair(call)
    dtype = common(call, one, two)
    x, y = as_tensor(call, one, dtype), as_tensor(call, two, dtype)
    if product(y.sizes) == 0:
        raise call.refuse("it has no values to look for")
    y = call.reshape(y, [1]) if y.rank == 0 else flattened(call, y)
    found = reduce_bool(call, "ReduceMax", call.op("Equal", call.unsqueeze(x, x.rank), y), [x.rank])
    return call.op("Not", found) if call.flag("invert") else found


@op("math", "InTopK")
def in_top_k(call: Emitter) -> Tensor:
    """``in_top_k(targets[n], predictions[n, c], k) -> bool[n]``: fewer than k predictions exceed the target's."""
    targets = as_tensor(call, argument(call, 0, "targets"), "int64")
    predictions = as_tensor(call, call.arg(1, "predictions"))
    count = call.count(predictions, 1, "int64")
    there = call.op("And", call.op("GreaterOrEqual", targets, 0), call.op("Less", targets, count))
    place = call.unsqueeze(where(call, there, targets, call.constant(0, "int64")), 1)
    own = call.op("GatherElements", predictions, place, axis=1)
    above = call.cast(call.op("Greater", predictions, own), "int32")
    few = call.op("Less", call.reduce("ReduceSum", above, [1]), call.integer("k"))
    # TensorFlow returns False if any prediction is not finite.
    broken = call.op("Or", call.op("IsNaN", predictions), call.op("IsInf", predictions))
    finite = call.op("Not", reduce_bool(call, "ReduceMax", broken, [1]))
    return call.op("And", call.op("And", few, finite), there)
