"""What follows a multiply decides what it meant: the weights behind it, and nothing that the file records."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import keras
from keras import layers

import rewriter
from tests import support
from tests.mutate import Recipe, mutate


def forget(path: Path, target: Path) -> Path:
    """The archive without recorded sizes and without build_config: only the weights are left to tell."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            if value.get("class_name") == "__keras_tensor__":
                rank = len(value["config"]["shape"])
                return {**value, "config": {**value["config"], "shape": [None] * rank}}
            return {k: strip(v) for k, v in value.items() if k != "build_config"}
        return [strip(v) for v in value] if isinstance(value, list) else value

    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
        for member in source.infolist():
            data = source.read(member)
            if member.filename == "config.json":
                data = json.dumps(strip(json.loads(data))).encode()
            copy.writestr(member, data)
    return target


def outer() -> keras.Model:
    """Flatten and Dense(35 rows) behind the outer product of 5 and 7 features."""
    x, y = keras.Input((3,), name="x"), keras.Input((4,), name="y")
    a, b = layers.Dense(5, name="a")(x), layers.Dense(7, name="b")(y)
    product = layers.Multiply(name="scale")(
        [layers.Reshape((5, 1), name="column")(a), layers.Reshape((1, 7), name="row")(b)]
    )
    return keras.Model([x, y], layers.Dense(2, name="head")(layers.Flatten()(product)))


def test_the_rows_of_a_dense_layer_ask_for_the_outer_product(tmp_path):
    model = outer()
    model.save(tmp_path / "m.keras")
    broken = mutate(tmp_path / "m.keras", tmp_path / "b.keras", Recipe(("scale",), ("column", "row"))).path
    result = rewriter.repair(forget(broken, tmp_path / "f.keras"), tmp_path / "fixed.keras")
    assert result.output is not None, [f.why for f in result.findings]
    (finding,) = result.findings
    assert finding.choice.rule == "outer"
    assert "weights were trained on 35" in finding.why
    inputs = support.random_inputs(model, 3)
    fixed = keras.saving.load_model(tmp_path / "fixed.keras")
    support.compare(support.run(fixed, inputs), support.run(model, inputs))


def test_without_anything_behind_it_the_outer_product_is_not_assumed(tmp_path):
    x, y = keras.Input((5,), name="x"), keras.Input((7,), name="y")
    product = layers.Multiply(name="scale")(
        [layers.Reshape((5, 1), name="column")(x), layers.Reshape((1, 7), name="row")(y)]
    )
    keras.Model([x, y], product).save(tmp_path / "m.keras")
    broken = mutate(tmp_path / "m.keras", tmp_path / "b.keras", Recipe(("scale",), ("column", "row"))).path
    result = rewriter.repair(forget(broken, tmp_path / "f.keras"), tmp_path / "fixed.keras")
    assert result.output is None
    assert "outer" in {c.rule for c in result.findings[0].candidates}


def test_a_layer_that_does_not_fit_its_weights_is_reported_and_not_repaired(tmp_path):
    x = keras.Input((5,), name="x")
    keras.Model(x, layers.Dense(2, name="head")(layers.Dense(7, name="a")(x))).save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as source, zipfile.ZipFile(tmp_path / "b.keras", "w") as copy:
        for member in source.infolist():
            data = source.read(member)
            if member.filename == "config.json":
                data = data.replace(b'"units": 7', b'"units": 8')
            copy.writestr(member, data)
    result = rewriter.repair(tmp_path / "b.keras", tmp_path / "fixed.keras")
    assert [(f.node, f.severity.value) for f in result.findings] == [("head", "error")]
    assert result.output is None
    assert not (tmp_path / "fixed.keras").exists()
