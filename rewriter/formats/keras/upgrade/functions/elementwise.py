"""Functions of one element, or of two that broadcast."""

from __future__ import annotations

from typing import Any

from ..constructs import Construct
from ..context import Untranslatable
from ..tensors import is_tensor
from .emit import Emitter, constant
from .registry import function

CONSTRUCTS = (
    Construct(
        "TFOpLambda of operators (+, -, *, /, //, %, **, <, ==, &)", "ops.add, ops.subtract …", "operators"
    ),
    Construct("TFOpLambda of tf.math functions of one operand", "ops of the same name", "unary"),
    Construct(
        "tf.cast, tf.where, tf.clip_by_value",
        "ops.cast, ops.where, ops.minimum and ops.maximum",
        "elementwise",
    ),
)

_BINARY = {
    "Add": "math.add add __operators__.add",
    "Subtract": "math.subtract subtract __operators__.sub",
    "Multiply": "math.multiply multiply __operators__.mul",
    "TrueDivide": "math.truediv math.divide divide truediv realdiv RealDiv __operators__.truediv",
    "FloorDivide": "math.floordiv floordiv floor_div __operators__.floordiv",
    "Mod": "math.floormod math.mod floormod __operators__.mod",
    "Power": "math.pow pow __operators__.pow",
    "Maximum": "math.maximum maximum",
    "Minimum": "math.minimum minimum",
    "Equal": "math.equal equal",
    "NotEqual": "math.not_equal not_equal",
    "Greater": "math.greater greater",
    "GreaterEqual": "math.greater_equal greater_equal",
    "Less": "math.less less",
    "LessEqual": "math.less_equal less_equal",
    "LogicalAnd": "math.logical_and logical_and __operators__.logical_and",
    "LogicalOr": "math.logical_or logical_or __operators__.logical_or",
    "LogicalXor": "math.logical_xor logical_xor __operators__.logical_xor",
}
_UNARY = {
    "Abs": "math.abs abs", "Arccos": "math.acos acos", "Arccosh": "math.acosh acosh", "Arcsin": "math.asin asin",
    "Arcsinh": "math.asinh asinh", "Arctan": "math.atan atan", "Arctanh": "math.atanh atanh",
    "Ceil": "math.ceil ceil", "Cos": "math.cos cos", "Cosh": "math.cosh cosh", "Erf": "math.erf erf",
    "Exp": "math.exp exp", "Expm1": "math.expm1 expm1", "Floor": "math.floor floor",
    "Isfinite": "math.is_finite", "Isinf": "math.is_inf", "Isnan": "math.is_nan", "Log": "math.log log",
    "Log1p": "math.log1p log1p", "LogicalNot": "math.logical_not logical_not __operators__.logical_not",
    "Negative": "math.negative negative", "Reciprocal": "math.reciprocal", "Round": "math.round round",
    "Rsqrt": "math.rsqrt rsqrt", "Sigmoid": "math.sigmoid sigmoid nn.sigmoid", "Sign": "math.sign sign",
    "Sin": "math.sin sin", "Sinh": "math.sinh sinh", "Softplus": "math.softplus nn.softplus",
    "Softsign": "nn.softsign math.softsign", "Sqrt": "math.sqrt sqrt", "Square": "math.square square",
    "Tan": "math.tan tan", "Tanh": "math.tanh tanh nn.tanh", "StopGradient": "stop_gradient",
    "Relu": "nn.relu", "Relu6": "nn.relu6", "Elu": "nn.elu", "Selu": "nn.selu",
}  # fmt: skip


# Keras 2 writes ``x != y`` of two tensors without ``y``, and does not load that file itself.
_LOST = "its second operand is not in the file"


def _binary(class_name: str, names: str) -> None:
    @function(*names.split(), takes="x y")
    def translate(emitter: Emitter, x: Any, y: Any = None) -> Any:
        if y is None:
            raise Untranslatable(class_name, _LOST)
        if class_name == "Add":
            return added(emitter, x, y)
        return emitter.op(class_name, constant(x), constant(y))


