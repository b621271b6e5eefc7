"""Gates along the batch: a weight per sample, and a smaller batch, tiled."""

from __future__ import annotations

import keras
from keras import layers, ops

from tests.zoo.common import gate


def sample_weight(*, h: int, w: int, c: int, op: bool = True, swap: bool = False) -> keras.Model:
    """Images times one weight per sample, given as (B, 1)."""
    image = keras.Input((h, w, 2), name="image")
    weight = keras.Input((1,), name="weight")
    x = layers.Conv2D(c, 3, padding="same", name="stem")(image)
    y = gate(x, layers.Reshape((1, 1, 1), name="expand")(weight), op=op, swap=swap)
    return keras.Model([image, weight], layers.GlobalAveragePooling2D(name="flat")(y), name="sample_weight")


def sample_score(*, d: int, op: bool = True, swap: bool = False) -> keras.Model:
    """A score (B, 1) times one weight per sample, given as (B,)."""
    signal = keras.Input((d,), name="signal")
    weight = keras.Input((), name="weight")
    x = layers.Dense(1, name="score")(signal)
    y = gate(x, layers.Reshape((1,), name="expand")(weight), op=op, swap=swap)
    return keras.Model([signal, weight], y, name="sample_score")


def sample_features(*, t: int, d: int, op: bool = True) -> keras.Model:
    """Sequences (B, T, D) times one weight per sample, given as (B,)."""
    signal = keras.Input((t, 2), name="signal")
    weight = keras.Input((), name="weight")
    x = layers.Dense(d, name="project")(signal)
    y = gate(x, layers.Reshape((1, 1), name="expand")(weight), op=op)
    return keras.Model([signal, weight], layers.GRU(3, name="reader")(y), name="sample_features")


def unit_vector(*, d: int) -> keras.Model:
    """Every sample divided by its own length, kept as (B, 1) by keepdims."""
    inputs = keras.Input((4,), name="signal")
    x = layers.Dense(d, name="project")(inputs)
    y = gate(x, ops.rsqrt(1.0 + ops.sum(ops.square(x), axis=-1, keepdims=True)), op=True)
    return keras.Model(inputs, layers.Dense(2, name="head")(y), name="unit_vector")


def batch_tile(*, b: int, n: int, d: int, op: bool = True, swap: bool = False) -> keras.Model:
    """Static batch n * b against a batch of b, tiled."""
    signal = keras.Input(batch_shape=(n * b, d), name="signal")
    memory = keras.Input(batch_shape=(b, d), name="memory")
    m = layers.Dense(d, activation="tanh", name="recall")(memory)
    y = gate(signal, ops.tile(m, (n, 1)), op=op, swap=swap)
    return keras.Model([signal, memory], layers.Dense(2, name="head")(y), name="batch_tile")


def batch_tile_image(*, b: int, n: int, h: int, w: int, c: int) -> keras.Model:
    """The same for images."""
    image = keras.Input(batch_shape=(n * b, h, w, c), name="image")
    template = keras.Input(batch_shape=(b, h, w, c), name="template")
    m = layers.Conv2D(c, 3, padding="same", name="stem")(template)
    y = gate(image, ops.tile(m, (n, 1, 1, 1)), op=True)
    return keras.Model([image, template], layers.GlobalAveragePooling2D(name="flat")(y))
