"""Language and tokens: masks of every rank, class tokens, slots, heads, pointers, multiple interests."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tools.architectures.parts import Architecture


def heads(x: Any, h: int, k: int) -> Any:
    """heads(x[B, T, D], H, K) -> [B, H, T, K]"""
    return layers.Permute((2, 1, 3))(layers.Reshape((x.shape[1], h, k))(layers.Dense(h * k)(x)))


def masked_attention(t: int, h: int, k: int) -> keras.Model:
    """Several heads: a mask on the keys, the same mask on the steps of the result, a gate for each head."""
    signal, mask = keras.Input((t, 4)), keras.Input((t,))
    q, key, value = (heads(signal, h, k) for _ in range(3))
    scores = ops.sigmoid(ops.matmul(q, ops.transpose(key, (0, 1, 3, 2))))
    scores = layers.Multiply()([scores, layers.Reshape((1, 1, t))(mask)])
    gate = layers.Dense(h, activation="sigmoid")(layers.GlobalAveragePooling1D()(signal))
    x = layers.Multiply()([ops.matmul(scores, value), layers.Reshape((h, 1, 1))(gate)])
    x = layers.Reshape((t, h * k))(layers.Permute((2, 1, 3))(x))
    x = layers.Multiply()([x, layers.Reshape((t, 1))(mask)])
    return keras.Model([signal, mask], layers.Dense(3)(x), name="masked_attention")


def pair_mask(t: int, d: int) -> keras.Model:
    """Scores between steps times a mask as a column and as a row, and times a constant look-ahead mask."""
    tokens, mask = keras.Input((t,), dtype="int32"), keras.Input((t,))
    x = layers.Embedding(17, d)(tokens)
    scores = layers.Dot(axes=(2, 2))([layers.Dense(d)(x), layers.Dense(d)(x)])
    pairs = ops.expand_dims(mask, 2) * ops.expand_dims(mask, 1)
    scores = ops.tanh(scores) * pairs * np.tril(np.ones((t, t), "float32"))
    return keras.Model([tokens, mask], layers.Dense(3)(ops.matmul(scores, x)), name="pair_mask")


def class_token(t: int, d: int) -> keras.Model:
    """The class token of a joined sequence gates all tokens, and each token has a weight of its own."""
    signal = keras.Input((t, 3))
    x = layers.Dense(d)(signal)
    token = ops.zeros_like(x[:, :1]) + np.linspace(0.5, 1.5, d, dtype="float32")
    x = layers.LayerNormalization()(layers.Concatenate(axis=1)([token, x]))
    gate = layers.Dense(d, activation="sigmoid")(x[:, 0])
    x = layers.Multiply()([x, layers.Reshape((1, d))(gate)])
    weight = layers.Flatten()(layers.Dense(1, activation="sigmoid")(x))
    x = layers.Multiply()([x, layers.Reshape((t + 1, 1))(weight)])
    return keras.Model(signal, layers.Dense(3)(x), name="class_token")


def slot_attention(t: int, s: int, d: int) -> keras.Model:
    """A softmax over slots, normalised along the steps; each slot is the weighted mean of the steps."""
    signal = keras.Input((t, 4))
    x = layers.LayerNormalization()(layers.Dense(d)(signal))
    slots = layers.Reshape((s, d))(layers.Dense(s * d)(layers.GlobalAveragePooling1D()(x)))
    share = layers.Softmax(axis=-1)(layers.Dot(axes=(2, 2))([x, slots]))
    share = share * ops.reciprocal(1e-3 + ops.sum(share, axis=1, keepdims=True))
    taken = ops.sum(ops.expand_dims(share, -1) * ops.expand_dims(x, 2), axis=1)
    return keras.Model(signal, layers.Dense(3)(layers.GRU(d, return_sequences=True)(taken)), name="slots")


def pointer_network(t: int, v: int) -> keras.Model:
    """A vocabulary times a switch for each step, plus the source times the tanh of that switch."""
    signal, source = keras.Input((t, 4)), keras.Input((t, v))
    x = layers.GRU(6, return_sequences=True)(signal)
    switch = layers.Flatten()(layers.Dense(1, activation="sigmoid")(x))
    words = layers.Dense(v, activation="softmax")(x)
    copied = layers.Multiply()([source, layers.Reshape((t, 1))(layers.Activation("tanh")(switch))])
    words = layers.Multiply()([words, layers.Reshape((t, 1))(switch)])
    return keras.Model([signal, source], layers.Dense(3)(layers.Add()([words, copied])), name="pointer")


def multiple_interests(t: int, k: int, d: int) -> keras.Model:
    """ComiRec: several attentions over one history, then an attention of the target over them."""
    history, target = keras.Input((t, d)), keras.Input((d,))
    share = layers.Softmax(axis=1)(layers.Dense(k)(layers.Dense(4, activation="tanh")(history)))
    interests = ops.sum(ops.expand_dims(history, 2) * ops.expand_dims(share, 3), axis=1)
    weight = layers.Softmax()(layers.Dot(axes=(2, 1))([interests, target]))
    taken = ops.sum(layers.Multiply()([interests, layers.Reshape((k, 1))(weight)]), axis=1)
    y = layers.Multiply()([taken, target])
    return keras.Model([history, target], layers.Dense(3)(y), name="multiple_interests")


def variable_selection(t: int, v: int, d: int) -> keras.Model:
    """Temporal fusion: each step's variables times their shares, then a static context at every step."""
    signal, static = keras.Input((t, v)), keras.Input((4,))
    embedded = layers.Reshape((t, v, d))(layers.Dense(v * d)(signal))
    share = layers.Dense(v, activation="softmax")(signal)
    x = ops.sum(layers.Multiply()([embedded, layers.Reshape((t, v, 1))(share)]), axis=2)
    context = layers.RepeatVector(t)(layers.Dense(d, activation="sigmoid")(static))
    x = layers.Multiply()([layers.LSTM(d, return_sequences=True)(x), context])
    return keras.Model([signal, static], layers.Dense(3)(x), name="variable_selection")


