"""The shapes in the `build_config` of a merge layer decide whether it inserts axes, not its operands."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers

import rewriter
from rewriter.passes.codes import Kind
from tests import support
from tests.mutation.edits import read_config, references, write_config

T, D = 5, 7


def gated(merge: Any, d: int = D, repeated: bool = False) -> keras.Model:
    """``merge(x[B, T, D], v[B, D] at every step) -> [B, T, D]``"""
    x, v = keras.Input((T, 3)), keras.Input((4,))
    vector = layers.Dense(d)(v)
    lift = layers.RepeatVector(T, name="lift") if repeated else layers.Reshape((1, d), name="lift")
    return keras.Model([x, v], merge([layers.Dense(d)(x), lift(vector)]))


def without_lift(model: keras.Model, folder: Path, keep: bool) -> Path:
    """The file without the node that lifts the vector; the merge layer keeps its `build_config`, or has none."""
    model.save(folder / "valid.keras")
    config = read_config(folder / "valid.keras")
    entries = config["config"]["layers"]
    lift = next(entry for entry in entries if entry["config"]["name"] == "lift")
    (source,) = references(lift["inbound_nodes"])
    merge = entries[-1]
    list(references(merge["inbound_nodes"]))[1].update(copy.deepcopy(source))
    if not keep:
        merge.pop("build_config")
    entries.remove(lift)
    write_config(folder / "valid.keras", folder / "edited.keras", config)
    return folder / "edited.keras"


def as_keras_builds_it(path: Path, model: keras.Model) -> keras.Model:
    """The model of the file with its `build_config`, and with another model's weights by layer name."""
    built = keras.saving.deserialize_keras_object(read_config(path))
    support.transplant(model, built)
    return built


@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize("merge", [layers.Multiply, layers.Add, layers.Average])
def test_a_layer_that_was_built_on_operands_of_one_rank_inserts_no_axes(merge, repeated, tmp_path):
    model = gated(merge(), repeated=repeated)
    path = without_lift(model, tmp_path, keep=True)
    with pytest.raises(Exception, match=r"incompatible|Incompatible|broadcast"):
        support.run(as_keras_builds_it(path, model), support.random_inputs(model, 3))
    result = rewriter.repair(path, tmp_path / "fixed.keras", ops="all", verify=False)
    assert [f.kind for f in result.findings] == [Kind.BATCH_MISALIGNED]
    fixed = support.load(tmp_path / "fixed.keras")
    for batch in (1, 3, T):
        inputs = support.random_inputs(model, batch)
        support.compare(support.run(fixed, inputs), support.run(model, inputs))


@pytest.mark.parametrize("merge", [layers.Multiply, layers.Add])
def test_a_layer_that_is_built_when_it_is_called_inserts_them(merge, tmp_path):
    model = gated(merge())
    path = without_lift(model, tmp_path, keep=False)
    inputs = support.random_inputs(model, 3)
    support.compare(support.run(as_keras_builds_it(path, model), inputs), support.run(model, inputs))
    assert rewriter.check(path, ops="all").findings == []


def test_a_layer_that_was_built_on_other_ranks_than_it_is_called_on_is_no_fault(tmp_path):
    model = gated(layers.Multiply())
    model.save(tmp_path / "valid.keras")
    config = read_config(tmp_path / "valid.keras")
    config["config"]["layers"][-1]["build_config"] = {"input_shape": [[None, T, D], [None, D]]}
    write_config(tmp_path / "valid.keras", tmp_path / "edited.keras", config)
    built = as_keras_builds_it(tmp_path / "edited.keras", model)
    inputs = support.random_inputs(model, 3)
    support.compare(support.run(built, inputs), support.run(model, inputs))
    assert rewriter.check(tmp_path / "edited.keras", ops="all").findings == []


def test_the_shape_that_it_was_built_on_tells_steps_from_features(tmp_path):
    """With T = D both readings fit; the layer was built on the Reshape to (1, D)."""
    model = gated(layers.Multiply(), d=T)
    path = without_lift(model, tmp_path, keep=True)
    result = rewriter.repair(path, tmp_path / "fixed.keras", verify=False)
    assert result.output is not None, [f.why for f in result.findings]
    inputs = support.random_inputs(model, 3)
    fixed = support.load(tmp_path / "fixed.keras")
    support.compare(support.run(fixed, inputs), support.run(model, inputs))


def test_the_report_says_by_what_the_layer_goes(tmp_path, capsys):
    from rewriter.cli import main

    path = without_lift(gated(layers.Multiply()), tmp_path, keep=True)
    assert main(["check", "-v", str(path)]) == 1
    text = " ".join(capsys.readouterr().out.split())
    assert "(layers.Multiply)" in text
    assert "was built on operands of one rank, by its build_config or its first call" in text
    assert main(["check", str(path), "--format", "json"]) == 1
    assert '"convention": "numpy"' in capsys.readouterr().out
