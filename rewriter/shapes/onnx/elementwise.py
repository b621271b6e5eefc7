"""Elementwise operators of one and of several inputs: every axis stays, inputs broadcast as in NumPy."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ...ir.axis import Role, Value
from ...ir.size import Poly, Size, Truth, divide, floordiv, is_beyond, same, unknown
from ..broadcast import Convention, broadcast
from ..call import Call, known, onnx_op
from ..facts import constants_along
from ._operands import array, few, folded, operand

UNARY = (
    "Abs Acos Acosh Asin Asinh Atan Atanh Ceil Celu Clip Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid HardSwish "
    "Hardmax LeakyRelu Log LogSoftmax LpNormalization MeanVarianceNormalization Mish Neg Not BitwiseNot PRelu "
    "Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Swish Tan Tanh "
    "QuantizeLinear DequantizeLinear CumProd ThresholdedRelu Trilu CumSum Identity EyeLike RandomNormalLike "
    "RandomUniformLike Bernoulli LRN"
)
_ALONG = ("Softmax", "LogSoftmax", "Hardmax", "LpNormalization")
TESTS = "IsNaN IsInf"
COMPARISONS = "Equal Greater GreaterOrEqual Less LessOrEqual And Or Xor"
BINARY = "Add Sub Div Pow Mod Max Min Mean Sum BitShift BitwiseAnd BitwiseOr BitwiseXor"


@onnx_op(*UNARY.split())
def unary(call: Call) -> Value:
    """``f(x[...]) -> [...]``. Raises ShapeError where it names an axis that the tensor does not have."""
    x = operand(call, 0)
    if call.operation.class_name in _ALONG and call.get("axis") is not None:
        call.axis(call.get("axis"), len(known(x)))
    keeps = call.operation.class_name == "Identity"
    return Value(known(x), x.dtype, constant=x.constant if keeps else None)


@onnx_op(*TESTS.split())
def test(call: Call) -> Value:
    """``f(x[...]) -> [...]`` of booleans."""
    return Value(known(operand(call, 0)), "bool")


@onnx_op("Cast", "CastLike")
def cast(call: Call) -> Value:
    """``cast(x[...]) -> [...]`` in another dtype; known integers stay known."""
    x = operand(call, 0)
    dtype = call.text("to", x.dtype)
    return Value(known(x), dtype, constant=x.constant if "int" in dtype and "int" in x.dtype else None)


@onnx_op("Dropout")
def dropout(call: Call) -> list[Value]:
    """``dropout(x[...]) -> [...], mask[...]``."""
    x = operand(call, 0)
    return [Value(known(x), x.dtype), Value(known(x), "bool")]


@onnx_op("Mul")
def multiply(call: Call) -> Value:
    """``mul(x[..., a, 1], y[a, b]) -> [..., a, b]``, right-aligned; the operands keep their own identity."""
    return joined_values(call, unify=False)


@onnx_op(*BINARY.split())
def binary(call: Call) -> Value:
    """``f(x[..., a, 1], y[a, b]) -> [..., a, b]``, right-aligned; axes that meet and fit become one.

    The sum that ends a normalisation shows the channel: it is the axis of the normalisation's factors.
    """
    result = joined_values(call, unify=True)
    channel = _normalised(call)
    if channel is not None and channel < len(known(result)):
        known(result)[-1 - channel].origin.hint(Role.CHANNEL)
    return result


def _normalised(call: Call) -> int | None:
    """The channel axis, from the right, where a call ends a normalisation in the exporters' form: a product with
    constants along one axis, then a sum with constants along the same axis. Else None."""
    if call.operation.class_name not in ("Add", "Sub"):
        return None
    scaled = next((v.facts.scaled for v in call.inputs if v.tensor is not None), None)
    return scaled if scaled == constants_along(call) else None


@onnx_op(*COMPARISONS.split())
def comparison(call: Call) -> Value:
    """``f(x[..., a, 1], y[a, b]) -> [..., a, b]`` of booleans."""
    value = joined_values(call, unify=True)
    return Value(value.axes, "bool", constant=value.constant)


@onnx_op("Where")
def where(call: Call) -> Value:
    """``where(condition[...], x[...], y[...]) -> [...]``, right-aligned."""
    values = [operand(call, i) for i in range(3)]
    axes = broadcast(Convention.NUMPY, [known(v) for v in values])
    arrays = [array(v) for v in values]
    if any(a is None for a in arrays) or "int" not in values[1].dtype or not few(axes):
        return Value(axes, values[1].dtype)
    condition, x, y = (a for a in arrays if a is not None)
    if any(isinstance(item, Poly) for item in condition.flat):
        return Value(axes, values[1].dtype)
    return folded(axes, values[1].dtype, np.where(condition.astype(bool), x, y))


def joined_values(call: Call, unify: bool) -> Value:
    values = [operand(call, i) for i in range(len(call.args))]
    axes = broadcast(Convention.NUMPY, [known(v) for v in values], unify)
    dtype = values[0].dtype
    fold = FOLDS.get(call.operation.class_name)
    arrays = [array(v) for v in values]
    if fold is None or len(arrays) != 2 or "int" not in dtype or any(a is None for a in arrays):
        return Value(axes, dtype)
    if not few(axes):
        return Value(axes, dtype)

    def bounded(a: Any, b: Any) -> Any:
        result = fold(a, b)
        return unknown() if isinstance(result, (int, Poly)) and is_beyond(result) else result

    return folded(axes, dtype, np.asarray(np.frompyfunc(bounded, 2, 1)(*arrays), dtype=object))


def _quotient(a: Size, b: Size) -> Size:
    """``a / b`` for integers as in ONNX: rounded towards zero."""
    if isinstance(a, int) and isinstance(b, int):
        return unknown() if b == 0 else a // b + (a % b != 0 and (a < 0) != (b < 0))
    whole = divide(a, b)
    if whole is not None:
        return whole
    low = a.minimum if isinstance(a, Poly) else None
    positive = low is not None and low >= 0
    return floordiv(a, b) if isinstance(b, int) and b > 0 and positive else unknown()


def _remainder(a: Size, b: Size) -> Size:
    """``a mod b`` of numbers that are not negative, where both kinds of remainder (``fmod``) are one."""
    if isinstance(a, int) and isinstance(b, int):
        return a % b if a >= 0 and b > 0 else unknown()
    return 0 if isinstance(b, int) and b > 0 and divide(a, b) is not None else unknown()


def _equal(a: Size, b: Size) -> Any:
    """Whether two sizes are equal, or unknown; a size never equals the -1 that exporters compare it with."""
    answer = same(a, b)
    return unknown() if answer is Truth.UNKNOWN else answer is Truth.YES


def _extreme(function: Callable[[int, int], int]) -> Callable[[Size, Size], Size]:
    def extreme(a: Size, b: Size) -> Size:
        return function(a, b) if isinstance(a, int) and isinstance(b, int) else a if a == b else unknown()

    return extreme


# Arithmetic on sizes, by operator.
FOLDS: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "Div": _quotient,
    "Mod": _remainder,
    "Max": _extreme(max),
    "Min": _extreme(min),
    "Equal": _equal,
}
