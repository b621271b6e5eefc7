"""Trained by tf_keras, converted, trained on by Keras 3: the optimizer's variables, and the weights a step later."""

from __future__ import annotations

import inspect
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import rewriter
from rewriter.formats.keras.upgrade import compiled

new, legacy = tf_keras.optimizers, tf_keras.optimizers.legacy
layers = tf_keras.layers
RNG = np.random.default_rng(7)
GIVEN = RNG.normal(size=(6, 5)).astype("float32")
WANTED = RNG.normal(size=(6, 2)).astype("float32")
STATE = "state of the optimizer"


def branches(recurrent: bool = False) -> Any:
    """Layers that Keras 3 has in another order: it sees the operations of one branch, and none of the other."""
    tf_keras.utils.set_random_seed(11)
    x = tf_keras.Input((5,))
    left = layers.Dense(4, activation="tanh", name="left")(x)
    right = tf.nn.relu(layers.Dense(4, name="right")(x) * 2.0 + 1.0)
    inside = tf_keras.Input((4,))
    inner = tf_keras.Model(inside, layers.Dense(4, name="dense")(inside), name="inner")
    frozen = layers.Dense(4, name="frozen", trainable=False)(inner(right))
    steps = layers.Reshape((2, 2))(layers.BatchNormalization(name="norm")(layers.Add()([left, frozen])))
    last = layers.Bidirectional(layers.GRU(3), name="both") if recurrent else layers.Flatten()
    steps = last(steps)
    return tf_keras.Model(x, layers.Dense(2, name="out")(steps))


def words() -> Any:
    """An embedding table; a batch uses some of its rows."""
    tf_keras.utils.set_random_seed(11)
    x = tf_keras.Input((5,))
    rows = layers.Embedding(50, 3, name="rows")(x)
    return tf_keras.Model(x, layers.Dense(2, name="out")(layers.Flatten()(rows)))


def trained(model: Any, optimizer: Any, given: np.ndarray = GIVEN) -> Any:
    model.compile(optimizer, tf_keras.losses.MeanSquaredError(), run_eagerly=True)
    for _ in range(2):
        model.train_on_batch(given, WANTED)
    return model


def converted(path: Path) -> tuple[Any, str]:
    """The model that Keras 3 loads, and the remark about the state."""
    target = path.with_name("converted.keras")
    result = rewriter.convert(path, target, verify=False)
    said = [remark.became for remark in result.remarks if remark.construct == STATE]
    assert len(said) == 1
    model = keras.saving.load_model(target)
    model.run_eagerly = True
    return model, said[0]


def by_name(model: Any, value: Callable[[Any, int], Any]) -> dict[str, np.ndarray]:
    """A value for every trainable variable, by the path of layers to it."""
    found: dict[str, np.ndarray] = {}
    for number, variable in enumerate(model.trainable_variables):
        owner, position = next(
            (path, k)
            for path, layer in walked(model)
            for k, other in enumerate(layer.trainable_variables)
            if other is variable
        )
        found[f"{owner} {position}"] = np.asarray(value(variable, number))
    return found


