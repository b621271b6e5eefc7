"""Elementwise ops against Keras: numbers of every kind, types as Keras promotes them."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest

from rewriter.shapes.ops.elementwise import UNARY
from tests.export import harness
from tests.export.op_models import agree, numbers, refused
from tests.shapes.ops_classes import make

ops = keras.ops
ROWS = ((None, 5), "float32")
CONFIG = {
    "Clip": {"x_min": 0, "x_max": 2},
    "Threshold": {"threshold": 0.5, "default_value": 0.25},
    "Round": {"decimals": 1},
    "Elu": {"alpha": 0.7},
    "Celu": {"alpha": 1.3},
    "Squareplus": {"b": 2},
    "SoftShrink": {"threshold": 0.3},
    "ReLU": {"negative_slope": 0.1, "max_value": 0.5, "threshold": 0.2},
}
WHOLE_ONLY = {"BitwiseInvert", "BitwiseNot"}
FLOATS = {
    name: make(f"{family}.{name}", **CONFIG.get(name, {}))
    for (family, _), names in UNARY.items()
    for name in names.split()
    if name not in WHOLE_ONLY
}
ARITHMETIC = "Add Subtract Multiply Divide TrueDivide FloorDivide Mod Fmod Maximum Minimum Fmax Fmin Power"
COMPARED = (
    "Equal NotEqual Greater GreaterEqual Less LessEqual Isclose AllClose LogicalAnd LogicalOr LogicalXor"
)
OTHERS = "Arctan2 Heaviside Hypot Logaddexp Logaddexp2 DivideNoNan"


def table(names):
    return {name: make(f"numpy.{name}") for name in names.split()}


@pytest.mark.parametrize("opset", [17, 26])
def test_every_function_of_one_operand(opset):
    agree(FLOATS, ROWS, opset=opset)


def test_half_precision():
    apart = {"Reciprocal"}  # Keras declares float32 and computes float16
    agree({n: op for n, op in FLOATS.items() if n not in apart}, ((None, 5), "float16"), tolerance=2e-2)


@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool"])
def test_whole_numbers(dtype):
    names = "Absolute Sign Negative Square Sqrt Exp Floor Isfinite Isnan LogicalNot Signbit Tanh Log1p Cos"
    if dtype != "int32":
        names = "Absolute Square Sqrt Exp Floor Isfinite Isnan LogicalNot Signbit Tanh Log1p Cos"
    agree(table(names), ((None, 5), dtype))


@pytest.mark.parametrize("opset", [17, 26])
def test_two_operands(opset):
    agree(table(f"{ARITHMETIC} {COMPARED} {OTHERS}"), ROWS, ROWS, opset=opset)


@pytest.mark.parametrize(
    "types", [("int32", "float32"), ("int64", "int32"), ("int8", "uint8"), ("float16", "int32")]
)
def test_mixed_types(types):
    names = "Subtract Multiply Divide Maximum Greater Equal LogicalAnd"
    agree(table(names), ((None, 5), types[0]), ((None, 5), types[1]), tolerance=4e-3)


def test_division_of_whole_numbers_rounds_down():
    left, right = np.array([[7, -7, 7, -7, 0]], "int32"), np.array([[2, 2, -2, -2, -5]], "int32")
    feeds = [[left, right], [numbers((6, 5), "int32", 1), np.full((6, 5), -4, "int32")]]
    whole = ((None, 5), "int32")
    agree(table("FloorDivide Mod Fmod Divide"), whole, whole, feeds=feeds)


def test_numbers_that_are_none_pass_as_in_keras():
    values = np.array([[np.nan, np.inf, -np.inf, 0.0, -1.5]], "float32")
    feeds = [[values, values[:, ::-1].copy()], [values, np.ones_like(values)]]
    names = "Isnan Isinf Isfinite Isneginf Isposinf NanToNum Sign Signbit"
    agree({n: lambda x, y, n=n: make(f"numpy.{n}")(x) for n in names.split()}, ROWS, ROWS, feeds=feeds)
    agree(table("Fmax Fmin Arctan2 Maximum Minimum Logaddexp Isclose AllClose"), ROWS, ROWS, feeds=feeds)


def test_bits():
    whole = ((None, 5), "int32")
    agree(table("BitwiseAnd BitwiseOr BitwiseXor Gcd Lcm LeftShift RightShift"), whole, whole)
    agree({"not": ops.bitwise_not, "power": lambda x: x**5, "left": lambda x: ops.left_shift(x, 3)}, whole)
    refused(ops.bitwise_not, whole, reason="opset 18", opset=17)


def test_small_numbers_keep_their_digits():
    tiny = np.array([[1e-7, -1e-7, 3e-6, 1e-4, -2e-5]], "float32")
    agree(
        {"log1p": lambda x: ops.log1p(x) * 1e7, "expm1": lambda x: ops.expm1(x) * 1e7}, ROWS, feeds=[[tiny]]
    )


FROM_SMALL_TO_LARGE = [
    0,
    1e-300,
    1e-20,
    1e-10,
    1e-5,
    0.01,
    0.3,
    0.499,
    0.501,
    0.999,
    1.001,
    7,
    1e5,
    1e9,
    1e300,
]
LIMITS = {"arctanh": 1, "sinh": 700, "cosh": 700, "expm1": 700, "log1p": math.inf}


@pytest.mark.parametrize("name", ["sinh", "cosh", "expm1", "log1p", "arcsinh", "arccosh", "arctanh"])
def test_float64_keeps_its_digits(name):
    """ONNX Runtime has no float64 kernels for most of these: they are written out."""
    x = np.array([k for k in FROM_SMALL_TO_LARGE if k < LIMITS.get(name, math.inf)])
    x = x + 1 if name == "arccosh" else np.concatenate([x, -x[x < 1] if name == "log1p" else -x])
    given = keras.Input(x.shape, dtype="float64")
    (ours,) = harness.run_exported(keras.Model(given, getattr(ops, name)(given)), [x[None]])
    assert ours.dtype == "float64"
    np.testing.assert_allclose(ours[0], getattr(np, name)(x), rtol=1e-15)


def test_tails_keep_their_digits():
    far = np.array([[3.0, 4.0, 5.0, -5.0, 0.1]], "float32")
    agree({"erfc": lambda x: ops.log(make("math.Erfc")(x))}, ROWS, feeds=[[far]])


def test_choices():
    choices = {
        "where": lambda c, x: ops.where(c, x, 2.5),
        "select": lambda c, x: ops.select([c, x > 0], [x, x * 2], 1.5),
        "crossed limits": lambda c, x: ops.clip(x, 2, -1),
        "full": lambda c, x: ops.full_like(x, 3, dtype="int32"),
        "saturated": lambda c, x: ops.saturate_cast(x * 100, "int8"),
        "cast": lambda c, x: ops.cast(x, "int32"),
    }
    agree(choices, ((None, 5), "bool"), ROWS)


def test_a_column_is_refused_where_tensorflow_takes_it_for_a_bias():
    column = np.arange(5, dtype="float32").reshape(5, 1)
    refused(lambda x: ops.add(x, column), ((None, 5, 5), "float32"), reason="adds along axis 2")
    agree({"row": lambda x: ops.add(x, column[:4])}, ((None, 4, 5), "float32"))


def test_what_keras_computes_in_another_type_than_it_declares_is_refused():
    refused(
        ops.reciprocal, ((None, 5), "float16"), reason="declares float32 as its result and computes float16"
    )
    refused(
        lambda x: ops.mod(x, 3), ((None, 5), "int8"), reason="declares int8 as its result and computes int32"
    )
    refused(lambda x: ops.nextafter(x, 1.0), ROWS, reason="float64")
