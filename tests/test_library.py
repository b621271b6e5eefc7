"""The library on paths and on models in memory."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

import rewriter
from tests import support


def gated(channels: int = 7) -> keras.Model:
    """A gate that `ops.multiply` aligns with the wrong axes: right at batch 1 only."""
    image = keras.Input((5, 11, 3), name="image")
    x = layers.Conv2D(channels, 3, padding="same", name="features")(image)
    gate = layers.Dense(channels, "sigmoid", name="gate")(layers.GlobalAveragePooling2D(name="pool")(x))
    model = keras.Model(image, ops.multiply(x, gate), name="gated")
    model.compile("adam", "mse", metrics=["mae"])
    return model


def meant(model: keras.Model, image: np.ndarray) -> np.ndarray:
    """The intended outputs of the model, from its own layers and NumPy."""
    x = np.asarray(model.get_layer("features")(image))
    gate = np.asarray(model.get_layer("gate")(model.get_layer("pool")(x)))
    return np.einsum("bhwc,bc->bhwc", x, gate)


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(5, 5, 11, 3)).astype("float32")


def test_a_model_in_memory_is_repaired_with_weights_and_compile_state(image):
    model = gated()
    result = rewriter.repair(model)
    assert [i.op for i in result.inserted] == ["Reshape"]
    assert result.output is None
    fixed = result.model
    support.compare([np.asarray(fixed(image))], [meant(model, image)])
    for before, after in zip(model.weights, fixed.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(after), np.asarray(before))
    assert fixed.optimizer.name == model.optimizer.name
    assert fixed.loss == "mse"


def test_a_model_in_memory_can_be_written_too(tmp_path, image):
    model = gated()
    result = rewriter.repair(model, tmp_path / "fixed.keras")
    assert result.output == str(tmp_path / "fixed.keras")
    again = keras.saving.load_model(result.output)
    support.compare([np.asarray(again(image))], [meant(model, image)])


def test_check_takes_a_model_and_leaves_it_alone(image):
    model = gated()
    before = [np.asarray(w).copy() for w in model.weights]
    report = rewriter.check(model)
    assert [str(f.kind) for f in report.findings] == ["batch-misaligned"]
    assert all(np.array_equal(a, np.asarray(b)) for a, b in zip(before, model.weights, strict=True))


def test_custom_layers_of_a_model_in_memory_come_back(image):
    class Twice(layers.Layer):
        def call(self, x):
            return x * 2

    image_in = keras.Input((5, 11, 3))
    x = layers.Conv2D(7, 3, padding="same")(image_in)
    gate = layers.Dense(7)(layers.GlobalAveragePooling2D()(x))
    y = ops.multiply(x, gate)
    model = keras.Model(image_in, Twice(name="twice")(y))
    result = rewriter.repair(model)
    assert result.model is not None
    assert isinstance(result.model.get_layer("twice"), Twice)
    one = image[:1]
    support.compare([np.asarray(result.model(one))], [np.asarray(model(one))])


def test_what_the_user_states_is_applied(tmp_path):
    left, right = keras.Input((8, 8), name="left"), keras.Input((8,), name="right")
    model = keras.Model([left, right], ops.multiply(left, right))
    (node,) = [layer for layer in model.operations if type(layer).__name__ == "Multiply"]
    assert rewriter.repair(model).model is None
    x, y = (np.random.default_rng(1).normal(size=s).astype("float32") for s in ((3, 8, 8), (3, 8)))
    for equation, oracle in (
        ("b t d, b t -> b t d", "btd,bt->btd"),
        ("b t d, b d -> b t d", "btd,bd->btd"),
        ("b t d, b d -> b t", "btd,bd->bt"),
    ):
        fixed = rewriter.repair(model, at={node.name: equation}).model
        support.compare([np.asarray(fixed([x, y]))], [np.einsum(oracle, x, y)])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"at": {"gone": "channel-gate"}}, "no multiply 'gone'"),
        ({"at": {"multiply": "no-such-rule"}}, "no rule 'no-such-rule'"),
        ({"mode": "bold"}, "safe or best"),
    ],
)
def test_arguments_that_cannot_be_used_are_usage_errors(arguments, words):
    model = gated()
    name = next(o.name for o in model.operations if type(o).__name__ == "Multiply")
    at = {name if k == "multiply" else k: v for k, v in arguments.get("at", {}).items()}
    with pytest.raises(rewriter.UsageError, match=words):
        rewriter.repair(model, **{**arguments, **({"at": at} if at else {})})


def test_a_path_needs_an_output(tmp_path):
    gated().save(tmp_path / "m.keras")
    with pytest.raises(rewriter.UsageError, match="output path"):
        rewriter.repair(tmp_path / "m.keras")