def walked(model: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """The layers of a model, without nested models themselves, with their paths."""
    found = []
    for layer in model.layers:
        inside = hasattr(layer, "layers")
        found += walked(layer, f"{prefix}{layer.name}/") if inside else [(f"{prefix}{layer.name}", layer)]
    return found


def slots(model: Any, attribute: str) -> dict[str, np.ndarray]:
    return by_name(model, lambda _, number: getattr(model.optimizer, attribute)[number])


def old_slots(model: Any, name: str, attribute: str) -> dict[str, np.ndarray]:
    """The slots of a tf_keras optimizer: by the name of the slot in ``legacy``."""
    if isinstance(model.optimizer, legacy.Optimizer):
        return by_name(model, lambda variable, _: model.optimizer.get_slot(variable, name).numpy())
    held = {"Lion": {"_momentums": "momentums"}}.get(type(model.optimizer).__name__, {})
    return slots(model, held.get(attribute, attribute))


def assert_same(actual: dict[str, np.ndarray], desired: dict[str, np.ndarray], atol: float = 0) -> None:
    assert actual.keys() == desired.keys()
    assert len(actual) > 3 or "rows 0" in actual
    for name, value in desired.items():
        np.testing.assert_allclose(actual[name], value, rtol=0, atol=atol, err_msg=name)


def schedule() -> Any:
    return new.schedules.ExponentialDecay(0.05, 2, 0.5)


# Optimizers, and their slots: the name in ``legacy``, the attribute in Keras 3.
ADAM = {"m": "_momentums", "v": "_velocities"}
CARRIED: dict[str, tuple[Callable[[], Any], dict[str, str]]] = {
    "sgd": (lambda: new.SGD(schedule()), {}),
    "sgd-nesterov": (lambda: new.SGD(0.1, momentum=0.9, nesterov=True), {"momentum": "momentums"}),
    "rmsprop-centered": (
        lambda: new.RMSprop(momentum=0.5, centered=True),
        {"rms": "_velocities", "momentum": "_momentums", "mg": "_average_gradients"},
    ),
    "adam-amsgrad": (lambda: new.Adam(amsgrad=True, clipnorm=0.1), {**ADAM, "vhat": "_velocity_hats"}),
    "adamw": (lambda: new.AdamW(weight_decay=0.1), ADAM),
    "adamax": (lambda: new.Adamax(), {"m": "_m", "v": "_u"}),
    "adagrad": (lambda: new.Adagrad(0.1), {"accumulator": "_accumulators"}),
    "adadelta": (
        lambda: new.Adadelta(1.0),
        {"accum_grad": "_accumulated_grads", "accum_var": "_accumulated_delta_vars"},
    ),
    "ftrl": (lambda: new.Ftrl(0.1), {"accumulator": "_accumulators", "linear": "_linears"}),
    "adafactor": (lambda: new.Adafactor(), {"v": "_v"}),
    "lion": (lambda: new.Lion(), {"m": "_momentums"}),
    "legacy-sgd-momentum": (lambda: legacy.SGD(0.1, momentum=0.9, decay=0.3), {"momentum": "momentums"}),
    "legacy-rmsprop": (
        lambda: legacy.RMSprop(0.01, momentum=0.5, centered=True),
        {"rms": "_velocities", "momentum": "_momentums", "mg": "_average_gradients"},
    ),
    "legacy-adam": (lambda: legacy.Adam(schedule()), ADAM),
    "legacy-adam-amsgrad": (
        lambda: legacy.Adam(amsgrad=True, decay=0.3),
        {**ADAM, "vhat": "_velocity_hats"},
    ),
    "legacy-adamax": (lambda: legacy.Adamax(), {"m": "_m", "v": "_u"}),
    "legacy-adagrad": (lambda: legacy.Adagrad(0.1), {"accumulator": "_accumulators"}),
    "legacy-adadelta": (
        lambda: legacy.Adadelta(1.0),
        {"accum_grad": "_accumulated_grads", "accum_var": "_accumulated_delta_vars"},
    ),
    "legacy-ftrl": (lambda: legacy.Ftrl(0.1), {"accumulator": "_accumulators", "linear": "_linears"}),
}


@pytest.mark.parametrize("name", CARRIED)
def test_state(name: str, tmp_path: Path):
    make, held = CARRIED[name]
    old = trained(branches(name == "legacy-adam"), make())
    old.save(tmp_path / "old.h5")
    model, said = converted(tmp_path / "old.h5")
    assert said == "carried over"
    assert int(model.optimizer.iterations) == 2
    order = [name for name, _ in walked(model)]
    assert order.index("left") > order.index("right")
    for slot, attribute in held.items():
        desired = old_slots(old, slot, attribute)
        assert any(np.abs(value).max() > 0 for value in desired.values())
        assert_same(slots(model, attribute), desired)
    old.train_on_batch(GIVEN, WANTED)
    model.train_on_batch(GIVEN, WANTED)
    weights = by_name(model, lambda variable, _: variable)
    assert_same(weights, by_name(old, lambda variable, _: variable.numpy()), atol=1e-6)
    if name == "adafactor":
        factors = dict(zip(weights, model.optimizer._r, strict=True))
        before = dict(zip(by_name(old, lambda v, _: v.numpy()), old.optimizer._r, strict=True))
        for key, value in factors.items():
            np.testing.assert_allclose(value, before[key].numpy(), rtol=1e-5)


@pytest.mark.parametrize("name", ["adam-amsgrad", "sgd-nesterov", "adafactor"])
def test_the_state_in_an_archive(name: str, tmp_path: Path):
    make, held = CARRIED[name]
    old = trained(branches(recurrent=True), make())
    old.save(tmp_path / "old.keras")
    model, said = converted(tmp_path / "old.keras")
    assert said == "carried over"
    for slot, attribute in held.items():
        assert_same(slots(model, attribute), old_slots(old, slot, attribute))
    old.train_on_batch(GIVEN, WANTED)
    model.train_on_batch(GIVEN, WANTED)
    weights = by_name(model, lambda variable, _: variable)
    assert_same(weights, by_name(old, lambda variable, _: variable.numpy()), atol=1e-6)


@pytest.mark.parametrize("name", ["adam", "SGD"])
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_an_optimizer_that_is_a_name(name: str, suffix: str, tmp_path: Path):
    old = trained(branches(), name)
    old.save(tmp_path / f"old{suffix}")
    model, said = converted(tmp_path / f"old{suffix}")
    assert said == "carried over"
    old.train_on_batch(GIVEN, WANTED)
    model.train_on_batch(GIVEN, WANTED)
    weights = by_name(model, lambda variable, _: variable)
    assert_same(weights, by_name(old, lambda variable, _: variable.numpy()), atol=1e-6)


def test_rows_that_a_batch_does_not_take(tmp_path: Path):
    """Adam still changes them; the older Adadelta leaves them and their state unchanged.

    No row occurs twice: TensorFlow then gives Keras 3 two gradients for it, which it squares one by one.
    """
    given, later = (RNG.permutation(40)[:30].reshape(6, 5).astype("float32") for _ in range(2))
    for make, carried in (
        (legacy.Adam, True),
        (new.Adadelta, True),
        (new.Ftrl, True),
        (legacy.Adadelta, False),
    ):
        old = trained(words(), make(0.1), given)
        old.save(tmp_path / "old.h5")
        model, said = converted(tmp_path / "old.h5")
        assert (said == "carried over") == carried, said
        if carried:
            old.train_on_batch(later, WANTED)
            model.train_on_batch(later, WANTED)
            weights = by_name(model, lambda variable, _: variable)
            assert_same(weights, by_name(old, lambda variable, _: variable.numpy()), atol=1e-6)
        else:
            assert "rows that a batch does not take" in said


def _hard() -> Any:
    tf_keras.utils.set_random_seed(3)
    x = tf_keras.Input((5,))
    steps = layers.LSTM(3, recurrent_activation="hard_sigmoid", name="lstm")(layers.Reshape((5, 1))(x))
    return tf_keras.Model(x, layers.Dense(2, name="out")(steps))


def _frozen() -> Any:
    tf_keras.utils.set_random_seed(3)
    x = tf_keras.Input((5,))
    steps = layers.Bidirectional(layers.GRU(3), name="both", trainable=False)(layers.Reshape((5, 1))(x))
    return tf_keras.Model(x, layers.Dense(2, name="out")(steps))


LEFT_OUT: dict[str, tuple[Callable[[], Any], Callable[[], Any], str]] = {
    "nadam": (branches, lambda: new.Nadam(), "product of its momenta"),
    "averages": (branches, lambda: new.SGD(0.1, use_ema=True), "use_ema"),
    "legacy-rmsprop": (branches, lambda: legacy.RMSprop(), "adds epsilon to the root"),
    "legacy-adagrad": (
        branches,
        lambda: legacy.Adagrad(initial_accumulator_value=0.0),
        "adds epsilon to the root",
    ),
    "decay-of-a-schedule": (branches, lambda: legacy.SGD(schedule(), decay=0.1), "decay that is dropped"),
    "scaled": (_hard, lambda: new.Adam(), "LSTM layers get other numbers"),
    "frozen": (_frozen, lambda: new.Adam(), "'both' is frozen, but a layer inside is trainable"),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_left_out(name: str, tmp_path: Path):
    build, make, why = LEFT_OUT[name]
    trained(build(), make()).save(tmp_path / "old.h5")
    model, said = converted(tmp_path / "old.h5")
    assert said.startswith("left out, training starts with a new one: ")
    assert why in said
    assert int(model.optimizer.iterations) == 0
    model.train_on_batch(GIVEN, WANTED)


@pytest.mark.parametrize(
    "other", [{"class_name": "Addons>AdamW"}, {"class_name": "AdamW", "registered_name": "mine>AdamW"}]
)
def test_an_optimizer_of_another_package(other: dict[str, str], with_momentum: Path, tmp_path: Path):
    """TensorFlow Addons applies weight_decay directly, Keras times the learning rate."""
    path = Path(shutil.copy(with_momentum, tmp_path))
    with h5py.File(path, "r+") as file:
        training = json.loads(file.attrs["training_config"])
        training["optimizer_config"] = {"config": {"weight_decay": 0.1}} | other
        file.attrs["training_config"] = json.dumps(training)
    result = rewriter.convert(path, tmp_path / "new.keras", verify=False)
    assert "AdamW is not part of Keras 3" in str(result.remarks)
    assert not keras.saving.load_model(tmp_path / "new.keras").compiled


def test_decay(tmp_path: Path):
    trained(branches(), legacy.SGD(0.5, decay=0.25)).save(tmp_path / "old.h5")
    model, _ = converted(tmp_path / "old.h5")
    assert float(model.optimizer.learning_rate) == pytest.approx(0.5 / (1 + 0.25 * 2))


def test_losses_under_other_names(tmp_path: Path):
    """Keras 3 does not accept all names of Keras 2."""
    for loss, metric in (("huber_loss", "kld"), ("logcosh", "mse"), ("kullback_leibler_divergence", "acc")):
        model = tf_keras.Sequential([tf_keras.Input((5,)), layers.Dense(2, activation="softmax")])
        model.compile("adam", loss, [metric])
        model.save(tmp_path / "old.h5")
        converted(tmp_path / "old.h5")[0].train_on_batch(GIVEN, np.abs(WANTED))


# -- the form of the weights, and of the names -----------------------------
def test_a_kernel_that_is_turned(tmp_path: Path):
    """Kernels that Theano trained are flipped, and so are their values in the optimizer."""
    x = tf_keras.Input((5,))
    image = layers.Conv1D(3, 2, name="conv")(layers.Reshape((5, 1))(x))
    old = trained(tf_keras.Model(x, layers.Dense(2, name="out")(layers.Flatten()(image))), new.Adam())
    old.save(tmp_path / "old.h5")
    with h5py.File(tmp_path / "old.h5", "r+") as file:
        file.attrs["backend"] = file["model_weights"].attrs["backend"] = "theano"
    model, said = converted(tmp_path / "old.h5")
    assert said == "carried over"
    for attribute in ("_momentums", "_velocities"):
        desired = slots(old, attribute)
        desired["conv 0"] = desired["conv 0"][::-1]
        assert_same(slots(model, attribute), desired)
    trained(old, new.Adafactor()).save(tmp_path / "old.h5")
    with h5py.File(tmp_path / "old.h5", "r+") as file:
        file.attrs["backend"] = file["model_weights"].attrs["backend"] = "theano"
    assert "kernels in another form" in converted(tmp_path / "old.h5")[1]


def test_names_of_keras_2_2(tmp_path: Path):
    """The names do not show the weight of a variable, but the order does. Adam also keeps vectors of one number."""
    old = trained(branches(), legacy.Adam(0.01))
    for version, carried in (("2.2.4", True), ("2.3.1", True), ("2.0.8", False)):
        old.save(tmp_path / "old.h5")
        count = len(old.trainable_variables)
        with h5py.File(tmp_path / "old.h5", "r+") as file:
            file.attrs["keras_version"] = file["model_weights"].attrs["keras_version"] = version
            values = [
                file["optimizer_weights"][n][()] for n in file["optimizer_weights"].attrs["weight_names"]
            ]
            del file["optimizer_weights"]
            values += [np.zeros(1, "float32")] * count
            names = ["Adam/iterations:0", *(f"training/Adam/Variable_{k}:0" for k in range(3 * count))]
            made = file.create_group("optimizer_weights")
            made.attrs["weight_names"] = [name.encode() for name in names]
            for name, value in zip(names, values, strict=True):
                made[name] = value
        model, said = converted(tmp_path / "old.h5")
        assert (said == "carried over") == carried, said
        if carried:
            assert_same(slots(model, "_velocities"), old_slots(old, "v", "_velocities"))


@pytest.fixture(scope="module")
def with_momentum(tmp_path_factory: Any) -> Path:
    path = tmp_path_factory.mktemp("trained") / "old.h5"
    trained(branches(), legacy.SGD(0.1, momentum=0.9)).save(path)
    return path


def rename(path: Path, names: Callable[[list[bytes]], list[bytes]]) -> None:
    with h5py.File(path, "r+") as file:
        group = file["optimizer_weights"]
        group.attrs["weight_names"] = names(list(group.attrs["weight_names"]))


def _swapped(names: list[Any]) -> list[Any]:
    """The averages of two kernels of one shape."""
    first = next(k for k, name in enumerate(names) if "left/kernel" in name)
    second = next(k for k, name in enumerate(names) if "right/kernel" in name)
    names[first], names[second] = names[second], names[first]
    return names


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (_swapped, "not those of the weights, in their order"),
        (lambda names: names[:-1], "do not fit"),
        (lambda names: names[:1], "nothing was trained"),
        (lambda names: [*names[:-1], "nowhere:0"], "cannot be read"),
        (lambda names: [names[1], *names[1:]], "first variable is not the number of the step"),
    ],
    ids=["swapped", "fewer", "one", "nowhere", "first"],
)
def test_state_that_is_not_certain(names: Any, why: str, with_momentum: Path, tmp_path: Path):
    path = Path(shutil.copy(with_momentum, tmp_path))
    rename(path, names)
    model, said = converted(path)
    assert why in said
    assert int(model.optimizer.iterations) == 0


