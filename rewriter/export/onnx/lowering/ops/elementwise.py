"""Elementwise ops of one and of several operands.

Types are those of ``keras/src/backend/tensorflow/numpy.py`` (Keras 3.15): an operand is cast to the type of the
computation, for most ops the type of the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .....shapes.dtypes import is_integral, result_type
from ...dtypes import numpy_dtype
from ...emitter import Emitter
from ...graph import Tensor
from ...registry import op, refuse_ops
from .. import _activations as functions
from ._operands import (
    argument,
    as_tensor,
    both,
    common,
    declared,
    floating,
    is_float,
    is_nan,
    kind,
    pair,
    reduce_bool,
    signbit,
    where,
)
from ._special import acosh, asinh, atanh, bessel_i0, cosh, erfc, erfinv, expm1, log1p, sinh
from ._whole_numbers import greatest_divisor, whole_power

_Function = Callable[[Emitter, Tensor], Tensor]

# -- one operand, in the type of the result -----------------------------
_PLAIN = {
    "Arccos": "Acos",
    "Arcsin": "Asin",
    "Arctan": "Atan",
    "Ceil": "Ceil",
    "Cos": "Cos",
    "Exp": "Exp",
    "Fabs": "Abs",
    "Floor": "Floor",
    "Log": "Log",
    "Negative": "Neg",
    "Sin": "Sin",
    "Sqrt": "Sqrt",
    "Tanh": "Tanh",
}


def _scaled_log(base: float) -> _Function:
    def log(call: Emitter, x: Tensor) -> Tensor:
        return call.op("Div", call.op("Log", x), math.log(base))

    return log


def _exp2(call: Emitter, x: Tensor) -> Tensor:
    return call.op("Pow", call.constant(2, x.dtype), x)


def _cbrt(call: Emitter, x: Tensor) -> Tensor:
    return call.op("Mul", call.op("Sign", x), call.op("Pow", call.op("Abs", x), 1 / 3))


def _sinc(call: Emitter, x: Tensor) -> Tensor:
    turned = call.op("Mul", x, math.pi)
    wave = call.op("Div", call.op("Sin", turned), turned)
    return where(call, call.op("Equal", x, 0.0), 1.0, wave)


def _angle(call: Emitter, x: Tensor) -> Tensor:
    return where(call, call.op("Less", x, 0.0), call.constant(math.pi, x.dtype), 0.0)


def _degrees_to_radians(call: Emitter, x: Tensor) -> Tensor:
    return call.op("Mul", x, math.pi / 180)


def _radians_to_degrees(call: Emitter, x: Tensor) -> Tensor:
    return call.op("Mul", x, 180 / math.pi)


def _rsqrt(call: Emitter, x: Tensor) -> Tensor:
    return call.op("Reciprocal", call.op("Sqrt", floating(call, x)))


def _erf(call: Emitter, x: Tensor) -> Tensor:
    return call.op("Erf", floating(call, x))


def _sign(call: Emitter, x: Tensor) -> Tensor:
    """-1, 0 or 1. ONNX Runtime's kernel for float16 gives 0 for NaN."""
    if x.dtype in ("float16", "bfloat16"):
        return call.cast(call.op("Sign", call.cast(x, "float32")), x.dtype)
    return call.op("Sign", x)


def _tan(call: Emitter, x: Tensor) -> Tensor:
    if x.dtype != "float64":
        return call.op("Tan", x)
    return call.op("Div", call.op("Sin", x), call.op("Cos", x))


def _square(call: Emitter, x: Tensor) -> Tensor:
    return call.op("Mul", x, x)


def _imaginary(call: Emitter, x: Tensor) -> Tensor:
    return call.expand(call.constant(0, x.dtype), x.sizes)


def _absolute(call: Emitter, x: Tensor) -> Tensor:
    return x if x.dtype == "bool" or x.dtype.startswith("uint") else call.op("Abs", x)


def _trunc(call: Emitter, x: Tensor) -> Tensor:
    if not is_float(x.dtype):
        return x
    return where(call, call.op("Less", x, 0.0), call.op("Ceil", x), call.op("Floor", x))


