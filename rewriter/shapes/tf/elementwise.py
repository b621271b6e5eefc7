"""Elementwise operators of one and of several inputs: every axis stays, inputs broadcast as in NumPy."""

from __future__ import annotations

from dataclasses import replace

from ...errors import shown
from ...ir.axis import Role, Value, new_axis
from ...ir.size import Truth, same
from ..broadcast import Convention, broadcast
from ..call import Call, OpaqueError, ShapeError, known, tf_op
from ..onnx import elementwise as onnx
from ..onnx._operands import operand
from ._calls import channels_first, told

UNARY = (
    "Abs Acos Acosh Asin Asinh Atan Atanh Ceil ClipByValue Cos Cosh Cumprod Cumsum Digamma Elu Erf Erfc Erfinv Exp "
    "Expm1 Floor Inv Invert LeakyRelu Lgamma Log Log1p LogSoftmax LogicalNot LRN MatrixBandPart "
    "MatrixInverse Ndtri Neg OnesLike Reciprocal Relu Relu6 ReverseSequence ReverseV2 Rint Roll Round Rsqrt Selu "
    "Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Square Tan Tanh ZerosLike "
    "FakeQuantWithMinMaxVars FakeQuantWithMinMaxArgs QuantizeAndDequantizeV2 QuantizeAndDequantizeV3 "
    "QuantizeAndDequantizeV4 TensorScatterUpdate TensorScatterAdd CheckNumerics CheckNumericsV2"
)
SAME = (
    "Identity Snapshot StopGradient PreventGradient EnsureShape PlaceholderWithDefault DeepCopy "
    "_EagerConst CopyHost Copy"
)
TESTS = "IsFinite IsInf IsNan"
# The bytes of a number in the dtypes that Bitcast takes.
_WIDTHS = {
    name: width
    for width, names in {
        1: "int8 uint8 qint8 quint8",
        2: "int16 uint16 qint16 quint16 float16 bfloat16",
        4: "int32 uint32 qint32 float32",
        8: "int64 uint64 float64 complex64",
        16: "complex128",
    }.items()
    for name in names.split()
}
# TensorFlow's name -> ONNX's name where both have the operator, so that arithmetic on sizes is folded; else its own.
BINARY = {
    "Add": "Add", "AddV2": "Add", "Sub": "Sub", "RealDiv": "RealDiv", "Div": "Div", "FloorDiv": "FloorDiv",
    "TruncateDiv": "Div", "DivNoNan": "DivNoNan", "MulNoNan": "MulNoNan", "Maximum": "Max", "Minimum": "Min",
    "SquaredDifference": "SquaredDifference", "Pow": "Pow", "FloorMod": "Mod", "Mod": "Mod", "TruncateMod": "Mod",
    "Atan2": "Atan2", "Xdivy": "Xdivy", "Xlogy": "Xlogy", "Xlog1py": "Xlog1py", "BitwiseAnd": "BitwiseAnd",
    "BitwiseOr": "BitwiseOr",
    "BitwiseXor": "BitwiseXor", "LeftShift": "BitShift", "RightShift": "BitShift", "Complex": "Complex",
    "NextAfter": "NextAfter",
}  # fmt: skip
COMPARISONS = {
    "Equal": "Equal", "NotEqual": "NotEqual", "Greater": "Greater", "GreaterEqual": "GreaterOrEqual", "Less": "Less",
    "LessEqual": "LessOrEqual", "LogicalAnd": "And", "LogicalOr": "Or", "ApproximateEqual": "ApproximateEqual",
}  # fmt: skip


@tf_op(*UNARY.split())
def unary(call: Call) -> Value:
    """``f(x[...]) -> [...]``."""
    x = operand(call, 0)
    return Value(known(x), x.dtype)


@tf_op(*SAME.split())
def unchanged(call: Call) -> Value:
    """``f(x[...]) -> [...]``, the same numbers, or the same handle of a variable."""
    x = operand(call, 0)
    return Value(known(x), x.dtype, constant=x.constant)


@tf_op("ReadVariableOp")
def read_variable(call: Call) -> Value:
    """``read(handle) -> [...]``; a handle has the axes of its variable."""
    x = operand(call, 0)
    if x.dtype == "resource":
        raise OpaqueError("the variable that it reads is not known")
    return Value(known(x), x.dtype, constant=x.constant)


