"""Repaired files of Keras 2 in their own form: tf_keras loads them, and they compute the same as the valid models."""

from __future__ import annotations

import io
import itertools
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tf_keras

import rewriter
from rewriter.errors import UnsupportedError
from tests.formats.keras.old_form.broken import Larger, broken, load, rebuilt, repaired, same, write
from tests.formats.keras.old_form.models import CASES
from tests.formats.keras.upgrade.oracle import inputs_for, outputs, randomized

DATA = Path(__file__).parents[3] / "data" / "tensorflow_2.12"
# A configuration alone has the same form as in an archive.
TRIED = [
    *itertools.product(CASES, (".h5", ".keras")),
    *itertools.product(("nested_twice", "operator", "distributed"), (".json",)),
]


def configuration(path: Path) -> dict[str, Any]:
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            return json.loads(file.attrs["model_config"])
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read("config.json"))
    return json.loads(path.read_text())


def faults(path: Path) -> list[Any]:
    return [found for found in rewriter.check(path).findings if found.kind.value != "not-analysed"]


def with_weights(model: Any) -> list[str]:
    return [layer.name for layer in model.layers if layer.weights]


@pytest.mark.parametrize(("name", "suffix"), TRIED)
def test_it_computes_what_the_valid_model_does(name: str, suffix: str, tmp_path: Path):
    case = CASES[name]
    tf_keras.backend.clear_session()
    valid = case.build()
    path = broken(valid, case, tmp_path / f"model{suffix}")
    assert faults(path)
    fixed = repaired(path, at=case.at)
    assert not faults(fixed)
    assert same(load(fixed, valid), valid)


def test_the_order_of_the_layers_with_weights_changes(tmp_path: Path):
    """The trap that the case is made for: the file has them in another order than the repaired model."""
    case = CASES["order_changes"]
    valid = case.build()
    path = broken(valid, case, tmp_path / "model.h5")
    fixed = repaired(path)
    with h5py.File(path) as before, h5py.File(fixed) as after:
        names = [list(file["model_weights"].attrs["layer_names"]) for file in (before, after)]
    filled = [[name for name in side if name in with_weights(valid)] for side in names]
    assert filled[0] != filled[1] == with_weights(load(fixed, valid))
    with h5py.File(fixed, "r+") as file:  # the old order of weights gives another model
        file["model_weights"].attrs["layer_names"] = names[0]
    assert not same(load(fixed, valid), valid)


@pytest.mark.parametrize("suffix", [".h5", ".keras", ".json"])
def test_what_is_not_changed_is_as_it_was(suffix: str, tmp_path: Path):
    case = CASES["two_gates"]
    path = broken(case.build(), case, tmp_path / f"model{suffix}")
    before, after = configuration(path), configuration(repaired(path))
    entries = {entry["name"]: entry for entry in before["config"]["layers"]}
    new = [entry for entry in after["config"]["layers"] if not is_same(entry, entries.get(entry["name"], {}))]
    assert sorted(entry["name"] for entry in new) == [
        "left",
        "left_axis_gate_reshape",
        "right",
        "right_axis_gate_reshape",
    ]
    rest = [{**side, "config": {**side["config"], "layers": []}} for side in (before, after)]
    assert rest[0] == rest[1]


def is_same(new: dict[str, Any], old: dict[str, Any]) -> bool:
    """Whether two entries are equal; the new one may omit its build_config, which Keras checks on loading."""
    return all(new.get(key) == old.get(key) for key in {*new, *old} - {"build_config"}) and (
        "build_config" not in new or new["build_config"] == old.get("build_config")
    )


def test_a_model_without_faults_is_copied(tmp_path: Path):
    model = CASES["se"].build()
    for suffix in (".h5", ".keras"):
        path = tmp_path / f"model{suffix}"
        model.save(path)
        assert repaired(path).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", ["order_changes", "shared", "spatial", "product", "turned"])
def test_keras_3_loads_layers(name: str, tmp_path: Path):
    """Not nested models or recurrent layers: Keras 3 does not load those of tf_keras from such a file."""
    case = CASES[name]
    valid = case.build()
    fixed = repaired(broken(valid, case, tmp_path / "model.h5"), at=case.at)
    assert same(keras.models.load_model(fixed, compile=False), valid)


@pytest.mark.parametrize("name", ["order_changes", "nested_twice", "operator", "distributed"])
def test_an_archive_of_keras_3(name: str, tmp_path: Path):
    case = CASES[name]
    valid = case.build()
    fixed = repaired(broken(valid, case, tmp_path / "model.h5"), ".keras")
    assert same(keras.models.load_model(fixed, compile=False), valid)


