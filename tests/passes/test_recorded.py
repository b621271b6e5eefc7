"""A node that cannot run because an operand lost its Reshape: later nodes are analysed, and the Reshape is offered."""

from __future__ import annotations

import copy
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from keras.src.ops.numpy import Multiply, Transpose

import rewriter
from tests import support
from tests.one_answer import assert_one_answer
from tests.zoo.common import randomise


# -- models with a Reshape called "lost" before the node "node" -----------------------------
def excite(x: Any, channels: int, name: str = "", data_format: str = "channels_last") -> Any:
    """Squeeze-and-excitation with convolutions, as EfficientNet writes it; nodes "lost" and "node" where unnamed."""
    shape = (1, 1, channels) if data_format == "channels_last" else (channels, 1, 1)
    pooled = layers.GlobalAveragePooling2D(data_format=data_format, name=f"{name}pool")(x)
    g = layers.Reshape(shape, name=f"{name}lost")(pooled)
    g = layers.Conv2D(3, 1, data_format=data_format, activation="relu", name=f"{name}node")(g)
    g = layers.Conv2D(channels, 1, data_format=data_format, activation="sigmoid", name=f"{name}up")(g)
    return layers.Multiply(name=f"{name}scale")([x, g])


def squeeze() -> keras.Model:
    image = keras.Input((5, 7, 3), name="image")
    x = excite(layers.Conv2D(11, 3, padding="same", name="features")(image), 11)
    return keras.Model(image, excite(layers.Conv2D(13, 1, name="more")(x), 13, "second_"))


def squeeze_equal() -> keras.Model:
    image = keras.Input((6, 6, 6), name="image")
    x = excite(layers.Conv2D(6, 3, padding="same", name="features")(image), 6)
    return keras.Model(image, layers.Conv2D(2, 1, name="head")(x))


def squeeze_first() -> keras.Model:
    image = keras.Input((8, 5, 7), name="image")
    x = layers.BatchNormalization(axis=1, name="features")(image)
    return keras.Model(
        image, layers.BatchNormalization(axis=1, name="head")(excite(x, 8, "", "channels_first"))
    )


def squeeze_op() -> keras.Model:
    image = keras.Input((5, 7, 3), name="image")
    x = layers.Conv2D(11, 3, padding="same", name="features")(image)
    g = layers.Reshape((1, 1, 11), name="lost")(layers.GlobalMaxPooling2D(name="pool")(x))
    g = layers.Conv2D(11, 1, activation="sigmoid", name="node")(g)
    return keras.Model(image, layers.Conv2D(2, 1, name="head")(Multiply(name="scale")(x, g)))


def squeeze_open() -> keras.Model:
    image = keras.Input((None, None, 3), name="image")
    x = excite(layers.Conv2D(11, 3, padding="same", name="features")(image), 11)
    return keras.Model(image, layers.Conv2D(2, 1, name="head")(x))


def one_dimension() -> keras.Model:
    signal = keras.Input((9, 3), name="signal")
    x = layers.Conv1D(7, 3, padding="same", name="features")(signal)
    g = layers.Reshape((1, 7), name="lost")(layers.GlobalAveragePooling1D(name="pool")(x))
    g = layers.Conv1D(7, 1, activation="sigmoid", name="node")(g)
    return keras.Model(signal, layers.Dense(2, name="head")(layers.Multiply(name="scale")([x, g])))


def one_step() -> keras.Model:
    vector = keras.Input((7,), name="vector")
    x = layers.Reshape((1, 7), name="lost")(layers.Dense(7, name="code")(vector))
    x = layers.LSTM(5, return_sequences=True, name="node")(x)
    return keras.Model(vector, layers.Multiply(name="scale")([x, layers.Dense(5, name="gate")(x)]))


def unit_axes_gone() -> keras.Model:
    image = keras.Input((1, 1, 5), name="image")
    x = layers.Conv2D(7, 1, name="features")(image)
    x = layers.Reshape((1, 7), name="lost")(x)
    x = layers.Conv1D(4, 1, name="node")(x)
    return keras.Model(image, layers.Multiply(name="scale")([x, layers.Dense(4, name="gate")(x)]))


