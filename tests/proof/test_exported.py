"""The comparison of an exported model with Keras."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest
from keras import layers

from rewriter.api import export_onnx
from rewriter.errors import UnsupportedError
from tests.formats.keras.test_dialect import stamped
from tests.mutation.edits import read_config, write_config

NESTED = [layers.Dense(4, name="a"), layers.Dense(3, name="b")]
SEQUENTIAL = {
    "dense": [keras.Input((6,)), layers.Dense(5, "relu"), layers.Dense(2)],
    "convolution": [keras.Input((9, 8, 3)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(2)],
    "recurrent": [keras.Input((7, 3)), layers.LSTM(4), layers.Dense(2)],
    "tokens": [keras.Input((7,), dtype="int32"), layers.Embedding(11, 4), layers.GlobalAveragePooling1D()],
    "nested": [keras.Input((6,)), keras.Sequential(NESTED, name="inner"), layers.Dense(2)],
}


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_a_sequential_model(name: str, tmp_path: Path):
    keras.Sequential(SEQUENTIAL[name]).save(tmp_path / "model.keras")
    made = export_onnx(tmp_path / "model.keras", tmp_path / "out.onnx", verify=True)
    assert made.verified is not None
    assert made.verified["batches"] == [2, 3], made.verified
    assert made.verified["difference"] < 1e-5
    assert made.verified["ran"].startswith("Keras ")


def test_a_model_that_this_keras_does_not_load_is_not_compared(tmp_path: Path):
    """The message names both versions."""
    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((6,)), layers.Dense(2, name="head")]).save(path)
    config = read_config(path)
    config["config"]["layers"][1]["config"]["of_the_future"] = True
    write_config(path, tmp_path / "newer.keras", config)
    newer = stamped(tmp_path / "newer.keras", path, "3.99.0")
    with pytest.raises(
        UnsupportedError, match=r"the requested verification cannot run: Keras .* 3.99.0: "
    ) as caught:
        export_onnx(newer, tmp_path / "out.onnx", verify=True)
    here = f"Keras {keras.__version__} on "
    assert here in str(caught.value)
    assert "does not load the model, saved by Keras 3.99.0: " in str(caught.value)
