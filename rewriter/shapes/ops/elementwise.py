"""Elementwise ops of one and of several operands: every axis stays, operands broadcast as in NumPy."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from ...errors import BadFileError, shown
from ...ir.axis import Value
from ...ir.size import Size, floordiv, is_size
from .. import dtypes
from ..broadcast import Convention, broadcast
from ..call import Call, OpaqueError, ShapeError, known, op
from ..dtypes import result_type, strong
from ._operands import configured_dtype, operand, sequence, value_of

DtypeRule = Callable[[str], str]

UNARY: dict[tuple[str, DtypeRule], str] = {
    (
        "numpy",
        dtypes.keep,
    ): "Absolute Abs Conjugate Conj Copy Imag Real Sign Negative BitwiseInvert BitwiseNot Trunc "
    "NanToNum Round",
    (
        "numpy",
        dtypes.promoted_float,
    ): "Angle Arccos Arccosh Cos Cosh Sinc Arcsin Arcsinh Arctan Arctanh Sin Sinh Tan "
    "Tanh Ceil Floor Log Log10 Log2 Log1p Sqrt",
    ("numpy", dtypes.integral_to_float): "Exp Exp2 Expm1 Fabs",
    ("numpy", dtypes.wide_integral_to_float64): "Cbrt",
    ("numpy", dtypes.angular): "Deg2rad Rad2deg I0",
    ("numpy", dtypes.to_bool): "Isfinite Isinf Isnan Isneginf Isposinf Isreal LogicalNot Signbit",
    ("numpy", dtypes.bool_to_int32): "Clip Square",
    ("numpy", dtypes.to_default): "Reciprocal",
    ("math", dtypes.keep): "Rsqrt Erf Erfinv",
    ("math", dtypes.promoted_float): "Erfc",
    ("core", dtypes.keep): "StopGradient",
    ("activations", dtypes.keep): "Mish ReLU",
    (
        "nn",
        dtypes.keep,
    ): "Relu Relu6 Sigmoid SparseSigmoid Softplus Softsign SoftShrink SparsePlus Silu Squareplus "
    "LogSigmoid LeakyRelu HardSigmoid HardSilu Elu Selu Gelu Celu TanhShrink HardTanh HardShrink Threshold",
}


def _promoted(*kinds: str) -> str:
    return result_type(*kinds)


def _float(*kinds: str) -> str:
    return result_type(*kinds, "float")


def _strong(*kinds: str) -> str:
    return result_type(*map(strong, kinds))


def _strong_float(*kinds: str) -> str:
    return result_type(*map(strong, kinds), "float")


def _arctan2(*kinds: str) -> str:
    return result_type(*(dtypes.WEAK["float"] if k in dtypes.WEAK else k for k in kinds), "float")


def _hypot(*kinds: str) -> str:
    kind = result_type(*kinds)
    return kind if kind == "bool" else dtypes.wide_integral_to_float64(kind)


def _mod(*kinds: str) -> str:
    return dtypes.bool_to_int32(result_type(*kinds))


def _bool(*kinds: str) -> str:
    return "bool"


def _shift(x: str, y: str) -> str:
    return x if y == "int" else result_type(x, y)


BINARY: dict[Callable[..., str], str] = {
    _promoted: "Add Subtract Maximum Fmax Minimum Fmin Power FloorDivide BitwiseAnd BitwiseOr BitwiseXor",
    _float: "Divide DivideNoNan TrueDivide Logaddexp Logaddexp2",
    _strong: "Gcd Lcm",
    _strong_float: "Ldexp Nextafter",
    _arctan2: "Arctan2",
    _hypot: "Heaviside Hypot",
    _mod: "Mod Fmod",
    _bool: "Equal NotEqual Greater GreaterEqual Less LessEqual LogicalAnd LogicalOr LogicalXor Isclose",
    _shift: "BitwiseLeftShift LeftShift BitwiseRightShift RightShift",
}


def _register_unary(family: str, dtype_of: DtypeRule, names: str) -> None:
    @op(family, *names.split())
    def unary(call: Call) -> Value:
        """``f(x[...]) -> [...]``."""
        x = call.x
        negated = call.operation.class_name == "Negative" and not known(x) and x.dtype == "int32"
        size = -x.constant if negated and is_size(x.constant) else None
        return Value(known(x), dtype_of(x.dtype), constant=size)


def _register_binary(dtype_of: Callable[..., str], names: str) -> None:
    @op("numpy", *names.split())
    def binary(call: Call) -> Value:
        """``f(x[..., a, 1], y[a, b]) -> [..., a, b]``, right-aligned; axes that meet and fit become one."""
        return _binary(call, dtype_of, unify=True)


def _binary(call: Call, dtype_of: Callable[..., str], unify: bool) -> Value:
    first = "x1" if "x1" in call.kwargs else "x"
    second = "x2" if "x2" in call.kwargs else "y"
    x, y = operand(call, 0, first), operand(call, 1, second)
    if dtype_of is not _bool and "string" in (x.dtype, y.dtype):
        raise BadFileError(f"{shown(call.operation.name)!r} computes with text")
    axes = broadcast(Convention.NUMPY, [known(x), known(y)], unify)
    return Value(axes, dtype_of(x.dtype, y.dtype), constant=None if axes else _size(call, x, y))


# Arithmetic of sizes, which the code of a layer does with the numbers that ``keras.ops.shape`` gives.
_OF_SIZES: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add,
    "Subtract": operator.sub,
    "Multiply": operator.mul,
    "FloorDivide": floordiv,
}


def _size(call: Call, x: Value, y: Value) -> Size | None:
    """The size that an operation on two sizes gives; None for other numbers."""
    compute = _OF_SIZES.get(call.operation.class_name)
    a, b = x.constant, y.constant
    if compute is None or not (is_size(a) and is_size(b)) or "int32" not in (x.dtype, y.dtype):
        return None
    if compute is floordiv and not (isinstance(b, int) and b > 0):
        return None
    found: Size = compute(a, b)
    return found


for (_family, _dtype_rule), _names in UNARY.items():
    _register_unary(_family, _dtype_rule, _names)
for _binary_rule, _names in BINARY.items():
    _register_binary(_binary_rule, _names)


@op("numpy", "Multiply")
def multiply(call: Call) -> Value:
    """``multiply(x[..., a, 1], y[a, b]) -> [..., a, b]``, right-aligned; the operands keep their own identity."""
    return _binary(call, _promoted, unify=False)


@op("numpy", "AllClose")
def all_close(call: Call) -> Value:
    """``allclose(x[...], y[...]) -> []``."""
    _binary(call, _bool, unify=True)
    return Value((), "bool")


@op("numpy", "Where")
def where(call: Call) -> Value:
    """``where(condition[...], x[...], y[...]) -> [...]``, right-aligned; with only a condition, opaque."""
    given = [call.arg(i, n, None) for i, n in enumerate(("condition", "x1", "x2"))]
    if given[1] is None and given[2] is None:
        raise OpaqueError("how many positions satisfy a condition is known only when the model runs")
    values = [value_of(call, v, "an operand") for v in given if v is not None]
    kinds = ["int64" if v is None else value_of(call, v, "an operand").dtype for v in given[1:]]
    return Value(broadcast(Convention.NUMPY, [known(v) for v in values]), result_type(*kinds))


@op("numpy", "Select")
def select(call: Call) -> Value:
    """``select([condition[...], ...], [choice[...], ...], default[...]) -> [...]``."""
    conditions, choices = sequence(call, 0, "condlist"), sequence(call, 1, "choicelist")
    if len(conditions) != len(choices):
        raise ShapeError(f"{len(conditions)} conditions for {len(choices)} choices")
    default = value_of(call, call.arg(2, "default", 0), "default")
    axes = broadcast(Convention.NUMPY, [known(v) for v in (*conditions, *choices, default)])
    return Value(axes, choices[0].dtype)


@op("numpy", "Array", "EmptyLike", "OnesLike", "ZerosLike", "FullLike")
@op("core", "Cast", "SaturateCast", "ConvertToTensor")
def cast(call: Call) -> Value:
    """``cast(x[...]) -> [...]`` in the configured dtype."""
    x = operand(call, 0, "x")
    return Value(known(x), configured_dtype(call, dtypes.keep(x.dtype)))
