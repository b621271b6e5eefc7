"""SavedModels that the tests make: plain TensorFlow, Keras 2 and Keras 3, broken ones and valid ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras

Shape = Sequence[int | None]


def plain(path: Path, function: Callable[..., Any], *shapes: Shape, dtype: Any = tf.float32) -> str:
    """A module with one function as its signature; its inputs are called a, b, c."""
    module = tf.Module()
    specs = [tf.TensorSpec(shape, dtype, name="abc"[number]) for number, shape in enumerate(shapes)]
    module.run = tf.function(function, input_signature=specs)
    tf.saved_model.save(module, str(path), signatures=module.run)
    return str(path)


def version_1(path: Path, function: Callable[..., Any], *shapes: Shape) -> str:
    """A model of TensorFlow 1: its graph has no function."""
    v1 = tf.compat.v1
    graph = tf.Graph()
    with graph.as_default(), v1.Session() as session:
        inputs = {"abc"[n]: v1.placeholder(tf.float32, shape, "abc"[n]) for n, shape in enumerate(shapes)}
        weights = v1.get_variable("w", initializer=tf.ones([1]), use_resource=True)
        result = tf.identity(function(*inputs.values()) * weights, "out")
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(path), inputs, {"out": result})
    return str(path)


def gate_k3(path: Path, valid: bool = False) -> str:
    """Squeeze-and-excitation of Keras 3, exported; broken unless ``valid``."""
    layers, ops = keras.layers, keras.ops
    given = keras.Input((11, 11, 3))
    x = layers.BatchNormalization()(layers.Conv2D(7, 3, padding="same")(given))
    gate = layers.Dense(7, activation="sigmoid")(layers.GlobalAveragePooling2D()(x))
    x = ops.multiply(x, ops.reshape(gate, (-1, 1, 1, 7)) if valid else gate)
    keras.Model(given, layers.Dense(2)(layers.GlobalAveragePooling2D()(x))).export(str(path), verbose=False)
    return str(path)


def gate_k2(path: Path, valid: bool = False) -> str:
    """The same for Keras 2, saved with its metadata."""
    layers = tf_keras.layers
    given = tf_keras.Input((11, 11, 3))
    x = layers.BatchNormalization()(layers.Conv2D(7, 3, padding="same")(given))
    gate = layers.Dense(7, activation="sigmoid")(layers.GlobalAveragePooling2D()(x))
    x = x * (tf.reshape(gate, (-1, 1, 1, 7)) if valid else gate)
    model = tf_keras.Model(given, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    model.save(str(path), save_format="tf")
    return str(path)


def _recurrent(layers: Any, model: Any, given: Any, summed: Callable[[Any], Any]) -> Any:
    x = layers.Bidirectional(layers.GRU(5, return_sequences=True))(given)
    weights = layers.Softmax(axis=1)(layers.Dense(1)(layers.LSTM(4, return_sequences=True)(x)))
    return model(given, layers.Dense(2)(summed(layers.Multiply()([x, weights]))))


def _attention(layers: Any, model: Any, given: Any) -> Any:
    x = layers.Embedding(50, 16)(given)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 8)(x, x))
    x = layers.Dense(16)(layers.Dense(32, activation="gelu")(x)) + x
    return model(given, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))


def _images(layers: Any, model: Any, given: Any) -> Any:
    x = layers.Conv2D(16, 3, padding="same", strides=2)(given)
    x = layers.DepthwiseConv2D(3, padding="same")(layers.BatchNormalization()(x))
    x = layers.SeparableConv2D(7, 3, padding="same")(x)
    gate = layers.Reshape((1, 1, 7))(layers.GlobalAveragePooling2D()(x))
    x = layers.Multiply()([x, gate])
    x = layers.UpSampling2D()(layers.Conv2DTranspose(4, 3, strides=2, padding="same")(x))
    x = layers.Concatenate()([x, layers.Add()([x, layers.Conv2D(4, 1)(x)])])
    return model(given, layers.MaxPooling2D()(x))


def _signals(layers: Any, model: Any, given: Any) -> Any:
    x = layers.Conv1D(8, 3, padding="causal", dilation_rate=2)(given)
    x = layers.UpSampling1D(2)(layers.MaxPooling1D(2)(x))
    x = layers.Cropping1D(1)(layers.ZeroPadding1D(1)(x))
    x = layers.Dropout(0.3)(layers.Flatten()(x))
    return model(given, layers.Dense(3, activation="softmax")(x))


def _export(make: Callable[[], Any], path: Path) -> str:
    make().export(str(path), verbose=False)
    return str(path)


def _save(make: Callable[[], Any], path: Path) -> str:
    make().save(str(path), save_format="tf")
    return str(path)


def _of(kit: Any, build: Callable[..., Any], shape: Shape, **options: Any) -> Callable[[], Any]:
    return lambda: build(kit.layers, kit.Model, kit.Input(shape, **options))


def _keras_3(build: Callable[..., Any], *arguments: Any, **options: Any) -> Callable[[Path], str]:
    return partial(_export, _of(keras, build, *arguments, **options))


def _keras_2(build: Callable[..., Any], *arguments: Any, **options: Any) -> Callable[[Path], str]:
    return partial(_save, _of(tf_keras, build, *arguments, **options))


def _sum_3(layers: Any, model: Any, given: Any) -> Any:
    return _recurrent(layers, model, given, lambda x: keras.ops.sum(x, 1))


def _sum_2(layers: Any, model: Any, given: Any) -> Any:
    """For Keras 2 only one recurrent layer: it writes ten functions for each."""
    x = layers.LSTM(5, return_sequences=True)(given)
    weights = layers.Softmax(axis=1)(layers.Dense(1)(x))
    return model(given, layers.Dense(2)(tf.reduce_sum(layers.Multiply()([x, weights]), 1)))


def _pairs(a: Any, b: Any) -> Any:
    """All pairs of two lists of points, on purpose."""
    return tf.reduce_sum(tf.square(a[:, None] - b[None]), -1)


def _branches(a: Any, b: Any) -> Any:
    return tf.cond(tf.reduce_sum(a) > 0, lambda: a * b, lambda: a + b)


# Valid models by name: they have no findings.
VALID: dict[str, Callable[[Path], str]] = {
    "gate-k3": partial(gate_k3, valid=True),
    "gate-k2": partial(gate_k2, valid=True),
    "recurrent-k3": _keras_3(_sum_3, (None, 3)),
    "recurrent-k2": _keras_2(_sum_2, (None, 3)),
    "attention-k3": _keras_3(_attention, (None,), dtype="int32"),
    "attention-k2": _keras_2(_attention, (None,), dtype="int32"),
    "images-k3": _keras_3(_images, (None, None, 3)),
    "images-k2": _keras_2(_images, (32, 32, 3)),
    "signals-k3": _keras_3(_signals, (40, 3)),
    "signals-k2": _keras_2(_signals, (40, 3)),
    "mobilenet-k3": partial(
        _export, lambda: keras.applications.MobileNetV3Small(input_shape=(96, 96, 3), weights=None)
    ),
    "pairs": lambda path: plain(path, _pairs, (None, 3), (None, 3)),
    "branches": lambda path: plain(path, _branches, (None, 3), (None, 3)),
    "version-1": lambda path: version_1(path, lambda a, b: a * b[:, None, None], (None, 9, 9, 5), (None, 5)),
}


def arrays(function: Any, batch: int, seed: int = 0) -> dict[str, Any]:
    """Random inputs of a signature."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(size=[batch, *(size or 9 for size in spec.shape[1:])]).astype(
            spec.dtype.as_numpy_dtype
        )
        for name, spec in function.structured_input_signature[1].items()
    }


def run(path: str, given: dict[str, Any]) -> list[Any]:
    """The outputs of a SavedModel's signature."""
    model = tf.saved_model.load(path)
    found = model.signatures["serving_default"](**{name: tf.constant(value) for name, value in given.items()})
    return [found[name].numpy() for name in sorted(found)]


def one_by_one(path: str, given: dict[str, Any]) -> list[Any]:
    """Its outputs for each sample alone, concatenated."""
    batch = len(next(iter(given.values())))
    model = tf.saved_model.load(path)
    function = model.signatures["serving_default"]
    alone = [
        function(**{name: tf.constant(value[k : k + 1]) for name, value in given.items()})
        for k in range(batch)
    ]
    return [np.concatenate([each[name].numpy() for each in alone]) for name in sorted(alone[0])]


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
