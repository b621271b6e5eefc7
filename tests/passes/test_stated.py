"""Shapes that the file states besides its graph: they break ties, and rule out readings that contradict them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import rewriter
from rewriter.formats.registry import open_model
from rewriter.shapes.infer import infer
from rewriter.shapes.stated import disagreements
from tests import support
from tests.mutation.edits import Recipe, mutate
from tests.passes.test_downstream import edited, forget


def turned(tmp_path: Path) -> tuple[keras.Model, Path]:
    """(B, 6, 4) times (B, 4, 6) that lost its transpose: only a recorded shape shows which operand to transpose."""
    x, y, g = keras.Input((6, 4), name="x"), keras.Input((4, 6), name="y"), keras.Input((1, 1), name="g")
    product = layers.Multiply(name="scale")([x, layers.Permute((2, 1), name="turn")(y)])
    gated = layers.Multiply(name="gate")([product, g])
    model = keras.Model([x, y, g], layers.Dense(3, name="head")(layers.Flatten()(gated)))
    model.save(tmp_path / "m.keras")
    return model, mutate(tmp_path / "m.keras", tmp_path / "b.keras", Recipe(("scale",), ("turn",))).path


def test_the_shape_that_a_layer_was_built_on_breaks_a_tie(tmp_path):
    model, broken = turned(tmp_path)
    result = rewriter.repair(forget(broken, tmp_path / "u.keras", without=""), tmp_path / "fixed.keras")
    (finding,) = result.findings
    assert "it was built on (None, 6, 4)" in finding.why
    fixed = keras.saving.load_model(tmp_path / "fixed.keras")
    for batch in (1, 3):
        inputs = support.random_inputs(model, batch)
        np.testing.assert_allclose(fixed(inputs), model(inputs), rtol=1e-5, atol=1e-6)


def test_without_that_shape_it_is_a_tie(tmp_path):
    _, broken = turned(tmp_path)
    path = forget(broken, tmp_path / "u.keras")
    result = rewriter.repair(path, tmp_path / "fixed.keras")
    assert result.output is None
    assert "a tie" in result.findings[0].why


def test_shapes_that_no_reading_gives_decide_nothing(tmp_path):
    """After an edit of the inputs they are stale."""
    _, broken = turned(tmp_path)

    def change(config: Any) -> Any:
        for entry in config["config"]["layers"]:
            if entry["class_name"] == "Flatten":
                entry["build_config"]["input_shape"] = [None, 9, 9]
            elif entry["name"] == "gate":
                del entry["build_config"]
        return config

    path = forget(edited(broken, tmp_path / "e.keras", change), tmp_path / "u.keras", without="")
    result = rewriter.repair(path, tmp_path / "fixed.keras")
    assert result.output is None
    assert "a tie" in result.findings[0].why


def test_a_reading_that_such_a_shape_speaks_against_is_kept_back(tmp_path):
    """A matrix product written as a multiply: elementwise readings run, but the Dense was built on another shape."""
    x, y = keras.Input((6, 4), name="x"), keras.Input((4, 6), name="y")
    product = layers.Dot(axes=(2, 1), name="scale")([x, y])
    pooled = layers.GlobalAveragePooling1D()(layers.Dense(6, name="head")(product))
    keras.Model([x, y], pooled).save(tmp_path / "m.keras")

    def change(config: Any) -> Any:
        for entry in config["config"]["layers"]:
            if entry["name"] == "scale":
                entry["class_name"] = "Multiply"
                del entry["config"]["axes"], entry["config"]["normalize"], entry["build_config"]
        return config

    path = forget(
        edited(tmp_path / "m.keras", tmp_path / "b.keras", change), tmp_path / "u.keras", without=""
    )
    result = rewriter.repair(path, tmp_path / "fixed.keras")
    assert result.output is None
    (finding,) = result.findings
    assert "it was built on (None, 6, 6)" in finding.why
    assert "b m k, b k n -> b m n" in [c.equation for c in finding.candidates]


LOSSES = {
    "a name": ("sparse_categorical_crossentropy", {"y"}),
    "a class": (keras.losses.CategoricalCrossentropy(), {"y"}),
    "an axis": (keras.losses.CategoricalCrossentropy(axis=1), set()),
    "a function": (keras.losses.kl_divergence, {"y"}),
    "numbers": ("mse", set()),
    "a list": ([None, "categorical_hinge"], {"y"}),
    "the other": (["categorical_hinge", "mse"], set()),
    "by name": ({"y": "categorical_crossentropy", "z": "mse"}, {"y"}),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_over_classes_wants_classes(name, tmp_path):
    loss, expected = LOSSES[name]
    x = keras.Input((5, 3), name="x")
    many, one = layers.Dense(4, name="z")(x), layers.Dense(1, name="y")(x)
    several = isinstance(loss, (list, dict))
    model = keras.Model(x, [many, one] if several else one)
    model.compile("adam", loss=loss)
    model.save(tmp_path / "m.keras")
    with open_model(tmp_path / "m.keras") as source:
        assert disagreements(infer(source.graph)).keys() == {(name,) for name in expected}


@pytest.mark.parametrize("shape", [[None, 6], [None, 5, 4], [None, None, None, 3]])
def test_a_layer_that_was_built_otherwise(shape, tmp_path):
    x = keras.Input((5, 3), name="x")
    keras.Model(x, layers.Dense(4, name="z")(x)).save(tmp_path / "m.keras")

    def change(config: Any) -> Any:
        config["config"]["layers"][-1]["build_config"]["input_shape"] = shape
        return config

    with open_model(edited(tmp_path / "m.keras", tmp_path / "e.keras", change)) as source:
        assert disagreements(infer(source.graph)).keys() == {("z",)}
    assert rewriter.check(tmp_path / "e.keras").findings == []


@pytest.mark.parametrize(
    "value", [None, 3, [], {}, {"input_shape": 4}, {"input_shape": [None, "x"]}, {"shapes_dict": []}]
)
def test_a_build_config_of_another_form_says_nothing(value, tmp_path):
    x = keras.Input((5, 3), name="x")
    keras.Model(x, layers.Dense(4, name="z")(x)).save(tmp_path / "m.keras")

    def change(config: Any) -> Any:
        config["config"]["layers"][-1]["build_config"] = value
        config["compile_config"] = {"loss": value}
        return config

    with open_model(edited(tmp_path / "m.keras", tmp_path / "e.keras", change)) as source:
        assert disagreements(infer(source.graph)) == {}
