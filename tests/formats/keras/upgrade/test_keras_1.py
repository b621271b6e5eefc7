"""Models of Keras 1.2: configurations written by hand, weights in its order and form; tf_keras loads the weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tf_keras

from rewriter.errors import BadFileError
from rewriter.formats.keras import upgrade

from . import oracle

layers = tf_keras.layers
Rows = list[tuple[str, list[np.ndarray]]]
_RANDOM = np.random.default_rng(5)


def arrays(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    return [
        _RANDOM.uniform(0.1, 1, shape).astype("float32") * _RANDOM.choice([-1, 1], shape).astype("float32")
        for shape in shapes
    ]


def sequential(*rows: tuple[str, dict[str, Any]], shape: list[Any], dtype: str = "float32") -> dict[str, Any]:
    listed = [
        {"class_name": class_name, "config": {"name": f"l{k}", "trainable": True, **config}}
        for k, (class_name, config) in enumerate(rows)
    ]
    listed[0]["config"] |= {"batch_input_shape": [None, *shape], "input_dtype": dtype}
    return {"class_name": "Sequential", "config": listed, "keras_version": "1.2.2"}


CONVOLUTION = {
    "init": "glorot_uniform", "activation": "relu", "W_regularizer": None, "b_regularizer": None, "W_constraint": None,
    "activity_regularizer": None, "b_constraint": None, "bias": True, "border_mode": "valid",
}  # fmt: skip
RECURRENT = {
    "output_dim": 3, "init": "glorot_uniform", "inner_init": "orthogonal", "forget_bias_init": "one",
    "activation": "tanh", "inner_activation": "hard_sigmoid", "W_regularizer": None, "U_regularizer": None,
    "b_regularizer": None, "dropout_W": 0.1, "dropout_U": 0.0, "return_sequences": True, "go_backwards": False,
    "stateful": False, "unroll": False, "consume_less": "cpu", "input_dim": 4, "input_length": None,
}  # fmt: skip
GRU = {key: value for key, value in RECURRENT.items() if key != "forget_bias_init"}
BATCH_NORM = {
    "epsilon": 1e-3, "mode": 0, "axis": -1, "momentum": 0.99, "gamma_regularizer": None, "beta_regularizer": None,
}  # fmt: skip


def image(rows: int = 6, columns: int = 7, channels: int = 4, first: bool = False) -> list[int]:
    return [channels, rows, columns] if first else [rows, columns, channels]


def convolution(first: bool) -> Any:
    order = "th" if first else "tf"
    config = sequential(
        ("Convolution2D", {**CONVOLUTION, "nb_filter": 8, "nb_row": 2, "nb_col": 3, "subsample": [1, 1],
                           "dim_ordering": order}),
        ("ZeroPadding2D", {"padding": [1, 2, 0, 1], "dim_ordering": order}),
        ("MaxPooling2D", {"pool_size": [2, 2], "strides": [2, 2], "border_mode": "valid", "dim_ordering": order}),
        ("AtrousConvolution2D", {**CONVOLUTION, "nb_filter": 3, "nb_row": 2, "nb_col": 2, "atrous_rate": [1, 1],
                                 "subsample": [1, 1], "dim_ordering": order}),
        ("UpSampling2D", {"size": [2, 1], "dim_ordering": order}),
        ("Flatten", {}),
        shape=image(first=first),
    )  # fmt: skip
    form = "channels_first" if first else "channels_last"
    model = tf_keras.Sequential([
        tf_keras.Input(image(first=first)),
        layers.Conv2D(8, (2, 3), activation="relu", data_format=form, name="l0"),
        layers.ZeroPadding2D(((1, 2), (0, 1)), data_format=form),
        layers.MaxPooling2D(data_format=form),
        layers.Conv2D(3, 2, activation="relu", data_format=form, name="l3"),
        layers.UpSampling2D((2, 1), data_format=form),
        layers.Flatten(),
    ])  # fmt: skip
    one, two = ((8, 4, 2, 3), (3, 8, 2, 2)) if first else ((2, 3, 4, 8), (2, 2, 8, 3))
    return config, model, [("l0", arrays(one, (8,))), ("l3", arrays(two, (3,)))]


def convolution_1d(turned: bool) -> Any:
    row = {
        **CONVOLUTION,
        "nb_filter": 5,
        "filter_length": 3,
        "subsample_length": 2,
        "input_dim": 4,
        "input_length": None,
    }
    config = sequential(
        ("Convolution1D", row),
        ("MaxPooling1D", {"pool_length": 2, "stride": 2, "border_mode": "valid"}),
        ("UpSampling1D", {"length": 2}),
        ("GlobalMaxPooling1D", {}),
        shape=[11, 4],
    )
    model = tf_keras.Sequential([
        tf_keras.Input((11, 4)), layers.Conv1D(5, 3, strides=2, activation="relu", name="l0"),
        layers.MaxPooling1D(2), layers.UpSampling1D(2), layers.GlobalMaxPooling1D(),
    ])  # fmt: skip
    return config, model, [("l0", arrays((5, 4, 3, 1) if turned else (3, 1, 4, 5), (5,)))]


def deconvolution() -> Any:
    row = {**CONVOLUTION, "nb_filter": 3, "nb_row": 2, "nb_col": 3, "subsample": [2, 2], "dim_ordering": "tf",
           "output_shape": [None, 12, 15, 3]}  # fmt: skip
    config = sequential(("Deconvolution2D", row), shape=image())
    model = tf_keras.Sequential([
        tf_keras.Input(image()), layers.Conv2DTranspose(3, (2, 3), strides=2, activation="relu", name="l0")
    ])  # fmt: skip
    return config, model, [("l0", arrays((2, 3, 4, 3), (3,)))]


def dense() -> Any:
    row = {"output_dim": 3, "init": "uniform", "activation": "hard_sigmoid", "bias": True, "input_dim": 4,
           "W_regularizer": {"name": "WeightRegularizer", "l1": 0.0, "l2": 0.1}, "b_regularizer": None,
           "W_constraint": {"name": "MaxNorm", "m": 2, "axis": 0}, "b_constraint": None}  # fmt: skip
    config = sequential(
        ("TimeDistributedDense", row),
        ("Dropout", {"p": 0.3}),
        ("BatchNormalization", BATCH_NORM),
        (
            "TimeDistributed",
            {"layer": {"class_name": "Dense", "config": {**row, "name": "inner", "bias": False}}},
        ),
        shape=[5, 4],
    )
    model = tf_keras.Sequential([
        tf_keras.Input((5, 4)), layers.Dense(3, activation="hard_sigmoid", name="l0"), layers.Dropout(0.3),
        layers.BatchNormalization(name="l2"),
        layers.TimeDistributed(layers.Dense(3, activation="hard_sigmoid", use_bias=False), name="l3"),
    ])  # fmt: skip
    norm = [*arrays((3,), (3,), (3,)), np.abs(arrays((3,))[0])]
    return config, model, [("l0", arrays((4, 3), (3,))), ("l2", norm), ("l3", arrays((3, 3)))]


def gates(width: int, units: int, count: int) -> list[np.ndarray]:
    return arrays(*[shape for _ in range(count) for shape in ((width, units), (units, units), (units,))])


def recurrent() -> Any:
    config = sequential(
        ("LSTM", RECURRENT),
        ("GRU", GRU | {"input_dim": 3}),
        (
            "Bidirectional",
            {
                "layer": {"class_name": "LSTM", "config": {**RECURRENT, "name": "inner"}},
                "merge_mode": "concat",
            },
        ),
        ("SimpleRNN", {key: value for key, value in GRU.items() if key != "inner_activation"}),
        shape=[5, 4],
    )
    model = tf_keras.Sequential([
        tf_keras.Input((5, 4)),
        layers.LSTM(3, recurrent_activation="hard_sigmoid", return_sequences=True, name="l0"),
        layers.GRU(3, recurrent_activation="hard_sigmoid", return_sequences=True, reset_after=False, name="l1"),
        layers.Bidirectional(layers.LSTM(3, recurrent_activation="hard_sigmoid", return_sequences=True), name="l2"),
        layers.SimpleRNN(3, return_sequences=True, name="l3"),
    ])  # fmt: skip
    return config, model, [
        ("l0", gates(4, 3, 4)), ("l1", gates(3, 3, 3)), ("l2", gates(3, 3, 4) + gates(3, 3, 4)), ("l3", gates(6, 3, 1)),
    ]  # fmt: skip


def embedding() -> Any:
    row = {"input_dim": 9, "output_dim": 4, "init": "uniform", "input_length": 5, "mask_zero": True,
           "activity_regularizer": None, "W_regularizer": None, "W_constraint": None, "dropout": 0.2}  # fmt: skip
    config = sequential(
        ("Embedding", row), ("LSTM", RECURRENT | {"consume_less": "gpu"}), shape=[5], dtype="int32"
    )
    model = tf_keras.Sequential([
        tf_keras.Input((5,), dtype="int32"), layers.Embedding(9, 4, mask_zero=True, name="l0"),
        layers.LSTM(3, recurrent_activation="hard_sigmoid", return_sequences=True, name="l1"),
    ])  # fmt: skip
    return config, model, [("l0", arrays((9, 4))), ("l1", arrays((4, 12), (3, 12), (12,)))]


def merge(mode: str) -> Any:
    shapes = {"a": [None, 4], "b": [None, 4]}
    rows: list[Any] = [
        {"class_name": "InputLayer", "name": name, "inbound_nodes": [],
         "config": {"name": name, "batch_input_shape": shape, "input_dtype": "float32", "sparse": False}}
        for name, shape in shapes.items()
    ]  # fmt: skip
    config = {"name": "m", "mode": mode, "concat_axis": -1, "dot_axes": 1, "mode_type": "raw", "output_shape": None,
              "output_shape_type": "raw", "output_mask": None, "output_mask_type": "raw", "arguments": {}}  # fmt: skip
    rows.append(
        {"class_name": "Merge", "name": "m", "config": config, "inbound_nodes": [[["a", 0, 0], ["b", 0, 0]]]}
    )
    entry = {
        "class_name": "Model",
        "keras_version": "1.2.2",
        "config": {"name": "model_1", "layers": rows, "input_layers": [["a", 0, 0], ["b", 0, 0]],
                   "output_layers": [["m", 0, 0]]},
    }  # fmt: skip
    a, b = tf_keras.Input((4,), name="a"), tf_keras.Input((4,), name="b")
    made = {"sum": layers.Add, "mul": layers.Multiply, "ave": layers.Average, "max": layers.Maximum,
            "concat": layers.Concatenate, "dot": lambda: layers.Dot(1)}[mode]()  # fmt: skip
    return entry, tf_keras.Model([a, b], made([a, b])), []


def merge_first(explicit: bool = False) -> Any:
    """A sequential model of two branches; ``explicit``: each begins with an InputLayer that was added to it."""
    row = {"output_dim": 3, "init": "uniform", "activation": "linear", "bias": True, "input_dim": 4}
    shape = {"batch_input_shape": [None, 4], "input_dtype": "float32"}

    def branch(k: int) -> Any:
        given = {"class_name": "InputLayer", "config": {**shape, "name": f"given_{k}", "sparse": False}}
        dense = {"class_name": "Dense", "config": {**row, **({} if explicit else shape), "name": f"d{k}"}}
        return {"class_name": "Sequential", "config": [given, dense] if explicit else [dense]}

    branches = [branch(k) for k in range(2)]
    merged = {"name": "merge_1", "mode": "mul", "layers": branches, "concat_axis": -1, "dot_axes": -1}
    top = {"class_name": "Dense", "config": {**row, "name": "top", "output_dim": 2}}
    config = [{"class_name": "Merge", "config": merged}, top]
    entry = {"class_name": "Sequential", "config": config, "keras_version": "1.2.2"}
    a, b = tf_keras.Input((4,)), tf_keras.Input((4,))
    joined = layers.Multiply()([layers.Dense(3, name="d0")(a), layers.Dense(3, name="d1")(b)])
    model = tf_keras.Model([a, b], layers.Dense(2, name="top")(joined))
    rows: Rows = [("d0", arrays((4, 3), (3,))), ("d1", arrays((4, 3), (3,))), ("top", arrays((3, 2), (2,)))]
    inputs: Rows = [("given_0", []), ("given_1", [])] if explicit else []
    return entry, model, inputs + rows


MODES = ("sum", "mul", "ave", "max", "concat", "dot")
CASES = {
    "keras_1_convolution": lambda: convolution(False),
    "keras_1_kernels": lambda: convolution(True),
    "keras_1_convolution_1d": lambda: convolution_1d(False),
    "keras_1_convolution_1d_turned": lambda: convolution_1d(True),
    "keras_1_deconvolution": deconvolution,
    "keras_1_dense": dense,
    "keras_1_recurrent": recurrent,
    "keras_1_embedding": embedding,
    **{f"keras_1_merge_{mode}": lambda mode=mode: merge(mode) for mode in MODES},
    "keras_1_merge_first": merge_first,
    "keras_1_merge_first_explicit": lambda: merge_first(explicit=True),
}


@pytest.mark.parametrize("name", CASES)
def test_a_model_of_keras_1(name: str, tmp_path: Path):
    entry, model, rows = CASES[name]()
    compare(entry, model, rows, tmp_path)


def compare(entry: dict[str, Any], model: Any, rows: Rows, folder: Path) -> None:
    entry = json.loads(json.dumps(entry))
    path = folder / "weights.h5"
    write(path, rows)
    model.load_weights(path)
    stored = {
        name: [oracle.stored(f"{name}_{k}", array) for k, array in enumerate(found)] for name, found in rows
    }
    found = upgrade.upgraded(entry)
    assert not found.refusals
    new = oracle.keras_3_model(found)
    oracle.set_weights(new, upgrade.model_variables(entry, stored, "1.2.2"))
    given = oracle.inputs_for(model)
    wanted = oracle.outputs(model, given)
    assert all(oracle.says_something(array) for array in wanted)
    assert oracle.difference(oracle.outputs(new, given), wanted) < oracle.TOLERANCE


def write(path: Path, rows: Rows) -> None:
    """A weights file as Keras 1 writes it: without its version."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name, _ in rows]
        for name, found in rows:
            group = file.create_group(name)
            names = [f"{name}_{k}".encode() for k in range(len(found))]
            group.attrs["weight_names"] = names
            for weight, array in zip(names, found, strict=True):
                group[weight.decode()] = array


