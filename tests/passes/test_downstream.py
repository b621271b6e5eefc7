"""Later nodes decide the meaning of a multiply: by their weights, without any recorded shape."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers, ops

import rewriter
from tests import support
from tests.mutation.edits import Recipe, mutate


def forget(path: Path, target: Path, without: str = "build_config") -> Path:
    """The archive without recorded sizes and without one key of its layers: only weights remain as evidence."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            if value.get("class_name") == "__keras_tensor__":
                rank = len(value["config"]["shape"])
                return {**value, "config": {**value["config"], "shape": [None] * rank}}
            return {k: strip(v) for k, v in value.items() if k != without}
        return [strip(v) for v in value] if isinstance(value, list) else value

    return edited(path, target, strip)


def edited(path: Path, target: Path, change: Callable[[Any], Any]) -> Path:
    """The archive with another configuration."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
        for member in source.infolist():
            data = source.read(member)
            if member.filename == "config.json":
                data = json.dumps(change(json.loads(data))).encode()
            copy.writestr(member, data)
    return target


def outer() -> keras.Model:
    """Flatten and Dense(35 rows) after the outer product of 5 and 7 features."""
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


def test_a_layer_whose_units_its_weights_do_not_have_is_reported_and_not_repaired(tmp_path):
    x = keras.Input((5,), name="x")
    keras.Model(x, layers.Dense(2, name="head")(layers.Dense(7, name="a")(x))).save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as source, zipfile.ZipFile(tmp_path / "b.keras", "w") as copy:
        for member in source.infolist():
            data = source.read(member)
            if member.filename == "config.json":
                data = data.replace(b'"units": 7', b'"units": 8')
            copy.writestr(member, data)
    result = rewriter.repair(tmp_path / "b.keras", tmp_path / "fixed.keras")
    assert [(f.node, f.severity.value) for f in result.findings] == [("a", "error")]
    assert "units=7" in result.findings[0].message
    assert result.output is None
    assert not (tmp_path / "fixed.keras").exists()


def nested(y: Any) -> Any:
    inside = keras.Input((5, 7))
    return keras.Model(inside, layers.Dense(2)(layers.Flatten()(inside)), name="inner")(y)


def sibling(*shape: int) -> Any:
    return keras.Input(shape, name="sibling")


# Layers after the product of 5 and 7 features; each is right only for the outer product [B, 5, 7].
FOLLOWING: dict[str, Callable[[Any], Any]] = {
    "Flatten and Dense": lambda y: layers.Dense(2)(layers.Flatten()(y)),
    "Reshape and Dense": lambda y: layers.Dense(2)(layers.Reshape((35,))(y)),
    "an activation, Dropout and Dense": lambda y: layers.Dense(2)(layers.Dropout(0.1)(layers.ReLU()(y))),
    "a map and a convolution": lambda y: layers.Conv2D(2, 3)(layers.Reshape((5, 7, 1))(y)),
    "pooling and Dense": lambda y: layers.Dense(2)(layers.AveragePooling1D(2)(y)),
    "global pooling and Dense": lambda y: layers.Dense(2)(layers.GlobalMaxPooling1D()(y)),
    "Permute and Dense": lambda y: layers.Dense(2)(layers.Permute((2, 1))(y)),
    "ops and Dense": lambda y: layers.Dense(2)(ops.transpose(ops.tanh(y), (0, 2, 1))),
    "Concatenate": lambda y: layers.Concatenate(axis=1)([y, sibling(3, 7)]),
    "Add": lambda y: layers.Add()([y, sibling(5, 7)]),
    "a nested model": nested,
    "TimeDistributed": lambda y: layers.TimeDistributed(layers.Dense(2))(y),
    "Bidirectional": lambda y: layers.Bidirectional(layers.LSTM(2))(y),
    "RNN": lambda y: layers.RNN(layers.GRUCell(2))(y),
    "Conv1D": lambda y: layers.Conv1D(2, 3)(y),
    "SeparableConv1D": lambda y: layers.SeparableConv1D(2, 3)(y),
    "DepthwiseConv1D": lambda y: layers.DepthwiseConv1D(3)(y),
    "EinsumDense": lambda y: layers.EinsumDense("abc,cd->abd", output_shape=(None, 2))(y),
    "BatchNormalization": lambda y: layers.BatchNormalization()(y),
    "LayerNormalization": lambda y: layers.LayerNormalization(axis=(1, 2))(y),
    "GroupNormalization": lambda y: layers.GroupNormalization(7)(y),
    "RMSNormalization": lambda y: layers.RMSNormalization()(y),
    "PReLU": lambda y: layers.PReLU()(y),
    "SpectralNormalization": lambda y: layers.SpectralNormalization(layers.Dense(2))(y),
    "MultiHeadAttention": lambda y: layers.MultiHeadAttention(2, 3)(y, y),
    "attention to it": lambda y: layers.MultiHeadAttention(2, 3)(sibling(4, 6), y),
    "GroupQueryAttention": lambda y: layers.GroupQueryAttention(3, 2, 1)(y, y),
}


@pytest.mark.parametrize("name", FOLLOWING)
def test_demands_are_carried_back_to_the_product(name, tmp_path):
    keras.backend.clear_session()
    x, y = keras.Input((5,), name="x"), keras.Input((7,), name="y")
    product = layers.Multiply(name="scale")(
        [layers.Reshape((5, 1), name="column")(x), layers.Reshape((1, 7), name="row")(y)]
    )
    out = FOLLOWING[name](product)
    keras.Model(keras.utils.get_source_inputs(out), out).save(tmp_path / "m.keras")
    broken = mutate(tmp_path / "m.keras", tmp_path / "b.keras", Recipe(("scale",), ("column", "row"))).path
    report = rewriter.check(forget(broken, tmp_path / "f.keras"))
    (finding,) = report.findings
    assert finding.choice is not None, finding.why
    assert finding.choice.rule == "outer"
    assert finding.choice.plan.output[1:] == (5, 7)


# Layers that accept any tensor: they are no evidence about the product.
SILENT: dict[str, Callable[[Any], Any]] = {
    "nothing": lambda y: y,
    "an activation": lambda y: layers.ReLU()(y),
    "Flatten": lambda y: layers.Flatten()(y),
    "Attention without a scale": lambda y: layers.Attention()([y, y]),
}


@pytest.mark.parametrize("name", SILENT)
def test_what_takes_any_tensor_decides_nothing(name, tmp_path):
    keras.backend.clear_session()
    x, y = keras.Input((5,), name="x"), keras.Input((7,), name="y")
    product = layers.Multiply(name="scale")(
        [layers.Reshape((5, 1), name="column")(x), layers.Reshape((1, 7), name="row")(y)]
    )
    keras.Model([x, y], SILENT[name](product)).save(tmp_path / "m.keras")
    broken = mutate(tmp_path / "m.keras", tmp_path / "b.keras", Recipe(("scale",), ("column", "row"))).path
    (finding,) = rewriter.check(forget(broken, tmp_path / "f.keras")).findings
    assert finding.choice is None, finding.why
