"""Attention and gates over steps, experts, memories, graphs."""

from __future__ import annotations

import keras
from keras import layers, ops

from tools.architectures.parts import Architecture, pool

SIGNAL, SIGNAL_EQUAL = {"t": 5, "d": 7}, {"t": 6, "d": 6}


def bilstm_attention(t: int, d: int) -> keras.Model:
    """Attention weights over time, repeated for every feature."""
    signal = keras.Input((t, 3))
    x = layers.Bidirectional(layers.LSTM(d, return_sequences=True))(signal)
    weights = layers.Softmax()(layers.Flatten()(layers.Dense(1, activation="tanh")(x)))
    weights = layers.Permute((2, 1))(layers.RepeatVector(2 * d)(weights))
    y = ops.sum(layers.Multiply()([x, weights]), axis=1)
    return keras.Model(signal, layers.Dense(3)(y), name="bilstm_attention")


def transformer(t: int, d: int, k: int) -> keras.Model:
    """Attention written out as products, padding masked, then a gated feed-forward part."""
    signal, mask = keras.Input((t, d)), keras.Input((t,))
    q, key, value = (layers.Dense(n)(signal) for n in (k, k, d))
    scores = layers.Softmax()(layers.Dot(axes=(2, 2))([q, key]))
    x = layers.LayerNormalization()(layers.Add()([signal, ops.matmul(scores, value)]))
    hidden = layers.Dense(2 * d, activation="gelu")(x)
    gate = layers.Reshape((1, d))(layers.Dense(d, activation="sigmoid")(pool(x)))
    x = layers.Add()([x, layers.Multiply()([layers.Dense(d)(hidden), gate])])
    x = layers.LayerNormalization()(x) * ops.expand_dims(mask, -1)
    return keras.Model([signal, mask], layers.Dense(3)(x), name="transformer")


def wavenet(t: int, c: int) -> keras.Model:
    """Gated dilated convolutions, times a speaker vector at every step and a coarser signal."""
    signal, speaker, coarse = keras.Input((3 * t, 2)), keras.Input((4,)), keras.Input((t, 3))
    x = layers.Conv1D(c, 1)(signal)
    local = layers.UpSampling1D(3)(layers.Conv1D(c, 1, activation="sigmoid")(coarse))
    skips = []
    for rate in (1, 2):
        voice = layers.RepeatVector(3 * t)(layers.Dense(c, activation="tanh")(speaker))
        left = layers.Conv1D(c, 2, padding="causal", dilation_rate=rate, activation="tanh")(x)
        right = layers.Conv1D(c, 2, padding="causal", dilation_rate=rate, activation="sigmoid")(x)
        y = layers.Multiply()([layers.Multiply()([left, right]), voice])
        y = layers.Multiply()([y, local])
        skips.append(layers.Conv1D(c, 1)(y))
        x = layers.Add()([x, skips[-1]])
    return keras.Model([signal, speaker, coarse], layers.Conv1D(2, 1)(layers.Add()(skips)), name="wavenet")


def gru_gate(t: int, d: int) -> keras.Model:
    """A gate per step, reshaped after its sigmoid; then the last state scales every step."""
    tokens = keras.Input((t,), dtype="int32")
    x = layers.GRU(d, return_sequences=True)(layers.Embedding(17, 5)(tokens))
    gate = layers.Flatten()(layers.Dense(1, activation="sigmoid")(x))
    x = layers.Multiply()([x, layers.Reshape((t, 1))(gate)])
    last = layers.GRU(d)(x)
    x = layers.Multiply()([x, layers.RepeatVector(t)(last)])
    return keras.Model(tokens, layers.Dense(3)(pool(x)), name="gru_gate")


def attention_3d(t: int, d: int) -> keras.Model:
    """A softmax over time for each feature: a Dense between two Permutes."""
    signal = keras.Input((t, 3))
    x = layers.LSTM(d, return_sequences=True)(signal)
    weights = layers.Dense(t, activation="softmax")(layers.Permute((2, 1))(x))
    y = layers.Multiply()([x, layers.Permute((2, 1))(weights)])
    return keras.Model(signal, layers.Dense(3)(pool(y)), name="attention_3d")


def experts(e: int, d: int) -> keras.Model:
    """A mixture of experts: the output of each times its share."""
    inputs = keras.Input((4,))
    shares = layers.Dense(e, activation="softmax")(inputs)
    outputs = ops.stack([layers.Dense(d, activation="tanh")(inputs) for _ in range(e)], axis=1)
    y = ops.sum(layers.Multiply()([outputs, layers.Reshape((e, 1))(shares)]), axis=1)
    return keras.Model(inputs, layers.Dense(3)(y), name="experts")


