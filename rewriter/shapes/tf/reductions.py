"""Reductions: axes are dropped, or kept with size 1."""

from __future__ import annotations

from typing import Any

from ...ir.axis import Value
from ...ir.size import Size
from ..call import Call, known, tf_op
from ..onnx import reductions as onnx
from ..onnx._operands import operand, sizes
from ._calls import one_axis, told
from .naming import REDUCTIONS


@tf_op(*REDUCTIONS.split())
def reduce(call: Call) -> Value:
    """``reduce(x[a, b, c], (1,)) -> [a, c]``; with ``keep_dims`` ``[a, 1, c]``. An empty list reduces nothing."""
    x, places = operand(call, 0), operand(call, 1)
    name = "ReduceProd" if call.operation.class_name == "Prod" else "ReduceSum"
    stated = sizes(places)
    config: dict[str, Any] = {"keepdims": call.flag("keep_dims"), "noop_with_empty_axes": True}
    if stated is not None:
        # A scalar is one axis; ONNX takes only vectors.
        found = onnx.reduce(told(call, name, [x], axes=_plain(call, stated), **config))
    else:
        found = onnx.reduce(told(call, name, **config))
    boolean = call.operation.class_name in ("All", "Any")
    return Value(found.axes, "bool" if boolean else x.dtype, constant=found.constant)


def _plain(call: Call, stated: list[Size]) -> list[int]:
    return [call.whole("axis", place) for place in stated]


@tf_op("ArgMax", "ArgMin")
def arg(call: Call) -> Value:
    """``argmax(x[a, b, c], 1) -> [a, c]``."""
    x = operand(call, 0)
    place = one_axis(call, 1, len(known(x))) if len(call.args) > 1 else 0
    found = onnx.arg(told(call, "ArgMax", [x], axis=place, keepdims=0))
    return Value(found.axes, call.text("output_type", "int64") or "int64")


@tf_op("L2Loss")
def loss(call: Call) -> Value:
    """``loss(x[...]) -> []``."""
    return Value((), operand(call, 0).dtype)


@tf_op("SparseSoftmaxCrossEntropyWithLogits", "SoftmaxCrossEntropyWithLogits")
def cross_entropy(call: Call) -> list[Value]:
    """``loss(x[a, n], labels) -> [a], gradient[a, n]``."""
    x = operand(call, 0)
    axes = known(x)
    return [Value(axes[:1], x.dtype), Value(axes, x.dtype)]
