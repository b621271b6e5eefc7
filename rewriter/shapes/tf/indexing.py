"""Picking elements: slices, gathers, scatters, diagonals, the k largest."""

from __future__ import annotations

from typing import Any

from ...ir.axis import Axis, Value, cut_out, new_axis, remade, unit_axis
from ...ir.size import Size, unknown
from ..call import Call, OpaqueError, ShapeError, known, tf_op
from ..onnx import indexing as onnx
from ..onnx._operands import array, folded, operand, sizes, whole_numbers
from ..ops.indexing import cut_before, sliced
from ._calls import one_axis, told


@tf_op("StridedSlice")
def strided_slice(call: Call) -> Value:
    """``x[begin:end:strides]`` with masks.

    A bit of ``begin_mask`` or ``end_mask`` means the axis's own end, of ``shrink_axis_mask`` a single entry, of
    ``new_axis_mask`` a new axis, of ``ellipsis_mask`` an ellipsis.

    Source: ``tensorflow/core/util/strided_slice_op.cc``.
    """
    x = operand(call, 0)
    axes = known(x)
    bounds = [sizes(operand(call, position)) for position in (1, 2, 3)]
    if any(b is None for b in bounds):
        raise OpaqueError("its bounds are known only when it runs")
    begin, end, strides = (b for b in bounds if b is not None)
    if not len(begin) == len(end) == len(strides):
        raise ShapeError("begin, end and strides differ in number")
    mask = {
        name: call.integer(f"{name}_mask", 0, 0)
        for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    entries = [
        "..." if mask["ellipsis"] >> i & 1 else "new" if mask["new_axis"] >> i & 1 else "axis"
        for i in range(len(begin))
    ]
    if entries.count("...") > 1:
        raise ShapeError("an index with more than one ellipsis")
    if "..." not in entries:
        entries.append("...")
    between = len(axes) - entries.count("axis")
    if between < 0:
        raise ShapeError(f"{entries.count('axis')} indices for {x.text()}")
    result: list[Axis] = []
    keys: list[Any] = []
    rest = list(axes)
    for i, entry in enumerate(entries):
        if entry == "...":
            result += rest[:between]
            keys.append(Ellipsis)
            del rest[:between]
        elif entry == "new":
            result.append(unit_axis("None index"))
            keys.append(None)
        elif mask["shrink_axis"] >> i & 1:
            axis, place = rest.pop(0), begin[i]
            if isinstance(axis.size, int) and isinstance(place, int) and not -axis.size <= place < axis.size:
                raise ShapeError(f"index {place} is out of range for {axis}")
            keys.append(place)
        else:
            first = None if mask["begin"] >> i & 1 else begin[i]
            last = None if mask["end"] >> i & 1 else end[i]
            made, key = _part(call, rest.pop(0), first, last, strides[i])
            result.append(made)
            keys.append(key)
    numbers = array(x)
    plain = all(key is None or key is Ellipsis or isinstance(key, (int, slice)) for key in keys)
    picked = None
    if numbers is not None and plain:
        try:
            picked = numbers[tuple(keys)]
        except IndexError:
            raise ShapeError(f"an index is out of range for {x.text()}") from None
    if picked is not None and not hasattr(picked, "shape"):
        return Value(tuple(result), x.dtype, constant=picked)
    return (
        folded(result, x.dtype, picked)
        if result or picked is None
        else Value((), x.dtype, constant=picked.item())
    )


def _part(call: Call, axis: Axis, first: Size | None, last: Size | None, step: Size) -> tuple[Axis, Any]:
    """The axis after a slice, and its key; "open" is the key where a bound is not a plain number."""
    if isinstance(step, int) and all(bound is None or isinstance(bound, int) for bound in (first, last)):
        key = slice(first, last, step)
        return sliced(call, axis, key), key
    if step == 1 and (first is None or first == 0) and last is not None:
        size = cut_before(axis.size, last)
        return (axis if size == axis.size else remade(axis, size)), "open"
    return remade(axis, unknown()), "open"


@tf_op("Slice")
def slice_(call: Call) -> Value:
    """``slice(x[a, b], begin, size) -> size``; a size of -1 means up to the end."""
    x = operand(call, 0)
    axes = known(x)
    begin, size = sizes(operand(call, 1)), sizes(operand(call, 2))
    begin = [unknown() for _ in axes] if begin is None else begin
    size = [unknown() for _ in axes] if size is None else size
    if not len(begin) == len(size) == len(axes):
        raise ShapeError(f"{len(begin)} begins and {len(size)} sizes do not fit {x.text()}")
    result: list[Axis] = []
    keys: list[Any] = []
    for axis, first, count in zip(axes, begin, size, strict=True):
        made, key = _cut(call, axis, first, count)
        result.append(made)
        keys.append(key)
    numbers = array(x)
    return folded(result, x.dtype, None if numbers is None or None in keys else numbers[tuple(keys)])


def _cut(call: Call, axis: Axis, first: Size, count: Size) -> tuple[Axis, slice | None]:
    """The axis cut to ``count`` entries from ``first`` (-1: all), and its key; None if known only when it runs."""
    if not isinstance(first, int) or not isinstance(count, int):
        if first == 0 and count == axis.size:
            return axis, None
        return remade(axis, axis.size - first if count == -1 else count), None
    key = slice(first, None if count == -1 else first + count)
    if not isinstance(axis.size, int):
        return (sliced(call, axis, key) if count == -1 else cut_out(axis, first, count)), key
    if first > axis.size or (count >= 0 and first + count > axis.size):
        raise ShapeError(f"takes {count} entries from index {first} of {axis}")
    return sliced(call, axis, key), key


@tf_op("GatherV2", "Gather")
def gather(call: Call) -> Value:
    """``gather(x[a, b, c], indices[i, j], axis=1) -> [a, i, j, c]``; the first ``batch_dims`` axes are shared."""
    x = operand(call, 0)
    axes = known(x)
    place = one_axis(call, 2, len(axes)) if len(call.args) > 2 else 0
    shared = call.integer("batch_dims", -64, 0)
    if shared:
        picked = known(operand(call, 1))
        shared = shared + len(picked) if shared < 0 else shared
        if not 0 <= shared <= min(place, len(picked)):
            raise ShapeError(f"batch_dims of {shared} does not fit its indices and axis {place}")
        return Value((*axes[:place], *picked[shared:], *axes[place + 1 :]), x.dtype)
    return onnx.gather(told(call, "Gather", call.args[:2], axis=place))


@tf_op("ResourceGather")
def gather_rows(call: Call) -> Value:
    """``gather(table[n, d], indices[i, j]) -> [i, j, d]``."""
    if call.integer("batch_dims", 0, 0):
        raise OpaqueError("a gather with batch_dims is not supported here")
    return onnx.gather(told(call, "Gather", call.args[:2], axis=0))


@tf_op("GatherNd", "ResourceGatherNd")
def gather_nd(call: Call) -> Value:
    """``gather_nd(x[a, b, c], indices[n, 2]) -> [n, c]``."""
    return onnx.gather_nd(told(call, "GatherND", call.args[:2]))


@tf_op("TopKV2", "TopK")
def top_k(call: Call) -> list[Value]:
    """``top_k(x[a, n], k) -> [a, k], [a, k]``: values and positions."""
    x = operand(call, 0)
    axes = list(known(x))
    if not axes:
        raise ShapeError("takes a vector, not a scalar")
    count: Size = call.integer("k", 0, 0)
    if len(call.args) > 1:
        found = sizes(operand(call, 1))
        count = found[0] if found else unknown()
    axes[-1] = remade(axes[-1], count)
    return [Value(tuple(axes), x.dtype), Value(tuple(axes), "int32")]


@tf_op("Where")
def where(call: Call) -> Value:
    """``where(x[a, b]) -> [k, 2]``: the places of the true elements."""
    return Value((new_axis(unknown()), new_axis(len(known(operand(call, 0))))), "int64")


@tf_op("ScatterNd")
def scatter(call: Call) -> Value:
    """``scatter(indices, updates, shape) -> shape``."""
    shape = sizes(operand(call, 2))
    if shape is None:
        raise OpaqueError("its shape is known only when it runs")
    return Value(tuple(new_axis(n) for n in shape), operand(call, 1).dtype)


@tf_op("InTopKV2")
def in_top_k(call: Call) -> Value:
    """``in_top_k(x[a, n], targets[a], k) -> [a]`` of booleans."""
    return Value(known(operand(call, 1)), "bool")


@tf_op("MatrixDiagPart", "MatrixDiagPartV2", "MatrixDiagPartV3")
def diagonal(call: Call) -> Value:
    """``diagonal(x[..., m, n]) -> [..., k]``."""
    x = operand(call, 0)
    axes = known(x)
    if len(axes) < 2:
        raise ShapeError(f"takes matrices, not {x.text()}")
    offsets = whole_numbers(call, 1, "k") if len(call.args) > 1 else [0]
    square = offsets == [0] and axes[-1].size == axes[-2].size
    if offsets != [0]:
        raise OpaqueError("only the main diagonal is supported")
    return Value((*axes[:-2], axes[-1] if square else new_axis(unknown())), x.dtype)