def test_a_step_that_is_none(with_momentum: Path, tmp_path: Path):
    path = Path(shutil.copy(with_momentum, tmp_path))
    for step in (-1.0, 0.5, np.nan, np.inf):
        with h5py.File(path, "r+") as file:
            name = next(iter(file["optimizer_weights"].attrs["weight_names"]))
            del file["optimizer_weights"][name]
            file["optimizer_weights"][name] = np.float32(step)
        result = rewriter.convert(path, tmp_path / "new.keras", verify=False)
        assert "first variable is not the number of the step" in str(result.remarks)


def test_an_archive_with_a_gap(tmp_path: Path):
    trained(branches(), new.Adam()).save(tmp_path / "whole.keras")
    with (
        zipfile.ZipFile(tmp_path / "whole.keras") as old,
        zipfile.ZipFile(tmp_path / "old.keras", "w") as made,
    ):
        for name in old.namelist():
            data = old.read(name)
            if name.endswith(".h5"):
                (tmp_path / "w.h5").write_bytes(data)
                with h5py.File(tmp_path / "w.h5", "r+") as file:
                    file["optimizer/vars"].move("5", "999")
                data = (tmp_path / "w.h5").read_bytes()
            made.writestr(name, data)
    assert "do not fit" in converted(tmp_path / "old.keras")[1]