CASES = [
    squeeze,
    squeeze_equal,
    squeeze_first,
    squeeze_op,
    squeeze_open,
    one_dimension,
    one_step,
    unit_axes_gone,
]


def nested() -> keras.Model:
    image = keras.Input((5, 7, 3), name="inner_image")
    inner = keras.Model(image, excite(layers.Conv2D(11, 1, name="features")(image), 11), name="inner")
    outer = keras.Input((5, 7, 3), name="image")
    return keras.Model(outer, layers.Conv2D(2, 1, name="head")(inner(outer)))


def generator() -> keras.Model:
    """The Reshape regroups the vector: only the file shows its target."""
    noise = keras.Input((4,), name="noise")
    x = layers.Reshape((3, 5, 7), name="lost")(layers.Dense(105, name="code")(noise))
    x = layers.Conv2D(11, 3, padding="same", name="node")(x)
    return keras.Model(noise, excite(x, 11, "second_"))


def classifier() -> keras.Model:
    """A Flatten is lost: only the weights of the Dense after it do not fit."""
    image = keras.Input((4, 6, 3), name="image")
    x = layers.Flatten(name="lost")(layers.Conv2D(5, 1, name="features")(image))
    x = layers.Dense(7, name="node")(x)
    return keras.Model(image, layers.Multiply(name="scale")([x, layers.Dense(7, name="gate")(x)]))


# -- broken files -----------------------------
def without(
    model: keras.Model, tmp_path: Path, name: str = "lost", at_call: bool = True
) -> tuple[Path, Path]:
    """The model's file, and one without a layer.

    Args:
        at_call: the call that used its result keeps the recorded shape.
    """
    whole, broken = tmp_path / "whole.keras", tmp_path / "broken.keras"
    randomise(model).save(whole)
    edit(whole, broken, lambda config: drop(config, name, at_call))
    return whole, broken


def edit(source: Path, target: Path, change: Callable[[Any], None]) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.namelist():
            data = old.read(member)
            if member == "config.json":
                config = json.loads(data)
                change(config["config"])
                data = json.dumps(config).encode()
            new.writestr(member, data)


def drop(config: Any, name: str, at_call: bool) -> None:
    found = next((entry for entry in config["layers"] if entry["name"] == name), None)
    if found is None:
        for entry in config["layers"]:
            if "layers" in entry["config"]:
                drop(entry["config"], name, at_call)
        return
    (tensor,) = found["inbound_nodes"][0]["args"]

    def swapped(item: Any) -> Any:
        if isinstance(item, list):
            return [swapped(each) for each in item]
        if not isinstance(item, dict):
            return item
        if item.get("class_name") == "__keras_tensor__" and item["config"]["keras_history"][0] == name:
            new = copy.deepcopy(tensor)
            if at_call:
                new["config"]["shape"] = item["config"]["shape"]
            return new
        return {key: swapped(value) for key, value in item.items()}

    config["layers"] = [swapped(entry) for entry in config["layers"] if entry is not found]


def assert_same(fixed: Path, whole: Path, *batches: int) -> None:
    one, other = support.load(fixed), support.load(whole)
    for batch in batches or (1, 2, 3, 5):
        rng = np.random.default_rng(batch)
        (shape,) = [[batch, *(6 if s is None else s for s in x.shape[1:])] for x in other.inputs]
        x = rng.normal(size=shape).astype("float32")
        np.testing.assert_array_equal(np.asarray(one(x)), np.asarray(other(x)))


# -- tests -----------------------------
@pytest.mark.parametrize("build", [*CASES, nested, generator, classifier], ids=lambda f: f.__name__)
def test_what_follows_is_analysed(build, tmp_path):
    model = build()
    whole, broken = without(model, tmp_path)
    node = "inner/node" if build is nested else "node"
    assert rewriter.check(whole, ops="all").findings == []
    for ops in ("multiply", "all"):
        report = rewriter.check(broken, ops=ops)
        assert [(f.node, f.severity) for f in report.findings] == [(node, "error")]
        assert (report.verdicts.not_analysed, report.verdicts.right) == (0, report.multiplies)
        (finding,) = report.findings
        assert [c.rule for c in finding.candidates] == ["lost-reshape"]
        assert "a Reshape is missing between" in finding.why
        assert "downstream nodes are analysed as if it were inserted" in finding.why


