"""The Keras side of `make_models.py`: one function per model, as small as the fault allows.

Silent faults are built directly, since Keras accepts them. Where Keras refuses the fault, the function builds the
valid model, and the table in `make_models.py` names the nodes to cut out of its config.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops
from keras.src.ops.numpy import Multiply as MultiplyOp
from keras.src.ops.numpy import Tile as TileOp


def factors(x, channels: int, name: str = "excite", data_format: str = "channels_last"):
    """factors(x[B, H, W, C]) -> [B, C]: pool, then one Dense with a sigmoid."""
    pooled = layers.GlobalAveragePooling2D(data_format=data_format, name=f"{name}_pool")(x)
    return layers.Dense(channels, activation="sigmoid", name=name)(pooled)


def valid() -> keras.Model:
    """A squeeze-and-excitation gate with its Reshape."""
    image = keras.Input((10, 12, 3), name="image")
    x = layers.Conv2D(16, 3, padding="same", name="features")(image)
    g = layers.Reshape((1, 1, 16), name="spread")(factors(x, 16))
    return keras.Model(image, layers.Multiply(name="scale")([x, g]), name="valid")


def incompatible() -> keras.Model:
    """A spatial gate with its Reshape, which the table cuts out."""
    image = keras.Input((10, 12, 3), name="image")
    x = layers.Conv2D(16, 3, padding="same", name="features")(image)
    m = layers.Conv2D(1, 1, activation="sigmoid", name="score")(x)
    m = layers.Reshape((10, 12), name="map")(m)
    m = layers.Reshape((10, 12, 1), name="spread")(m)
    return keras.Model(image, layers.Multiply(name="scale")([x, m]), name="incompatible")


def batch_misaligned() -> keras.Model:
    """(B, 10, 12, 16) * (B, 16) by the operator."""
    image = keras.Input((10, 12, 3), name="image")
    x = layers.Conv2D(16, 3, padding="same", name="features")(image)
    return keras.Model(image, MultiplyOp(name="scale")(x, factors(x, 16)), name="batch_misaligned")


def axis_misaligned() -> keras.Model:
    """Channels first with equal sizes: the layer scales the width instead of the channels."""
    image = keras.Input((8, 8, 8), name="image")
    x = layers.BatchNormalization(axis=1, name="features")(image)
    pooled = layers.GlobalAveragePooling2D(data_format="channels_first", name="pool")(x)
    g = layers.Activation("sigmoid", name="excite")(pooled)
    y = layers.Multiply(name="scale")([x, g])
    return keras.Model(image, layers.BatchNormalization(axis=1, name="after")(y), name="axis_misaligned")


def layout() -> keras.Model:
    """Channels last times channels first, all sizes equal."""
    last = keras.Input((8, 8, 3), name="last")
    first = keras.Input((8, 8, 8), name="first")
    x = layers.Conv2D(8, 3, padding="same", name="features")(last)
    y = layers.BatchNormalization(axis=1, name="other")(first)
    product = layers.Multiply(name="scale")([x, y])
    return keras.Model([last, first], layers.Conv2D(2, 1, name="after")(product), name="layout")


def batch_size() -> keras.Model:
    """A batch of 64 times a batch of 32, repeated by a Tile that the table cuts out."""
    signal = keras.Input(batch_shape=(64, 10), name="signal")
    memory = keras.Input(batch_shape=(32, 10), name="memory")
    x = layers.Dense(10, name="features")(signal)
    y = layers.Dense(10, activation="tanh", name="recall")(memory)
    product = MultiplyOp(name="scale")(x, TileOp((2, 1), name="repeat")(y))
    return keras.Model([signal, memory], product, name="batch_size")


def grown() -> keras.Model:
    """(B, 1) * (B,) by the operator gives (B, B)."""
    signal = keras.Input((6,), name="signal")
    weight = keras.Input((), name="weight")
    score = layers.Dense(1, name="score")(signal)
    return keras.Model([signal, weight], MultiplyOp(name="scale")(score, weight), name="grown")


def nested() -> keras.Model:
    """The batch-misaligned gate inside a nested model."""
    inner = keras.Input((10, 12, 16), name="inner_image")
    block = keras.Model(inner, MultiplyOp(name="scale")(inner, factors(inner, 16)), name="block")
    image = keras.Input((10, 12, 3), name="image")
    x = layers.Conv2D(16, 3, padding="same", name="features")(image)
    return keras.Model(image, block(x), name="nested")


def chained() -> keras.Model:
    """A channel gate and then a spatial gate; the table cuts out both Reshape layers."""
    image = keras.Input((10, 12, 3), name="image")
    x = layers.Conv2D(16, 3, padding="same", name="features")(image)
    g = layers.Reshape((1, 1, 16), name="spread_channels")(factors(x, 16))
    x = MultiplyOp(name="scale_channels")(x, g)
    m = layers.Conv2D(1, 1, activation="sigmoid", name="score")(x)
    m = layers.Reshape((10, 12), name="map")(m)
    m = layers.Reshape((10, 12, 1), name="spread_map")(m)
    return keras.Model(image, MultiplyOp(name="scale_map")(x, m), name="chained")


def article_channel_scale() -> keras.Model:
    """(32, 28, 28, 64) times 64 constant factors: legal."""
    image = keras.Input(batch_shape=(32, 28, 28, 3), name="image")
    x = layers.Conv2D(64, 1, name="features")(image)
    scale = MultiplyOp(name="scale")(x, np.linspace(0.5, 2.0, 64, dtype="float32"))
    return keras.Model(image, scale, name="article_channel_scale")


def article_channel_scale_first() -> keras.Model:
    """(32, 64, 28, 28) times 64 factors with a Reshape that the table cuts out."""
    image = keras.Input(batch_shape=(32, 64, 28, 28), name="image")
    x = layers.BatchNormalization(axis=1, name="features")(image)
    g = layers.Reshape((64, 1, 1), name="spread")(factors(x, 64, data_format="channels_first"))
    return keras.Model(image, layers.Multiply(name="scale")([x, g]), name="article_channel_scale_first")


def article_constant_first() -> keras.Model:
    """(32, 64, 28, 28) times 64 constant factors with a Reshape that the table cuts out."""
    image = keras.Input(batch_shape=(32, 64, 28, 28), name="image")
    x = layers.BatchNormalization(axis=1, name="features")(image)
    values = np.linspace(0.5, 2.0, 64, dtype="float32").reshape(64, 1, 1)
    return keras.Model(image, MultiplyOp(name="scale")(x, values), name="article_constant_first")


def _flattened_pair():
    """Flattened features (32, 50176) and Dense features (32, 128), repeated to the same width."""
    image = keras.Input(batch_shape=(32, 28, 28, 64), name="image")
    signal = keras.Input(batch_shape=(32, 16), name="signal")
    a = layers.Flatten(name="flat")(image)
    b = layers.Dense(128, name="features")(signal)
    return [image, signal], a, TileOp((1, 392), name="repeat")(b)


def article_flatten_multiply() -> keras.Model:
    """(32, 50176) times (32, 128), once the table has cut out the Tile."""
    inputs, a, b = _flattened_pair()
    return keras.Model(inputs, layers.Multiply(name="scale")([a, b]), name="article_flatten_multiply")


def article_flatten_matmul() -> keras.Model:
    """(32, 50176) @ (128, 32), once the table has cut out the Tile: it cannot run."""
    inputs, a, b = _flattened_pair()
    return keras.Model(inputs, ops.matmul(a, ops.transpose(b)), name="article_flatten_matmul")


def article_equal_matmul() -> keras.Model:
    """(32, 128) @ (128, 32): the same with equal widths, which does run."""
    left = keras.Input(batch_shape=(32, 16), name="left")
    right = keras.Input(batch_shape=(32, 16), name="right")
    a = layers.Dense(128, name="features")(left)
    b = layers.Dense(128, name="other")(right)
    return keras.Model([left, right], ops.matmul(a, ops.transpose(b)), name="article_equal_matmul")


def article_batch_tile() -> keras.Model:
    """(64, 10, 10, 3) times (32, 10, 10, 3), repeated by a Tile that the table cuts out."""
    image = keras.Input(batch_shape=(64, 10, 10, 3), name="image")
    template = keras.Input(batch_shape=(32, 10, 10, 3), name="template")
    x = layers.Conv2D(3, 3, padding="same", name="features")(image)
    y = layers.Conv2D(3, 3, padding="same", name="other")(template)
    product = MultiplyOp(name="scale")(x, TileOp((2, 1, 1, 1), name="repeat")(y))
    return keras.Model([image, template], product, name="article_batch_tile")


def article_batch_join() -> keras.Model:
    """(32, 10, 10, 3) beside (64, 128): repeated and flattened by nodes that the table cuts out, then concatenated."""
    image = keras.Input(batch_shape=(32, 10, 10, 3), name="image")
    signal = keras.Input(batch_shape=(64, 16), name="signal")
    x = layers.Conv2D(3, 3, padding="same", name="features")(image)
    y = layers.Dense(128, name="other")(signal)
    flat = layers.Flatten(name="line")(TileOp((2, 1, 1, 1), name="repeat")(x))
    joined = layers.Concatenate(name="scale")([flat, y])
    return keras.Model([image, signal], layers.Dense(4, name="after")(joined), name="article_batch_join")


def article_batch_cover() -> keras.Model:
    """(48, 12) beside (64, 12): the ratio of the batches is not whole."""
    left = keras.Input(batch_shape=(48, 12), name="left")
    right = keras.Input(batch_shape=(64, 12), name="right")
    x = layers.Dense(5, name="features")(left)
    y = layers.Dense(7, name="other")(right)
    covered = TileOp((2, 1), name="repeat")(x)[:64, :]
    joined = layers.Concatenate(name="scale")([covered, y])
    return keras.Model([left, right], layers.Dense(4, name="after")(joined), name="article_batch_cover")


def article_batch_pair() -> keras.Model:
    """(32, 10, 10, 3) times (64, 128), once the table has cut out the nodes that made them fit."""
    image = keras.Input(batch_shape=(32, 10, 10, 3), name="image")
    signal = keras.Input(batch_shape=(64, 16), name="signal")
    x = layers.Conv2D(3, 3, padding="same", name="features")(image)
    y = layers.Dense(128, name="other")(signal)
    fitted = TileOp((2, 1, 1, 1), name="repeat")(x)
    fitted = layers.Flatten(name="line")(fitted)[:, :128]
    return keras.Model([image, signal], MultiplyOp(name="scale")(fitted, y), name="article_batch_pair")
