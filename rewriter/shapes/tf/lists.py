"""Lists of tensors, in which loops collect results: ``list[n, ...]`` has its length, then its elements' axes.

A reserved list has no elements yet: its axes are unknown, and its ``constant`` is its length. Lookup tables return a
number for each key.
"""

from __future__ import annotations

from ...ir.axis import Value, new_axis
from ...ir.size import unknown
from ..call import Call, known, tf_op
from ..onnx._operands import operand, sizes
from .control import VARIANT


@tf_op("TensorListReserve", "EmptyTensorList")
def reserve(call: Call) -> Value:
    """``reserve(element_shape, n) -> list``."""
    count = sizes(operand(call, 1)) if call.operation.class_name == "TensorListReserve" else None
    return Value(None, VARIANT, reason="the list has no elements yet", constant=count)


@tf_op("TensorListFromTensor")
def from_tensor(call: Call) -> Value:
    """``list(x[n, ...], element_shape) -> list[n, ...]``."""
    return Value(known(operand(call, 0)), VARIANT)


@tf_op("TensorListSetItem")
def set_item(call: Call) -> Value:
    """``set(list[n, ...], i, x[...]) -> list[n, ...]``."""
    given, item = operand(call, 0), operand(call, 2)
    if given.axes:
        length = given.axes[0]
    else:
        count = (
            given.constant if isinstance(given.constant, list) and len(given.constant) == 1 else [unknown()]
        )
        length = new_axis(count[0])
    return Value((length, *known(item)), VARIANT)


@tf_op("TensorListPushBack")
def push_back(call: Call) -> Value:
    """``push(list[n, ...], x[...]) -> list[m, ...]``."""
    return Value((new_axis(unknown()), *known(operand(call, 1))), VARIANT)


@tf_op("TensorListGetItem")
def get_item(call: Call) -> Value:
    """``get(list[n, ...], i, element_shape) -> [...]``."""
    axes = operand(call, 0).axes
    dtype = call.text("element_dtype", "float32")
    return (
        Value(axes[1:], dtype)
        if axes
        else Value(None, dtype, reason="the elements of the list are not known")
    )


@tf_op("TensorListStack")
def stack(call: Call) -> Value:
    """``stack(list[n, ...], element_shape) -> [n, ...]``."""
    axes = operand(call, 0).axes
    dtype = call.text("element_dtype", "float32")
    return Value(axes or None, dtype, reason="" if axes else "the elements of the list are not known")


@tf_op("TensorListLength")
def length(call: Call) -> Value:
    """``length(list[n, ...]) -> []``."""
    axes = operand(call, 0).axes
    return Value((), "int32", constant=axes[0].size if axes else None)


@tf_op("Resource")
def resource(call: Call) -> Value:
    """A handle of a resource that is not a variable: a table, a random generator."""
    return Value((), "resource")


@tf_op("HashTableV2", "MutableHashTableV2")
def table(call: Call) -> Value:
    """``table() -> []``: the table's handle."""
    return Value((), "resource")


@tf_op("LookupTableFindV2", "LookupTableFind")
def look_up(call: Call) -> Value:
    """``find(table, keys[...], default) -> [...]``."""
    return Value(known(operand(call, 1)), call.text("Tout", "int64"))
