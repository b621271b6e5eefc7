"""Compile state and the optimizer's variables between the forms of Keras 3, loaded by Keras."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tf_keras

import rewriter
from rewriter.formats.keras.archive import KerasArchive
from rewriter.formats.keras.optimizer_layout import layout
from rewriter.formats.keras.trained_order import trained_paths
from rewriter.formats.keras.training import compile_config, training_config
from rewriter.formats.registry import format_of, open_model, write_as

from .surgery import insert

layers, optimizers = keras.layers, keras.optimizers
RNG = np.random.default_rng(5)
GIVEN = RNG.normal(size=(6, 5, 4)).astype("float32")
WANTED = RNG.normal(size=(6, 2)).astype("float32")
STATE = "state of the optimizer"


def network(recurrent: bool) -> Any:
    keras.utils.set_random_seed(2)
    x = keras.Input((5, 4))
    left = layers.Bidirectional(layers.LSTM(3), name="both")(x) if recurrent else layers.Flatten()(x)
    inner = keras.Sequential([keras.Input((5, 4)), layers.Conv1D(3, 2), layers.Flatten()], name="inner")
    frozen = layers.Dense(3, name="frozen", trainable=False)(inner(x))
    return keras.Model(x, layers.Dense(2, name="out")(layers.Concatenate()([left, frozen])))


def trained(optimizer: Any, path: Path, recurrent: bool = False, **options: Any) -> Any:
    """A trained model, also saved as an archive and as an .h5 file."""
    model = network(recurrent)
    options = {
        "loss": keras.losses.Huber(0.7),
        "metrics": ["mae", keras.metrics.MeanSquaredError(name="m")],
    } | options
    model.compile(optimizer, **options)
    model.run_eagerly = True
    for _ in range(2):
        model.train_on_batch(GIVEN, WANTED)
    model.run_eagerly = False
    model.save(path / "saved.keras")
    model.save(path / "saved.h5")
    return model


def convert(source: Path, target: str) -> tuple[Any, dict[str, str]]:
    result = rewriter.convert(source, f"{source.parent}/{target}", verify=False)
    said = {remark.construct: remark.became for remark in result.remarks}
    return keras.saving.load_model(source.parent / target), said


def values(model: Any) -> list[np.ndarray]:
    return [np.asarray(variable) for variable in model.optimizer.variables]


def assert_equal(actual: list[np.ndarray], desired: list[np.ndarray]) -> None:
    assert [(v.dtype, v.shape) for v in actual] == [(v.dtype, v.shape) for v in desired]
    for one, other in zip(actual, desired, strict=True):
        np.testing.assert_array_equal(one, other)


def assert_same_step(one: Any, other: Any) -> None:
    for model in (one, other):
        model.run_eagerly = True
        model.train_on_batch(GIVEN, WANTED)
    for actual, desired in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(actual, desired, rtol=0, atol=1e-7)


OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "sgd": lambda: optimizers.SGD(0.1),
    "sgd-scheduled": lambda: optimizers.SGD(optimizers.schedules.CosineDecay(0.1, 10), momentum=0.9),
    "rmsprop": lambda: optimizers.RMSprop(momentum=0.1, centered=True),
    "adam": lambda: optimizers.Adam(amsgrad=True, use_ema=True, gradient_accumulation_steps=2),
    "nadam": lambda: optimizers.Nadam(),
    "lamb": lambda: optimizers.Lamb(),
    "loss-scale": lambda: optimizers.LossScaleOptimizer(optimizers.Adam(0.01)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_from_h5_to_an_archive(name: str, tmp_path: Path):
    """Keras itself does not restore the state that it wrote there: the model in memory is the oracle."""
    original = trained(OPTIMIZERS[name](), tmp_path)
    found, said = convert(tmp_path / "saved.h5", "new.keras")
    assert said == {STATE: "carried over"}
    assert_equal(values(found), values(original))
    archived = keras.saving.load_model(tmp_path / "saved.keras")
    assert found.get_compile_config() == archived.get_compile_config()
    assert_same_step(found, archived)


def test_from_form_to_form(tmp_path: Path):
    original = trained(optimizers.Adam(0.01), tmp_path, recurrent=True)
    for source, target in (("saved.h5", "folder/"), ("folder", "again.keras"), ("saved.keras", "other/")):
        found, _ = convert(tmp_path / source, target)
        assert_equal(values(found), values(original))


def test_a_layout_of_3_8(tmp_path: Path):
    """In 3.8 an optimizer makes its variables in one pass: an average, an accumulator, the next average …"""
    original = trained(OPTIMIZERS["adam"](), tmp_path)
    config = original.optimizer.get_config()
    shapes = {v.path: tuple(v.shape) for v in original.trainable_variables}
    now = [(place.slot, place.variable) for place in layout("Adam", config, shapes)]
    then = [(place.slot, place.variable) for place in layout("Adam", config, shapes, early=True)]
    assert now != then
    with h5py.File(tmp_path / "saved.h5", "r+") as file:
        file.attrs["keras_version"] = file["model_weights"].attrs["keras_version"] = "3.8.0"
        attributes = file["optimizer_weights"].attrs
        names = dict(zip(now, attributes["weight_names"], strict=True))
        attributes["weight_names"] = [names[key] for key in then]
    found, said = convert(tmp_path / "saved.h5", "new.keras")
    assert said == {STATE: "carried over"}
    assert_equal(values(found), values(original))


def two_branches(library: Any) -> Any:
    """Nested models in two branches, where depth orders the layers."""
    library.utils.set_random_seed(2)

    def inner(name: str) -> Any:
        x = library.Input((4,))
        ends = [library.layers.Dense(4, name=f"{name}_{side}")(x) for side in ("left", "right")]
        return library.Model(x, library.layers.Multiply(name="join")(ends), name=name)

    x = library.Input((4,))
    ends = [
        library.layers.Dense(4, name=f"{side}_first")(inner(f"{side}_model")(x)) for side in ("one", "two")
    ]
    model = library.Model(x, library.layers.Dense(2, name="out")(library.layers.Add(name="join")(ends)))
    model.compile(library.optimizers.Adam(0.1), "mean_squared_error", run_eagerly=True)
    model.train_on_batch(GIVEN[:, 0], WANTED)
    return model


@pytest.mark.parametrize("library", [keras, tf_keras], ids=["keras", "tf_keras"])
def test_nodes_that_change_the_order(library: Any, tmp_path: Path):
    """The state follows the variables of the model and of a nested one, in Keras 3 and Keras 2."""
    model = two_branches(library)
    model.save(tmp_path / "saved.h5")
    with open_model(tmp_path / "saved.h5") as source:
        insert(source.graph, "join", 1, 3)
        inside = source.graph.operations["one_model"].graph
        assert inside is not None
        insert(inside, "join", 1, 3)
        write_as(source, format_of("keras-v3"), tmp_path / "new.keras")
    found = keras.saving.load_model(tmp_path / "new.keras")
    assert int(found.optimizer.iterations) == 1
    assert list(slots(found)) != list(slots(model))
    assert slots(found).keys() == slots(model).keys()
    for name, pair in slots(model).items():
        assert_equal(slots(found)[name], pair)


def slots(model: Any) -> dict[tuple[str, ...], list[np.ndarray]]:
    """The averages of Adam, by the path of the variable."""
    layers_of = [
        ((outer.name, layer.name), layer)
        for outer in model.layers
        for layer in (outer.layers if hasattr(outer, "layers") else [outer])
    ]
    names = {
        id(v): (*path, str(k)) for path, layer in layers_of for k, v in enumerate(layer.trainable_variables)
    }
    held = model.optimizer._momentums, model.optimizer._velocities
    rows = zip(model.trainable_variables, *held, strict=True)
    return {names[id(v)]: [np.asarray(m), np.asarray(u)] for v, m, u in rows}


def test_the_order_of_trained_variables(tmp_path: Path):
    """Every variable has its index in ``trainable_variables`` as its value: the paths must be in that order."""
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.BatchNormalization()], name="inner")
    x = keras.Input((6, 4))
    spectral = layers.SpectralNormalization(layers.Dense(4), name="spectral")(x)
    ends = [
        layers.MultiHeadAttention(2, 3)(x, x),
        layers.SeparableConv1D(4, 3, padding="same")(x),
        layers.Bidirectional(layers.LSTM(2, return_sequences=True))(x),
        layers.RNN([layers.LSTMCell(3), layers.GRUCell(4)], return_sequences=True)(x),
        layers.PReLU()(layers.BatchNormalization(scale=False)(spectral)),
        layers.TimeDistributed(inner)(x),
        layers.AdditiveAttention()([layers.EinsumDense("abc,cd->abd", (None, 4), bias_axes="d")(x), x]),
        layers.Dense(4, trainable=False)(x),
    ]
    model = keras.Model(x, layers.Dense(1)(layers.Add()(ends)))
    for number, variable in enumerate(model.trainable_variables):
        variable.assign(np.full(variable.shape, number, "float32"))
    model.save(tmp_path / "saved.keras")
    archive = KerasArchive(tmp_path / "saved.keras")
    saved = archive.configuration.saved
    for graph in (saved, archive.graph):
        paths = trained_paths(archive.configuration.entry, graph, saved)
        found = [
            archive.variables().variable("layers", path.removeprefix("layers/")).load() for path in paths
        ]
        assert [float(values.ravel()[0]) for values in found] == list(range(len(model.trainable_variables)))


def test_an_unknown_layout_is_left_out(tmp_path: Path):
    trained(optimizers.Muon(), tmp_path)
    found, said = convert(tmp_path / "saved.h5", "new.keras")
    assert "the variable layout of a Muon optimizer is not known" in said[STATE]
    found.train_on_batch(GIVEN, WANTED)


@pytest.mark.parametrize("change", ["fewer", "other", "none"])
def test_state_that_does_not_fit(change: str, tmp_path: Path):
    trained(optimizers.Adam(), tmp_path)
    with h5py.File(tmp_path / "saved.h5", "r+") as file:
        attributes = file["optimizer_weights"].attrs
        names = list(attributes["weight_names"])
        if change == "none":
            del file["optimizer_weights"]
        else:
            attributes["weight_names"] = (
                names[:-1] if change == "fewer" else [*names[:2], *reversed(names[2:])]
            )
    found, said = convert(tmp_path / "saved.h5", "new.keras")
    assert said[STATE].endswith("the file has none" if change == "none" else "do not fit those of the model")
    assert int(found.optimizer.iterations) == 0


# -- to .h5 -----------------------------
def test_keras_does_not_restore_the_state_from_h5(tmp_path: Path):
    """So the state is not written there: the model could not be trained."""
    trained(optimizers.Adam(), tmp_path)
    loaded = keras.saving.load_model(tmp_path / "saved.h5")
    with pytest.raises(Exception, match="Unknown variable"):
        loaded.train_on_batch(GIVEN, WANTED)


@pytest.mark.parametrize("name", ["sgd-scheduled", "nadam", "loss-scale"])
def test_from_an_archive_to_h5(name: str, tmp_path: Path):
    original = trained(
        OPTIMIZERS[name](), tmp_path, metrics=[keras.metrics.AUC(num_thresholds=7)], loss="mse"
    )
    found, said = convert(tmp_path / "saved.keras", "new.h5")
    assert said == {
        STATE: "left out, training starts with a new one: Keras 3 does not restore it from an .h5 file"
    }
    assert found.optimizer.get_config() == original.optimizer.get_config()
    assert found.get_compile_config()["metrics"] == original.get_compile_config()["metrics"]
    truth, given = WANTED[:, :1], WANTED[:, 1:]
    assert float(np.mean(found.loss(truth, given))) == pytest.approx(
        float(np.mean((truth - given) ** 2)), rel=1e-5
    )
    found.train_on_batch(GIVEN, WANTED)


def test_what_h5_has_no_place_for(tmp_path: Path):
    def mine(truth: Any, given: Any) -> Any:
        return keras.ops.mean(truth - given)

    for optimizer, options, lost in (
        (optimizers.Lamb(), {}, "optimizer, loss and metrics"),
        ("sgd", {"loss": mine}, "optimizer, loss and metrics"),
        ("sgd", {"steps_per_execution": 3}, "steps_per_execution"),
    ):
        model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
        model.compile(optimizer, **({"loss": "mse"} | options))
        model.save(tmp_path / "saved.keras")
        found, said = convert(tmp_path / "saved.keras", "new.h5")
        assert lost in said
        assert found.compiled == (lost == "steps_per_execution")


def test_a_custom_loss_in_h5(tmp_path: Path):
    def mine(truth: Any, given: Any) -> Any:
        return keras.ops.mean(truth - given)

    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    model.compile("sgd", mine)
    model.save(tmp_path / "saved.h5")
    found, said = convert(tmp_path / "saved.h5", "new.keras")
    assert said == {"optimizer, loss and metrics": "left out: compile the new model"}
    assert not found.compiled


# -- the two forms of a compile state -----------------------------
def test_every_name_that_is_taken_is_loaded():
    """Both readers of Keras load every accepted name; the reader of .h5 files accepts fewer."""
    from keras.src.legacy.saving import saving_utils

    from rewriter.formats.keras import training as known

    for name in [*known.LOSS_FUNCTIONS, *known.ALIASES, "BinaryCrossentropy"]:
        given = training_config({"optimizer": "adam", "loss": name})
        assert given is not None
        made = compile_config(given)
        assert made is not None
        loss = made["loss"]
        assert callable(
            keras.saving.deserialize_keras_object(loss) if isinstance(loss, dict) else keras.losses.get(loss)
        )
        assert callable(saving_utils.compile_args_from_training_config(given)["loss"])
    for name in [*known.METRIC_FUNCTIONS, *known.METRIC_ALIASES]:
        given = training_config({"optimizer": "adam", "loss": "mse", "metrics": [name]})
        assert given is not None
        model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
        model.compile(**saving_utils.compile_args_from_training_config(given), run_eagerly=True)
        model.evaluate(
            np.ones((2, 4)), np.ones((2, 2)) if "sparse" not in name else np.ones((2, 1)), verbose=0
        )
    for name in known.LOSSES:
        assert hasattr(keras.losses, name)
    for name in known.METRICS:
        assert hasattr(keras.metrics, name)
    for name in known.OPTIMIZERS:
        assert hasattr(optimizers, name)


@pytest.mark.parametrize(
    "given",
    [
        None,
        [],
        {},
        {"optimizer": None},
        {"optimizer": 3},
        {"optimizer": {"class_name": ["Adam"], "config": {}}},
        {"optimizer": {"module": "os", "class_name": "Adam", "config": {}}},
        {"optimizer": {"class_name": "Adam", "config": {}, "registered_name": "mine>Adam"}},
        {"optimizer": {"class_name": "LossScaleOptimizer", "config": {"inner_optimizer": "system"}}},
        {
            "optimizer": {
                "class_name": "Adam",
                "config": {"learning_rate": {"class_name": "Mine", "config": {}}},
            }
        },
        {"optimizer": "adam", "loss": "mine"},
        {"optimizer": "adam", "loss": {"class_name": "Mine", "config": {}}},
        {"optimizer": "adam", "loss": "mse", "loss_weights": "heavy"},
        {"optimizer": "adam", "loss": "mse", "metrics": [{"class_name": "function", "config": "mine"}]},
    ],
)
def test_what_is_not_of_keras_is_not_taken(given: Any):
    assert training_config(given) is None
    swapped = (
        {"optimizer_config" if k == "optimizer" else k: v for k, v in (given or {}).items()}
        if given
        else given
    )
    assert compile_config(swapped) is None


def test_a_deep_compile_state_is_not_taken(tmp_path: Path):
    trained(optimizers.Adam(), tmp_path)
    with h5py.File(tmp_path / "saved.h5", "r+") as file:
        training = json.loads(file.attrs["training_config"])
        for _ in range(400):
            training["loss"] = [training["loss"]]
        file.attrs["training_config"] = json.dumps(training)
    rewriter.convert(tmp_path / "saved.h5", tmp_path / "new.keras", verify=False)
    with (
        zipfile.ZipFile(tmp_path / "new.keras") as archive,
        h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file,
    ):
        assert "layers" in file
