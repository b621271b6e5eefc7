"""Operands of several types against Keras: merges promote, and every layer casts floats to its own type."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import onnx
import onnxruntime
import pytest

from rewriter.proof.onnx_runtime import values
from tests.export import harness

L = keras.layers
KINDS = ("float32", "float16", "int32", "int64", "bool")
PAIRS = list(itertools.combinations(KINDS, 2))
MERGES = {
    "Add": L.Add,
    "Subtract": L.Subtract,
    "Multiply": L.Multiply,
    "Average": L.Average,
    "Maximum": L.Maximum,
    "Minimum": L.Minimum,
    "Concatenate": L.Concatenate,
    "Dot": lambda: L.Dot(axes=1),
    "Dot, normalised": lambda: L.Dot(axes=1, normalize=True),
}
SAME = ("int8", "int32", "int64", "bool")
MOVES = {
    "Reshape": lambda **o: L.Reshape((12,), **o),
    "Flatten": L.Flatten,
    "Permute": lambda **o: L.Permute((2, 1), **o),
    "ZeroPadding1D": lambda **o: L.ZeroPadding1D(2, **o),
    "Cropping1D": lambda **o: L.Cropping1D(1, **o),
    "UpSampling1D": lambda **o: L.UpSampling1D(2, **o),
    "Dropout": lambda **o: L.Dropout(0.5, **o),
    "GlobalMaxPooling1D": L.GlobalMaxPooling1D,
    "MaxPooling1D": lambda **o: L.MaxPooling1D(2, **o),
}


def inputs(*dtypes, shape=(4, 3)):
    return [keras.Input(shape, dtype=dtype, name=f"x{n}") for n, dtype in enumerate(dtypes)]


def compare(model, low=-3, tolerance=None):
    rng = np.random.default_rng(0)
    feeds = [[harness.draw(rng, (n, *x.shape[1:]), x.dtype, low, 5) for x in model.inputs] for n in (2, 3)]
    harness.compare(model, feeds, tolerance)


def doubled(y):
    """An op after the layer: its type follows from the type in a run, not from the declared one."""
    return keras.ops.multiply(y, y) if y.dtype != "bool" else keras.ops.logical_not(y)


@pytest.mark.parametrize("name", MERGES)
def test_merges_promote(name):
    several = "Dot" not in name and name != "Subtract"
    built = 0
    for kinds in [*PAIRS, *((kind, kind) for kind in SAME), *[("int32", "float16", "float32")] * several]:
        given = inputs(*kinds)
        try:
            compare(keras.Model(given, doubled(MERGES[name]()(given))), tolerance=4e-3)
        except harness.NotBuilt:  # Keras has no kernel: a sum of booleans, the norm of integers
            continue
        built += 1
    assert built >= (1 if name == "Dot, normalised" else 3)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "float64"])
@pytest.mark.parametrize("name", MOVES)
def test_layers_that_move_axes_cast_to_their_own_type(name, policy):
    for kind in ("float32", "float16", "int32"):
        given = inputs(kind)
        compare(keras.Model(given, doubled(MOVES[name](dtype=policy)(*given))), tolerance=4e-3)


def test_a_nested_model_casts_to_the_type_of_its_input():
    inner_input = keras.Input((4, 3))
    inner = keras.Model(inner_input, keras.ops.add(inner_input, 0.5))
    given = inputs("int32")
    compare(keras.Model(given, keras.ops.multiply(inner(*given), 2)))


def test_numbers_and_categories_side_by_side():
    """Wide and deep: a lookup gives integers where Keras declares floats, and a Concatenate promotes them."""
    age, code, job = (keras.Input((1,), dtype=d, name=d) for d in ("float32", "int64", "string"))
    lookup = L.IntegerLookup(vocabulary=[100, 200, 300])
    parts = [
        L.Normalization(mean=40.0, variance=9.0)(age),
        L.StringLookup(vocabulary=["a", "b"], output_mode="one_hot")(job),
        L.Flatten()(L.Embedding(4, 3)(lookup(code))),
        code,
    ]
    model = keras.Model([age, code, job], L.Dense(2)(L.Concatenate()(parts)))
    harness.randomise(model)
    feeds = [
        np.asarray([[41.0], [38.0]], "float32"),
        np.asarray([[200], [7]]),
        np.asarray([["b"], ["z"]], object),
    ]
    harness.compare(model, [feeds])


# -- bfloat16 -----------------------------
DIGIT = 2.0**-8  # of bfloat16, relative to a number


@pytest.mark.parametrize("policy", ["bfloat16", "mixed_bfloat16"])
def test_bfloat16_is_rounded_where_keras_rounds(policy, tmp_path):
    """A Dense layer equals NumPy's numbers, rounded after each step; all are off from Keras by some roundings.

    How TensorFlow rounds within a product depends on the processor.
    """
    options = {"dtype": policy}
    x = keras.Input((6, 8), dtype="bfloat16" if policy == "bfloat16" else "float32", name="x")
    dense = L.Dense(16, activation="relu", **options)
    y = L.Dense(64, activation="relu", **options)(L.LayerNormalization(**options)(x))
    outputs = [
        dense(x),
        y,
        L.MultiHeadAttention(2, 4, **options)(y, y),
        L.Add(**options)([y, y]),
        L.Dense(4, **options)(y),
    ]
    image = L.Reshape((6, 8, 8), **options)(y)
    outputs.append(L.BatchNormalization(**options)(L.Conv2D(16, 3, activation="silu", **options)(image)))
    model = keras.Model(x, outputs)
    harness.randomise(model)
    result, path = harness.exported(model, tmp_path)
    data = np.random.default_rng(0).normal(0, 1, (3, 6, 8)).astype("float32")
    run = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = values.run(run, result.outputs, {"x": data})
    wanted = [np.asarray(keras.ops.convert_to_numpy(each)) for each in model(keras.ops.cast(data, x.dtype))]
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape and theirs.dtype.name == "bfloat16"
    for ours, theirs in zip(found, wanted, strict=True):
        off = np.abs(ours.astype("float64") - theirs.astype("float64"))
        assert off.max() <= 8 * DIGIT * np.abs(theirs.astype("float64")).max()
    bfloat16 = wanted[0].dtype
    operand, kernel, bias = (
        np.asarray(each).astype(bfloat16).astype("float32") for each in (data, *dense.get_weights())
    )
    product = (operand @ kernel).astype(bfloat16).astype("float32")
    rounded = np.maximum((product + bias).astype(bfloat16), 0)
    assert np.mean(found[0] != rounded) < 0.02  # the order of a sum in float32 can move a number to the next
    stored = {t.data_type for t in onnx.load(path).graph.initializer if np.prod(t.dims) >= 1024}
    assert stored == {onnx.TensorProto.BFLOAT16}
