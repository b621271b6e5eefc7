"""Convolution, pooling, normalisation, attention, losses and ops that create tensors, against Keras."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest

from tests.export import harness
from tests.export.op_models import agree, refused
from tests.shapes.ops_cases_nn import CASES
from tests.shapes.ops_classes import make

ops = keras.ops
BLOCK = ((None, 4, 5), "float32")
FIVE, FOUR = np.linspace(0.5, 2, 5).astype("float32"), np.linspace(-1, 2, 4).astype("float32")
PLANE = np.linspace(0.5, 2, 20).astype("float32").reshape(4, 5)
FAMILIES = (
    "nn.Conv nn.DepthwiseConv nn.SeparableConv nn.MaxPool nn.AveragePool nn.AdaptiveMaxPool nn.AdaptiveAveragePool "
    "nn.Unfold nn.Fold nn.DepthToSpace nn.SpaceToDepth"
)
MADE = "nn.OneHot nn.MultiHot numpy.Linspace numpy.Logspace numpy.Geomspace numpy.Meshgrid numpy.Vander numpy.Full"


@pytest.mark.parametrize("name", f"{FAMILIES} {MADE}".split())
def test_some_argument_sets(name):
    items = [case for case in CASES if case.name.split()[0] == name]
    found = harness.tally(items[:: max(1, len(items) // 5)], harness.check_op)
    assert not found["wrong"], found["wrong"][:3]
    assert found["right"], found


def test_softmax_over_any_axes():
    table = {}
    for name, axis in itertools.product(("Softmax", "LogSoftmax"), (-1, 0, 1, None)):
        table[f"{name} {axis}"] = make(f"nn.{name}", axis=axis)
    table |= {f"sparsemax {axis}": make("nn.Sparsemax", axis=axis) for axis in (-1, 1)}
    table |= {f"normalize {n}": make("nn.Normalize", axis=1, order=n) for n in (1, 2, 3)}
    table["glu"] = make("nn.Glu", axis=1)
    agree(table, BLOCK)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_normalisation(dtype):
    layer, rms = (lambda **k: make("nn.LayerNorm", **k)), (lambda **k: make("nn.RMSNorm", **k))
    table = {
        "last": lambda x: layer()(x, FIVE, FIVE),
        "bare": lambda x: layer()(x, None, None),
        "inner": lambda x: layer(axis=1)(x, FOUR, FOUR),
        "both": lambda x: layer(axis=(1, 2))(x, PLANE, None),
        "both, flat": lambda x: layer(axis=(1, 2))(x, PLANE.ravel(), PLANE),
        "by variance": lambda x: layer(axis=1, rms_scaling=True)(x, FOUR, None),
        "rms": lambda x: rms(epsilon=0.1)(x, FIVE),
        "rms, inner": lambda x: rms(axis=1)(x, None),
    }
    agree(table, ((None, 4, 5), dtype), tolerance=4e-3 if dtype == "float16" else None)


def test_batch_normalisation():
    positive = np.abs(FOUR) + 0.3
    table = {
        "last": lambda x: make("nn.BatchNorm", -1)(x, FIVE, FIVE, FIVE, -FIVE),
        "inner": lambda x: make("nn.BatchNorm", 1, epsilon=0.1)(x, FOUR, positive, offset=None, scale=FOUR),
    }
    agree(table, BLOCK)


def test_losses():
    rng = np.random.default_rng(0)
    target = rng.random((3, 4, 5)).astype("float32")
    feeds = [
        [target, rng.normal(0, 30, (3, 4, 5)).astype("float32")],
        [target[:2], rng.random((2, 4, 5)).astype("f4")],
    ]
    table = {
        "binary, logits": make("nn.BinaryCrossentropy", from_logits=True),
        "categorical, logits": make("nn.CategoricalCrossentropy", from_logits=True),
        "categorical, inner": make("nn.CategoricalCrossentropy", from_logits=True, axis=1),
        "sparse, logits": lambda t, x: make("nn.SparseCategoricalCrossentropy", from_logits=True)(
            ops.argmax(t, -1), x
        ),
        "psnr": make("nn.PSNR", max_val=2.0),
    }
    agree(table, BLOCK, BLOCK, feeds=feeds)
    chances = {
        "binary": make("nn.BinaryCrossentropy"),
        "categorical": make("nn.CategoricalCrossentropy"),
        "sparse": lambda t, x: make("nn.SparseCategoricalCrossentropy")(ops.argmax(t, -1), x),
    }
    agree(chances, BLOCK, BLOCK, feeds=[[target, np.clip(target[::-1], 0, 1)], [target[:1], target[:1]]])


def test_a_loss_looks_behind_the_softmax_as_keras_does():
    rng = np.random.default_rng(1)
    far = rng.normal(0, 40, (3, 4, 5)).astype("float32")
    feeds = [[rng.random((3, 4, 5)).astype("float32"), far]]
    table = {
        "categorical": lambda t, x: ops.categorical_crossentropy(t, ops.softmax(x)),
        "binary": lambda t, x: ops.binary_crossentropy(t, ops.sigmoid(x)),
        "layer": lambda t, x: ops.categorical_crossentropy(t, keras.layers.Softmax()(x)),
    }
    agree(table, BLOCK, BLOCK, feeds=feeds)
    everything = lambda t, x: ops.categorical_crossentropy(t, ops.softmax(x, axis=None))  # noqa: E731
    refused(everything, BLOCK, BLOCK, reason="softmax over all axes")


def test_attention():
    heads, shared = ((None, 5, 4, 3), "float32"), ((None, 6, 2, 3), "float32")
    mask = np.random.default_rng(0).random((1, 4, 5, 6)) > 0.3
    bias = np.random.default_rng(1).normal(0, 1, (1, 4, 5, 6)).astype("float32")
    table = {
        "plain": lambda q, k: ops.dot_product_attention(q, k, k),
        "causal": lambda q, k: ops.dot_product_attention(q, k, k, is_causal=True, scale=0.3),
        "masked": lambda q, k: ops.dot_product_attention(q, k, k, bias=bias, mask=mask),
    }
    agree(table, heads, shared)


def test_a_count_for_each_position_of_an_open_axis():
    table = {
        "rows": lambda x: ops.repeat(x, [1, 0, 2], axis=0),
        "flat": lambda x: ops.repeat(x, [2, 0, 1, 3, 1, 2]),
    }
    feeds = [[np.arange(6, dtype="float32").reshape(3, 2)]]
    agree(table, ((None, 2), "float32"), feeds=feeds)
    inputs = keras.Input(batch_shape=(None, 2))
    with pytest.raises(Exception, match="Reshape"):
        harness.run_exported(keras.Model(inputs, table["rows"](inputs)), [np.zeros((4, 2), "float32")])


def test_classes_that_are_none():
    places = np.array([[0, 3, -1, 7, 2]], "int32")
    table = {
        "one": lambda x: ops.one_hot(x, 4),
        "first": lambda x: ops.one_hot(x, 4, axis=0, dtype="bool"),
        "several": lambda x: ops.multi_hot(x, 4, dtype="int32"),
    }
    agree(table, ((None, 5), "int32"), feeds=[[places], [np.concatenate([places] * 3)]])


def test_repeating_and_padding():
    table = {
        "repeat": lambda x: ops.repeat(x, 2, axis=0),
        "counts": lambda x: ops.repeat(x, [1, 0, 2, 3], axis=1),
        "flat": lambda x: ops.repeat(x, 3),
        "tile": lambda x: ops.tile(x, (2, 1, 2, 3)),
        "value": lambda x: ops.pad(x, ((0, 0), (1, 2), (3, 0)), constant_values=2.0),
    }
    table |= {
        mode: lambda x, mode=mode: ops.pad(x, ((0, 0), (1, 2), (3, 1)), mode)
        for mode in ("reflect", "symmetric")
    }
    agree(table, BLOCK)


@pytest.mark.parametrize("blank", [0, -2])
def test_temporal_classification(blank):
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (3, 8, 5)).astype("float32")
    x[1, 2:4] = x[1, 4:6]
    x[2] = np.round(x[2, :1])
    lengths = np.array([[8, 7, 5], [3, 0, 8]], "int32")
    decoders = {
        str(merged): make("nn.CTCDecode", mask_index=blank, merge_repeated=merged) for merged in (True, False)
    }
    vector = ((None,), "int32")
    feeds = [[x, lengths[0]], [x[:1], lengths[1, :1]], [np.round(x), lengths[1]]]
    agree(decoders, ((None, None, 5), "float32"), vector, feeds=feeds)

    target = rng.integers(0, 5, (3, 3))
    target = np.where(target == blank % 5, (target + 1) % 5, target).astype("int32")
    target[1] = target[1, 0]
    sizes = np.array([[3, 2, 0], [1, 0, 3]], "int32")
    loss = {"loss": make("nn.CTCLoss", mask_index=blank)}
    feeds = [[target, x * 20, sizes[0], lengths[0]], [target[:1], x[:1], sizes[1, :1], lengths[1, :1]]]
    agree(loss, ((None, None), "int32"), ((None, None, 5), "float32"), vector, vector, feeds=feeds)


def test_the_loss_of_a_target_that_does_not_fit_is_infinite():
    """TensorFlow adds about 707 instead, minus the logarithm of 1e-307."""
    takes = [((None, 3), "int32"), ((None, 2, 5), "float32"), ((None,), "int32"), ((None,), "int32")]
    inputs = [keras.Input(batch_shape=shape, dtype=dtype) for shape, dtype in takes]
    model = keras.Model(inputs, make("nn.CTCLoss")(*inputs))
    feed = [np.array([[1, 1, 2]]), np.zeros((1, 2, 5)), np.array([3]), np.array([2])]
    arrays = [a.astype(dtype) for a, (_, dtype) in zip(feed, takes, strict=True)]
    assert harness.run_exported(model, arrays)[0] == [np.inf]
    assert np.asarray(model(arrays))[0] > 700


def test_what_has_no_form_is_refused():
    beams = make("nn.CTCDecode", strategy="beam_search")
    refused(beams, ((None, 8, 5), "float32"), ((None,), "int32"), reason="sets of prefixes")
