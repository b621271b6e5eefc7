"""Custom layers and models in SavedModels, from their functions: against the model that was saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import rewriter
from rewriter.errors import UnsupportedError
from tests.formats.keras.upgrade import oracle

layers = tf_keras.layers


def agree(model: Any, folder: Path, *inputs: np.ndarray) -> rewriter.Converted:
    """Save, convert and load a model, and compare the outputs of both."""
    rng = np.random.default_rng(0)
    given: Any = list(inputs)
    for tensor in [] if given else model.inputs:
        given.append(rng.normal(size=[3, *tensor.shape[1:]]).astype("float32"))
    given = given if len(given) > 1 else given[0]
    model.predict(given, verbose=0)
    for weight in model.weights:
        low = 0.5 if "variance" in weight.name else -1
        weight.assign(rng.uniform(low, 1, weight.shape).astype(weight.dtype.name))
    wanted = flat(model.predict(given, verbose=0))
    model.save(folder / "old", save_format="tf")
    result = rewriter.convert(folder / "old", folder / "new.keras", verify=False)
    got = flat(keras.saving.load_model(folder / "new.keras").predict(given, verbose=0))
    assert len(got) == len(wanted)
    for ours, theirs in zip(got, wanted, strict=True):
        assert ours.shape == theirs.shape
        assert oracle.says_something(theirs)
        assert np.abs(ours - theirs).max() <= oracle.TOLERANCE * np.abs(theirs).max()
    return result


def flat(value: Any) -> list[Any]:
    return [each for item in value for each in flat(item)] if isinstance(value, (list, tuple)) else [value]


def of_layer(layer: Any, *shapes: tuple[int, ...], **options: Any) -> Any:
    inputs = [tf_keras.Input(shape, **options) for shape in shapes]
    return tf_keras.Model(inputs, layer(inputs if len(inputs) > 1 else inputs[0]))


# -- layers -----------------------------
class Scaled(layers.Layer):
    """Several results, each used by name in a layer of its own."""

    def call(self, x: Any) -> Any:
        mean, variance = tf.nn.moments(x, [1, 2], keepdims=True)
        return (x - mean) / tf.maximum(tf.sqrt(variance), 1e-3), mean, tf.sqrt(variance)


class Unscaled(layers.Layer):
    def call(self, x: Any, shift: Any, scale: Any = None) -> Any:
        return x * scale + shift


class Gate(layers.Layer):
    """Weights of its own: of a product, of a sum, of rows."""

    def build(self, shape: Any) -> None:
        self.w = self.add_weight("w", (shape[-1], 5))
        self.b = self.add_weight("b", (5,))
        self.rows = self.add_weight("rows", (shape[1], 5))
        self.unused = self.add_weight("unused", (2,))

    def call(self, x: Any) -> Any:
        return tf.nn.sigmoid(tf.tensordot(x, self.w, 1) + self.b) * self.rows


class Twice(layers.Layer):
    """One product used with a bias and without."""

    def build(self, shape: Any) -> None:
        self.w = self.add_weight("w", (shape[-1], 4))
        self.b = self.add_weight("b", (4,))

    def call(self, x: Any) -> Any:
        y = tf.matmul(x, self.w)
        return tf.concat([y + self.b, y, tf.matmul(x, self.w), tf.matmul(x, tf.square(self.w))], -1)


class Noisy(layers.Layer):
    """A layer with another function in training."""

    def call(self, x: Any, training: Any = None) -> Any:
        return tf.nn.dropout(x * 3.0, 0.5) if training else x * 2.0


class Block(layers.Layer):
    """The block of a transformer."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attention = layers.MultiHeadAttention(2, 4, dropout=0.1)
        self.inner = tf_keras.Sequential([layers.Dense(16, "relu"), layers.Dense(8)])
        self.first, self.second = layers.LayerNormalization(epsilon=1e-6), layers.LayerNormalization()
        self.dropout = layers.Dropout(0.1)

    def call(self, x: Any, training: Any = None) -> Any:
        y = self.first(x + self.dropout(self.attention(x, x), training=training))
        return self.second(y + self.inner(y))


class Folded(layers.Layer):
    """Computed shapes and computed constants."""

    def call(self, x: Any) -> Any:
        flat = tf.reshape(x, [tf.shape(x)[0], x.shape[1] * x.shape[2]])
        smallest = tf.reshape(tf.reduce_min(flat, -1), [tf.shape(x)[0], 1, 1])
        turned = tf.transpose(tf.constant(np.arange(6, dtype="float32").reshape(2, 3)))[1:]
        padded = tf.pad(x - smallest, [[0, 0], [1, 2], [0, 0]], "REFLECT")
        logarithm = tf.math.log(padded + tf.math.log(10.0)) / tf.cast(tf.constant(2.0, tf.float64), "float32")
        return tf.reshape(logarithm[:, : x.shape[1]], tf.shape(x)) + turned[0, 1]


