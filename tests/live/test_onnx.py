"""Models in memory as ONNX: ONNX Runtime equals the predictions of the model."""

from __future__ import annotations

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from keras import layers, ops

import rewriter
from tests import support
from tests.live.common import BATCHES, gate, gated, image, one_by_one, picture, undecided


def functional() -> keras.Model:
    x = image()
    y = layers.Conv2D(7, 3, padding="same")(x)
    return keras.Model(x, layers.Multiply()([y, layers.GlobalAveragePooling2D(keepdims=True)(y)]))


def sequential() -> keras.Model:
    model = keras.Sequential(
        [layers.Conv2D(4, 3), layers.BatchNormalization(), layers.Flatten(), layers.Dense(3)]
    )
    model(np.ones((2, 5, 11, 3), "float32"))
    return model


def several() -> keras.Model:
    x, y = image("x"), keras.Input((3,), name="y")
    inner = functional()
    both = {"product": ops.multiply(inner(x), layers.Dense(7)(y)[:, None, None]), "sum": layers.Dense(2)(y)}
    return keras.Model({"x": x, "y": y}, both)


def own_class() -> keras.Model:
    class Own(keras.Model):
        def __init__(self, channels):
            x = image()
            super().__init__(x, layers.Conv2D(channels, 1, activation="relu")(x))

    return Own(4)


def by_onnx(path, inputs) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    flat = keras.tree.flatten(inputs)
    names = [each.name for each in session.get_inputs()]
    return session.run(None, dict(zip(names, flat, strict=True)))


@pytest.mark.parametrize("make", [functional, sequential, several, own_class])
def test_it_computes_what_the_model_predicts(make, tmp_path):
    model = make()
    before = picture(model)
    exported = rewriter.export_onnx(model, tmp_path / "m.onnx")
    assert exported.path == str(tmp_path / "m.onnx")
    assert picture(model) == before
    for batch in BATCHES:
        inputs = support.random_inputs(model, batch)
        support.compare(by_onnx(exported.path, inputs), support.run(model, inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("nested", [False, True])
def test_it_is_repaired_where_that_is_asked_for(nested, tmp_path):
    model = gated()
    if nested:
        x = image()
        model = keras.Sequential([keras.Model(x, gate(x)), layers.Conv2D(2, 1)])
    exported = rewriter.export_onnx(model, tmp_path / "m.onnx", repair=True, opset=18)
    assert exported.opset == 18
    metadata = {each.key: each.value for each in onnx.load(exported.path).metadata_props}
    assert metadata["rules"] == "channel-gate"
    inputs = support.random_inputs(model, 5)
    support.compare(by_onnx(exported.path, inputs), one_by_one(model, inputs, 5), rtol=1e-4, atol=1e-5)


def test_a_file_is_repaired_too(tmp_path):
    model = gated()
    model.save(tmp_path / "m.keras")
    exported = rewriter.export_onnx(tmp_path / "m.keras", tmp_path / "m.onnx", repair=True)
    inputs = support.random_inputs(model, 5)
    support.compare(by_onnx(exported.path, inputs), one_by_one(model, inputs, 5), rtol=1e-4, atol=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.keras", "m.onnx"]


def test_what_is_meant_can_be_stated(tmp_path):
    model, node = undecided()
    with pytest.raises(rewriter.UndecidedError, match=node):
        rewriter.export_onnx(model, tmp_path / "m.onnx", repair=True)
    with pytest.raises(rewriter.UsageError, match="repair=True"):
        rewriter.export_onnx(model, tmp_path / "m.onnx", at={node: "b t d, b t -> b t d"})
    assert list(tmp_path.iterdir()) == []
    rewriter.export_onnx(model, tmp_path / "m.onnx", repair=True, at={node: "b t d, b t -> b t d"})
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=s).astype("float32") for s in ((3, 8, 8), (3, 8)))
    support.compare(by_onnx(tmp_path / "m.onnx", [a, b]), [np.einsum("btd,bt->btd", a, b)])


def test_code_has_no_onnx_form(tmp_path):
    def twice(x):
        return x * 2

    for layer, words in (
        (layers.Lambda(twice, name="code"), "code"),
        (layers.Activation(twice), "activation"),
    ):
        model = gated(layer)
        with pytest.raises(rewriter.UnsupportedError, match=words):
            rewriter.export_onnx(model, tmp_path / "m.onnx", repair=True)
        with pytest.raises(rewriter.UnsupportedError, match=words):
            rewriter.repair(model, tmp_path / "m.keras", onnx=tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []
