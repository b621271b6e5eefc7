"""Inserted nodes change the order by which Keras numbers weights: every layer must find its own."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

import rewriter
from rewriter.files.zip import Archive
from rewriter.formats.keras.archive import KerasArchive
from tests import support
from tests.formats.keras.surgery import (
    assert_same_variables,
    edit_weights,
    insert,
    inserted,
    perturb,
    read_config,
    variables_by_path,
    weighted_layers,
    without_names,
)
from tests.zoo import ZOO
from tests.zoo.common import randomise

MODELS = sorted((Path(__file__).parents[3] / "models").glob("*.keras"))


# -- models whose order of layers changes when a node is inserted -----------------------------
def two_grus() -> keras.Model:
    a, b = keras.Input((5, 2), name="a"), keras.Input((5, 2), name="b")
    x, y = layers.GRU(3, name="first")(a), layers.GRU(3, name="second")(b)
    return keras.Model([a, b], layers.Add(name="join")([x, y]), name="two_grus")


def two_denses() -> keras.Model:
    i = keras.Input((4,), name="features")
    x, y = layers.Dense(4, name="left")(i), layers.Dense(4, name="right")(i)
    x = layers.BatchNormalization(name="left_norm")(x)
    y = layers.BatchNormalization(name="right_norm")(y)
    return keras.Model(i, layers.Dense(2, name="head")(layers.Add(name="join")([x, y])), name="two_denses")


def inner(name: str = "inner", prefix: str = "") -> keras.Model:
    i = keras.Input((4,), name=f"{prefix}inner_input")
    x, y = layers.Dense(4, name=f"{prefix}in_left")(i), layers.Dense(4, name=f"{prefix}in_right")(i)
    return keras.Model(i, layers.Multiply(name=f"{prefix}in_join")([x, y]), name=name)


def nested() -> keras.Model:
    i = keras.Input((4,), name="features")
    x, y = inner("one", "one_")(i), inner("two", "two_")(i)
    return keras.Model(i, layers.Add(name="join")([x, layers.Dense(4, name="side")(y)]), name="nested")


def nested_shared() -> keras.Model:
    i = keras.Input((4,), name="features")
    block = inner()
    x = layers.Dense(4, name="before")(i)
    y = layers.Dense(4, name="beside")(i)
    return keras.Model(i, layers.Add(name="join")([block(block(x)), y]), name="nested_shared")


def nested_deep() -> keras.Model:
    i = keras.Input((4,), name="middle_input")
    middle = keras.Model(
        i, layers.Add(name="mid_join")([inner()(i), layers.Dense(4, name="mid")(i)]), name="middle"
    )
    j = keras.Input((4,), name="features")
    sequence = keras.Sequential([keras.Input((4,)), middle, layers.Dense(4, name="last")], name="sequence")
    return keras.Model(
        j, layers.Add(name="join")([sequence(j), layers.Dense(4, name="side")(j)]), name="nested_deep"
    )


def wrapped() -> keras.Model:
    i = keras.Input((3, 4), name="features")
    x = layers.TimeDistributed(inner(), name="each")(i)
    y = layers.TimeDistributed(layers.Dense(4, name="plain"), name="each_dense")(i)
    z = layers.Bidirectional(layers.GRU(2, return_sequences=True, name="gru"), name="both")(i)
    w = layers.MultiHeadAttention(2, 2, name="attend")(i, i)
    return keras.Model(i, layers.Add(name="join")([x, y, z, w]), name="wrapped")


def shared_dense() -> keras.Model:
    i = keras.Input((4,), name="features")
    shared, other = layers.Dense(4, name="shared"), layers.Dense(4, name="other")
    x = shared(layers.ReLU(name="act")(shared(i)))
    return keras.Model(i, layers.Add(name="join")([x, other(other(i))]), name="shared_dense")


# The builder, and the places before which a node is inserted.
CASES = {
    "two-grus": (two_grus, [("join", 1)]),
    "two-grus-early": (two_grus, ["second"]),
    "two-denses": (two_denses, [("join", 1)]),
    "two-denses-norm": (two_denses, ["right_norm"]),
    "nested-in-the-inner": (nested, [("one/one_in_join", 1)]),
    "nested-in-both": (nested, [("one/one_in_join", 1), ("two/two_in_join", 1)]),
    "nested-in-the-outer": (nested, [("join", 0)]),
    "nested-everywhere": (nested, [("one/one_in_join", 1), ("join", 0)]),
    "nested-shared-inner": (nested_shared, [("inner/in_join", 1)]),
    "nested-shared-outer": (nested_shared, [("join", 1)]),
    "nested-deep": (nested_deep, [("sequence/middle/inner/in_join", 1), ("sequence/middle/mid_join", 1)]),
    "nested-deep-outer": (nested_deep, [("join", 1)]),
    "wrapped-inner": (wrapped, [("each/in_join", 1)]),
    "wrapped-outer": (wrapped, [("join", 3), ("join", 2)]),
    "wrapped-everywhere": (wrapped, [("join", 1), ("each/in_join", 1)]),
    "shared-dense": (shared_dense, [("join", 1)]),
}


@pytest.fixture
def saved(tmp_path):
    """A function that builds a model with random weights and saves it: (path, loaded model)."""

    def save(builder):
        keras.backend.clear_session()
        keras.utils.set_random_seed(5)
        path = tmp_path / "model.keras"
        randomise(builder()).save(path)
        return path, support.load(path)

    return save


def assert_unharmed(path: Path, original: keras.Model) -> keras.Model:
    """The file loads, with every weight in its layer and the same function."""
    model = support.load(path)
    assert_same_variables(variables_by_path(model), variables_by_path(original))
    inputs = support.random_inputs(original, 3)
    support.compare(support.run(model, inputs), support.run(original, inputs))
    return model


# A node before both GRUs moves no layer with weights.
STEADY = ("two-grus-early",)


@pytest.mark.parametrize("name", CASES)
def test_every_layer_keeps_its_weights(saved, tmp_path, name):
    builder, places = CASES[name]
    path, original = saved(builder)
    assert_unharmed(inserted(path, tmp_path / "one.keras", *places), original)
    model = assert_unharmed(inserted(path, tmp_path / "four.keras", *places, count=4), original)
    assert (weighted_layers(model) == weighted_layers(original)) == (name in STEADY)


def test_untouched_weights_would_be_wrong(saved, tmp_path):
    """The trap is real: the same configuration with the weights file left alone loads, and is wrong."""
    path, original = saved(two_grus)
    target = inserted(path, tmp_path / "out.keras", ("join", 1))
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(target) as after:
        trap = tmp_path / "trap.keras"
        with zipfile.ZipFile(trap, "w") as archive:
            for name in after.namelist():
                archive.writestr(name, (before if name.endswith(".h5") else after).read(name))
    with pytest.raises(AssertionError, match="differ"):
        assert_unharmed(trap, original)


@pytest.mark.parametrize("name", CASES)
def test_files_that_state_no_names(saved, tmp_path, name):
    builder, places = CASES[name]
    path, original = saved(builder)
    edit_weights(path, without_names)
    assert_unharmed(inserted(path, tmp_path / "out.keras", *places, count=4), original)


@pytest.mark.parametrize("leftover", ["gru_2", "gru_9", "dense"])
def test_leftover_groups_are_no_trouble(saved, tmp_path, leftover):
    path, original = saved(two_grus)

    def add(file):
        file.create_group(f"layers/{leftover}/vars").attrs["name"] = "long_gone"
        file[f"layers/{leftover}/vars"].create_dataset("0", data=np.ones((2, 2), "float32"))

    edit_weights(path, add)
    assert_unharmed(inserted(path, tmp_path / "out.keras", ("join", 1), count=2), original)


def test_a_layer_that_an_edit_removed(tmp_path):
    """Its group stays in the file and keeps a number; the other groups are found by name."""
    keras.backend.clear_session()
    i = keras.Input((4,), name="features")
    x = layers.Dense(4, name="a")(i)
    y = layers.Dense(4, name="gone")(x)
    z = layers.Dense(4, name="b")(y)
    w = layers.Dense(4, name="c")(i)
    path = tmp_path / "model.keras"
    model = randomise(keras.Model(i, layers.Add(name="join")([z, w])))
    model.save(path)
    archive = KerasArchive(path)
    graph = archive.graph
    graph.nodes["b"].args = graph.nodes["gone"].args
    graph.nodes["b"].changed = True
    graph.remove(graph.nodes["gone"])
    graph.link()
    insert(graph, "join", 1, count=3)
    archive.write(tmp_path / "out.keras")
    archive.close()
    actual = support.weights_by_layer(support.load(tmp_path / "out.keras"))
    desired = support.weights_by_layer(model)
    assert actual.keys() == desired.keys() - {"gone"}
    for name, values in actual.items():
        support.compare(values, desired[name], rtol=0, atol=0)


# -- optimizer state -----------------------------
def scheduled() -> keras.optimizers.Optimizer:
    return keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.01, 10, 0.9))


OPTIMIZERS = {
    "adam": lambda: "adam",
    "adam-ema": lambda: keras.optimizers.Adam(use_ema=True),
    "adam-accumulated": lambda: keras.optimizers.Adam(gradient_accumulation_steps=2, amsgrad=True),
    "adam-scheduled": scheduled,
    "adamw-amsgrad": lambda: keras.optimizers.AdamW(amsgrad=True),
    "sgd": lambda: "sgd",
    "sgd-momentum": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
    "rmsprop": lambda: "rmsprop",
    "rmsprop-centered": lambda: keras.optimizers.RMSprop(momentum=0.5, centered=True),
    "nadam": lambda: keras.optimizers.Nadam(),
    "adadelta": lambda: keras.optimizers.Adadelta(),
    "adagrad": lambda: keras.optimizers.Adagrad(),
    "adamax": lambda: keras.optimizers.Adamax(),
    "adafactor": lambda: keras.optimizers.Adafactor(),
    "ftrl": lambda: keras.optimizers.Ftrl(),
    "lamb": lambda: keras.optimizers.Lamb(),
    "lion": lambda: keras.optimizers.Lion(),
    "schedule-free": lambda: keras.optimizers.ScheduleFreeAdamW(),
    "loss-scale": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01, momentum=0.9)),
}


def trained(model: keras.Model, optimizer, path: Path) -> keras.Model:
    """Train the model a little and save it: the model as Keras loads it, compiled."""
    randomise(model)
    model.compile(optimizer, "mse", metrics=["mae"], run_eagerly=True)
    inputs = support.random_inputs(model, 4)
    for step in range(3):
        targets = [np.random.default_rng(step).normal(size=y.shape) for y in support.run(model, inputs)]
        model.train_on_batch(inputs, targets[0])
    model.save(path)
    return keras.saving.load_model(path)


def slots(model: keras.Model) -> dict[str, np.ndarray]:
    """The optimizer's variables, by slot name and path of the model variable."""
    found = {}
    outer, inner = model.optimizer, getattr(model.optimizer, "inner_optimizer", model.optimizer)
    paths = [v.path for v in model.trainable_variables]
    for attribute, values in vars(inner).items():
        if isinstance(values, list) and len(values) == len(paths) and attribute != "_trainable_variables":
            found |= {f"{attribute} of {path}": np.asarray(v) for path, v in zip(paths, values, strict=True)}
    scalars = [v for optimizer in (outer, inner) for v in optimizer.variables if not v.shape]
    return found | {f"scalar {k}": np.asarray(v) for k, v in enumerate(scalars)}