def masked_mean(t: int, d: int) -> keras.Model:
    """The masked mean of embeddings over the tokens."""
    tokens, mask = keras.Input((t,), dtype="int32"), keras.Input((t,))
    x = layers.Embedding(17, d)(tokens)
    total = ops.sum(x * ops.expand_dims(mask, -1), axis=1)
    y = total * ops.reciprocal(1.0 + ops.sum(ops.square(mask), axis=1, keepdims=True))
    return keras.Model([tokens, mask], layers.Dense(3)(y), name="masked_mean")


def memory(m: int, k: int) -> keras.Model:
    """A lookup: dot products with every slot, softmax, weighted sum of the slots."""
    slots, query = keras.Input((m, k)), keras.Input((5,))
    q = layers.Dense(k)(query)
    scores = layers.Dot(axes=(2, 1))([slots, q])
    read = layers.Dot(axes=(1, 1))([layers.Softmax()(scores), slots])
    return keras.Model([slots, query], layers.Dense(3)(layers.Concatenate()([read, q])), name="memory")


def interest(t: int, d: int) -> keras.Model:
    """A history weighted by a score of each step with a query."""
    history, query = keras.Input((t, d)), keras.Input((d,))
    repeated = layers.RepeatVector(t)(query)
    together = layers.Concatenate()([history, repeated, layers.Multiply()([history, repeated])])
    share = layers.Dense(1, activation="sigmoid")(layers.Dense(8, activation="relu")(together))
    taken = ops.sum(layers.Multiply()([history, share]), axis=1)
    return keras.Model(
        [history, query], layers.Dense(3)(layers.Concatenate()([taken, query])), name="interest"
    )


def graph_attention(t: int, d: int) -> keras.Model:
    """A softmax over all nodes times the adjacency."""
    nodes, edges = keras.Input((t, d)), keras.Input((t, t))
    x = layers.Dense(d)(nodes)
    scores = layers.Dense(1)(x) + layers.Permute((2, 1))(layers.Dense(1)(x))
    share = layers.Multiply()([layers.Softmax()(layers.LeakyReLU()(scores)), edges])
    x = layers.Activation("relu")(layers.Dot(axes=(2, 1))([share, x]))
    return keras.Model([nodes, edges], layers.Dense(3)(x), name="graph_attention")


def spatial_gating(t: int, d: int) -> keras.Model:
    """gMLP: a Dense layer mixes the gate along time."""
    signal = keras.Input((t, d))
    gate = layers.LayerNormalization()(layers.Dense(d)(signal))
    gate = layers.Permute((2, 1))(layers.Dense(t)(layers.Permute((2, 1))(gate)))
    x = layers.Multiply()([layers.Dense(d, activation="gelu")(signal), gate])
    return keras.Model(signal, layers.Dense(3)(x), name="spatial_gating")


def hypernetwork(d: int, m: int) -> keras.Model:
    """Weights from another network, and a gate on the result."""
    inputs, condition = keras.Input((d,)), keras.Input((4,))
    weights = layers.Reshape((d, m))(layers.Dense(d * m)(condition))
    y = layers.Dot(axes=(1, 1))([inputs, weights])
    y = layers.Multiply()([y, layers.Dense(m, activation="sigmoid")(condition)])
    return keras.Model([inputs, condition], layers.Dense(3)(y), name="hypernetwork")


ARCHITECTURES: dict[str, Architecture] = {
    "BiLSTM attention": Architecture(bilstm_attention, SIGNAL, {"t": 6, "d": 3}),
    "Transformer": Architecture(transformer, {"t": 5, "d": 7, "k": 3}, {"t": 6, "d": 6, "k": 6}),
    "WaveNet": Architecture(wavenet, {"t": 5, "c": 7}, {"t": 2, "c": 6}),
    "GRU gates": Architecture(gru_gate, SIGNAL, SIGNAL_EQUAL),
    "attention 3-D": Architecture(attention_3d, SIGNAL, SIGNAL_EQUAL),
    "experts": Architecture(experts, {"e": 3, "d": 7}, {"e": 5, "d": 5}),
    "masked mean": Architecture(masked_mean, SIGNAL, SIGNAL_EQUAL),
    "memory": Architecture(memory, {"m": 5, "k": 7}, {"m": 6, "k": 6}),
    "interest": Architecture(interest, SIGNAL, SIGNAL_EQUAL),
    "graph attention": Architecture(graph_attention, SIGNAL, SIGNAL_EQUAL),
    "gMLP": Architecture(spatial_gating, SIGNAL, SIGNAL_EQUAL),
    "hypernetwork": Architecture(hypernetwork, {"d": 5, "m": 7}, {"d": 6, "m": 6}),
}