_WRITTEN_OUT: dict[str, _Function] = {
    "Absolute": _absolute,
    "Abs": _absolute,
    "Angle": _angle,
    "Arccosh": acosh,
    "Arcsinh": asinh,
    "Arctanh": atanh,
    "Cbrt": _cbrt,
    "Cosh": cosh,
    "Deg2rad": _degrees_to_radians,
    "Exp2": _exp2,
    "Expm1": expm1,
    "I0": bessel_i0,
    "Imag": _imaginary,
    "Log10": _scaled_log(10),
    "Log1p": log1p,
    "Log2": _scaled_log(2),
    "Rad2deg": _radians_to_degrees,
    "Sign": _sign,
    "Sinc": _sinc,
    "Sinh": sinh,
    "Square": _square,
    "Tan": _tan,
    "Trunc": _trunc,
}
_FAMILY_MATH: dict[str, _Function] = {"Erf": _erf, "Erfc": erfc, "Erfinv": erfinv, "Rsqrt": _rsqrt}


def _plain(op_type: str) -> _Function:
    return lambda call, x: call.op(op_type, x)


def _register_unary(family: str, name: str, function: _Function) -> None:
    @op(family, name)
    def unary(call: Emitter) -> Tensor:
        """``f(x[...]) -> [...]`` in the type of the result."""
        return function(call, as_tensor(call, call.x, call.dtype))


for _name, _op_type in _PLAIN.items():
    _register_unary("numpy", _name, _plain(_op_type))
for _name, _function in _WRITTEN_OUT.items():
    _register_unary("numpy", _name, _function)
for _name, _function in _FAMILY_MATH.items():
    _register_unary("math", _name, _function)


@op("numpy", "Conjugate", "Conj", "Copy", "Real")
@op("core", "StopGradient")
def passed(call: Emitter) -> Tensor:
    """``f(x[...]) -> x`` for real numbers."""
    return as_tensor(call, call.x)


@op("numpy", "Reciprocal")
def reciprocal(call: Emitter) -> Tensor:
    """``1 / x``."""
    return declared(call, call.op("Reciprocal", floating(call, call.x)))


@op("numpy", "BitwiseInvert", "BitwiseNot")
def bitwise_invert(call: Emitter) -> Tensor:
    """Every bit of an integer inverted."""
    _need_whole(call, call.x.dtype)
    _need_opset_18(call)
    return call.op("BitwiseNot", call.x)


def _need_whole(call: Emitter, dtype: str) -> None:
    if dtype == "bool" or not is_integral(dtype):
        raise call.refuse(f"TensorFlow does not compute it for {dtype}")


def _need_opset_18(call: Emitter) -> None:
    if call.opset < 18:
        raise call.refuse("bitwise operators need opset 18")


@op("numpy", "Round")
def round_(call: Emitter) -> Tensor:
    """``x`` rounded to a number of decimals, halves to even."""
    x, decimals = call.x, call.whole("decimals", call.get("decimals", 0))
    if not is_float(x.dtype):
        if decimals >= 0:
            return x
        wide = call.cast(x, "float32")
    else:
        wide = x
    if decimals == 0:
        return call.op("Round", wide)
    # TensorFlow converts the factor to float32 first.
    factor = call.constant(np.float32(math.pow(10, decimals)), wide.dtype)
    return call.cast(call.op("Div", call.op("Round", call.op("Mul", wide, factor)), factor), x.dtype)


