"""Tensors made from numbers or shapes alone, and the sizes of tensors."""

from __future__ import annotations

import math

import numpy as np

from ...ir.axis import Value, new_axis
from ...ir.graph import Literal
from ...ir.size import Size, product, unknown
from ..call import Call, OpaqueError, ShapeError, known, onnx_op
from ._operands import array, axes_of_shape, few, folded, operand, sizes, vector


@onnx_op("Constant")
def constant(call: Call) -> Value:
    """``constant() -> [...]``: its numbers are in the file."""
    value = next((v for v in call.config.values() if isinstance(v, Literal)), None)
    if value is None:
        raise OpaqueError("this kind of constant is not supported")
    return Value(axes_of_shape(value.shape), value.dtype, constant=value.value)


@onnx_op("Shape")
def shape(call: Call) -> Value:
    """``shape(x[a, b, c]) -> [3]`` with the numbers a, b and c."""
    axes = known(operand(call, 0))
    start, end = call.whole("start", call.get("start", 0)), call.get("end")
    taken = axes[start:] if end is None else axes[start : call.whole("end", end)]
    numbers = np.empty(len(taken), dtype=object)
    numbers[:] = [a.size for a in taken]
    return folded(vector(len(taken)), "int64", numbers)


@onnx_op("Size")
def size(call: Call) -> Value:
    """``size(x[a, b]) -> []`` with the number a*b."""
    return Value((), "int64", constant=product(a.size for a in known(operand(call, 0))))


@onnx_op("ConstantOfShape")
def constant_of_shape(call: Call) -> Value:
    """``constant_of_shape(shape) -> shape``."""
    target, value = operand(call, 0), call.config.get("value")
    found = sizes(target)
    if found is None:
        length = known(target)[0].size if known(target) else 0
        if not isinstance(length, int) or length > 64:
            raise OpaqueError("its shape is known only when it runs")
        found = [unknown() for _ in range(length)]
    dtype = value.dtype if isinstance(value, Literal) else "float32"
    ints = [n for n in found if isinstance(n, int)]
    if any(n < 0 for n in ints):
        raise ShapeError(f"makes a tensor of a negative size: {min(ints)}")
    if len(ints) != len(found) or "int" not in dtype or math.prod(ints) > 4096:
        return Value(axes_of_shape(found), dtype)
    assert isinstance(value, Literal)
    return folded(axes_of_shape(found), dtype, np.full(ints, np.asarray(value.value).item(), dtype=object))


@onnx_op("Range")
def range_(call: Call) -> Value:
    """``range(start, limit, delta) -> [ceil((limit - start) / delta)]``."""
    numbers = [array(operand(call, i)) for i in range(3)]
    items = [None if n is None or n.size != 1 else n.item() for n in numbers]
    start, limit, delta = items
    length: Size = unknown()
    if all(isinstance(n, (int, float)) for n in items) and delta:
        assert isinstance(start, (int, float)) and isinstance(limit, (int, float))
        length = count = max(math.ceil((limit - start) / delta), 0)
        if all(isinstance(n, int) for n in items) and few(vector(count)):
            counted = np.empty(count, dtype=object)
            counted[:] = [start + i * delta for i in range(count)]
            return folded(vector(count), operand(call, 0).dtype, counted)
    elif start == 0 and delta == 1 and limit is not None:
        length = limit
    return Value((new_axis(length),), operand(call, 0).dtype)


@onnx_op("RandomNormal", "RandomUniform")
def random(call: Call) -> Value:
    """``random(shape) -> shape``."""
    return Value(
        axes_of_shape([call.whole("shape", n, 0) for n in call.config.get("shape") or []]), "float32"
    )