def statistics_pooling(t: int, c: int) -> keras.Model:
    """ECAPA: gated channels of a sequence, then mean and variance over time, weighted by a softmax for each channel."""
    signal = keras.Input((t, 3))
    x = layers.Conv1D(c, 3, padding="same", activation="relu")(signal)
    gate = layers.Dense(c, activation="sigmoid")(layers.GlobalAveragePooling1D()(x))
    x = layers.Multiply()([x, layers.Reshape((1, c))(gate)])
    share = layers.Softmax(axis=1)(layers.Conv1D(c, 1)(x))
    mean = ops.sum(layers.Multiply()([x, share]), axis=1)
    lack = ops.square(x - ops.expand_dims(mean, 1))
    spread = ops.sum(layers.Multiply()([lack, share]), axis=1)
    return keras.Model(signal, layers.Dense(3)(layers.Concatenate()([mean, spread])), name="statistics")


def reversible_scale(t: int, d: int) -> keras.Model:
    """RevIN: a sequence over its own scale, and the forecast times the same scale."""
    signal = keras.Input((t, d))
    scale = 1.0 + ops.mean(ops.abs(signal), axis=1, keepdims=True)
    x = signal * ops.reciprocal(scale)
    x = layers.Permute((2, 1))(layers.Dense(t)(layers.Permute((2, 1))(x)))
    return keras.Model(signal, layers.Conv1D(3, 1)(x * scale), name="reversible_scale")


ARCHITECTURES: dict[str, Architecture] = {
    "masked attention": Architecture(masked_attention, {"t": 5, "h": 2, "k": 3}, {"t": 4, "h": 4, "k": 4}),
    "pair mask": Architecture(pair_mask, {"t": 5, "d": 7}, {"t": 6, "d": 6}),
    "class token": Architecture(class_token, {"t": 5, "d": 7}, {"t": 5, "d": 6}),
    "slot attention": Architecture(slot_attention, {"t": 5, "s": 3, "d": 7}, {"t": 5, "s": 5, "d": 5}),
    "pointer network": Architecture(pointer_network, {"t": 5, "v": 7}, {"t": 6, "v": 6}),
    "multiple interests": Architecture(
        multiple_interests, {"t": 5, "k": 3, "d": 7}, {"t": 5, "k": 5, "d": 5}
    ),
    "variable selection": Architecture(
        variable_selection, {"t": 5, "v": 3, "d": 7}, {"t": 4, "v": 4, "d": 4}
    ),
    "statistics pooling": Architecture(statistics_pooling, {"t": 5, "c": 7}, {"t": 6, "c": 6}),
    "RevIN": Architecture(reversible_scale, {"t": 5, "d": 7}, {"t": 6, "d": 6}),
}
