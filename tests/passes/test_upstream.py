"""Faults that are elsewhere: nothing is inserted, and the node to look at is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers, ops

import rewriter
from rewriter.report import as_json
from tests.mutation.edits import locate, read_config, write_config
from tests.passes.test_contractions import attention
from tests.passes.test_downstream import forget
from tests.passes.test_intent import remove


def image() -> tuple[Any, Any]:
    x = keras.Input((12, 10, 3), name="x")
    return x, layers.Conv2D(6, 3, padding="same", name="features")(x)


def pooled() -> keras.Model:
    """A gate per position: the mean over the channels."""
    x, y = image()
    gate = layers.Reshape((12, 10, 1), name="lift")(ops.mean(y, axis=-1))
    return keras.Model(x, layers.Multiply(name="scale")([y, gate]))


def turned() -> keras.Model:
    a, b = keras.Input((4, 6, 3), name="a"), keras.Input((3, 4, 6), name="b")
    y = layers.Conv2D(3, 1, name="features")(a)
    gate = layers.Conv2D(3, 1, name="gate")(layers.Permute((2, 3, 1), name="turn")(b))
    return keras.Model([a, b], layers.Multiply(name="scale")([y, gate]))


def reshaped() -> keras.Model:
    """Attention over all positions, folded back to a map."""
    x, y = image()
    scores = layers.Softmax()(layers.Flatten()(layers.Conv2D(1, 1)(y)))
    return keras.Model(
        x, layers.Multiply(name="scale")([y, layers.Reshape((12, 10, 1), name="fold")(scores)])
    )


def joined() -> keras.Model:
    x, y = image()
    wide = layers.Concatenate(axis=-1, name="join")([y, layers.Conv2D(4, 1, name="more")(y)])
    gate = layers.Conv2D(10, 1, name="gate")(x)
    return keras.Model(x, layers.Multiply(name="scale")([wide, gate]))


def channels_first() -> keras.Model:
    x = keras.Input((3, 12, 10), name="x")
    y = layers.Conv2D(6, 1, data_format="channels_first", name="features")(x)
    z = layers.MaxPooling2D(2, data_format="channels_first", name="pool")(y)
    gate = layers.AveragePooling2D(2, data_format="channels_first", name="mean")(y)
    return keras.Model(x, layers.Multiply(name="scale")([z, gate]))


# The builder, the changed node and argument, and the wrong value.
CASES: dict[str, tuple[Callable[[], keras.Model], str, str, Any]] = {
    "the axis of a mean": (pooled, "mean", "axis", 1),
    "the order of a Permute": (turned, "turn", "dims", [3, 2, 1]),
    "the target of a Reshape": (reshaped, "fold", "target_shape", [10, 12, 1]),
    "the axis of a Concatenate": (joined, "join", "axis", 1),
    "the layout of a pooling layer": (channels_first, "mean", "data_format", "channels_last"),
}


def edited(name: str, path: Path) -> tuple[Path, Any]:
    """The case's file with the wrong value, without recorded sizes; and the right value."""
    build, node, argument, wrong = CASES[name]
    keras.backend.clear_session()
    build().save(path / "m.keras")
    config = read_config(path / "m.keras")
    _, entry = locate(config, node)
    right = entry["config"][argument]
    entry["config"][argument] = wrong
    write_config(path / "m.keras", path / "b.keras", config)
    return forget(path / "b.keras", path / "f.keras"), right


@pytest.mark.parametrize("name", CASES)
def test_the_argument_is_named_and_nothing_is_written(name, tmp_path):
    path, right = edited(name, tmp_path)
    result = rewriter.repair(path, tmp_path / "fixed.keras")
    assert result.output is None, [f.why for f in result.findings]
    _, node, argument, wrong = CASES[name]
    same = {right, right % 4} if isinstance(right, int) else {str(right)}
    told = [a for f in result.findings for a in f.upstream if (a.node, a.argument) == (node, argument)]
    assert any((a.after if isinstance(a.after, int) else str(a.after)) in same for a in told), [
        (f.node, f.why) for f in result.findings
    ]
    assert all(a.before == wrong for a in told)
    assert any(repr(node) in f.why for f in result.findings)


@pytest.mark.parametrize("name", CASES)
def test_the_right_model_is_left_alone(name, tmp_path):
    keras.backend.clear_session()
    CASES[name][0]().save(tmp_path / "m.keras")
    assert rewriter.check(tmp_path / "m.keras").clean


def test_the_json_has_the_arguments(tmp_path):
    path, right = edited("the order of a Permute", tmp_path)
    (finding,) = as_json.report(rewriter.check(path))["findings"]
    assert {"node": "turn", "argument": "dims", "from": [3, 2, 1], "to": right} in finding["upstream"]


def test_a_gamma_of_the_wrong_length_is_named(tmp_path):
    x, y = image()
    gamma = layers.Dense(5, name="gamma")(layers.GlobalAveragePooling2D()(y))
    model = keras.Model([x], [y, gamma])
    model.save(tmp_path / "m.keras")
    broken = read_config(tmp_path / "m.keras")
    functional, _ = locate(broken, "gamma")
    reference = {"module": "keras.src.ops.numpy", "class_name": "Multiply", "registered_name": "Multiply"}
    tensors = [
        {
            "class_name": "__keras_tensor__",
            "config": {"shape": shape, "dtype": "float32", "keras_history": [name, 0, 0]},
        }
        for name, shape in (("features", [None, 12, 10, 6]), ("gamma", [None, 5]))
    ]
    node = {**reference, "name": "scale", "config": {"name": "scale"}}
    node["inbound_nodes"] = [{"args": tensors, "kwargs": {}}]
    functional["layers"].append(node)
    functional["output_layers"] = [["scale", 0, 0]]
    write_config(tmp_path / "m.keras", tmp_path / "b.keras", broken)
    result = rewriter.repair(tmp_path / "b.keras", tmp_path / "fixed.keras")
    assert result.output is None
    (finding,) = result.findings
    assert finding.node == "scale"
    assert "'gamma'" in finding.why
    assert all(c.needs_evidence for c in finding.candidates)


@pytest.mark.parametrize("name", ["turn_query", "turn_value"])
def test_a_target_that_mixes_the_steps_of_a_sequence_is_not_named(name: str, tmp_path: Path):
    """With the heads before the steps in the Reshape, attention runs without its Permute, on other numbers."""
    attention(heads=2, size=8, steps=5).save(tmp_path / "valid.keras")
    config = read_config(tmp_path / "valid.keras")
    remove(config, locate(config, name)[1])
    write_config(tmp_path / "valid.keras", tmp_path / "broken.keras", config)
    findings = rewriter.check(tmp_path / "broken.keras", ops="all").findings
    assert findings
    assert [a for f in findings for a in f.upstream] == []