def test_a_learning_rate_that_is_none(with_momentum: Path, tmp_path: Path):
    path = Path(shutil.copy(with_momentum, tmp_path))
    for rate in (10**400, None, [], "fast"):
        with h5py.File(path, "r+") as file:
            training = json.loads(file.attrs["training_config"])
            training["optimizer_config"]["config"]["learning_rate"] = rate
            file.attrs["training_config"] = json.dumps(training)
        result = rewriter.convert(path, tmp_path / "new.keras", verify=False)
        assert "its learning rate is not known" in str(result.remarks)


def test_to_h5(tmp_path: Path):
    """The model is compiled, and training starts anew: Keras 3 restores no state from .h5."""
    trained(words(), legacy.SGD(0.5, momentum=0.5, decay=0.25), np.abs(GIVEN)).save(tmp_path / "whole.h5")
    shutil.copy(tmp_path / "whole.h5", tmp_path / "damaged.h5")
    rename(tmp_path / "damaged.h5", lambda names: [*names[:-1], "nowhere:0"])
    for name in ("whole.h5", "damaged.h5"):
        target = tmp_path / f"new-{name}"
        result = rewriter.convert(tmp_path / name, target, verify=False)
        assert "Keras 3 does not restore it from an .h5 file" in str(result.remarks)
        model = keras.saving.load_model(target)
        assert float(model.optimizer.learning_rate) == 0.5
        assert model.optimizer.momentum == 0.5
        model.train_on_batch(np.abs(GIVEN), WANTED)


