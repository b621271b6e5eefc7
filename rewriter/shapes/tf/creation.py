"""Tensors made from numbers or shapes alone, and the sizes of tensors."""

from __future__ import annotations

import numpy as np

from ...ir.axis import Axis, Value, new_axis
from ...ir.graph import Literal
from ...ir.size import Size, unknown
from ..call import Call, OpaqueError, known, tf_op
from ..facts import constant_axes
from ..onnx import creation as onnx
from ..onnx._operands import axes_of_shape, operand, sizes
from ._calls import told

_RANDOM = "RandomUniform RandomStandardNormal TruncatedNormal RandomUniformInt"
_STATELESS = (
    "StatelessRandomUniform StatelessRandomNormal StatelessTruncatedNormal StatelessRandomUniformV2 "
    "StatelessRandomNormalV2 StatelessTruncatedNormalV2"
)


@tf_op("Const")
def constant(call: Call) -> Value:
    """``constant() -> [...]``: its numbers are in the file."""
    value = call.get("value")
    if not isinstance(value, Literal):
        raise OpaqueError("this kind of constant is not supported")
    return Value(constant_axes(value.shape), value.dtype, constant=value.value)


@tf_op("VarHandleOp", "VariableV2", "Variable")
def variable(call: Call) -> Value:
    """``variable() -> [...]``; a handle has the axes of its variable."""
    shape = call.get("shape")
    if shape is None or call.get("dtype") in (None, ""):
        raise OpaqueError("the file states no shape for this variable")
    axes = axes_of_shape([unknown() if size is None else size for size in shape])
    return Value(axes, call.text("dtype"), constant=Handle(call.operation.name))


class Handle:
    """A placeholder for the numbers of a variable, which are not read."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Handle({self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Handle) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


@tf_op("Placeholder")
def placeholder(call: Call) -> Value:
    """``placeholder() -> [...]`` of the stated shape."""
    shape = call.get("shape")
    if shape is None:
        raise OpaqueError("the file states no shape for this input")
    return Value(axes_of_shape([unknown() if s is None else s for s in shape]), call.text("dtype", "float32"))


def _type(call: Call, name: str = "out_type") -> str:
    return call.text(name, "int32") or "int32"


@tf_op("Shape")
def shape(call: Call) -> Value:
    """``shape(x[a, b, c]) -> [3]`` with the numbers a, b and c."""
    found = onnx.shape(told(call, "Shape"))
    return Value(found.axes, _type(call), constant=found.constant)


@tf_op("ShapeN")
def shapes(call: Call) -> list[Value]:
    """``shapes(x[a, b], y[c]) -> [2], [1]`` with the numbers of each."""
    found = [onnx.shape(told(call, "Shape", [value])) for value in call.inputs]
    return [Value(each.axes, _type(call), constant=each.constant) for each in found]


@tf_op("Size")
def size(call: Call) -> Value:
    """``size(x[a, b]) -> []`` with the number a*b."""
    return Value((), _type(call), constant=onnx.size(told(call, "Size")).constant)


@tf_op("Rank")
def rank(call: Call) -> Value:
    """``rank(x[a, b]) -> []`` with the number 2."""
    return Value((), "int32", constant=len(known(operand(call, 0))))


@tf_op("Fill")
def fill(call: Call) -> Value:
    """``fill(shape, value) -> shape``."""
    value = operand(call, 1)
    plain = value.constant if isinstance(value.constant, (int, float)) else None
    literal = Literal(plain, (), value.dtype) if plain is not None else Literal(0.0, (), "float32")
    found = onnx.constant_of_shape(told(call, "ConstantOfShape", call.args[:1], value=literal))
    return Value(found.axes, value.dtype, constant=found.constant)


@tf_op("Range")
def range_(call: Call) -> Value:
    """``range(start, limit, delta) -> [ceil((limit - start) / delta)]``."""
    return onnx.range_(told(call, "Range"))


@tf_op("LinSpace")
def line(call: Call) -> Value:
    """``line(start, stop, n) -> [n]``."""
    found = sizes(operand(call, 2))
    return Value((new_axis(found[0] if found else unknown()),), operand(call, 0).dtype)


@tf_op("Empty")
def empty(call: Call) -> Value:
    """``empty(shape) -> shape``."""
    return Value(_stated(operand(call, 0)), call.text("dtype", "float32"))


@tf_op(*_RANDOM.split())
def random(call: Call) -> Value:
    """``random(shape) -> shape``."""
    return Value(_stated(operand(call, 0)), call.text("dtype", "float32"))


@tf_op(*_STATELESS.split())
def stateless_random(call: Call) -> Value:
    """``random(shape, seed) -> shape``."""
    return Value(_stated(operand(call, 0)), call.text("dtype", "float32"))


def _stated(shape: Value) -> tuple[Axis, ...]:
    found = sizes(shape)
    if found is None:
        raise OpaqueError("its shape is known only when it runs")
    return axes_of_shape(found)


@tf_op("OneHot")
def one_hot(call: Call) -> Value:
    """``one_hot(x[a, b], depth, on, off) -> [a, b, depth]``."""
    axes = list(known(operand(call, 0)))
    depth = sizes(operand(call, 1))
    place = call.axis(call.get("axis", -1), len(axes) + 1)
    axes.insert(place, new_axis(depth[0] if depth else unknown()))
    return Value(tuple(axes), operand(call, 2).dtype)


@tf_op("BroadcastArgs")
def broadcast_args(call: Call) -> Value:
    """``broadcast_args(shape, shape) -> shape``: the shape that two shapes broadcast to."""
    first, second = sizes(operand(call, 0)), sizes(operand(call, 1))
    if first is None or second is None:
        raise OpaqueError("its shapes are known only when it runs")
    count = max(len(first), len(second))
    pairs = zip([1] * (count - len(first)) + first, [1] * (count - len(second)) + second, strict=True)
    met: list[Size] = [b if a == 1 else a if b == 1 or a == b else unknown() for a, b in pairs]
    numbers = np.empty(count, dtype=object)
    numbers[:] = met
    return Value((new_axis(count),), operand(call, 0).dtype, constant=numbers.tolist())
