"""Models whose samples meet each other: towers, rankings, contrast, Gram matrices.

Each output has one row for each sample: a mutant's results are compared sample by sample.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from tools.architectures.parts import Architecture


def length(x: Any) -> Any:
    """length(x[B, D]) -> [B, 1]: one over the norm of each vector, as a column."""
    return ops.rsqrt(1.0 + ops.sum(ops.square(x), axis=-1, keepdims=True))


def two_tower(d: int) -> keras.Model:
    """Logits of all pairs of users and items, through a product with unit axes; each item has a weight."""
    users, items, weight = keras.Input((5,)), keras.Input((3,)), keras.Input(())
    u = layers.Dense(d, activation="tanh")(users)
    v = layers.Dense(d, activation="tanh")(items)
    logits = ops.sum(ops.expand_dims(u, 1) * ops.expand_dims(v, 0), axis=-1)
    logits = logits * ops.expand_dims(ops.sigmoid(weight), 0)
    return keras.Model([users, items, weight], ops.softmax(logits), name="two_tower")


def two_tower_score(d: int) -> keras.Model:
    """A score for each pair of one user and one item: normalised vectors, a gate from the user."""
    users, items = keras.Input((5,)), keras.Input((3,))
    u, v = layers.Dense(d)(users), layers.Dense(d)(items)
    u, v = u * length(u), v * length(v)
    gate = layers.Dense(1, activation="sigmoid")(users)
    y = layers.Multiply()([layers.Multiply()([u, v]), gate])
    return keras.Model([users, items], layers.Dense(2)(y), name="two_tower_score")


def rank_net(d: int) -> keras.Model:
    """Differences of all pairs of scores, each times the gain of its pair."""
    signal, gain = keras.Input((d,)), keras.Input(())
    score = layers.Dense(1)(layers.Dense(5, activation="relu")(signal))
    differences = ops.sigmoid(score - ops.transpose(score))
    pairs = ops.expand_dims(gain, 1) * ops.expand_dims(ops.tanh(gain), 0)
    return keras.Model([signal, gain], ops.sum(differences * pairs, axis=1, keepdims=True), name="rank_net")


def contrast(d: int) -> keras.Model:
    """InfoNCE: a Gram matrix of normalised vectors, a temperature for each sample, minus the positive logit."""
    left, right = keras.Input((5,)), keras.Input((5,))
    encoder = layers.Dense(d)
    u, v = encoder(left), encoder(right)
    u, v = u * length(u), v * length(v)
    warmth = layers.Dense(1, activation="softplus")(left)
    logits = ops.matmul(u, ops.transpose(v)) * warmth
    positive = ops.sum(u * v, axis=-1, keepdims=True) * warmth
    loss = ops.logsumexp(logits, axis=1, keepdims=True) - positive
    return keras.Model([left, right], loss, name="contrast")


def style_gram(h: int, w: int, c: int) -> keras.Model:
    """Gram matrices of channels, each entry times the weights of its two channels."""
    image = keras.Input((h, w, 3))
    x = layers.Reshape((h * w, c))(layers.Conv2D(c, 3, padding="same")(image))
    gram = layers.Dot(axes=(1, 1))([x, x])
    weight = layers.Dense(c, activation="sigmoid")(ops.mean(x, axis=1))
    gram = layers.Multiply()([gram, layers.Reshape((c, 1))(weight)])
    gram = layers.Multiply()([gram, layers.Reshape((1, c))(layers.Activation("tanh")(weight))])
    return keras.Model(image, layers.Dense(3)(layers.Flatten()(gram)), name="style_gram")


def prototypes(k: int, d: int) -> keras.Model:
    """Squared differences to the support set of the same sample, each times its trust."""
    query, support, trust = keras.Input((d,)), keras.Input((k, d)), keras.Input((k,))
    encoder = layers.Dense(d, activation="tanh")
    lack = ops.square(ops.expand_dims(encoder(query), 1) - encoder(support))
    weighed = layers.Multiply()([lack, layers.Reshape((k, 1))(trust)])
    return keras.Model([query, support, trust], ops.softmax(-ops.sum(weighed, axis=-1)), name="prototypes")


ARCHITECTURES: dict[str, Architecture] = {
    "two-tower": Architecture(two_tower, {"d": 7}, {"d": 6}),
    "two-tower score": Architecture(two_tower_score, {"d": 7}, {"d": 3}),
    "RankNet": Architecture(rank_net, {"d": 7}, {"d": 6}),
    "InfoNCE": Architecture(contrast, {"d": 7}, {"d": 5}),
    "style Gram": Architecture(style_gram, {"h": 3, "w": 5, "c": 7}, {"h": 2, "w": 2, "c": 4}),
    "prototypes": Architecture(prototypes, {"k": 5, "d": 7}, {"k": 6, "d": 6}),
}