def added(emitter: Emitter, x: Any, y: Any) -> Any:
    """``x + y``, with a constant array as the first operand.

    If the second operand has one axis longer than 1, ``ops.add`` on TensorFlow treats it as a bias along the last axis
    of the first, or axis 1, in any position (``backend/tensorflow/numpy.py``, Keras 3.15). For ``(2, 5, 5)`` and
    ``(5, 1)`` it gives other numbers than TensorFlow.
    """
    x, y = constant(x), constant(y)
    return emitter.op("Add", *((x, y) if is_tensor(y) or isinstance(y, (int, float)) else (y, x)))


def _unary(class_name: str, names: str) -> None:
    @function(*names.split(), takes="x")
    def translate(emitter: Emitter, x: Any) -> Any:
        return emitter.op(class_name, constant(x))


def _compared(class_name: str, name: str) -> None:
    """``==`` and ``!=``: functions whose operands TensorFlow names ``self`` and ``other``."""

    @function(name, takes="self other")
    def translate(emitter: Emitter, self: Any, other: Any = None) -> Any:
        if other is None:
            raise Untranslatable(class_name, _LOST)
        return emitter.op(class_name, constant(self), constant(other))


_compared("Equal", "__operators__.eq")
_compared("NotEqual", "__operators__.ne")
for _class, _names in _BINARY.items():
    _binary(_class, _names)
for _class, _names in _UNARY.items():
    _unary(_class, _names)


@function("identity", takes="x")
def _identity(emitter: Emitter, x: Any) -> Any:
    return x


@function("math.squared_difference", takes="x y")
def _squared_difference(emitter: Emitter, x: Any, y: Any) -> Any:
    return emitter.op("Square", emitter.op("Subtract", constant(x), constant(y)))


@function("math.atan2", "atan2", takes="y x")
def _arctan2(emitter: Emitter, y: Any, x: Any) -> Any:
    return emitter.op("Arctan2", constant(y), constant(x))


@function("math.divide_no_nan", takes="x y")
def _divide_no_nan(emitter: Emitter, x: Any, y: Any) -> Any:
    return emitter.op("DivideNoNan", constant(x), constant(y))


@function("math.add_n", "add_n", takes="inputs")
def _add_n(emitter: Emitter, inputs: Any) -> Any:
    if is_tensor(inputs):
        return inputs
    total = constant(inputs[0])
    for item in inputs[1:]:
        total = added(emitter, total, item)
    return total


@function("cast", takes="x dtype")
def _cast(emitter: Emitter, x: Any, dtype: Any) -> Any:
    return emitter.op("Cast", constant(x), config={"dtype": dtype_named(dtype)})


def dtype_named(value: Any) -> str:
    """A dtype as Keras 2 writes it: its name, or ``{"class_name": "TypeSpec" …}``."""
    if isinstance(value, dict):
        value = value.get("config", value.get("value"))
    if isinstance(value, str):
        return value
    raise Untranslatable("dtype", "its form is not known")


@function("clip_by_value", takes="t clip_value_min clip_value_max")
def _clip_by_value(emitter: Emitter, t: Any, clip_value_min: Any, clip_value_max: Any) -> Any:
    return emitter.op("Maximum", emitter.op("Minimum", t, constant(clip_value_max)), constant(clip_value_min))


@function("where", takes="condition x y")
def _where(emitter: Emitter, condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None or y is None:
        raise Untranslatable("tf.where of a condition alone", "the size of its result depends on the numbers")
    return emitter.op("Where", constant(condition), constant(x), constant(y))


@function("zeros_like", takes="input dtype")
def _zeros_like(emitter: Emitter, input: Any, dtype: Any = None) -> Any:
    return emitter.op("ZerosLike", input, config={"dtype": None if dtype is None else dtype_named(dtype)})


@function("ones_like", takes="input dtype")
def _ones_like(emitter: Emitter, input: Any, dtype: Any = None) -> Any:
    return emitter.op("OnesLike", input, config={"dtype": None if dtype is None else dtype_named(dtype)})