@pytest.mark.parametrize("build", [*CASES, nested], ids=lambda f: f.__name__)
def test_a_reshape_that_call_and_layer_state_is_inserted(build, tmp_path):
    whole, broken = without(build(), tmp_path)
    result = rewriter.repair(broken, tmp_path / "fixed.keras", ops="all", verify=False)
    assert result.output is not None, [f.why for f in result.findings]
    assert {i.rule for i in result.inserted} == {"lost-reshape"}
    assert_same(tmp_path / "fixed.keras", whole)
    again = rewriter.repair(tmp_path / "fixed.keras", tmp_path / "again.keras", ops="all", verify=False)
    assert (again.findings, again.inserted) == ([], [])


@pytest.mark.parametrize("build", [squeeze, one_step], ids=lambda f: f.__name__)
def test_by_default_it_is_offered_and_nothing_is_written(build, tmp_path):
    _, broken = without(build(), tmp_path)
    result = rewriter.repair(broken, tmp_path / "fixed.keras", verify=False)
    assert result.output is None
    assert "--ops all inserts it" in result.findings[0].why


@pytest.mark.parametrize("build", [squeeze, squeeze_first, one_step, nested], ids=lambda f: f.__name__)
def test_where_the_call_records_another_shape_it_is_offered(build, tmp_path):
    """An edit that moved the whole reference: only the layer's build_config has the lost shape."""
    whole, broken = without(build(), tmp_path, at_call=False)
    report = rewriter.check(broken, ops="all")
    (finding,) = report.findings
    assert finding.chosen is None
    assert "the call itself records another shape" in finding.why
    assert report.verdicts.not_analysed == 0
    assert rewriter.repair(broken, tmp_path / "fixed.keras", ops="all", verify=False).output is None
    for choice in ({"mode": "best"}, {"at": {finding.node: "lost-reshape"}}):
        result = rewriter.repair(broken, tmp_path / "fixed.keras", ops="all", verify=False, **choice)
        assert result.output is not None, choice
        assert_same(tmp_path / "fixed.keras", whole)


@pytest.mark.parametrize(
    ("build", "equation"),
    [(generator, "b (h w c) -> b h w c"), (classifier, "b h w c -> b (h w c)")],
    ids=["generator", "classifier"],
)
def test_a_reshape_that_regroups_is_offered(build, equation, tmp_path):
    whole, broken = without(build(), tmp_path)
    result = rewriter.repair(broken, tmp_path / "fixed.keras", ops="all", verify=False)
    assert result.output is None
    (finding,) = result.findings
    assert [c.equation for c in finding.candidates] == [equation]
    assert "it would regroup the operand's axes" in finding.why
    result = rewriter.repair(broken, tmp_path / "fixed.keras", ops="all", mode="best", verify=False)
    assert result.output is not None
    assert_same(tmp_path / "fixed.keras", whole)


def test_a_fault_below_is_found_on_the_supposed_shape(tmp_path):
    """Two Reshapes lost, one after the other: both come back, each in its place."""
    image = keras.Input((5, 7, 3), name="image")
    x = excite(layers.Conv2D(11, 3, padding="same", name="features")(image), 11)
    g = layers.Dense(11, name="dense")(layers.GlobalAveragePooling2D(name="again")(x))
    y = Multiply(name="last")(x, layers.Reshape((1, 1, 11), name="spread")(g))
    whole, one = without(keras.Model(image, y), tmp_path)
    both = tmp_path / "both.keras"
    edit(one, both, lambda config: drop(config, "spread", True))
    report = rewriter.check(both, ops="all")
    assert {f.node for f in report.findings} == {"node", "last"}
    result = rewriter.repair(both, tmp_path / "fixed.keras", ops="all", verify=False)
    assert result.output is not None, [f.why for f in result.findings]
    assert_same(tmp_path / "fixed.keras", whole)
    assert_one_answer(both, tmp_path / "plan.toml", "all")


