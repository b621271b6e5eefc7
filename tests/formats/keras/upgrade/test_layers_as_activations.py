"""Layers in place of an activation function: those with weights are refused, and their weights are counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tf_keras
from tf_keras import layers

import rewriter
from rewriter.errors import UnsupportedError

from . import oracle

LAYERS = {
    "Dense": lambda: layers.Dense(3, activation=layers.PReLU()),
    "frozen": lambda: layers.Dense(3, activation=layers.PReLU(), trainable=False),
    "Conv1D": lambda: layers.Conv1D(3, 2, activation=layers.PReLU(shared_axes=[1])),
    "Activation": lambda: layers.Activation(layers.PReLU()),
    "TimeDistributed": lambda: layers.TimeDistributed(layers.Dense(3, activation=layers.PReLU())),
}


def model_of(name: str) -> Any:
    made = [tf_keras.Input((5, 4)), LAYERS[name](), layers.BatchNormalization()]
    return oracle.randomized(tf_keras.Sequential(made))


@pytest.mark.parametrize("form", ["h5", "keras"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_prelu_is_checked_and_not_converted(name: str, form: str, tmp_path: Path):
    model_of(name).save(tmp_path / f"m.{form}")
    rewriter.check(tmp_path / f"m.{form}")
    with pytest.raises(UnsupportedError, match="activation PReLU"):
        rewriter.convert(tmp_path / f"m.{form}", tmp_path / "new.keras")
