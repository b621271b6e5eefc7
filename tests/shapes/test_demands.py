"""Demands of trained weights: a layer on another operand is a fault, on its own operand it is not."""

from __future__ import annotations

import inspect
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers

from rewriter.formats.registry import open_model
from rewriter.shapes import layers as _layers  # noqa: F401 - fills the table of axis rules
from rewriter.shapes.demands import DEMANDS, NO_DEMAND
from rewriter.shapes.infer import infer

_MERGE = layers.Add.__mro__[1]

# Class -> a maker, the operand it is trained on, and the axis whose size its weights fix.
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
    "LayerNormalization, an axis from the end": (
        lambda: layers.LayerNormalization(axis=[1, -1]),
        (5, 7),
        1,
    ),
    "RMSNormalization, an axis from the end": (lambda: layers.RMSNormalization(axis=[1, -1]), (5, 5), 1),
    "Normalization, an axis from the end": (lambda: layers.Normalization(axis=(-1, 1)), (5, 7), 1),
    "RMSNormalization": (lambda: layers.RMSNormalization(), (5, 7), -1),
    "PReLU": (lambda: layers.PReLU(shared_axes=[1]), (5, 7), -1),
    "RNN of stacked cells": (lambda: layers.RNN([layers.LSTMCell(3), layers.GRUCell(4)]), (5, 7), -1),
    "SimpleRNNCell": (lambda: _Step(layers.SimpleRNNCell(3), 1), (7,), -1),
    "GRUCell": (lambda: _Step(layers.GRUCell(3), 1), (7,), -1),
    "LSTMCell": (lambda: _Step(layers.LSTMCell(3), 2), (7,), -1),
    "StackedRNNCells": (
        lambda: _Step(layers.StackedRNNCells([layers.GRUCell(3), layers.GRUCell(3)]), 2),
        (7,),
        -1,
    ),
    "Normalization": (lambda: layers.Normalization(axis=(1, 2)), (5, 7), 1),
    "AdditiveAttention": (lambda: _Pair(layers.AdditiveAttention()), (5, 7), -1),
    "ReversibleEmbedding": (lambda: _Reverse(layers.ReversibleEmbedding(11, 7)), (5, 7), -1),
    "Bidirectional": (lambda: layers.Bidirectional(layers.GRU(3), merge_mode="sum"), (5, 7), -1),
    "TimeDistributed": (lambda: layers.TimeDistributed(layers.Conv1D(3, 2)), (4, 5, 7), -1),
    "SpectralNormalization": (lambda: layers.SpectralNormalization(layers.Dense(3)), (5, 7), -1),
    "EinsumDense with an ellipsis": (
        lambda: layers.EinsumDense("ab...,bc->ac...", output_shape=(3,)),
        (5, 7),
        1,
    ),
    "MultiHeadAttention": (lambda: _Twice(layers.MultiHeadAttention(2, 3)), (5, 7), -1),
    "GroupQueryAttention": (lambda: _Twice(layers.GroupQueryAttention(3, 2, 1)), (5, 7), -1),
}


class _Twice:
    """An attention layer called on one tensor as query and value."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer

    def __call__(self, x: Any) -> Any:
        return self.layer(x, x)


class _Step:
    """A cell called by itself, on states that do not depend on its operand."""

    def __init__(self, cell: Any, states: int) -> None:
        self.cell = cell
        self.states = states

    def __call__(self, x: Any) -> Any:
        zeros = keras.ops.repeat(keras.ops.zeros_like(x[:, :1]), 3, axis=1)
        return self.cell(x, [zeros] * self.states)[0]


class _Pair:
    """An attention layer that takes a list."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer

    def __call__(self, x: Any) -> Any:
        return self.layer([x, x])


class _Reverse:
    """An embedding that was built on tokens, called on vectors."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.layer(keras.Input((5,), dtype="int32"))

    def __call__(self, x: Any) -> Any:
        return self.layer(x, reverse=True)


def saved(name: str, path: Path) -> Path:
    make, shape, _ = CASES[name]
    x = keras.Input(shape)
    keras.Model(x, make()(x)).save(path)
    return path


def flat(layers: Any) -> list[str]:
    """The names of a model's inputs as its configuration lists them: one, or a list of them."""
    return [layers[0]] if isinstance(layers[0], str) else [entry[0] for entry in layers]


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
    message = next(iter(faults(resized(path, tmp_path / "other.keras", other)).values()))
    assert str(other[axis]) in message


