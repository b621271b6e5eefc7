"""Broadcasts across a model's structure: nested and shared models, several outputs, fixed batches, concatenations."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from tools.valid.draw import Draw
from tools.valid.idiom import idiom


@idiom()
def nested_block(d: Draw) -> Any:
    """A squeeze-and-excitation that is a model of its own, called once or twice."""
    x = d.image()
    inner = keras.Input(x.shape[1:])
    gate = d.expand(d.gate(layers.GlobalAveragePooling2D()(inner), x.shape[-1]), 1, 2)
    block = keras.Model(inner, d.times(inner, gate))
    y = block(x)
    return d.give("image", d.meet(y, block(y)) if d.coin() else y)


@idiom()
def nested_gate(d: Draw) -> Any:
    """The gate is a model of its own; its unit axes are inserted inside or outside."""
    x = d.image()
    inner = keras.Input(x.shape[1:])
    gate = d.gate(layers.GlobalAveragePooling2D()(inner), x.shape[-1])
    if d.coin():
        return d.give("image", d.times(x, keras.Model(inner, d.expand(gate, 1, 2))(x)))
    return d.give("image", d.times(x, d.expand(keras.Model(inner, gate)(x), 1, 2)))


@idiom()
def sequential_gate(d: Draw) -> Any:
    """The gate is a Sequential that ends in a Reshape."""
    x = d.image()
    c = x.shape[-1]
    gate = keras.Sequential(
        [
            layers.GlobalAveragePooling2D(),
            layers.Dense(c, activation="sigmoid"),
            layers.Reshape((1, 1, c)),
        ]
    )
    return d.give("image", d.times(x, gate(x)))


@idiom()
def siamese(d: Draw) -> Any:
    """One encoder for two inputs; their features meet, and a Dense of one unit gates the result."""
    n, size = d.size(), d.size()
    inner = keras.Input((n,))
    encoder = keras.Model(inner, layers.Dense(size, activation="tanh")(inner))
    u, v = encoder(d.vector(n)), encoder(d.vector(n))
    y = d.pick(d.times(u, v), ops.abs(u - v), layers.Concatenate()([u, v, u * v]))
    return d.give("vector", d.times(y, layers.Dense(1, activation="sigmoid")(y)))


@idiom()
def shared_layers(d: Draw) -> Any:
    """One Dense layer called on two tensors of different rank."""
    x = d.sequence()
    dense = layers.Dense(x.shape[2])
    y = dense(x)
    return d.give("sequence", d.times(y, d.expand(dense(ops.mean(x, axis=1)), 1)))


@idiom()
def shared_merge(d: Draw) -> Any:
    """One Multiply layer called twice, on operands of one rank."""
    x = d.sequence()
    product = layers.Multiply()
    a = product([x, d.reduce(x, 1)])
    return d.give("sequence", product([a, layers.Dense(x.shape[2])(x)]))


@idiom()
def distributed_model(d: Draw) -> Any:
    """A model with a gate, applied at every step."""
    t, n = d.size(), d.size()
    inner = keras.Input((n, n))
    gate = d.expand(d.gate(layers.GlobalAveragePooling1D()(inner), n), 1)
    block = keras.Model(inner, d.times(inner, gate))
    return layers.TimeDistributed(block)(d.input(t, n, n))


@idiom()
def several_outputs(d: Draw) -> Any:
    """Operations with several outputs: split, unstack, moments."""
    kind = d.pick("sequence", "image")
    x = getattr(d, kind)()
    way = d.pick("split", "unstack", "moments")
    if way == "split":
        parts = ops.split(layers.Dense(3 * x.shape[-1])(x), 3, axis=-1)
        return d.give(kind, parts[0] * parts[1] + parts[2])
    if way == "unstack":
        first, second = ops.unstack(ops.stack([x, layers.Dense(x.shape[-1])(x)], axis=1), axis=1)
        return d.give(kind, d.times(first, second))
    mean, variance = ops.moments(x, axes=[1], keepdims=True)
    return d.give(kind, (x - mean) / ops.sqrt(variance + 1e-3))


@idiom()
def model_of_two_outputs(d: Draw) -> Any:
    """A nested model that gives features and a gate for them."""
    x = d.image()
    c = d.size()
    inner = keras.Input(x.shape[1:])
    features = layers.Conv2D(c, 3, padding="same")(inner)
    gate = d.expand(layers.Dense(c)(layers.GlobalAveragePooling2D()(inner)), 1, 2)
    features, gate = keras.Model(inner, [features, gate])(x)
    return d.give("image", d.times(features, gate))


@idiom(batch="one")
def batch_of_one(d: Draw) -> Any:
    """A batch fixed at 1: its axis is a unit axis like any other, explicit or not.

    A row never meets a column of equal length: `(1, T)` times `(1, T, 1)` gives `(1, T, T)`, which no author intends.
    """
    x = d.image()
    c = x.shape[-1]
    pooled = layers.GlobalAveragePooling2D()(x)
    way = d.pick("padded", "lifted", "constant", "row")
    if way == "padded":
        return x * layers.Dense(c)(pooled)
    if way == "lifted":
        return d.times(x, d.expand(d.gate(pooled, c), 1, 2))
    if way == "constant":
        return d.meet(x, d.constant(1, c))
    row = d.vector()
    return row * d.sequence(t=row.shape[1] + 1, d=1)


@idiom(batch="fixed")
def batch_fixed(d: Draw) -> Any:
    """A fixed batch: constants for each sample, and a Reshape that names the batch size."""
    x = d.sequence()
    b, t, n = x.shape
    way = d.pick("constant", "whole", "reshaped", "gram")
    if way == "constant":
        return d.meet(x, d.constant(b, 1, d.pick(1, n)))
    if way == "whole":
        return d.meet(x, d.constant(b, t, n))
    if way == "reshaped":
        return d.times(x, ops.reshape(d.gate(ops.mean(x, axis=1), n), (b, 1, n)))
    return ops.matmul(x, d.swap(x, 1, 2)) * d.constant(b, 1, 1)


@idiom()
def joined_features(d: Draw) -> Any:
    """Concatenate along the features, time or a new axis; the other axes agree."""
    t, n = d.size(), d.size()
    way = d.pick("features", "time", "stacked", "images", "repeated")
    if way == "images":
        h, w = d.size(), d.size()
        return d.give("image", layers.Concatenate()([d.image(h, w), d.image(h, w)]))
    if way == "features":
        return d.give("sequence", layers.Concatenate()([d.sequence(t), d.sequence(t)]))
    if way == "repeated":
        x = d.sequence()
        return layers.Concatenate()([x, layers.RepeatVector(x.shape[1])(d.vector())])
    if way == "time":
        return d.give("sequence", layers.Concatenate(axis=1)([d.sequence(d=n), d.sequence(d=n)]))
    x, y = d.sequence(t, n), d.sequence(t, n)
    stacked = ops.stack([x, y], axis=d.pick(1, 2, 3))
    return ops.concatenate([stacked, stacked], axis=d.pick(1, 2, 3))


@idiom()
def deep_residual(d: Draw) -> Any:
    """Blocks one after another, each with a gate and a skip."""
    x = d.sequence()
    n = x.shape[2]
    for _ in range(d.pick(2, 3)):
        y = layers.Dense(n, activation="relu")(x)
        y = d.times(y, d.expand(d.gate(layers.GlobalMaxPooling1D()(y), n), 1))
        x = layers.Add()([x, y])
    return d.give("sequence", x)


@idiom()
def dropped_and_noisy(d: Draw) -> Any:
    """Layers that act only in training, on gates and on their data."""
    x = d.sequence()
    y = layers.SpatialDropout1D(0.1)(layers.GaussianNoise(0.1)(x))
    gate = layers.Dropout(0.1)(d.expand(d.gate(ops.mean(y, axis=1), x.shape[2]), 1))
    return d.give("sequence", d.times(y, gate))


@idiom()
def preprocessed(d: Draw) -> Any:
    """Rescaled and normalised inputs times a gate from other inputs."""
    h, w, c = d.size(), d.size(), d.size()
    x = layers.Rescaling(0.5, offset=0.1)(d.input(h, w, c))
    x = layers.Normalization(mean=[0.5] * c, variance=[2.0] * c)(x)
    gate = layers.CategoryEncoding(num_tokens=c, output_mode="one_hot")(d.input(dtype="int32"))
    return d.give("image", d.times(x, d.expand(gate, 1, 2)))