# -- the state of the optimizer -----------------------------
def trained(name: str, optimizer: Any, path: Path) -> tuple[Any, Path]:
    """A broken file with the state of an optimizer, and the state by the names of its variables."""
    case = CASES[name]
    tf_keras.backend.clear_session()
    model = rebuilt(randomized(case.build()), case.drop)
    given = inputs_for(model)
    model.compile(optimizer, "mse")
    model.fit(given, [y + 1 for y in outputs(model, given)], epochs=2, verbose=0)
    write(model, path)
    return state_of(model), path


def state_of(model: Any) -> dict[str, Any]:
    variables = model.optimizer.variables
    found = variables() if callable(variables) else variables
    return {v.name.removeprefix("Adam/"): v.numpy() for v in found}


@pytest.mark.parametrize("optimizer", ["adam", "legacy"])
@pytest.mark.parametrize("name", ["se", "order_changes", "nested"])
def test_the_state_of_the_optimizer_stays_with_its_weights(name: str, optimizer: str, tmp_path: Path):
    made = tf_keras.optimizers.legacy.Adam() if optimizer == "legacy" else "adam"
    before, path = trained(name, made, tmp_path / "model.h5")
    model = tf_keras.models.load_model(repaired(path))
    after = state_of(model)
    assert before.keys() == after.keys()
    assert len(before) > 2 * len(model.trainable_weights)
    assert all((before[key] == after[key]).all() for key in before)


def test_a_state_without_names_is_kept_where_the_order_stays(tmp_path: Path):
    before, path = trained("se", "adam", tmp_path / "model.keras")
    after = state_of(tf_keras.models.load_model(repaired(path)))
    assert all((before[key] == after[key]).all() for key in before)


def test_a_state_without_names_is_refused_where_the_order_changes(tmp_path: Path):
    _, path = trained("order_changes", "adam", tmp_path / "model.keras")
    with pytest.raises(UnsupportedError, match="the optimizer's state cannot be kept"):
        repaired(path)


# -- refusals -----------------------------
def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(UnsupportedError) as caught:
        repaired(path, **options)
    assert not path.with_name(f"fixed-{path.name}").exists()
    return str(caught.value)


def test_weights_in_another_order_than_that_of_keras_are_refused(tmp_path: Path):
    case = CASES["order_changes"]
    path = broken(case.build(), case, tmp_path / "model.h5")
    with h5py.File(path, "r+") as file:
        names = list(file["model_weights"].attrs["layer_names"])
        file["model_weights"].attrs["layer_names"] = names[::-1]
    assert "not in the order in which Keras gives them" in refusal(path)


def test_what_has_no_layer_is_refused_in_a_version_without_functions(tmp_path: Path):
    a, v = tf_keras.Input((4, 5, 6), name="a"), tf_keras.Input((4, 6, 7), name="v")
    path = tmp_path / "model.h5"
    write(tf_keras.Model([a, v], Larger(name="mix")([a, v])), path)
    at = {"mix": "b c i j, b c j k -> b c i k"}
    assert "linalg.matmul" in str(configuration(repaired(path, at=at)))
    with h5py.File(path, "r+") as file:
        file.attrs["keras_version"] = file["model_weights"].attrs["keras_version"] = "2.3.1"
    path.with_name("fixed-model.h5").unlink()
    assert "no layer of Keras 2.3.1 does what the inserted Matmul 'mix' does" in refusal(path, at=at)


def test_keras_1_is_refused(tmp_path: Path):
    inputs = {"image": [None, 6, 7, 11], "gate": [None, 6]}
    layers: list[Any] = [
        {"class_name": "InputLayer", "name": name, "inbound_nodes": [],
         "config": {"name": name, "batch_input_shape": shape, "input_dtype": "float32", "sparse": False}}
        for name, shape in inputs.items()
    ]  # fmt: skip
    config = {"name": "scale", "mode": "mul", "concat_axis": -1, "dot_axes": -1}
    calls = [[["image", 0, 0], ["gate", 0, 0]]]
    layers.append({"class_name": "Merge", "name": "scale", "config": config, "inbound_nodes": calls})
    ends = {"input_layers": [["image", 0, 0], ["gate", 0, 0]], "output_layers": [["scale", 0, 0]]}
    entry = {
        "class_name": "Model",
        "keras_version": "1.2.2",
        "config": {"name": "m", "layers": layers, **ends},
    }
    path = tmp_path / "model.json"
    path.write_text(json.dumps(entry))
    assert "Keras 1" in refusal(path, at={"scale": "b h w c, b h -> b h w c"})


