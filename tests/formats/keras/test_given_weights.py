"""Weights beside a configuration, in every form that an older Keras saves them in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tf_keras

import rewriter
from rewriter.errors import BadFileError, UnsupportedError

from .upgrade import oracle


@pytest.fixture
def model() -> Any:
    given = tf_keras.Input((4,))
    hidden = tf_keras.layers.Dense(3, activation="hard_sigmoid")(given)
    return oracle.randomized(tf_keras.Model(given, tf_keras.layers.Dense(2)(hidden)))


@pytest.mark.parametrize("name", ["w.weights.h5", "w.h5"])
def test_weights_of_keras_2_are_translated(model: Any, name: str, tmp_path: Path):
    (tmp_path / "m.json").write_text(model.to_json())
    model.save_weights(tmp_path / name)
    rewriter.convert(tmp_path / "m.json", tmp_path / "new.keras", weights=str(tmp_path / name), verify=False)
    new = keras.models.load_model(tmp_path / "new.keras")
    given = oracle.inputs_for(model)
    assert oracle.difference(oracle.outputs(new, given), oracle.outputs(model, given)) < oracle.TOLERANCE


def test_weights_of_keras_3_for_an_older_model_are_refused(model: Any, tmp_path: Path):
    (tmp_path / "m.json").write_text(model.to_json())
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(2)])
    other(np.zeros((1, 4)))
    other.save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(UnsupportedError, match="saved by Keras 3"):
        rewriter.convert(tmp_path / "m.json", tmp_path / "new.keras", weights=str(tmp_path / "w.weights.h5"))


def test_a_vocabulary_is_in_neither_file(tmp_path: Path):
    """The weights are there; what is missing is the file of a layer."""
    lookup = keras.layers.IntegerLookup(name="lookup")
    lookup.adapt(np.array([7, 8, 9]))
    words = keras.Input((3,), dtype="int64")
    model = keras.Model(words, keras.layers.Embedding(4, 2)(lookup(words)))
    (tmp_path / "m.json").write_text(model.to_json())
    model.save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(BadFileError, match="a configuration has no assets: save the model as .keras"):
        rewriter.export_onnx(tmp_path / "m.json", tmp_path / "m.onnx", weights=str(tmp_path / "w.weights.h5"))