def test_the_operators_argument_alone_is_offered(tmp_path):
    """An operator has no build_config: one statement does not decide."""
    signal = keras.Input((12,), name="signal")
    x = layers.Reshape((3, 4), name="lost")(signal)
    model = keras.Model(signal, layers.Dense(2, name="head")(Transpose((0, 2, 1), name="node")(x)))
    _, broken = without(model, tmp_path)
    (finding,) = rewriter.check(broken, ops="all").findings
    assert ([c.rule for c in finding.candidates], finding.chosen) == (["lost-reshape"], None)


def steps_moved() -> keras.Model:
    """A Permute is lost: the same sizes in another order are no Reshape."""
    signal = keras.Input((5, 7), name="signal")
    x = layers.Permute((2, 1), name="lost")(signal)
    return keras.Model(signal, layers.Conv1D(4, 1, name="node")(x))


def pooled() -> keras.Model:
    """A pooling is lost: other elements."""
    image = keras.Input((4, 6, 3), name="image")
    x = layers.GlobalAveragePooling2D(name="lost")(image)
    return keras.Model(image, layers.RepeatVector(5, name="node")(x))


def projected() -> keras.Model:
    """A Dense is lost: another size."""
    signal = keras.Input((5, 7), name="signal")
    x = layers.Dense(3, name="lost")(signal)
    return keras.Model(signal, layers.Conv1D(4, 1, name="node")(x))


@pytest.mark.parametrize("build", [steps_moved, pooled, projected], ids=lambda f: f.__name__)
def test_what_is_no_reshape_is_not_offered(build, tmp_path):
    _, broken = without(build(), tmp_path)
    (finding,) = rewriter.check(broken, ops="all").findings
    assert (finding.node, finding.candidates) == ("node", [])


def test_without_a_restated_operand_the_recorded_result_is_supposed(tmp_path):
    """A layer that cannot run on any recorded operand: later nodes use its recorded result, and the report says so."""
    image = keras.Input((4, 6, 3), name="image")
    x = layers.RepeatVector(5, name="node")(layers.GlobalAveragePooling2D(name="lost")(image))
    y = layers.Multiply(name="scale")([x, layers.Dense(3, name="gate")(x)])
    _, broken = without(keras.Model(image, y), tmp_path)
    report = rewriter.check(broken, ops="all")
    assert report.verdicts.not_analysed == 0
    assert "analysed with the recorded shape of its result" in report.findings[0].why


def scored(activation: str) -> keras.Model:
    """Weights of steps; the Flatten before the activation is called "lost"."""
    steps = keras.Input((10, 4), name="steps")
    score = layers.Flatten(name="lost")(layers.Dense(1, name="score")(steps))
    weights = layers.Activation(activation, name="weights")(score)
    return keras.Model(steps, layers.RepeatVector(3, name="node")(weights))


def test_a_softmax_over_one_entry_is_a_reason_to_look_further_up(tmp_path):
    """The edit restated the operand of the softmax."""
    _, path = without(scored("softmax"), tmp_path, at_call=False)

    def restate(config: Any) -> None:
        for layer in config["layers"]:
            if layer["name"] == "node":
                layer["inbound_nodes"][0]["args"][0]["config"]["shape"] = [None, 10]

    edit(path, tmp_path / "restated.keras", restate)
    (finding,) = rewriter.check(tmp_path / "restated.keras", ops="all").findings
    assert ([c.rule for c in finding.candidates], finding.choice) == (["lost-reshape"], None)
    assert "a softmax over one entry" in finding.why


def test_a_node_above_on_another_rank_is_a_reason_to_look_further_up(tmp_path):
    _, path = without(scored("sigmoid"), tmp_path)
    (finding,) = rewriter.check(path, ops="all").findings
    assert finding.choice is None
    assert "'weights' above was built on another rank" in finding.why
