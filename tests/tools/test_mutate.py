"""`tools/mutate.py`: it finds mutations from the graph alone, Keras judges them, and it tells four outcomes apart."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops

import rewriter
from tests import support
from tests.mutation.edits import read_config
from tools import mutate as tool
from tools.channels_first import NoTwinError, convolve_anywhere, twin_of
from tools.mutations import mutations


def gated(h: int = 3, w: int = 5, c: int = 7) -> keras.Model:
    """A squeeze-and-excitation gate with its Reshape."""
    image = keras.Input((h, w, 2))
    x = layers.Conv2D(c, 1)(image)
    gate = layers.Dense(c, activation="sigmoid")(layers.GlobalAveragePooling2D()(x))
    gate = layers.Activation("tanh")(layers.Reshape((1, 1, c))(gate))
    y = layers.GlobalAveragePooling2D()(x * gate)
    return keras.Model(image, layers.Dense(2)(y))


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> tool.Original:
    """The gate in a file."""
    keras.utils.set_random_seed(1)
    path = tmp_path_factory.mktemp("original") / "gate.keras"
    gated().save(path)
    return tool.Original("gate", path, support.load(path))


def kinds(config) -> list[str]:
    return sorted({m.kind for m in mutations(config)})


def test_mutations_are_found_by_what_nodes_are_not_by_their_names(original):
    text = json.dumps(original.config)
    for k, node in enumerate(original.config["config"]["layers"]):
        text = text.replace(json.dumps(node["config"]["name"]), json.dumps(f"n{k}"))
    renamed = json.loads(text)
    assert kinds(renamed) == kinds(original.config) == ["alter", "drop", "layout", "squeeze", "turn"]
    assert [m.what for m in mutations(renamed)] == [m.what for m in mutations(original.config)]


def test_a_reshape_is_dropped_through_the_activation_behind_it(original):
    drop = next(m for m in mutations(original.config) if m.kind == "drop")
    config = copy.deepcopy(original.config)
    drop.edit(config)
    assert "Reshape" not in {n["class_name"] for n in config["config"]["layers"]}
    product = next(n for n in config["config"]["layers"] if n["class_name"] == "Multiply")
    assert [r["shape"] for r in tool.references(product["inbound_nodes"])] == [[None, 3, 5, 7], [None, 7]]


def test_every_mutant_is_judged_and_none_is_wrong_or_missed(original):
    found = list(tool.results(original, limit=6, seed=1, ops="multiply"))
    broken = [r for r in found if r.broken]
    assert {r.outcome for r in broken} <= {"exact", "refused"}
    assert any(r.outcome == "exact" and r.listed and r.determined for r in broken)
    assert all(r.fault != "equivalent" for r in broken)
    assert "wrong" in tool.table(found).splitlines()[0]


def dropped(original: tool.Original, folder: Path) -> tuple[tool.Result, tool.Trial]:
    """The gate without its Reshape, before any repair."""
    drop = next(m for m in mutations(original.config) if m.kind == "drop")
    config = copy.deepcopy(original.config)
    drop.edit(config)
    _, fault, trial = next(tool.forms(original, config, folder, drop.at))
    return tool.Result("gate", "drop", drop.name, "edited", fault, trial.legal), trial


def test_a_repair_to_another_function_is_wrong(original, tmp_path, monkeypatch):
    result, trial = dropped(original, tmp_path)
    repair = rewriter.repair

    def repair_otherwise(path, target, **options):
        report = repair(path, target, **options)
        model = support.load(target)
        head = model.layers[-1]
        head.set_weights([w[::-1] for w in head.get_weights()])
        model.save(target)
        return report

    monkeypatch.setattr(rewriter, "repair", repair_otherwise)
    trial.repair(result, random.Random(1))
    assert result.outcome == "wrong"


def test_no_finding_in_a_broken_model_is_a_miss(original, tmp_path, monkeypatch):
    result, trial = dropped(original, tmp_path)
    assert result.fault == "silent"
    assert not trial.legal
    clean = rewriter.check(original.path)
    monkeypatch.setattr(rewriter, "repair", lambda *args, **options: clean)
    trial.repair(result, random.Random(1))
    assert result.outcome == "missed"


def test_a_turned_gate_of_equal_sizes_is_also_a_legal_file(tmp_path):
    path = tmp_path / "equal.keras"
    keras.utils.set_random_seed(1)
    gated(4, 4, 4).save(path)
    equal = tool.Original("equal", path, support.load(path))
    turned = next(m for m in mutations(equal.config) if m.kind == "layout" and m.what == "operand 1")
    config = copy.deepcopy(equal.config)
    turned.edit(config)
    _, fault, trial = next(tool.forms(equal, config, tmp_path, turned.at))
    assert (fault, trial.legal) == ("silent", True)


def test_another_pairing_of_the_samples_is_also_a_legal_file(tmp_path):
    keras.utils.set_random_seed(1)
    signal, weight = keras.Input((3,)), keras.Input(())
    x = layers.Dense(4)(signal)
    y = ops.matmul(x, ops.transpose(x)) * ops.expand_dims(weight, 1)
    path = tmp_path / "pairs.keras"
    keras.Model([signal, weight], y).save(path)
    pairs = tool.Original("pairs", path, support.load(path))
    assert not pairs.apart
    drop = next(m for m in mutations(pairs.config) if m.kind == "drop")
    config = copy.deepcopy(pairs.config)
    drop.edit(config)
    _, fault, trial = next(tool.forms(pairs, config, tmp_path, drop.at))
    assert (fault, trial.legal) == ("silent", True)


def test_the_channels_first_twin_computes_the_same(original):
    convolve_anywhere()
    twin = twin_of(original.config, original.model)
    assert twin.inputs[0].shape == (None, 2, 3, 5)
    inputs, desired = original.run(2)
    support.compare(support.run(twin, np.moveaxis(inputs, -1, 1)), desired, rtol=1e-4)


def test_what_has_no_channels_has_no_such_twin():
    signal = keras.Input((5, 3))
    model = keras.Model(signal, layers.Dense(2)(signal))
    config = json.loads(model.to_json())
    with pytest.raises(NoTwinError):
        twin_of(config, model)


def test_the_documentation_has_a_place_for_the_table():
    text = tool.PAGE.read_text(encoding="utf-8")
    start, end = tool.MARKS
    assert text.count(start) == text.count(end) == 1
    assert text.index(start) < text.index(end)


def test_read_config_gives_what_was_written(original, tmp_path):
    edited = copy.deepcopy(original.config)
    tool.write_config(original.path, tmp_path / "copy.keras", edited)
    assert read_config(tmp_path / "copy.keras") == original.config
