"""Models of tf_keras with functions of TensorFlow in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from tf_keras import backend

Make = Callable[[], Any]
STEPS = (5, 4)
CASES: dict[str, Make] = {}


def functions(name: str, *shapes: tuple[int, ...], dtype: str | None = None) -> Callable[[Any], Any]:
    """Register a function that gives the outputs of a model on inputs of these shapes."""

    def register(function: Any) -> Any:
        def make() -> Any:
            inputs = [tf_keras.Input(shape, dtype=dtype) for shape in shapes]
            return tf_keras.Model(inputs, function(*inputs))

        CASES[name] = make
        return function

    return register


@functions("operators", STEPS, STEPS)
def _(x: Any, y: Any) -> Any:
    arithmetic = [x + y, x - y, x * y, x / y, x + 2, 2 + x, 1 - x, 1 / x, -x, x**2, x // y, x % y, abs(x)]
    constants = [x * [1.0, 2.0, 3.0, 4.0], x * np.float32(3), x + np.arange(4)]
    compared = [x > y, x <= y, (x > y) & (x > 0), (x > y) | (x > 0), ~(x > y), tf.equal(x, y)]
    return [*arithmetic, *constants, *[tf.cast(item, "float32") for item in compared]]


@functions("binary", STEPS, STEPS)
def _(x: Any, y: Any) -> Any:
    return [
        tf.add(x, y), tf.subtract(x, y), tf.multiply(x, y), tf.divide(x, y), tf.maximum(x, y), tf.minimum(x, 0.0),
        tf.math.squared_difference(x, y), tf.pow(tf.abs(x), y), tf.math.divide_no_nan(x, y), tf.add_n([x, y, x]),
        tf.math.atan2(x, y),
    ]  # fmt: skip


@functions("unary", STEPS)
def _(x: Any) -> Any:
    found = [
        tf.exp, tf.sin, tf.cos, tf.tanh, tf.sigmoid, tf.square, tf.abs, tf.sign, tf.floor, tf.math.ceil, tf.round,
        tf.math.softplus, tf.math.erf, tf.math.reciprocal, tf.identity, tf.stop_gradient, tf.negative, tf.nn.relu,
        tf.nn.relu6, tf.nn.elu, tf.nn.selu, tf.nn.silu, tf.nn.softsign, tf.math.expm1, tf.math.sinh, tf.math.asinh,
        tf.math.atan,
    ]  # fmt: skip
    positive = [tf.sqrt, tf.math.log, tf.math.rsqrt, tf.math.log1p]
    return [each(x) for each in found] + [each(tf.abs(x) + 0.1) for each in positive]


@functions("elementwise", STEPS, STEPS)
def _(x: Any, y: Any) -> Any:
    return [
        tf.where(x > 0, x, y), tf.where(x > y, 1.0, 0.0) * x, tf.clip_by_value(x, -0.5, 0.5), tf.zeros_like(x) + x,
        tf.ones_like(x) * y, tf.cast(x, tf.int32), tf.cast(x, "float64"),
    ]  # fmt: skip


@functions("reductions", STEPS)
def _(x: Any) -> Any:
    return [
        tf.reduce_sum(x, 1), tf.reduce_mean(x, axis=[1, 2]), tf.reduce_max(x, -1, keepdims=True),
        tf.reduce_min(x, axis=1), tf.reduce_prod(x, 2), tf.math.reduce_std(x, axis=1), tf.math.reduce_variance(x, 1),
        tf.reduce_logsumexp(x, -1), tf.cast(tf.reduce_any(x > 1, 1), "float32"), tf.cumsum(x, 1),
        tf.cumsum(x, axis=1, reverse=True), *tf.nn.moments(x, [1]),
    ]  # fmt: skip


@functions("arg_reductions", STEPS)
def _(x: Any) -> Any:
    return [tf.argmax(x, -1), tf.argmin(x, axis=1, output_type=tf.int32)]


@functions("norms", STEPS)
def _(x: Any) -> Any:
    return [
        tf.nn.l2_normalize(x, -1), tf.norm(x, axis=-1, keepdims=True), tf.math.l2_normalize(x, axis=[1, 2]),
        tf.math.reduce_euclidean_norm(x, -1), tf.norm(x, ord=1, axis=1),
    ]  # fmt: skip


@functions("layout", STEPS)
def _(x: Any) -> Any:
    return [
        tf.reshape(x, (-1, 20)), tf.reshape(x, [-1, 2, 10]), tf.expand_dims(x, 1), tf.expand_dims(x, axis=-1),
        tf.squeeze(tf.expand_dims(x, 1), 1), tf.squeeze(tf.expand_dims(x, 2), axis=[2]), tf.transpose(x, [0, 2, 1]),
        tf.tile(x, [1, 2, 3]), tf.repeat(x, 3, axis=1), tf.reverse(x, [1]), tf.roll(x, 2, 1),
        tf.gather(x, [0, 2], axis=1), tf.gather(x, 2, axis=-1),
    ]  # fmt: skip


@functions("joins", STEPS, STEPS)
def _(x: Any, y: Any) -> Any:
    return [
        tf.concat([x, y], -1), tf.concat([x, y], axis=1), tf.stack([x, y], 1), tf.stack([x, y], axis=-1),
        tf.stack([x], 1), *tf.unstack(x, axis=1), *tf.split(x, 2, axis=-1), *tf.split(x, [1, 2, 1], -1),
        tf.pad(x, [[0, 0], [1, 2], [0, 1]]), tf.pad(x, [[0, 0], [1, 2], [0, 1]], "REFLECT"),
        tf.pad(x, [[0, 0], [1, 2], [0, 1]], constant_values=3.0),
    ]  # fmt: skip


@functions("one_hot", (4,), dtype="int32")
def _(x: Any) -> Any:
    return [tf.one_hot(x, 5), x + 1, x * [1, 2, 3, 4]]


@functions("indexing", STEPS)
def _(x: Any) -> Any:
    return [
        x[:, 0],
        x[:, 1:3],
        x[..., None],
        x[:, ::2, -1],
        x[..., 0],
        x[:, tf.newaxis],
        x[:, -1],
        x[:, :, 1:],
    ]


@functions("matmul", STEPS, STEPS)
def _(x: Any, y: Any) -> Any:
    turned = tf.transpose(y, [0, 2, 1])
    return [
        tf.matmul(x, y, transpose_b=True),
        tf.matmul(x, y, transpose_a=True),
        tf.linalg.matmul(x, turned),
        x @ turned,
    ]


@functions("tf_nn", STEPS)
def _(x: Any) -> Any:
    return [
        tf.nn.softmax(x), tf.nn.softmax(x, axis=1), tf.nn.log_softmax(x), tf.nn.leaky_relu(x),
        tf.nn.leaky_relu(x, alpha=0.3), tf.nn.gelu(x), tf.nn.gelu(x, approximate=True),
        tf.nn.bias_add(x, [1.0, 2.0, 3.0, 4.0]),
    ]  # fmt: skip


@functions("tf_image", (6, 8, 4))
def _(x: Any) -> Any:
    return [
        tf.image.resize(x, (9, 11)), tf.image.resize(x, (3, 3), method="nearest"), tf.image.resize(x, [12, 16],
        "bicubic"),
        tf.nn.max_pool2d(x, 2, 2, "SAME"), tf.nn.avg_pool2d(x, [1, 2, 2, 1], [1, 2, 2, 1], "VALID"),
        tf.nn.depth_to_space(x, 2), tf.nn.space_to_depth(x, 2),
    ]  # fmt: skip


@functions("dynamic_reshape", STEPS)
def _(x: Any) -> Any:
    batch = tf.shape(x)[0]
    return [tf.reshape(x, [batch, 20]), tf.reshape(x, (batch, -1)), tf.reshape(x, tf.stack([batch, 2, 10]))]


@functions("keras_backend", STEPS)
def _(x: Any) -> Any:
    turned = backend.permute_dimensions(x, (0, 2, 1))
    return [
        backend.mean(x, axis=1), backend.sum(x, axis=-1, keepdims=True), backend.expand_dims(x), turned,
        backend.concatenate([x, x]), backend.batch_dot(x, turned), backend.l2_normalize(x, -1), backend.clip(x, 0, 1),
        backend.softmax(x), backend.square(x), backend.hard_sigmoid(x), backend.reshape(x, (-1, 20)),
        backend.repeat_elements(x, 2, 1), backend.stack([x, x], 1), backend.max(x, 1), backend.relu(x),
        backend.tile(x, [1, 2, 1]), backend.dot(x, tf.constant(np.ones((4, 3), "float32"))),
    ]  # fmt: skip


@functions("squeeze_and_excitation", (6, 8, 4))
def _(x: Any) -> Any:
    gate = tf_keras.layers.Dense(4, activation="sigmoid")(tf.reduce_mean(x, [1, 2]))
    return x * gate[:, None, None] + tf_keras.layers.Conv2D(4, 1)(x)