def test_the_inputs_of_branches_keep_their_names():
    """An InputLayer of the file is an input itself; a branch without one gets one."""
    for explicit, names in ((False, ["d0_input", "d1_input"]), (True, ["given_0", "given_1"])):
        config = upgrade.upgraded(merge_first(explicit)[0]).entry["config"]
        assert [each[0] for each in config["input_layers"]] == names
        assert [each["name"] for each in config["layers"] if each["class_name"] == "InputLayer"] == names


@pytest.mark.parametrize("class_name", ["Highway", "MaxoutDense", "SReLU", "ParametricSoftplus"])
def test_keras_1_refused(class_name: str):
    entry = sequential((class_name, {"output_dim": 3}), shape=[4])
    assert [refusal.construct for refusal in upgrade.upgraded(entry).refusals] == [class_name]


def test_keras_1_normalization_of_each_sample_is_refused():
    entry = sequential(("BatchNormalization", BATCH_NORM | {"mode": 1}), shape=[4])
    assert "mode=1" in upgrade.upgraded(entry).refusals[0].construct


def images(*orderings: str) -> dict[str, Any]:
    """Convolutions with these orderings, behind a ZeroPadding2D that states none."""
    row = {**CONVOLUTION, "nb_filter": 8, "nb_row": 1, "nb_col": 1, "subsample": [1, 1]}
    rows = [("Convolution2D", {**row, "dim_ordering": ordering}) for ordering in orderings]
    return sequential(("ZeroPadding2D", {"padding": [1, 2]}), *rows, shape=image())