def stored(path: Path) -> dict[str, np.ndarray]:
    """The variables in an archive, by their path."""
    found: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if hasattr(item, "shape") else None)
    return found


@pytest.mark.parametrize("name", ["two_gates", "nested_twice", "order_changes"])
def test_archives_of_2_12_number_layers_with_weights_twice(name: str, tmp_path: Path):
    """Files of that version (``tools/old_tensorflow.py``): the repaired one holds its weights as the valid one does."""
    fixed = tmp_path / "fixed.keras"
    rewriter.repair(DATA / f"broken_{name}.keras", fixed, verify=False, at=CASES[name].at)
    right = stored(DATA / f"right_{name}.keras")
    found = stored(fixed)
    assert found.keys() == right.keys()
    assert all(np.array_equal(found[path], right[path]) for path in right)
    moved = stored(DATA / f"broken_{name}.keras")
    assert all(np.array_equal(moved[path], right[path]) for path in right) == (name != "order_changes")


def test_unknown_names_of_groups_are_refused(tmp_path: Path):
    case = CASES["se"]
    path = broken(case.build(), case, tmp_path / "model.keras")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    weights = tmp_path / "model.weights.h5"
    weights.write_bytes(members["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        file.move("layers", "_self_tracked_trackables")
    members["model.weights.h5"] = weights.read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    assert "groups of weights" in refusal(path)


def test_a_layer_that_its_first_call_would_build_otherwise_is_refused(tmp_path: Path):
    """After the repair its first call has operands of one rank, and the second still needs axes."""
    layers = tf_keras.layers
    x = tf_keras.Input((6, 5, 6))
    y = layers.BatchNormalization(axis=1)(x)
    over_channels = layers.GlobalAveragePooling2D(data_format="channels_first")(y)
    over_width = layers.GlobalAveragePooling2D(data_format="channels_last")(y)
    product = layers.Multiply(name="product")
    tf_keras.Model(x, [product([y, over_channels]), product([y, over_width])]).save(tmp_path / "m.h5")
    with pytest.raises(UnsupportedError, match="'product' is called several times"):
        rewriter.repair(tmp_path / "m.h5", tmp_path / "out.h5", verify=False)
    result = rewriter.repair(tmp_path / "m.h5", tmp_path / "out.keras", verify=False)
    given = np.random.default_rng(0).normal(size=(3, 6, 5, 6)).astype("float32")
    first, second = keras.saving.load_model(result.output)(given)
    image, gate, _ = (t.numpy() for t in tf_keras.Model(x, [y, over_channels, over_width])(given))
    np.testing.assert_allclose(first, image * gate[:, :, None, None], rtol=1e-5, atol=1e-6)
    assert second.shape == (3, 6, 5, 6)


@pytest.mark.parametrize("kind", ["Multiply", "Add", "Maximum"])
def test_a_layer_that_its_first_call_builds_inserts_no_axes_later(kind: str, tmp_path: Path):
    """An .h5 file states no shapes on which the layer was built: Keras builds it on the first call."""
    layers = tf_keras.layers
    x, y = tf_keras.Input((6, 8), name="x"), tf_keras.Input((8,), name="y")
    gate, merge = layers.Dense(8)(y), getattr(layers, kind)(name="merge")
    right = merge([merge([x, x]), layers.Reshape((1, 8), name="lift")(gate)])
    tf_keras.Model([x, y], right).save(tmp_path / "right.h5")
    assert rewriter.check(tmp_path / "right.h5", ops="all").clean
    with h5py.File(tmp_path / "right.h5", "r+") as file:
        config = json.loads(file.attrs["model_config"])
        rows = config["config"]["layers"]
        rows.remove(next(row for row in rows if row["name"] == "lift"))
        text = json.dumps(config).replace('["lift", 0, 0, {}]', f'["{gate.node.layer.name}", 0, 0, {{}}]')
        file.attrs["model_config"] = text
    given = [np.random.default_rng(k).normal(size=(3, *shape)) for k, shape in ((0, (6, 8)), (1, (8,)))]
    with pytest.raises(Exception, match="ncompatible|must be equal|required broadcastable"):
        tf_keras.models.load_model(tmp_path / "right.h5")(given)
    assert [(f.node, f.code) for f in rewriter.check(tmp_path / "right.h5", ops="all").findings] == [
        ("merge#1", "RW002")
    ]
