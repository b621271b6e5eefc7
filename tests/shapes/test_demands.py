"""What trained weights demand: a layer on another operand is a fault, on its own it is none."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers

from rewriter.formats.source import open_model
from rewriter.shapes.demands import DEMANDS
from rewriter.shapes.infer import infer

# Class -> how to make one, the operand it is trained on, and the axis whose size its weights hold.
CASES: dict[str, tuple[Callable[[], Any], tuple[int, ...], int]] = {
    "Dense": (lambda: layers.Dense(3), (5, 7), -1),
    "EinsumDense": (lambda: layers.EinsumDense("abc,cd->abd", output_shape=(None, 3)), (5, 7), -1),
    "SimpleRNN": (lambda: layers.SimpleRNN(3), (5, 7), -1),
    "GRU": (lambda: layers.GRU(3), (5, 7), -1),
    "LSTM": (lambda: layers.LSTM(3), (5, 7), -1),
    "RNN": (lambda: layers.RNN(layers.LSTMCell(3)), (5, 7), -1),
    "Conv1D": (lambda: layers.Conv1D(4, 3, groups=2), (5, 6), -1),
    "Conv2D": (lambda: layers.Conv2D(3, 3), (5, 5, 7), -1),
    "Conv3D": (lambda: layers.Conv3D(3, 3), (5, 5, 5, 7), -1),
    "Conv1DTranspose": (lambda: layers.Conv1DTranspose(3, 3), (5, 7), -1),
    "Conv2DTranspose": (lambda: layers.Conv2DTranspose(3, 3), (5, 5, 7), -1),
    "Conv3DTranspose": (lambda: layers.Conv3DTranspose(3, 3), (5, 5, 5, 7), -1),
    "DepthwiseConv1D": (lambda: layers.DepthwiseConv1D(3), (5, 7), -1),
    "DepthwiseConv2D": (lambda: layers.DepthwiseConv2D(3), (5, 5, 7), -1),
    "SeparableConv1D": (lambda: layers.SeparableConv1D(3, 3), (5, 7), -1),
    "SeparableConv2D": (lambda: layers.SeparableConv2D(3, 3), (5, 5, 7), -1),
    "ConvLSTM1D": (lambda: layers.ConvLSTM1D(3, 3), (4, 5, 7), -1),
    "ConvLSTM2D": (lambda: layers.ConvLSTM2D(3, 3), (4, 5, 5, 7), -1),
    "ConvLSTM3D": (lambda: layers.ConvLSTM3D(2, 2), (2, 3, 3, 3, 5), -1),
    "BatchNormalization": (lambda: layers.BatchNormalization(axis=1), (5, 7), 1),
    "GroupNormalization": (lambda: layers.GroupNormalization(3), (5, 6), -1),
    "LayerNormalization": (lambda: layers.LayerNormalization(axis=(1, 2)), (5, 7), 1),
    "RMSNormalization": (lambda: layers.RMSNormalization(), (5, 7), -1),
    "PReLU": (lambda: layers.PReLU(shared_axes=[1]), (5, 7), -1),
    "MultiHeadAttention": (lambda: _Twice(layers.MultiHeadAttention(2, 3)), (5, 7), -1),
    "GroupQueryAttention": (lambda: _Twice(layers.GroupQueryAttention(3, 2, 1)), (5, 7), -1),
}


class _Twice:
    """An attention layer called on one tensor as query and value."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer

    def __call__(self, x: Any) -> Any:
        return self.layer(x, x)


def saved(name: str, path: Path) -> Path:
    make, shape, _ = CASES[name]
    x = keras.Input(shape)
    keras.Model(x, make()(x)).save(path)
    return path


def faults(path: Path) -> dict[str, str]:
    with open_model(path) as source:
        source.load_weights()
        return infer(source.graph).faults


@pytest.mark.parametrize("name", CASES)
def test_a_layer_fits_what_it_was_trained_on(name, tmp_path):
    assert faults(saved(name, tmp_path / "m.keras")) == {}


@pytest.mark.parametrize("name", CASES)
def test_another_size_is_a_fault_of_the_layer(name, tmp_path):
    path = saved(name, tmp_path / "m.keras")
    _, shape, axis = CASES[name]
    other = [None, *shape]
    other[axis] += 6
    (message,) = faults(resized(path, tmp_path / "other.keras", other)).values()
    assert str(other[axis]) in message


def resized(path: Path, target: Path, shape: list[int | None]) -> Path:
    """The same archive with another shape at its input."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
        for member in source.infolist():
            data = source.read(member)
            if member.filename == "config.json":
                entry = json.loads(data)
                entry["config"]["layers"][0]["config"]["batch_shape"] = shape
                data = json.dumps(entry).encode()
            copy.writestr(member, data)
    return target


def test_every_demand_has_a_case():
    assert set(DEMANDS) - set(CASES) == {"SyncBatchNormalization"}


def test_the_layers_inside_wrappers_are_held_to_their_weights_too(tmp_path):
    x = keras.Input((5, 7))
    y = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(x)
    keras.Model(x, layers.TimeDistributed(layers.Dense(2))(y)).save(tmp_path / "m.keras")
    assert faults(tmp_path / "m.keras") == {}
    found = faults(resized(tmp_path / "m.keras", tmp_path / "other.keras", [None, 5, 8]))
    assert list(found) == ["bidirectional"]