@pytest.mark.parametrize(
    ("name", "builder"),
    [
        *((name, two_denses) for name in OPTIMIZERS),
        ("adam", wrapped),
        ("adafactor", wrapped),
        ("rmsprop-centered", nested),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_slots_stay_with_their_variables(tmp_path, name, builder):
    keras.backend.clear_session()
    path = tmp_path / "model.keras"
    original = trained(builder(), OPTIMIZERS[name](), path)
    assert any(np.abs(value).max() > 0 for value in slots(original).values() if value.shape) or name == "sgd"
    places = {two_denses: [], wrapped: [("each/in_join", 1)], nested: [("one/one_in_join", 1)]}[builder]
    target = inserted(path, tmp_path / "out.keras", ("join", 0 if builder is nested else 1), *places, count=3)
    model = keras.saving.load_model(target)
    assert weighted_layers(model) != weighted_layers(original)
    assert_same_variables(slots(model), slots(original))
    assert_same_variables(variables_by_path(model), variables_by_path(original))
    assert model.get_compile_config() == original.get_compile_config()


def frozen() -> keras.Model:
    model = two_denses()
    model.get_layer("left").trainable = False
    model.get_layer("right_norm").trainable = False
    return model


def awkward() -> keras.Model:
    """Layers with variables that are not trained, or not weights, on two branches."""
    i = keras.Input((6, 4), name="features")
    norm = layers.Normalization(name="scale")
    norm.adapt(np.random.default_rng(0).normal(size=(8, 6, 4)))
    x = layers.SpectralNormalization(layers.Dense(4, name="spectral_dense"), name="spectral")(norm(i))
    x = layers.BatchNormalization(scale=False, name="no_gamma")(x)
    y = layers.GRU(4, return_sequences=True, recurrent_dropout=0.1, name="gru")(i)
    y = layers.RNN([layers.LSTMCell(3), layers.GRUCell(4)], return_sequences=True, name="stack")(y)
    y = layers.GaussianNoise(0.1, name="noise")(layers.PReLU(name="slope")(y))
    y = layers.TimeDistributed(layers.BatchNormalization(name="each_norm"), name="each")(y)
    z = layers.MultiHeadAttention(2, 2, dropout=0.1, trainable=False, name="attend")(i, i)
    return keras.Model(i, layers.Add(name="join")([x, y, z]), name="awkward")


@pytest.mark.parametrize("builder", [frozen, awkward], ids=lambda b: b.__name__)
def test_slots_of_models_with_variables_that_are_not_trained(tmp_path, builder):
    keras.backend.clear_session()
    path = tmp_path / "model.keras"
    original = trained(builder(), "adam", path)
    place = ("join", 1) if builder is frozen else ("join", 2)
    model = keras.saving.load_model(inserted(path, tmp_path / "out.keras", place, count=9))
    assert weighted_layers(model) != weighted_layers(original)
    assert_same_variables(slots(model), slots(original))


def test_mixed_precision_wraps_the_optimizer_unasked(tmp_path):
    keras.backend.clear_session()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        path = tmp_path / "model.keras"
        original = trained(two_denses(), keras.optimizers.Adam(), path)
        model = keras.saving.load_model(inserted(path, tmp_path / "out.keras", ("join", 1), count=3))
        assert_same_variables(slots(model), slots(original))
    finally:
        keras.config.set_dtype_policy("float32")


def test_state_of_an_unknown_layout_is_refused_where_the_order_changes(tmp_path):
    keras.backend.clear_session()
    path = tmp_path / "model.keras"
    original = trained(two_denses(), keras.optimizers.Muon(), path)
    with pytest.raises(
        rewriter.errors.UnsupportedError, match="'?Muon.* is not known; save the model without it"
    ):
        inserted(path, tmp_path / "out.keras", ("join", 1), count=3)
    assert not (tmp_path / "out.keras").exists()
    model = keras.saving.load_model(inserted(path, tmp_path / "out.keras", "head"))
    assert_same_variables(slots(model), slots(original))


def test_state_that_does_not_fit_is_refused(tmp_path):
    keras.backend.clear_session()
    path = tmp_path / "model.keras"
    trained(two_denses(), "adam", path)

    def swap(file):
        group = file["optimizer/vars"]
        group.move("2", "spare")
        group.move("21", "2")
        group.move("spare", "21")

    edit_weights(path, swap)
    with pytest.raises(rewriter.errors.UnsupportedError, match="do not fit"):
        inserted(path, tmp_path / "out.keras", ("join", 1), count=3)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_an_optimizer_that_was_never_used(tmp_path, optimizer):
    keras.backend.clear_session()
    path = tmp_path / "model.keras"
    model = two_denses()
    model.compile(optimizer, "mse")
    model.save(path)
    loaded = keras.saving.load_model(inserted(path, tmp_path / "out.keras", ("join", 1), count=3))
    assert loaded.get_compile_config() == model.get_compile_config()


# -- the rest of the archive -----------------------------
def lookups() -> keras.Model:
    """Two tables that differ only in their assets, and a third in a nested model."""
    a, b = (keras.Input((1,), dtype="string", name=name) for name in "ab")
    tables = []
    for name, words in (("first", "xyz"), ("second", "pqr"), ("third", "uvw")):
        tables.append(layers.StringLookup(name=name))
        tables[-1].adapt(np.array(list(words)))
    i = keras.Input((1,), dtype="string", name="inner_input")
    block = keras.Model(i, layers.Embedding(4, 2, name="third_rows")(tables[2](i)), name="block")
    x = layers.Embedding(4, 2, name="first_rows")(tables[0](a))
    y = layers.Embedding(4, 2, name="second_rows")(tables[1](b))
    return keras.Model([a, b], layers.Add(name="join")([x, y, block(b)]), name="lookups")


def test_assets_stay_with_their_layers(saved, tmp_path):
    path, _ = saved(lookups)
    target = inserted(path, tmp_path / "out.keras", ("join", 1), count=3)
    model = support.load(target)
    assert [layer.name for layer in model.layers if isinstance(layer, layers.StringLookup)] == [
        "second",
        "first",
    ]
    words = {"first": "xyz", "second": "pqr"}
    for name, letters in words.items():
        assert set(model.get_layer(name).get_vocabulary()) == {"[UNK]", *letters}
    third = model.get_layer("block").get_layer("third")
    assert set(third.get_vocabulary()) == {"[UNK]", *"uvw"}
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        assert len(set(archive.namelist())) == len(archive.namelist()) == 6


def test_a_vocabulary_that_only_one_table_has_as_an_asset(saved, tmp_path):
    def build():
        a, b = (keras.Input((1,), dtype="string", name=name) for name in "ab")
        table = layers.TextVectorization(name="first", output_sequence_length=2)
        table.adapt(["x y", "z"])
        other = layers.TextVectorization(name="second", output_sequence_length=2, vocabulary=["p", "q", "r"])
        x, y = layers.Embedding(5, 2, name="left")(table(a)), layers.Embedding(5, 2, name="right")(other(b))
        return keras.Model([a, b], layers.Add(name="join")([x, y]))

    path, original = saved(build)
    model = support.load(inserted(path, tmp_path / "out.keras", ("join", 1), count=3))
    for name in ("first", "second"):
        assert model.get_layer(name).get_vocabulary() == original.get_layer(name).get_vocabulary()


def test_metadata_and_other_members_are_carried_along(saved, tmp_path):
    path, _ = saved(two_denses)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("notes/readme.txt", "by hand")
    target = inserted(path, tmp_path / "out.keras", ("join", 1), count=3)
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(target) as after:
        assert before.namelist() == after.namelist()
        for name in ("metadata.json", "notes/readme.txt"):
            assert before.read(name) == after.read(name)


def test_a_compressed_weights_file_is_inflated_once(tmp_path, monkeypatch):
    """Its index, the order of its groups and that of the optimizer's state are read from one copy."""
    keras.backend.clear_session()
    original = trained(two_denses(), "adam", tmp_path / "stored.keras")
    with (
        zipfile.ZipFile(tmp_path / "stored.keras") as stored,
        zipfile.ZipFile(tmp_path / "model.keras", "w", zipfile.ZIP_DEFLATED) as deflated,
    ):
        for name in stored.namelist():
            deflated.writestr(name, stored.read(name))
    read, names = Archive.read, []
    monkeypatch.setattr(
        Archive, "read", lambda self, name, limit: names.append(name) or read(self, name, limit)
    )
    target = inserted(tmp_path / "model.keras", tmp_path / "out.keras", ("join", 1), count=3)
    assert names.count("model.weights.h5") == 1
    assert_same_variables(slots(keras.saving.load_model(target)), slots(original))


# -- the applications -----------------------------
SMALL = {"MobileNetV3Small": 64, "EfficientNetB0": 64}
LARGE_INPUT = ("NASNetLarge", "NASNetMobile")
OTHERS = sorted(n for n in dir(keras.applications) if n[0].isupper() and n not in SMALL)


def check_application(name: str, size: int, folder: Path) -> None:
    """Insert nodes early and all over one of keras.applications, and find every weight where it belongs."""
    keras.backend.clear_session()
    model = perturb(getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3)))
    path, target = folder / "model.keras", folder / "out.keras"
    model.save(path)
    inputs = support.random_inputs(model, 2)
    desired = support.run(model, inputs)
    weights = support.weights_by_layer(model)
    del model
    keras.backend.clear_session()
    archive = KerasArchive(path)
    takers = [n for n in archive.graph.order if archive.graph.nodes[n].refs()]
    names = []
    for k, taker in enumerate(takers):
        if k < 3 or k % 7 == 0:
            names += insert(archive.graph, taker, len(archive.graph.nodes[taker].refs()) - 1, count=1 + k % 3)
    archive.write(target)
    archive.close()
    path.unlink()
    repaired = support.load(target)
    actual = support.weights_by_layer(repaired)
    assert actual.keys() == weights.keys()
    for layer, values in weights.items():
        assert [w.tobytes() for w in actual[layer]] == [w.tobytes() for w in values], layer
    support.compare(support.run(repaired, inputs), desired, rtol=1e-5, atol=1e-8)
    assert {op.name for op in repaired.operations} >= set(names)
    target.unlink()