@pytest.mark.parametrize(
    ("orderings", "wanted"),
    [([], "channels_last"), (["tf", "tf"], "channels_last"), (["th", "th"], "channels_first")],
)
def test_keras_1_layers_without_an_ordering(orderings: list[str], wanted: str):
    """Keras 1 does not write that of a ZeroPadding2D: it is the one of the other layers."""
    found = upgrade.upgraded(images(*orderings))
    assert not found.refusals
    assert found.entry["config"]["layers"][1]["config"]["data_format"] == wanted


def test_keras_1_layers_without_an_ordering_beside_both():
    (refusal,) = upgrade.upgraded(images("tf", "th")).refusals
    assert refusal.construct == "ZeroPadding2D"
    assert "state both" in refusal.reason


@pytest.mark.parametrize("ordering", [None, [], {"a": 1}, 3])
def test_keras_1_an_ordering_that_is_none(ordering: Any):
    entry = images("tf")
    entry["config"][1]["config"]["dim_ordering"] = ordering
    entry["config"][0]["class_name"] = ["ZeroPadding2D"]
    with pytest.raises(BadFileError):
        upgrade.upgraded(entry)


@pytest.mark.parametrize("mode", ["cos", "function"])
def test_keras_1_merge_refused(mode: str):
    entry = merge("sum")[0]
    entry["config"]["layers"][-1]["config"]["mode"] = mode
    assert mode in upgrade.upgraded(entry).refusals[0].construct


def test_a_configuration_without_a_version_is_known_by_its_arguments():
    entry = convolution(False)[0]
    del entry["keras_version"]
    found = upgrade.upgraded(entry)
    assert not found.refusals
    assert found.entry["config"]["layers"][1]["class_name"] == "Conv2D"


def test_theano():
    """Theano convolves: its kernels are flipped in space. The oracle is a model with kernels flipped by hand."""
    entry, model, rows = convolution(False)
    turned = [(name, [np.flip(found[0], (0, 1)), found[1]]) for name, found in rows]
    stored = {name: [oracle.stored(str(k), array) for k, array in enumerate(found)] for name, found in rows}
    for name, found in turned:
        model.get_layer(name).set_weights(found)
    new = oracle.keras_3_model(upgrade.upgraded(entry))
    oracle.set_weights(new, upgrade.model_variables(entry, stored, "1.2.2", "theano"))
    given = oracle.inputs_for(model)
    assert oracle.difference(oracle.outputs(new, given), oracle.outputs(model, given)) < oracle.TOLERANCE
