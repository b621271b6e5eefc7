"""Gates over sequences: attention weights per step, the same vector at every step, transposed weights."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from tests.zoo.common import gate


def weights(x: Any) -> Any:
    """weights(x[B, T, D]) -> [B, T]: one softmax weight per step."""
    return layers.Softmax(name="weights")(layers.Flatten(name="line")(layers.Dense(1, name="score")(x)))


def temporal(*, t: int, d: int, op: bool = False, swap: bool = False) -> keras.Model:
    """GRU, attention weights over time, weighted sum."""
    inputs = keras.Input((t, 2), name="signal")
    x = layers.GRU(d, return_sequences=True, name="encoder")(inputs)
    y = gate(x, layers.Reshape((t, 1), name="lift")(weights(x)), op=op, swap=swap)
    return keras.Model(inputs, ops.sum(y, axis=1), name="temporal")


def temporal_tokens(*, t: int, d: int, op: bool = True) -> keras.Model:
    """Integer tokens, an embedding, attention weights lifted by expand_dims, two outputs."""
    inputs = keras.Input((t,), dtype="int32", name="tokens")
    x = layers.Embedding(13, d, name="table")(inputs)
    x = layers.LSTM(d, return_sequences=True, name="encoder")(x)
    a = weights(x)
    y = gate(x, ops.expand_dims(a, -1), op=op)
    return keras.Model(inputs, [layers.GlobalAveragePooling1D(name="flat")(y), a], name="temporal_tokens")


def bilstm(*, t: int, d: int, op: bool = False) -> keras.Model:
    """Bidirectional LSTM with attention: the features have width 2 D."""
    inputs = keras.Input((t, 2), name="signal")
    x = layers.Bidirectional(layers.LSTM(d, return_sequences=True, name="cell"), name="encoder")(inputs)
    y = gate(x, layers.Reshape((t, 1), name="lift")(weights(x)), op=op)
    y = ops.sum(y, axis=1)
    return keras.Model(inputs, layers.Dense(2, name="head")(y), name="bilstm")


def attention_3d(*, t: int, d: int, op: bool = False, swap: bool = False) -> keras.Model:
    """Permute, Dense softmax over time for every feature, Permute back."""
    inputs = keras.Input((t, 2), name="signal")
    x = layers.LSTM(d, return_sequences=True, name="encoder")(inputs)
    a = layers.Permute((2, 1), name="turn")(x)
    a = layers.Dense(t, activation="softmax", name="attend")(a)
    y = gate(x, layers.Permute((2, 1), name="back")(a), op=op, swap=swap)
    return keras.Model(inputs, layers.GlobalAveragePooling1D(name="flat")(y), name="attention_3d")


def repeat_vector(*, t: int, d: int, op: bool = False) -> keras.Model:
    """Weights over time, repeated for every feature by RepeatVector and Permute."""
    inputs = keras.Input((t, 2), name="signal")
    x = layers.GRU(d, return_sequences=True, name="encoder")(inputs)
    a = layers.Permute((2, 1), name="back")(layers.RepeatVector(d, name="spread")(weights(x)))
    y = gate(x, a, op=op)
    return keras.Model(inputs, ops.sum(y, axis=1), name="repeat_vector")


def step_gate(*, t: int, d: int, op: bool = False, swap: bool = False) -> keras.Model:
    """The last state of one GRU scales every step of another of the same shape."""
    inputs = keras.Input((t, 2), name="signal")
    x = layers.GRU(d, return_sequences=True, name="steps")(inputs)
    v = layers.GRU(d, name="last")(inputs)
    y = gate(x, layers.RepeatVector(t, name="spread")(v), op=op, swap=swap)
    return keras.Model(inputs, layers.GlobalAveragePooling1D(name="flat")(y), name="step_gate")


def transformer(*, t: int, d: int) -> keras.Model:
    """A Transformer block whose feed-forward branch is scaled by a gate of the pooled sequence."""
    inputs = keras.Input((t, d), name="signal")
    a = layers.MultiHeadAttention(2, 3, name="attention")(inputs, inputs)
    x = layers.LayerNormalization(name="norm1")(layers.Add(name="residual1")([inputs, a]))
    f = layers.Dense(d, name="narrow")(layers.Dense(2 * d, activation="gelu", name="wide")(x))
    g = layers.Dense(d, activation="sigmoid", name="gate")(layers.GlobalAveragePooling1D(name="pool")(x))
    y = gate(f, layers.Reshape((1, d), name="expand")(g), op=True)
    y = layers.LayerNormalization(name="norm2")(layers.Add(name="residual2")([x, y]))
    return keras.Model(inputs, y, name="transformer")


def unit_length(*, t: int, d: int) -> keras.Model:
    """Every step divided by its own length, kept as (B, T, 1) by keepdims."""
    inputs = keras.Input((t, 2), name="signal")
    x = layers.Dense(d, name="project")(inputs)
    y = gate(x, ops.rsqrt(1.0 + ops.sum(ops.square(x), axis=-1, keepdims=True)), op=True)
    return keras.Model(inputs, y, name="unit_length")


def signal_first(*, t: int, c: int, op: bool = False) -> keras.Model:
    """Channels-first signals (B, C, T): one factor per channel."""
    inputs = keras.Input((c, t), name="signal")
    x = layers.BatchNormalization(axis=1, name="norm")(inputs)
    p = layers.GlobalAveragePooling1D(data_format="channels_first", name="pool")(x)
    g = layers.Reshape((c, 1), name="expand")(layers.Dense(c, activation="sigmoid", name="excite")(p))
    y = gate(x, g, op=op)
    return keras.Model(inputs, layers.GlobalAveragePooling1D(data_format="channels_first", name="flat")(y))


def bare_step(*, t: int, d: int) -> keras.Model:
    """Two inputs and a RepeatVector, no layer that names an axis."""
    signal = keras.Input((t, d), name="signal")
    vector = keras.Input((d,), name="vector")
    y = gate(signal, layers.RepeatVector(t, name="spread")(vector), op=True)
    return keras.Model([signal, vector], layers.Activation("tanh", name="squash")(y), name="bare_step")
