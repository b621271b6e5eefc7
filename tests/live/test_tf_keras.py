"""Models of tf_keras: checked and repaired through its own files, and built again by tf_keras."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tf_keras import layers

import rewriter
from tests import support
from tests.live.common import kinds
from tests.live.test_onnx import by_onnx


def image() -> Any:
    return tf_keras.Input((5, 11, 3))


def right(after: Any = lambda x: x) -> Any:
    """A gate with its axes where they belong."""
    x = image()
    y = layers.Conv2D(7, 3, padding="same", name="features")(x)
    factors = layers.GlobalAveragePooling2D(keepdims=True, name="pool")(y)
    return tf_keras.Model(x, after(layers.Multiply(name="scale")([y, factors])), name="right")


def wrong() -> Any:
    """Channels first: the layer scales the width, not the channels."""
    x = tf_keras.Input((8, 8, 8))
    y = layers.Conv2D(8, 3, padding="same", data_format="channels_first", name="features")(x)
    factors = layers.GlobalAveragePooling2D(data_format="channels_first", name="pool")(y)
    return tf_keras.Model(x, layers.Multiply(name="scale")([y, factors]), name="wrong")


def trained(model: Any, **compiled: Any) -> Any:
    model.compile(**{"optimizer": "adam", "loss": "mse", **compiled})
    rng = np.random.default_rng(0)
    for _ in range(3):
        x, y = (
            rng.normal(size=(2, *s[1:])).astype("float32") for s in (model.input_shape, model.output_shape)
        )
        model.train_on_batch(x, y)
    return model


def agrees(fixed: Any, model: Any) -> None:
    for batch in (1, 2, 5):
        x = np.random.default_rng(batch).normal(size=(batch, *model.input_shape[1:])).astype("float32")
        support.compare([fixed(x).numpy()], [model(x).numpy()])


def test_faults_are_found():
    report = rewriter.check(wrong())
    assert kinds(report) == [("axis-misaligned", "scale")]
    assert report.format == "keras-v2"
    assert report.path == "wrong"
    assert rewriter.check(right()).clean


def test_what_is_right_comes_back_with_its_state():
    def close(a, b):
        return tf.reduce_mean(tf.square(a - b))

    model = trained(right(), loss=close, metrics=[close])
    before = [v.numpy().tobytes() for v in model.weights], sorted(vars(model))
    result = rewriter.repair(model)
    assert ([v.numpy().tobytes() for v in model.weights], sorted(vars(model))) == before
    fixed = result.model
    assert isinstance(fixed, tf_keras.Model)
    assert result.verified["verdict"] == "not-run"
    agrees(fixed, model)
    assert int(fixed.optimizer.iterations) == 3
    for a, b in zip(fixed.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert fixed.loss is close


FACTOR = 3.0


@pytest.mark.parametrize("kit", [tf_keras.optimizers, tf_keras.optimizers.legacy])
def test_an_optimizer_that_has_not_been_built(kit: Any):
    model, optimizer = right(), kit.Adam(0.25)
    model.compile(optimizer, "mse")
    fixed = rewriter.repaired(model)
    assert fixed.optimizer.get_config() == optimizer.get_config()
    agrees(fixed, model)


def triple(x):
    return x * FACTOR


def test_functions_are_the_ones_of_the_model():
    def halves(factor):
        return lambda x: x * factor

    def relu(x):
        return tf.sin(x) * 7

    for after in (
        lambda x: layers.Lambda(triple)(x),
        lambda x: layers.Lambda(halves(5.0))(layers.Lambda(halves(0.25))(x)),
        lambda x: layers.Lambda(halves(tf.constant(4.0)))(x),
        lambda x: layers.Lambda(lambda y: y[:, 0], output_shape=lambda shape: (shape[0], *shape[2:]))(x),
        lambda x: layers.Dense(3, activation=relu)(x),
    ):
        model = right(after)
        assert "not-analysed" in dict(kinds(rewriter.check(model)))
        agrees(rewriter.repair(model).model, model)


def test_classes_of_the_callers_own():
    class Scale(layers.Layer):
        def __init__(self, factor=1.0, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor
            self.shift = 0.0

        def call(self, x):
            return x * self.factor + self.shift

        def get_config(self):
            return {**super().get_config(), "factor": self.factor}

    layer = Scale(3.0, name="own")
    model = right(layer)
    layer.shift = 0.5
    agrees(rewriter.repair(model).model, model)


def last() -> Any:
    """Channels last: the operator aligns the factors with the wrong axes."""
    x = image()
    y = layers.Conv2D(7, 3, padding="same", name="features")(x)
    factors = layers.GlobalAveragePooling2D(name="pool")(y)
    return tf_keras.Model(x, y * factors, name="last")


def meant(model: Any, x: Any) -> Any:
    """The outputs sample by sample."""
    return np.concatenate([model(x[i : i + 1]).numpy() for i in range(len(x))])


def test_it_is_repaired_in_its_own_form():
    model = last()
    model.compile("adam", "mse")
    for _ in range(3):
        model.train_on_batch(np.ones((1, 5, 11, 3), "float32"), np.ones((1, 5, 11, 7), "float32"))
    before = [v.numpy().tobytes() for v in model.weights], sorted(vars(model))
    result = rewriter.repair(model, verify=False)
    assert ([v.numpy().tobytes() for v in model.weights], sorted(vars(model))) == before
    assert isinstance(result.model, tf_keras.Model)
    assert result.inserted
    assert int(result.model.optimizer.iterations) == 3
    for batch in (1, 2, 5):
        x = np.random.default_rng(batch).normal(size=(batch, 5, 11, 3)).astype("float32")
        support.compare([result.model(x).numpy()], [meant(model, x)], rtol=1e-4, atol=1e-5)


def test_it_is_written_for_keras_3(tmp_path):
    import keras

    model = last()
    x = np.random.default_rng(0).normal(size=(5, 5, 11, 3)).astype("float32")
    result = rewriter.repair(model, tmp_path / "fixed.keras", onnx=tmp_path / "fixed.onnx", verify=False)
    assert result.model is None
    assert [i.op for i in result.inserted] == ["Reshape"]
    fixed = keras.saving.load_model(result.output)
    support.compare([np.asarray(fixed(x))], [meant(model, x)], rtol=1e-4, atol=1e-5)
    support.compare(by_onnx(result.onnx, [x]), [meant(model, x)], rtol=1e-4, atol=1e-5)


def test_onnx(tmp_path):
    x = np.random.default_rng(0).normal(size=(5, 5, 11, 3)).astype("float32")
    model = trained(right())
    rewriter.export_onnx(model, tmp_path / "right.onnx")
    support.compare(by_onnx(tmp_path / "right.onnx", [x]), [model(x).numpy()], rtol=1e-4, atol=1e-5)
    model = last()
    rewriter.export_onnx(model, tmp_path / "last.onnx", repair=True)
    support.compare(by_onnx(tmp_path / "last.onnx", [x]), [meant(model, x)], rtol=1e-4, atol=1e-5)


def test_subclassed_models():
    class Net(tf_keras.Model):
        def __init__(self):
            super().__init__(name="net")
            self.encoder = right()
            self.blocks = [wrong(), tf_keras.Sequential([tf_keras.Input((4,)), layers.Dense(3)])]

        def call(self, x):
            return self.encoder(x)

    model = Net()
    counts = [len(layer._inbound_nodes) for layer in model._flatten_layers()]
    assert kinds(rewriter.check(model)) == [("not-analysed", "call"), ("axis-misaligned", "blocks.0/scale")]
    assert [len(layer._inbound_nodes) for layer in model._flatten_layers()] == counts
    model.blocks = model.blocks[1:]
    result = rewriter.repair(model)
    assert result.model is None
    agrees(result.parts["encoder"], model.encoder)


def test_a_layer_that_cannot_be_saved_is_named():
    class Odd(layers.Layer):
        def __init__(self, thing):
            super().__init__(name="odd")
            self.thing = thing

        def call(self, x):
            return x

    with pytest.raises(rewriter.UnsupportedError, match=r"^'odd' \(Odd\) cannot be saved: "):
        rewriter.check(right(Odd(functools.partial(print))))


@pytest.mark.parametrize(("name", "form"), [("m.h5", None), ("m", "h5")])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_drop_ins_write_hdf5_with_insertions(name, form, tmp_path):
    """The insertions are layers of Keras 2 here, which HDF5 holds."""
    x, factors = tf_keras.Input((8, 8)), tf_keras.Input((8,))
    model = tf_keras.Model([x, factors], layers.Multiply(name="scale")([x, factors]))
    with rewriter.repairing(model, at={"scale": "b t d, b t -> b t d"}, verify=False) as results:
        model.save(tmp_path / name, save_format=form)
    assert [i.op for i in results[0].inserted] == ["Reshape"]
    a, b = (np.random.default_rng(0).normal(size=s).astype("float32") for s in ((3, 8, 8), (3, 8)))
    again = tf_keras.saving.load_model(tmp_path / name)
    support.compare([again([a, b]).numpy()], [np.einsum("btd,bt->btd", a, b)])


def test_drop_ins(tmp_path):
    model = trained(right())
    agrees(rewriter.repaired(model), model)
    with rewriter.repairing(model) as results:
        model.save(tmp_path / "m.keras")
    assert len(results) == 1
    agrees(tf_keras.saving.load_model(tmp_path / "m.keras"), model)