def resized(path: Path, target: Path, shape: list[int | None], number: int = 0) -> Path:
    """The same archive with another shape at one of its inputs."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
        for member in source.infolist():
            data = source.read(member)
            if member.filename == "config.json":
                entry = json.loads(data)
                name = flat(entry["config"]["input_layers"])[number]
                (layer,) = (n for n in entry["config"]["layers"] if n["config"]["name"] == name)
                layer["config"]["batch_shape"] = shape
                data = json.dumps(entry).encode()
            copy.writestr(member, data)
    return target


# Classes whose instances make no variables of their own, or cannot be made without another library.
WITHOUT_WEIGHTS = {"TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper"}


def weighted_classes() -> set[str]:
    """Every class of ``keras.layers`` whose code, or whose base's code, makes a variable or a layer with weights."""
    found = set()
    for kind in vars(layers).values():
        if not (isinstance(kind, type) and issubclass(kind, layers.Layer)) or kind is layers.Layer:
            continue
        own = [
            c for c in kind.__mro__ if c.__module__.startswith("keras.src.layers") and c is not layers.Layer
        ]
        source = "".join(inspect.getsource(c) for c in own)
        makes = ("add_weight(", "Dense(", "self.cell", "self.cells", "self.layer ", "self.layers ")
        if any(text in source.replace("`Dense(", "") for text in makes):
            found.add(kind.__name__)
    return found


def test_every_class_with_weights_has_a_demand_or_a_reason():
    merging = {c.__name__ for c in vars(layers).values() if isinstance(c, type) and issubclass(c, _MERGE)}
    missing = weighted_classes() - set(DEMANDS) - set(NO_DEMAND) - merging - WITHOUT_WEIGHTS
    assert missing == set()


def test_no_reason_is_given_for_a_class_with_a_demand():
    assert set(DEMANDS) & set(NO_DEMAND) == set()


def test_every_demand_has_a_case():
    renamed = {"SyncBatchNormalization", "GroupedQueryAttention"}
    assert set(DEMANDS) - set(CASES) - renamed == {"Embedding"}


@pytest.mark.parametrize("name", ["MultiHeadAttention", "GroupQueryAttention"])
@pytest.mark.parametrize("other", [1, 2])
def test_the_value_and_the_key_are_held_to_their_weights(name, other, tmp_path):
    sizes = [7, 7, 5]
    attention = {
        "MultiHeadAttention": lambda: layers.MultiHeadAttention(2, 3),
        "GroupQueryAttention": lambda: layers.GroupQueryAttention(3, 2, 1),
    }[name]()
    inputs = [keras.Input((4, size)) for size in sizes]
    keras.Model(inputs, attention(*inputs)).save(tmp_path / "m.keras")
    assert faults(tmp_path / "m.keras") == {}
    found = faults(resized(tmp_path / "m.keras", tmp_path / "other.keras", [None, 4, 11], other))
    assert set(found) == {attention.name}


def test_a_slope_of_another_rank_is_a_fault(tmp_path):
    found = faults(resized(saved("PReLU", tmp_path / "m.keras"), tmp_path / "o.keras", [None, 3, 5, 7]))
    assert "rank 3" in found.popitem()[1]


CHANGED = {
    "Dense": ("units", lambda: layers.Dense(3), (5, 7)),
    "Conv2D": ("filters", lambda: layers.Conv2D(3, 3), (5, 5, 7)),
    "Conv2DTranspose": ("filters", lambda: layers.Conv2DTranspose(3, 3), (5, 5, 7)),
    "SeparableConv2D": ("filters", lambda: layers.SeparableConv2D(3, 3), (5, 5, 7)),
    "DepthwiseConv2D": ("depth_multiplier", lambda: layers.DepthwiseConv2D(3), (5, 5, 7)),
    "GRU": ("units", lambda: layers.GRU(3), (5, 7)),
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_configuration_that_the_weights_do_not_fit_is_a_fault_of_that_layer(name, tmp_path):
    option, make, shape = CHANGED[name]
    x = keras.Input(shape)
    keras.Model(x, layers.Dense(2, name="head")(make()(x))).save(tmp_path / "m.keras")
    with open_model(tmp_path / "m.keras") as source:
        source.load_weights()
        (operation,) = (
            o for o in source.graph.operations.values() if o.class_name == name and o.name != "head"
        )
        operation.config[option] += 1
        found = infer(source.graph).faults
    assert found.keys() == {operation.name}
    assert option in found[operation.name]


def test_the_layers_inside_wrappers_are_held_to_their_weights_too(tmp_path):
    x = keras.Input((5, 7))
    y = layers.Bidirectional(layers.LSTM(3, return_sequences=True), name="both")(x)
    keras.Model(x, layers.TimeDistributed(layers.Dense(2))(y)).save(tmp_path / "m.keras")
    assert faults(tmp_path / "m.keras") == {}
    found = faults(resized(tmp_path / "m.keras", tmp_path / "other.keras", [None, 5, 8]))
    assert list(found) == ["both"]


def with_weights(path: Path, target: Path, change: Callable[[Any], Any]) -> Path:
    """The archive with other arrays in its weights file."""
    import h5py

    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    stream = io.BytesIO(members["model.weights.h5"])
    with h5py.File(stream, "r+") as file:
        found: list[str] = []
        file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
        for name in found:
            array = change(file[name][()])
            del file[name]
            file[name] = array
    members["model.weights.h5"] = stream.getvalue()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target


ANY_CELL = ("RNN", "RNN of stacked cells", "StackedRNNCells")


@pytest.mark.parametrize("name", [name for name in CASES if name not in ANY_CELL])
def test_weights_of_no_axes_are_a_fault(name, tmp_path):
    """Later steps such as the export never get a kernel of a wrong rank."""
    path = saved(name, tmp_path / "m.keras")
    assert not faults(with_weights(path, tmp_path / "same.keras", lambda array: array))
    assert faults(with_weights(path, tmp_path / "none.keras", lambda array: array.ravel()[0]))


@pytest.mark.parametrize("name", ["Dense", "Conv2D", "Conv1DTranspose", "SeparableConv2D"])
def test_an_offset_of_another_size_is_a_fault(name, tmp_path):
    path = saved(name, tmp_path / "m.keras")
    longer = with_weights(path, tmp_path / "longer.keras", lambda a: a if a.ndim > 1 else [*a, 0.0])
    assert "trained with" in " ".join(faults(longer).values())


# -- quantised weights -----------------------------
@pytest.mark.parametrize("mode", ["int8", "int4", "float8", "gptq"])
def test_quantised_weights_demand_the_same(mode, tmp_path):
    path, x = tmp_path / "m.keras", keras.Input((5, 7))
    layer = layers.Dense(3, name="narrow")
    model = keras.Model(x, layer(x))
    config = keras.quantizers.GPTQConfig(dataset=[], tokenizer=None) if mode == "gptq" else None
    layer.quantize(mode, config=config)
    model.save(path)
    assert faults(path) == {}
    found = faults(resized(path, tmp_path / "other.keras", [None, 5, 8]))
    assert list(found) == ["narrow"] and "trained on 7" in found["narrow"]
    with open_model(path) as source:
        source.load_weights()
        source.graph.operations["narrow"].config["units"] = 4
        assert "units=3" in infer(source.graph).faults["narrow"]


@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_quantised_vectors_demand_the_same(mode, tmp_path):
    path, x = tmp_path / "m.keras", keras.Input((5, 7))
    layer = layers.ReversibleEmbedding(11, 7, name="words")
    model = keras.Model(x, [_Reverse(layer)(x), layers.MultiHeadAttention(2, 3)(x, x)])
    layer.quantize(mode)
    model.layers[-1]._query_dense.quantize(mode)  # three axes become two in int4
    model.save(path)
    assert faults(path) == {}
    assert "words" in faults(resized(path, tmp_path / "other.keras", [None, 5, 8]))
    for option in ("input_dim", "output_dim"):
        with open_model(path) as source:
            source.load_weights()
            source.graph.operations["words"].config[option] += 2
            assert "words" in infer(source.graph).faults