def test_training_that_is_no_training(with_momentum: Path, tmp_path: Path):
    """Invalid training configurations do not stop a conversion."""
    path = Path(shutil.copy(with_momentum, tmp_path))
    deep: Any = "mse"
    for _ in range(300):
        deep = [deep]
    adam = {"class_name": "Adam", "config": {}}
    for training in (
        {"optimizer_config": {"class_name": ["Adam"], "config": {}}, "loss": "mse"},
        {"optimizer_config": {"class_name": "Adam", "config": []}, "loss": {"class_name": [], "config": 3}},
        {
            "optimizer_config": adam,
            "loss": {"class_name": "Huber", "config": []},
            "metrics": [{"class_name": {}}],
        },
        {
            "optimizer_config": adam,
            "loss": "mse",
            "metrics": [{"class_name": "MeanMetricWrapper", "config": []}],
        },
        {"optimizer_config": adam, "loss": deep},
        {"optimizer_config": {"class_name": "Adam", "config": {"learning_rate": {"class_name": []}}}},
        [],
    ):
        with h5py.File(path, "r+") as file:
            file.attrs["training_config"] = json.dumps(training)
        rewriter.convert(path, tmp_path / "new.keras", verify=False)


METRICS: dict[str, Callable[[Any], Any]] = {
    "a name": lambda library: "AUC",
    "auc": lambda library: library.metrics.AUC(num_thresholds=11, curve="PR", name="area"),
    "precision": lambda library: library.metrics.Precision(thresholds=0.3),
    "recall": lambda library: library.metrics.Recall(class_id=1),
    "binary": lambda library: library.metrics.BinaryAccuracy(threshold=0.7),
    "top": lambda library: library.metrics.TopKCategoricalAccuracy(k=1),
    "sensitivity": lambda library: library.metrics.SensitivityAtSpecificity(0.4, num_thresholds=7),
    "squared": lambda library: library.metrics.MeanSquaredError(name="mine"),
    "negatives": lambda library: library.metrics.TrueNegatives(0.4),
    "short name": lambda library: "mae",
    "long name": lambda library: "mean_absolute_percentage_error",
    "accuracy": lambda library: "acc",
}


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_metrics_are_those_of_before(suffix: str, tmp_path: Path):
    """Both models give the same metrics on the same data, by name."""
    x = tf_keras.Input((5,))
    old = tf_keras.Model(x, layers.Dense(2, activation="sigmoid")(x))
    old.compile("adam", "mse", metrics=[make(tf_keras) for make in METRICS.values()])
    wanted = (WANTED > 0).astype("float32")
    old.train_on_batch(GIVEN, wanted)
    old.save(tmp_path / f"old{suffix}")
    model, _ = converted(tmp_path / f"old{suffix}")
    before = old.evaluate(GIVEN, wanted, return_dict=True, verbose=0)
    after = model.evaluate(GIVEN, wanted, return_dict=True, verbose=0)
    assert len(before) == len(METRICS) + 1
    assert after == pytest.approx(before, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_weighted_metrics_are_those_of_before(suffix: str, tmp_path: Path):
    """They are weighted by sample, the plain ones beside them are not."""
    x = tf_keras.Input((5,))
    old = tf_keras.Model(x, layers.Dense(2, activation="sigmoid")(x))
    plain, *others = (METRICS[name](tf_keras) for name in ("recall", "binary", "auc"))
    old.compile("adam", "mse", metrics=[plain], weighted_metrics=others)
    wanted, weights = (WANTED > 0).astype("float32"), np.arange(6, dtype="float32")
    old.train_on_batch(GIVEN, wanted, sample_weight=weights)
    old.save(tmp_path / f"old{suffix}")
    model, _ = converted(tmp_path / f"old{suffix}")
    before = old.evaluate(GIVEN, wanted, sample_weight=weights, return_dict=True, verbose=0)
    after = model.evaluate(GIVEN, wanted, sample_weight=weights, return_dict=True, verbose=0)
    assert after == pytest.approx(before, rel=1e-5, abs=1e-6)
    unweighted = old.evaluate(GIVEN, wanted, return_dict=True, verbose=0)
    assert before["binary_accuracy"] != pytest.approx(unweighted["binary_accuracy"])


PER_OUTPUT = {
    "a dict": {"q": "acc"},
    "a list": [None, ["acc"]],
    "a list of lists": [["mae"], ["acc", "mse"]],
    "all of one": {"p": ["mae", "mse"]},
}


@pytest.mark.parametrize("key", ["metrics", "weighted_metrics"])
@pytest.mark.parametrize("name", PER_OUTPUT)
def test_metrics_of_one_output_of_several(name: str, key: str, tmp_path: Path):
    x = tf_keras.Input((5,))
    outputs = [layers.Dense(2, activation="sigmoid", name=each)(x) for each in "pq"]
    old = tf_keras.Model(x, outputs)
    old.compile("adam", {"p": "mse", "q": "binary_crossentropy"}, **{key: PER_OUTPUT[name]})
    wanted = (WANTED > 0).astype("float32")
    old.train_on_batch(GIVEN, [wanted, wanted])
    old.save(tmp_path / "old.h5")
    model, _ = converted(tmp_path / "old.h5")
    before = old.evaluate(GIVEN, [wanted, wanted], return_dict=True, verbose=0)
    after = model.evaluate(GIVEN, [wanted, wanted], return_dict=True, verbose=0)
    assert after == pytest.approx(before, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("key", ["metrics", "weighted_metrics"])
def test_a_metric_that_is_dropped_is_named(key: str, with_momentum: Path, tmp_path: Path):
    """Each kind is dropped alone."""
    path = Path(shutil.copy(with_momentum, tmp_path))
    with h5py.File(path, "r+") as file:
        training = json.loads(file.attrs["training_config"])
        both = {"metrics": ["mae"], "weighted_metrics": ["mae"], key: ["my_metric"]}
        file.attrs["training_config"] = json.dumps(training | both)
    result = rewriter.convert(path, tmp_path / "new.keras", verify=False)
    exported = rewriter.convert(path, tmp_path / "new.onnx", verify=False)
    assert all(each.construct != key for each in exported.remarks)
    (remark,) = [each for each in result.remarks if each.construct == key]
    assert "my_metric is not part of Keras 3" in remark.became
    with zipfile.ZipFile(tmp_path / "new.keras") as archive:
        config = json.loads(archive.read("config.json"))["compile_config"]
    kept = {"metrics": ["mae"], "weighted_metrics": ["mae"], key: None}
    assert {name: config[name] for name in kept} == kept


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_an_output_without_a_loss(suffix: str, tmp_path: Path):
    x = tf_keras.Input((5,))
    old = tf_keras.Model(x, [layers.Dense(2, name="free")(x), layers.Dense(2, name="bound")(x)])
    old.compile("adam", loss={"bound": "mse"}, run_eagerly=True)
    old.train_on_batch(GIVEN, {"free": WANTED, "bound": WANTED})
    old.save(tmp_path / f"old{suffix}")
    model, _ = converted(tmp_path / f"old{suffix}")
    for each in (old, model):
        each.train_on_batch(GIVEN, {"free": WANTED, "bound": WANTED})
    weights = by_name(model, lambda variable, _: variable)
    assert_same(weights, by_name(old, lambda variable, _: variable.numpy()), atol=1e-6)


def test_tables_are_those_of_both_libraries():
    """Arguments of metrics, and the defaults of an optimizer that is only a name."""
    for name in compiled.METRICS:
        taken = set(inspect.signature(getattr(keras.metrics, name).__init__).parameters)
        assert compiled._METRICS.get(name, frozenset()) <= taken, name
        if hasattr(tf_keras.metrics, name):
            old = set(inspect.signature(getattr(tf_keras.metrics, name).__init__).parameters)
            assert (old & taken) - {"self", "name", "dtype"} == compiled._METRICS.get(name, set()), name
    for name, rate in compiled._RATES.items():
        ours, theirs = (
            inspect.signature(getattr(library.optimizers, name).__init__).parameters
            for library in (keras, tf_keras)
        )
        assert theirs["learning_rate"].default == rate, name
        for key in compiled._OPTIMIZERS[name]:
            assert ours[key].default == theirs[key].default, (name, key)