@pytest.mark.parametrize("name", SMALL)
def test_a_small_application_with_nodes_inserted(tmp_path, name):
    check_application(name, SMALL[name], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_an_application_with_nodes_inserted(tmp_path, name):
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(
        20_000
    )  # Keras walks a graph by recursion, and this one is twice as deep as the original
    try:
        check_application(name, 224 if name in LARGE_INPUT else 96, tmp_path)
    finally:
        sys.setrecursionlimit(before)


# -- save, load, save -----------------------------
@pytest.mark.parametrize("source", MODELS, ids=lambda p: p.stem)
def test_a_repaired_file_survives_keras(tmp_path, source):
    result = rewriter.repair(source, tmp_path / "fixed.keras")
    if result.output is None:
        assert result.undecided
        assert not (tmp_path / "fixed.keras").exists()
        return
    once = support.load(tmp_path / "fixed.keras")
    once.save(tmp_path / "again.keras")
    twice = support.load(tmp_path / "again.keras")
    assert_same_variables(variables_by_path(twice), variables_by_path(once))
    for batch in (1, 3):
        inputs = support.random_inputs(once, batch)
        support.compare(support.run(twice, inputs), support.run(once, inputs))
    text = str(read_config(tmp_path / "again.keras"))
    for node in result.inserted:
        assert repr(node.node.split("/")[-1]) in text
    assert not rewriter.repair(tmp_path / "again.keras", tmp_path / "third.keras").inserted


@pytest.mark.parametrize("name", ["nested-shared", "twin-gru", "twin-dense", "se-unicode"])
def test_the_zoo_with_nodes_inserted_everywhere(tmp_path, name):
    model = ZOO[name].build()
    path = tmp_path / "model.keras"
    model.save(path)
    original = support.load(path)
    archive = KerasArchive(path)
    graphs = [archive.graph, *(op.graph for op in archive.graph.operations.values() if op.graph is not None)]
    for graph in graphs:
        for taker in [n for n in graph.order if graph.nodes[n].refs()]:
            insert(graph, taker, len(graph.nodes[taker].refs()) - 1)
    archive.write(tmp_path / "out.keras")
    archive.close()
    assert_unharmed(tmp_path / "out.keras", original)