class Placed(layers.Layer):
    """Rows of a table by position, computed from a shape."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tokens, self.places = layers.Embedding(9, 4), layers.Embedding(6, 4)

    def call(self, x: Any) -> Any:
        return self.tokens(x) + self.places(tf.range(0, tf.shape(x)[-1], 1))


class Weighted(layers.Layer):
    """The attention of many notebooks, by functions of the backend, which unpack shapes."""

    def build(self, shape: Any) -> None:
        self.w = self.add_weight("w", (shape[-1], 1))
        self.b = self.add_weight("b", (shape[1], 1))

    def call(self, x: Any) -> Any:
        backend = tf_keras.backend
        scores = backend.squeeze(backend.tanh(backend.dot(x, self.w) + self.b), axis=-1)
        return backend.sum(x * backend.expand_dims(backend.softmax(scores), axis=-1), axis=1)


class Filtered(layers.Layer):
    """Kernels that no variable holds."""

    def call(self, x: Any) -> Any:
        kernel = tf.constant(np.random.default_rng(1).normal(size=(3, 2, 4)).astype("float32"))
        y = tf.nn.conv1d(x, kernel, 2, "SAME")
        return tf.nn.bias_add(y, tf.constant([1.0, 2.0, 3.0, 4.0]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: of_layer(layers.Lambda(lambda x: tf.sin(x) * 2.0), (4,)),
        lambda: of_layer(layers.LocallyConnected1D(3, 2), (5, 4)),
        lambda: of_layer(Gate(), (3, 4)),
        lambda: of_layer(Twice(), (4,)),
        lambda: of_layer(Noisy(), (4,)),
        lambda: of_layer(Block(), (5, 8)),
        lambda: of_layer(Folded(), (4, 3)),
        lambda: of_layer(Filtered(), (6, 2)),
        lambda: of_layer(Weighted(), (4, 3)),
    ],
    ids=["lambda", "locally_connected", "gate", "twice", "noisy", "block", "folded", "filtered", "weighted"],
)
def test_a_custom_layer(make: Callable[[], Any], tmp_path: Path):
    result = agree(make(), tmp_path)
    assert "as it computes outside of training" in str(result.remarks)


def test_layers_that_take_and_give_several_tensors(tmp_path: Path):
    x = tf_keras.Input((4, 5, 2))
    y, mean, scale = Scaled(name="scaled")(x)
    y = layers.Conv2D(2, 3, padding="same")(y)
    last = Unscaled(name="last")(y, mean, scale=scale)
    agree(tf_keras.Model(x, [last, mean]), tmp_path)
    new = keras.saving.load_model(tmp_path / "new.keras")
    assert new.output_names[0] == "last"


def test_places_of_words(tmp_path: Path):
    model = of_layer(Placed(), (6,), dtype="int32")
    agree(model, tmp_path, np.random.default_rng(0).integers(0, 9, (3, 6)).astype("int32"))


def test_a_layer_called_twice(tmp_path: Path):
    x, gate = tf_keras.Input((4, 4)), Twice()
    agree(tf_keras.Model(x, layers.Dense(4)(layers.add([gate(x), gate(layers.ReLU()(x))]))), tmp_path)


# -- models -----------------------------
class Images(tf_keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.conv = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")
        self.depthwise = layers.DepthwiseConv2D(3, depth_multiplier=2)
        self.norm = layers.BatchNormalization(epsilon=0.01)
        self.end = layers.Dense(3, "softmax")

    def call(self, x: Any, training: Any = None) -> Any:
        y = self.norm(self.depthwise(self.conv(x)), training=training)
        y = tf.nn.avg_pool2d(tf.nn.max_pool2d(y, 2, 1, "SAME"), 2, 2, "VALID")
        return self.end(tf.reduce_mean(y, [1, 2]))


class Words(tf_keras.Model):
    """Loops, which only the layer configurations describe."""

    def __init__(self) -> None:
        super().__init__()
        self.table = layers.Embedding(9, 4)
        self.both = layers.Bidirectional(layers.SimpleRNN(3, return_sequences=True))
        self.last = layers.GRU(2, dropout=0.5)
        self.end = layers.Dense(3)

    def call(self, given: Any, training: Any = None) -> Any:
        tokens, other = given
        y = self.last(self.both(self.table(tokens)), training=training)
        return tf.concat([self.end(y), other], -1), self.end(y * 2.0)


def test_a_subclassed_model(tmp_path: Path):
    result = agree(Images(), tmp_path, np.random.default_rng(0).normal(size=(3, 8, 8, 2)).astype("float32"))
    assert "the class Images" in str(result)


def test_a_subclassed_model_with_loops(tmp_path: Path):
    rng = np.random.default_rng(0)
    agree(
        Words(),
        tmp_path,
        rng.integers(0, 9, (3, 6)).astype("int32"),
        rng.normal(size=(3, 2)).astype("float32"),
    )


# -- refusals -----------------------------
class Dice(layers.Layer):
    def call(self, x: Any) -> Any:
        return x + tf.random.uniform(tf.shape(x))


class Counting(layers.Layer):
    def build(self, shape: Any) -> None:
        self.count = self.add_weight("count", (), trainable=False)

    def call(self, x: Any) -> Any:
        self.count.assign_add(1.0)
        return x * 2.0


class Trains(layers.Layer):
    """A layer with an inner layer that is always in training mode."""

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layer = layer

    def call(self, x: Any) -> Any:
        return self.layer(x, training=True) * 2.0


class Ordered(layers.Layer):
    def call(self, x: Any) -> Any:
        return tf.sort(x)


class Vast(layers.Layer):
    """Few numbers in the file, many in memory."""

    def __init__(self, shape: list[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shape = shape

    def call(self, x: Any) -> Any:
        with tf.init_scope():
            one = tf.constant(1.0)
        return x * tf.reduce_max(tf.fill(self.shape, tf.identity(one)))


class Inside(layers.Layer):
    """A layer with an inner layer, whose call is inlined in the function."""

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layer = layer

    def call(self, x: Any) -> Any:
        return self.layer(x) * 2.0


class Shifted(layers.Layer):
    def call(self, given: Any) -> Any:
        return given[0] + tf.cast(given[1], "float32")


def of_bytes() -> Any:
    inputs = [tf_keras.Input((4,)), tf_keras.Input((4,), dtype="int8")]
    return tf_keras.Model(inputs, Shifted()(inputs))


class Half(layers.Layer):
    def call(self, x: Any) -> Any:
        return tf.cast(tf.cast(x, "float16") * 3.0, "float32")


def masked() -> Any:
    x = tf_keras.Input((4,))
    return tf_keras.Model(x, layers.SimpleRNN(2)(Noisy()(layers.Embedding(5, 3, mask_zero=True)(x))))


class MakesMask(layers.Layer):
    def call(self, x: Any) -> Any:
        return x * 1.5

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        return tf.not_equal(x[..., 0], 0.0)


def masked_by_a_layer() -> Any:
    x = tf_keras.Input((6, 4))
    return tf_keras.Model(x, layers.SimpleRNN(3)(layers.Dense(4)(MakesMask()(x))))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: of_layer(Dice(), (4,)), "Shape|RandomUniform"),
        (lambda: of_layer(Counting(), (4,)), "it changes variables"),
        (lambda: of_layer(Trains(layers.BatchNormalization()), (4,)), "it changes variables|normalizes"),
        (lambda: of_layer(Trains(layers.Dropout(0.5)), (4,)), "Random|Shape"),
        (lambda: of_layer(Trains(layers.SimpleRNN(3, dropout=0.5)), (4, 2)), "as for its function"),
        (lambda: of_layer(Ordered(), (4,)), "no operation in Keras 3"),
        (lambda: of_layer(Half(), (4,)), "one of its constants has the type float16"),
        (of_bytes, "its function takes tensors of type int8"),
        (lambda: of_layer(Inside(layers.LayerNormalization(axis=[1, 2])), (4, 3)), "the axes of its"),
        (lambda: of_layer(Inside(layers.SimpleRNN(3)), (4, 2)), "as for its function"),
        (lambda: of_layer(Vast([2**15, 2**15]), (4,)), "too many numbers"),
        (masked, "its code is not in the file"),
        (masked_by_a_layer, "a mask reaches 'simple_rnn.*', and no function shows where it comes from"),
    ],
    ids=[
        "random",
        "counting",
        "normalization",
        "dropout",
        "recurrent",
        "sort",
        "half",
        "bytes",
        "axes",
        "loop",
        "vast",
        "masked",
        "masked-by-a-layer",
    ],
)
def test_what_a_function_does_not_say_is_refused(make: Callable[[], Any], reason: str, tmp_path: Path):
    make().save(tmp_path / "old", save_format="tf")
    with pytest.raises(UnsupportedError, match=reason):
        rewriter.convert(tmp_path / "old", tmp_path / "new.keras", verify=False)
    with pytest.raises(UnsupportedError, match=reason):
        rewriter.export_onnx(tmp_path / "old", tmp_path / "new.onnx", verify=False)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_a_custom_mask_that_nothing_takes(tmp_path: Path):
    x = tf_keras.Input((6, 4))
    agree(tf_keras.Model(x, layers.Conv1D(3, 2)(MakesMask()(x))), tmp_path)