@tf_op("IdentityN")
def all_unchanged(call: Call) -> list[Value]:
    """``f(x[...], y[...]) -> [...], [...]``."""
    return [replace(value, tensor=None) for value in call.inputs]


@tf_op(*TESTS.split())
def test(call: Call) -> Value:
    """``f(x[...]) -> [...]`` of booleans."""
    return Value(known(operand(call, 0)), "bool")


@tf_op("Bitcast")
def bitcast(call: Call) -> Value:
    """``bitcast(x[a]) -> [a]``; ``[a, n]`` in a dtype n times narrower, and back from ``[a, n]`` in the wider one.

    Source: ``tensorflow/core/kernels/bitcast_op.cc``.
    """
    x = operand(call, 0)
    axes, old, new = known(x), call.text("T", x.dtype), call.text("type", x.dtype)
    if old == new:
        return Value(axes, new)
    if old not in _WIDTHS or new not in _WIDTHS:
        raise OpaqueError(f"a bitcast from {shown(old)} to {shown(new)} is not supported here")
    before, after = _WIDTHS[old], _WIDTHS[new]
    if before > after:
        return Value((*axes, new_axis(before // after)), new)
    if before == after:
        return Value(axes, new)
    if not axes or same(axes[-1].size, after // before) is Truth.NO:
        raise ShapeError(
            f"a bitcast from {old} to {new} takes a last axis of {after // before}, not {x.text()}"
        )
    return Value(axes[:-1], new)


@tf_op("Cast")
def cast(call: Call) -> Value:
    """``cast(x[...]) -> [...]`` in another dtype; known integers stay known."""
    x = operand(call, 0)
    return onnx.cast(told(call, "Cast", to=call.text("DstT") or x.dtype))


@tf_op("Mul")
def multiply(call: Call) -> Value:
    """``mul(x[..., a, 1], y[a, b]) -> [..., a, b]``, right-aligned; the operands keep their own identity."""
    return onnx.multiply(told(call, "Mul"))


@tf_op(*BINARY)
def binary(call: Call) -> Value:
    """``f(x[..., a, 1], y[a, b]) -> [..., a, b]``, right-aligned; axes that meet and fit become one."""
    return onnx.binary(told(call, BINARY[call.operation.class_name]))


@tf_op(*COMPARISONS)
def comparison(call: Call) -> Value:
    """``f(x[..., a, 1], y[a, b]) -> [..., a, b]`` of booleans."""
    return onnx.comparison(told(call, COMPARISONS[call.operation.class_name]))


@tf_op("SelectV2")
def select(call: Call) -> Value:
    """``select(condition[...], x[...], y[...]) -> [...]``, right-aligned."""
    return onnx.where(told(call, "Where"))


@tf_op("Select")
def select_rows(call: Call) -> Value:
    """``select(condition[a], x[a, b], y[a, b]) -> [a, b]``; the condition has x's shape or selects rows."""
    x = operand(call, 1)
    return Value(known(x), x.dtype)


@tf_op("AddN", "AccumulateNV2")
def add_all(call: Call) -> Value:
    """``add(x[...], y[...], ...) -> [...]``; all have the same shape."""
    values = [operand(call, position) for position in range(len(call.args))]
    ranks = {len(known(value)) for value in values}
    if len(ranks) > 1:
        raise ShapeError("adds tensors of different ranks")
    return Value(broadcast(Convention.NUMPY, [known(v) for v in values]), values[0].dtype)


@tf_op("BiasAdd", "BiasAddV1")
def bias_add(call: Call) -> Value:
    """``bias_add(x[B, ..., C], bias[C]) -> [B, ..., C]``; ``[B, C, ...]`` with channels first."""
    x, bias = operand(call, 0), known(operand(call, 1))
    axes = known(x)
    if len(axes) < 2 or len(bias) != 1:
        raise ShapeError(f"cannot add a bias of rank {len(bias)} to {x.text()}")
    channel = axes[1 if channels_first(call) and len(axes) > 2 else -1]
    if same(channel.size, bias[0].size) is Truth.NO:
        raise ShapeError(f"its weights were trained on channels of {bias[0].size}, and it takes {channel}")
    if len(axes) > 2:
        channel.origin.hint(Role.CHANNEL)
    return Value(axes, x.dtype)
