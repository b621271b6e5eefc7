"""Joining tensors along an axis, splitting and padding them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ir.axis import Axis, Value, new_axis, remade, unit_axis
from ...ir.size import unknown
from ..broadcast import Convention, broadcast
from ..call import Call, OpaqueError, ShapeError, known, tf_op
from ..onnx import joining as onnx
from ..onnx._operands import array, folded, operand, sizes
from ._calls import one_axis, told

_MOST = 65_536  # outputs


@tf_op("ConcatV2", "Concat")
def concat(call: Call) -> Value:
    """``concat([x[n, c], y[m, c]], axis=0) -> [n+m, c]``; the axis is not an operand (``naming``)."""
    return onnx.concat(told(call, "Concat", axis=call.whole("axis", call.get("axis"))))


@tf_op("Pack")
def pack(call: Call) -> Value:
    """``pack([x[a, b], y[a, b]], axis=0) -> [2, a, b]``."""
    values = call.inputs
    axes = [known(value) for value in values]
    if len({len(each) for each in axes}) > 1:
        raise ShapeError("packs tensors of different ranks")
    met = list(broadcast(Convention.NUMPY, axes, unify=False))
    place = call.axis(call.get("axis", 0), len(met) + 1)
    met.insert(place, unit_axis("Pack") if len(values) == 1 else new_axis(len(values)))
    arrays = [array(value) for value in values]
    if any(each is None for each in arrays):
        return Value(tuple(met), values[0].dtype)
    return folded(met, values[0].dtype, np.stack([a for a in arrays if a is not None], place))


@tf_op("Unpack")
def unpack(call: Call) -> list[Value]:
    """``unpack(x[2, a], axis=0) -> [a], [a]``."""
    x = operand(call, 0)
    axes = known(x)
    place, count = call.axis(call.get("axis", 0), len(axes)), call.integer("num", 0)
    size = axes[place].size
    if isinstance(size, int) and size != count:
        raise ShapeError(f"{axes[place]} is unpacked into {count} tensors")
    if count > _MOST:
        raise OpaqueError(f"{count} outputs are more than are supported")
    rest = [axis for number, axis in enumerate(axes) if number != place]
    numbers = array(x)
    if numbers is None or not isinstance(size, int):
        return [Value(tuple(rest), x.dtype) for _ in range(count)]
    return [_picked(rest, x.dtype, numbers.take(number, place)) for number in range(count)]


def _picked(axes: list[Axis], dtype: str, numbers: Any) -> Value:
    return folded(axes, dtype, numbers) if axes else Value((), dtype, constant=numbers)


@tf_op("Split")
def split(call: Call) -> list[Value]:
    """``split(axis, x[a, n*k]) -> [a, k], ... n`` of them."""
    x = operand(call, 1)
    place = one_axis(call, 0, len(known(x)))
    count = call.integer("num_split", 1)
    axis = known(x)[place]
    if isinstance(axis.size, int) and axis.size % count:
        raise ShapeError(f"{axis} is split into {count} equal parts")
    return onnx.split(told(call, "Split", [x], axis=place, num_outputs=count))


@tf_op("SplitV")
def split_by_sizes(call: Call) -> list[Value]:
    """``split(x[a, n+m], (n, m), axis) -> [a, n], [a, m]``."""
    x = operand(call, 0)
    axes = known(x)
    place = one_axis(call, 2, len(axes))
    parts = sizes(operand(call, 1))
    if parts is None:
        count = call.integer("num_split", 1)
        if count > _MOST:
            raise OpaqueError(f"{count} outputs are more than are supported")
        parts = [unknown() for _ in range(count)]
    total = axes[place].size
    known_parts = [p for p in parts if isinstance(p, int) and p != -1]
    if -1 in parts and isinstance(total, int):
        parts = [total - sum(known_parts) if p == -1 else p for p in parts]
    if all(isinstance(p, int) and p >= 0 for p in parts):
        stated = Value((new_axis(len(parts)),), "int64", constant=list(parts))
        return onnx.split(told(call, "Split", [x, stated], axis=place))
    return [
        Value((*axes[:place], remade(axes[place], unknown() if p == -1 else p), *axes[place + 1 :]), x.dtype)
        for p in parts
    ]


@tf_op("Pad", "PadV2", "MirrorPad")
def pad(call: Call) -> Value:
    """``pad(x[n], ((before, after),)) -> [n + before + after]``."""
    x, stated = operand(call, 0), operand(call, 1)
    axes, numbers = known(x), array(stated)
    if numbers is not None and numbers.shape != (len(axes), 2):
        raise ShapeError(f"paddings of shape {stated.text()} do not fit {x.text()}")
    if numbers is None:
        return Value(tuple(remade(axis, unknown()) for axis in axes), x.dtype)
    result = []
    for axis, (before, after) in zip(axes, numbers, strict=True):
        extra = before + after
        result.append(axis if extra == 0 else remade(axis, axis.size + extra))
    return Value(tuple(result), x.dtype)