def nan_to_num(
    call: Emitter, x: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """NaN becomes ``nan``, infinities become ``posinf`` and ``neginf`` or the limits of the type."""
    if not is_float(x.dtype):
        return x
    limits = _limits(x.dtype)
    y = where(call, call.op("IsNaN", x), float(nan), x)
    for infinite, limit in (
        (math.inf, limits[1] if posinf is None else posinf),
        (-math.inf, limits[0] if neginf is None else neginf),
    ):
        reached = call.op("Equal", y, call.constant(infinite, x.dtype))
        y = where(call, reached, call.constant(limit, x.dtype), y)
    return y


def _limits(dtype: str) -> tuple[Any, Any]:
    """The least and the largest number of a type."""
    if dtype == "bool":
        return 0, 1
    kind_of = numpy_dtype(dtype)
    if is_integral(dtype):
        whole = np.iinfo(kind_of)
        return whole.min, whole.max
    if dtype == "bfloat16":
        import ml_dtypes

        narrow: Any = ml_dtypes.finfo
        return narrow(kind_of).min, narrow(kind_of).max
    real = np.finfo(kind_of)
    return real.min, real.max


@op("numpy", "NanToNum")
def nan_to_number(call: Emitter) -> Tensor:
    """``x`` without NaN and infinities."""
    return nan_to_num(call, call.x, call.get("nan", 0.0), call.get("posinf"), call.get("neginf"))


@op("numpy", "Isfinite", "Isinf", "Isnan", "Isneginf", "Isposinf")
def is_special(call: Emitter) -> Tensor:
    """Where x is finite, infinite or NaN."""
    x, name = call.x, call.operation.class_name
    if not is_float(x.dtype):
        alike = call.op("Equal", x, x)
        return alike if name == "Isfinite" else call.op("Not", alike)
    if name == "Isnan":
        return call.op("IsNaN", x)
    if name in ("Isneginf", "Isposinf"):
        return call.op("Equal", x, call.constant(math.inf if name == "Isposinf" else -math.inf, x.dtype))
    infinite = call.op("Equal", call.op("Abs", x), call.constant(math.inf, x.dtype))
    if name == "Isinf":
        return infinite
    return call.op("Not", call.op("Or", infinite, call.op("IsNaN", x)))


@op("numpy", "Isreal")
def is_real(call: Emitter) -> Tensor:
    """True everywhere: there are no complex numbers."""
    return call.expand(call.constant(True), as_tensor(call, call.x).sizes)


@op("numpy", "LogicalNot")
def logical_not(call: Emitter) -> Tensor:
    """Where x is 0."""
    return call.op("Not", call.cast(call.x, "bool"))


@op("numpy", "Signbit")
def sign_bit(call: Emitter) -> Tensor:
    """Where the sign is negative."""
    x = call.x
    if is_float(x.dtype):
        return signbit(call, x)
    if x.dtype == "bool":
        return call.op("Not", call.op("Equal", x, x))
    return call.op("Less", x, call.constant(0, x.dtype))


@op("numpy", "Clip")
def clip(call: Emitter) -> Tensor:
    """``max(min(x, x_max), x_min)``: where the limits cross, ``x_min``."""
    x = call.cast(call.x, call.dtype)
    low, high = call.get("x_min"), call.get("x_max")
    limits = [v if v is None or isinstance(v, (list, tuple)) else [v] for v in (low, high)]
    for limit in limits:
        if is_integral(x.dtype) and not all(isinstance(v, int) for v in np.ravel(limit or 0).tolist()):
            raise call.refuse(f"TensorFlow does not clip {x.dtype} at {low!r} and {high!r}")
    if all(isinstance(v, (int, float)) for v in (low, high)) and low <= high:
        return call.op("Clip", x, call.constant(low, x.dtype), call.constant(high, x.dtype))
    if high is not None:
        x = call.op("Min", x, as_tensor(call, high, x.dtype))
    return x if low is None else call.op("Max", x, as_tensor(call, low, x.dtype))


# -- activations -----------------------------
_ACTIVATIONS: dict[str, tuple[Callable[..., Tensor], dict[str, Any]]] = {
    "Relu": (functions.relu, {}),
    "Relu6": (functions.relu6, {}),
    "Sigmoid": (functions.sigmoid, {}),
    "SparseSigmoid": (functions.sparse_sigmoid, {}),
    "Softplus": (functions.softplus, {}),
    "Softsign": (functions.softsign, {}),
    "SoftShrink": (functions.soft_shrink, {"threshold": 0.5}),
    "SparsePlus": (functions.sparse_plus, {}),
    "Silu": (functions.silu, {}),
    "Squareplus": (functions.squareplus, {"b": 4}),
    "LogSigmoid": (functions.log_sigmoid, {}),
    "LeakyRelu": (functions.leaky_relu, {"negative_slope": 0.2}),
    "HardSigmoid": (functions.hard_sigmoid, {}),
    "HardSilu": (functions.hard_silu, {}),
    "Elu": (functions.elu, {"alpha": 1.0}),
    "Selu": (functions.selu, {}),
    "Gelu": (functions.gelu, {"approximate": True}),
    "Celu": (functions.celu, {"alpha": 1.0}),
    "TanhShrink": (functions.tanh_shrink, {}),
    "HardTanh": (functions.hard_tanh, {}),
    "HardShrink": (functions.hard_shrink, {"threshold": 0.5}),
    "Threshold": (functions.threshold, {"threshold": 1.0, "default_value": 0.0}),
}
_OF_KERAS_ACTIVATIONS: dict[str, tuple[Callable[..., Tensor], dict[str, Any]]] = {
    "Mish": (functions.mish, {}),
    "ReLU": (functions.relu, {"negative_slope": 0.0, "max_value": None, "threshold": 0.0}),
}
_OF_WHOLE_NUMBERS = ("Relu", "Relu6", "HardTanh", "ReLU")


def _register_activation(
    family: str, name: str, function: Callable[..., Tensor], defaults: dict[str, Any]
) -> None:
    @op(family, name)
    def activation(call: Emitter) -> Tensor:
        """``f(x[...]) -> [...]``."""
        if name == "LeakyRelu" and call.x.dtype != "bool" and is_integral(call.x.dtype):
            return declared(call, call.cast(call.x, "float32"))
        x = call.x if name in _OF_WHOLE_NUMBERS else floating(call, call.x)
        if x.dtype == "bool":
            raise call.refuse("TensorFlow does not compute it for bool")
        return function(call, x, **{key: call.get(key, value) for key, value in defaults.items()})


for _family, _table in (("nn", _ACTIVATIONS), ("activations", _OF_KERAS_ACTIVATIONS)):
    for _name, (_activation, _defaults) in _table.items():
        _register_activation(_family, _name, _activation, _defaults)


# -- two operands, in the type of the result -----------------------------
_BINARY = {
    "BitwiseAnd": "BitwiseAnd",
    "BitwiseOr": "BitwiseOr",
    "BitwiseXor": "BitwiseXor",
    "Divide": "Div",
    "Maximum": "Max",
    "Minimum": "Min",
    "Multiply": "Mul",
    "Subtract": "Sub",
    "TrueDivide": "Div",
}


def _register_binary(name: str, op_type: str) -> None:
    @op("numpy", name)
    def binary(call: Emitter) -> Tensor:
        """``f(x[..., a, 1], y[a, b]) -> [..., a, b]``, right-aligned."""
        x, y = both(call)
        if op_type.startswith("Bitwise"):
            _need_whole(call, x.dtype)
            _need_opset_18(call)
        return call.op(op_type, x, y)


for _name, _op_type in _BINARY.items():
    _register_binary(_name, _op_type)


@op("numpy", "Add")
def add(call: Emitter) -> Tensor:
    """``add(x[..., a, 1], y[a, b]) -> [..., a, b]``, right-aligned.

    On TensorFlow, Keras treats a y with one axis larger than 1 as a bias: it adds y along the last axis of x or along
    axis 1, whatever the alignment (``keras/src/backend/tensorflow/numpy.py``, 3.15).
    """
    x, y = both(call)
    axis = _bias_axis(x, y)
    if axis is not None and (y.rank > x.rank or x.rank - y.rank + _only(y) != axis or x.sizes[axis] == 1):
        raise call.refuse(f"TensorFlow adds along axis {axis}, other backends as NumPy does")
    return call.op("Add", x, y)


def _only(y: Tensor) -> int:
    return next(n for n, size in enumerate(y.sizes) if size != 1)


def _bias_axis(x: Tensor, y: Tensor) -> int | None:
    """The axis of x along which TensorFlow adds y as a bias; None if it does not."""
    wide = [size for size in y.sizes if size != 1]
    if len(wide) != 1 or x.rank < 2 or not isinstance(wide[0], int):
        return None
    if x.sizes[-1] == wide[0]:
        return x.rank - 1
    return 1 if x.sizes[1] == wide[0] else None


@op("numpy", "Fmax", "Fmin")
def extreme_number(call: Emitter) -> Tensor:
    """The larger or smaller; where one is NaN, the other."""
    x, y = both(call)
    result = call.op("Max" if call.operation.class_name == "Fmax" else "Min", x, y)
    if not is_float(x.dtype):
        return result
    return where(call, is_nan(call, x), y, where(call, is_nan(call, y), x, result))


@op("numpy", "Power")
def power(call: Emitter) -> Tensor:
    """``x ** y``; unsigned numbers are computed as int32."""
    x, y = both(call, "int32" if call.dtype.startswith("uint") else call.dtype)
    if x.dtype == "bool":
        raise call.refuse("TensorFlow does not compute it for bool")
    return call.cast(call.op("Pow", x, y) if is_float(x.dtype) else whole_power(call, x, y), call.dtype)


@op("numpy", "FloorDivide")
def floor_divide(call: Emitter) -> Tensor:
    """``floor(x / y)``; ONNX truncates the quotient of integers towards zero."""
    x, y = both(call)
    quotient = call.op("Div", x, y)
    if is_float(x.dtype):
        return call.op("Floor", quotient)
    if x.dtype == "bool":
        raise call.refuse("TensorFlow does not compute it for bool")
    if x.dtype.startswith("uint"):
        return quotient
    zero = call.constant(0, x.dtype)
    inexact = call.op("Not", call.op("Equal", call.op("Mod", x, y), zero))
    apart = call.op("Xor", call.op("Less", x, zero), call.op("Less", y, zero))
    return call.op("Sub", quotient, call.cast(call.op("And", inexact, apart), x.dtype))


@op("numpy", "Mod")
def mod(call: Emitter) -> Tensor:
    """The remainder with the sign of y."""
    x, y = _converted(call)
    if not is_float(x.dtype):
        return declared(call, call.op("Mod", x, y))
    rest = call.op("Mod", x, y, fmod=1)
    zero = call.constant(0, x.dtype)
    apart = call.op("Xor", call.op("Less", rest, zero), call.op("Less", y, zero))
    moved = call.op("And", apart, call.op("Not", call.op("Equal", rest, zero)))
    return declared(call, where(call, moved, call.op("Add", rest, y), rest))


def _converted(call: Emitter) -> tuple[Tensor, Tensor]:
    """Both operands in their common type after conversion to tensors; int32 for booleans."""
    dtype = common(call, *pair(call))
    return both(call, "int32" if dtype == "bool" else dtype)


@op("numpy", "Fmod")
def fmod(call: Emitter) -> Tensor:
    """The remainder with the sign of x."""
    x, y = _converted(call)
    dtype = x.dtype
    if dtype.startswith("uint"):
        x, y = call.cast(x, "int32"), call.cast(y, "int32")
    return declared(call, call.cast(call.op("Mod", x, y, fmod=1), dtype))


@op("numpy", "DivideNoNan")
def divide_no_nan(call: Emitter) -> Tensor:
    """``x / y``, and 0 where y is 0."""
    x, y = both(call)
    return where(call, call.op("Equal", y, 0.0), 0.0, call.op("Div", x, y))


@op("numpy", "Logaddexp", "Logaddexp2")
def log_add_exp(call: Emitter) -> Tensor:
    """``log(exp(x) + exp(y))``, or the same to the base 2."""
    scale = math.log(2) if call.operation.class_name == "Logaddexp2" else 1.0
    x, y = both(call, result_type(common(call, *pair(call)), "float"))
    apart = call.op("Sub", x, y)
    below = call.op("Neg", call.op("Abs", apart))
    more = call.op("Softplus", call.op("Mul", below, scale) if scale != 1 else below)
    if scale != 1:
        more = call.op("Div", more, scale)
    total = call.op("Add", call.op("Max", x, y), more)
    return declared(call, where(call, call.op("IsNaN", apart), call.op("Add", x, y), total))


@op("numpy", "Arctan2")
def arctan2(call: Emitter) -> Tensor:
    """The angle of the point (y, x), from -pi to pi, with the signs of zeros and infinities as in C."""
    kinds = [{"int": "int32", "float": "float32"}.get(k, k) for k in (kind(call, v) for v in pair(call))]
    y, x = both(call, result_type(*kinds, "float"))
    height, width = call.op("Abs", y), call.op("Abs", x)
    large, small = call.op("Max", height, width), call.op("Min", height, width)
    ratio = where(call, call.op("Equal", large, small), 1.0, call.op("Div", small, large))
    ratio = where(call, call.op("Equal", small, 0.0), 0.0, ratio)
    angle = call.op("Atan", ratio)
    steep = call.op("Greater", height, width)
    angle = where(call, steep, call.op("Sub", call.constant(math.pi / 2, x.dtype), angle), angle)
    left = signbit(call, x)
    angle = where(call, left, call.op("Sub", call.constant(math.pi, x.dtype), angle), angle)
    angle = where(call, signbit(call, y), call.op("Neg", angle), angle)
    nothing = call.op("Or", call.op("IsNaN", x), call.op("IsNaN", y))
    return declared(call, where(call, nothing, call.constant(math.nan, x.dtype), angle))


@op("numpy", "Heaviside")
def heaviside(call: Emitter) -> Tensor:
    """0 below 0, 1 above, the second operand at 0."""
    kind_of = _hypot_type(common(call, *pair(call)))
    x, y = both(call, kind_of)
    step = where(call, call.op("Greater", x, call.constant(0, x.dtype)), 1.0, y)
    return declared(call, where(call, call.op("Less", x, call.constant(0, x.dtype)), 0.0, step))


@op("numpy", "Hypot")
def hypot(call: Emitter) -> Tensor:
    """``sqrt(x**2 + y**2)`` without an overflow."""
    x, y = both(call, _hypot_type(common(call, *pair(call))))
    if not is_float(x.dtype):
        raise call.refuse(f"TensorFlow does not compute it for {x.dtype}")
    width, height = call.op("Abs", x), call.op("Abs", y)
    large, small = call.op("Max", width, height), call.op("Min", width, height)
    ratio = where(call, call.op("Equal", large, 0.0), 0.0, call.op("Div", small, large))
    root = call.op("Sqrt", call.op("Add", call.op("Mul", ratio, ratio), 1.0))
    return declared(call, call.op("Mul", large, root))


def _hypot_type(dtype: str) -> str:
    if dtype == "bool":
        return dtype
    return "float64" if dtype == "int64" else "float32" if is_integral(dtype) else dtype


@op("numpy", "Ldexp")
def ldexp(call: Emitter) -> Tensor:
    """``x * 2 ** y``."""
    given = pair(call)
    if not is_integral(kind(call, given[1])) or kind(call, given[1]) == "bool":
        raise call.refuse("TensorFlow accepts only integers as exponents")
    x, y = both(call, result_type(common(call, *given), "float"))
    scaled = call.op("Mul", x, call.op("Pow", call.constant(2, x.dtype), y))
    kept = call.op("Or", call.op("Equal", x, 0.0), call.op("Equal", call.op("Abs", x), math.inf))
    return declared(call, where(call, kept, x, scaled))


refuse_ops(
    "TensorFlow computes it in float64 and rounds that to x again, other backends do not",
    "numpy",
    "Nextafter",
)

_COMPARISONS = {
    "Equal": ("Equal", False),
    "NotEqual": ("Equal", True),
    "Greater": ("Greater", False),
    "GreaterEqual": ("GreaterOrEqual", False),
    "Less": ("Less", False),
    "LessEqual": ("LessOrEqual", False),
}


def _register_comparison(name: str, op_type: str, turned: bool) -> None:
    @op("numpy", name)
    def comparison(call: Emitter) -> Tensor:
        """``x < y`` and similar, in the common type."""
        result = call.op(op_type, *both(call, common(call, *pair(call))))
        return call.op("Not", result) if turned else result


for _name, (_op_type, _turned) in _COMPARISONS.items():
    _register_comparison(_name, _op_type, _turned)


@op("numpy", "LogicalAnd", "LogicalOr", "LogicalXor")
def logical(call: Emitter) -> Tensor:
    """And, or, exclusive or; nonzero numbers are true."""
    return call.op(call.operation.class_name.removeprefix("Logical"), *both(call, "bool"))


def _close(call: Emitter, rtol: Any, atol: Any) -> tuple[Tensor, Tensor, Tensor]:
    x, y = both(call, common(call, *pair(call)))
    if not is_float(x.dtype):
        return call.op("Equal", x, y), x, y
    apart = call.op("Abs", call.op("Sub", x, y))
    allowed = call.op("Mul", call.op("Abs", y), as_tensor(call, rtol, x.dtype))
    return call.op("LessOrEqual", apart, call.op("Add", allowed, as_tensor(call, atol, x.dtype))), x, y


@op("numpy", "Isclose")
def is_close(call: Emitter) -> Tensor:
    """``|x - y| <= atol + rtol * |y|``."""
    rtol, atol = argument(call, 2, "rtol", default=1e-5), argument(call, 3, "atol", default=1e-8)
    close, x, y = _close(call, rtol, atol)
    if call.flag("equal_nan") and is_float(x.dtype):
        close = call.op("Or", close, call.op("And", is_nan(call, x), is_nan(call, y)))
    return close


@op("numpy", "AllClose")
def all_close(call: Emitter) -> Tensor:
    """Whether ``|x - y| <= atol + rtol * |y|`` everywhere; an infinity is only close to itself."""
    close, x, y = _close(call, call.get("rtol", 1e-5), call.get("atol", 1e-8))
    if is_float(x.dtype):
        infinity = call.constant(math.inf, x.dtype)
        finite = [call.op("Less", call.op("Abs", v), infinity) for v in (x, y)]
        close = call.op("And", close, call.op("And", *finite))
        close = call.op("Or", close, call.op("Equal", x, y))
        if call.flag("equal_nan"):
            close = call.op("Or", close, call.op("And", is_nan(call, x), is_nan(call, y)))
    return reduce_bool(call, "ReduceMin", close, range(close.rank))


@op("numpy", "BitwiseLeftShift", "LeftShift", "BitwiseRightShift", "RightShift")
def shift(call: Emitter) -> Tensor:
    """``x * 2**y`` and ``floor(x / 2**y)`` by shifting bits; y is clipped to 0 .. bits - 1.

    ONNX shifts unsigned numbers only: a negative x is shifted right as ``-1 - ((-1 - x) >> y)``.
    """
    x, y = pair(call)
    dtype = as_tensor(call, x).dtype if type(y) is int else common(call, x, y)
    _need_whole(call, dtype)
    left = "Left" in call.operation.class_name
    x, y = as_tensor(call, x, dtype), as_tensor(call, y, dtype)
    bits = numpy_dtype(dtype).itemsize * 8
    unsigned = "uint64" if bits == 64 else "uint32"
    y = call.op("Clip", y, call.constant(0, dtype), call.constant(bits - 1, dtype))
    signed = not left and not dtype.startswith("uint")
    negative = call.op("Less", x, call.constant(0, dtype))
    minus = call.constant(-1 if signed else 0, dtype)
    start = where(call, negative, call.op("Sub", minus, x), x) if signed else x
    moved = call.op(
        "BitShift",
        call.cast(start, unsigned),
        call.cast(y, unsigned),
        direction="LEFT" if left else "RIGHT",
    )
    moved = call.cast(moved, dtype)
    return declared(call, where(call, negative, call.op("Sub", minus, moved), moved) if signed else moved)


def _positive(call: Emitter) -> tuple[Tensor, Tensor]:
    x, y = both(call, common(call, *pair(call)))
    _need_whole(call, x.dtype)
    if x.dtype.startswith("uint"):
        return x, y
    return call.op("Abs", x), call.op("Abs", y)


@op("numpy", "Gcd")
def gcd(call: Emitter) -> Tensor:
    """The greatest common divisor."""
    return declared(call, greatest_divisor(call, *_positive(call)))


@op("numpy", "Lcm")
def lcm(call: Emitter) -> Tensor:
    """The least common multiple, 0 where both are 0."""
    x, y = _positive(call)
    divisor = greatest_divisor(call, x, y)
    none = call.op("Equal", divisor, call.constant(0, x.dtype))
    safe = where(call, none, call.constant(1, x.dtype), divisor)
    return declared(call, call.op("Mul", x, call.op("Div", y, safe)))


# -- choosing -----------------------------
@op("numpy", "Where")
def where_(call: Emitter) -> Tensor:
    """``where(condition[...], x[...], y[...]) -> [...]``, right-aligned."""
    condition = as_tensor(call, argument(call, 0, "condition"), "bool")
    x, y = argument(call, 1, "x1"), argument(call, 2, "x2")
    if x is None or y is None:
        raise call.refuse("TensorFlow takes both choices or none")
    return call.op("Where", condition, as_tensor(call, x, call.dtype), as_tensor(call, y, call.dtype))


@op("numpy", "Select")
def select(call: Emitter) -> Tensor:
    """The choice of the first true condition, else the default."""
    conditions, choices = argument(call, 0, "condlist"), argument(call, 1, "choicelist")
    default = argument(call, 2, "default", default=0)
    kinds = {kind(call, c) for c in choices}
    if kinds != {call.dtype} or (isinstance(default, float) and is_integral(call.dtype)):
        raise call.refuse("its choices and its default are not of one type")
    if isinstance(default, Tensor) and default.dtype != call.dtype:
        raise call.refuse("its choices and its default are not of one type")
    y = as_tensor(call, default, call.dtype)
    for condition, choice in reversed(list(zip(conditions, choices, strict=True))):
        y = call.op("Where", as_tensor(call, condition, "bool"), as_tensor(call, choice, call.dtype), y)
    return y


# -- types -----------------------------
@op("core", "Cast", "ConvertToTensor")
@op("numpy", "Array")
def cast(call: Emitter) -> Tensor:
    """``cast(x[...]) -> [...]`` in another type."""
    if any(dtype.startswith("float8") for dtype in (call.dtype, *(x.dtype for x in call.inputs))):
        raise call.refuse("ONNX Runtime neither accepts nor returns float8")
    return as_tensor(call, argument(call, 0, "x", "variable"), call.dtype)


@op("core", "SaturateCast")
def saturate_cast(call: Emitter) -> Tensor:
    """``x`` clipped to the range of the other type, then cast."""
    x, dtype = call.x, call.dtype
    if dtype == "bfloat16" and is_integral(x.dtype):
        raise call.refuse("the limits that Keras 3.15 uses for bfloat16 overflow in integers")
    mine, theirs = _limits(x.dtype), _limits(dtype)
    own = numpy_dtype("uint8" if x.dtype == "bool" else x.dtype)
    low, high = (
        np.asarray(choose(a, b)).astype(own) for choose, a, b in zip((max, min), mine, theirs, strict=True)
    )
    if low < theirs[0]:
        low = np.nextafter(low, np.asarray(0, own), dtype=own)
    if high > theirs[1]:
        high = np.nextafter(high, np.asarray(0, own), dtype=own)
    if x.dtype == "bool":
        return call.cast(x, dtype)
    return call.cast(call.op("Clip", x, call.constant(low, x.dtype), call.constant(high, x.dtype)), dtype)


@op("numpy", "EmptyLike", "ZerosLike", "OnesLike")
def filled(call: Emitter) -> Tensor:
    """Zeros or ones in the shape of x."""
    value = 1 if call.operation.class_name == "OnesLike" else 0
    return call.expand(call.constant(value, call.dtype), call.sizes)


@op("numpy", "FullLike")
def full_like(call: Emitter) -> Tensor:
    """One value in the shape of x."""
    return call.expand(as_tensor(call, argument(call, 1, "fill_value"), call.dtype), call.sizes)
