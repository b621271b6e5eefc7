"""Scores, masks and weights of attention: heads, also folded into the batch, slots, softmaxes of every kind."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from tools.valid.draw import Draw
from tools.valid.idiom import idiom


def self_scores(d: Draw, x: Any, k: int) -> Any:
    """self_scores(x[B, T, D], K) -> [B, T, T]"""
    q, key = layers.Dense(k)(x), layers.Dense(k)(x)
    way = d.pick("dot", "matmul", "einsum")
    if way == "dot":
        return layers.Dot(axes=(2, 2))([q, key])
    if way == "einsum":
        return ops.einsum("btk,bsk->bts", q, key)
    return ops.matmul(q, d.swap(key, 1, 2)) / np.float32(k**0.5)


def heads(d: Draw, x: Any, h: int, k: int) -> Any:
    """heads(x[B, T, D], H, K) -> [B, H, T, K]"""
    split = layers.Reshape((x.shape[1], h, k))(layers.Dense(h * k)(x))
    return d.swap(split, 1, 2)


def head_scores(d: Draw, x: Any, h: int, k: int) -> Any:
    """head_scores(x[B, T, D], H, K) -> [B, H, T, T]"""
    q, key = heads(d, x, h, k), heads(d, x, h, k)
    return ops.matmul(q, d.swap(key, 2, 3)) if d.coin() else ops.einsum("bhtk,bhsk->bhts", q, key)


def causal(t: int) -> np.ndarray:
    """causal(T) -> [T, T]: ones where a step may attend."""
    return np.tril(np.ones((t, t), "float32"))


def masked(d: Draw, scores: Any, keep: Any) -> Any:
    """Masked scores: by adding a large negative number, by a product, or by `where`."""
    way = d.pick("sum", "product", "where", "layer")
    if way == "sum":
        return scores + (1.0 - keep) * -1e9
    if way == "where" and not isinstance(keep, np.ndarray):
        return ops.where(ops.greater(keep, 0.5), scores, -1e9)
    if way == "layer" and len(keep.shape) == len(scores.shape) and keep.shape[0] == scores.shape[0]:
        return layers.Add()([scores, (1.0 - keep) * -1e9])
    return d.times(scores, keep)


@idiom()
def padding_mask(d: Draw) -> Any:
    """(B, T, T) scores with a mask of the keys (B, 1, T)."""
    x = d.sequence()
    scores = self_scores(d, x, d.size())
    weights = d.softmax(masked(d, scores, d.expand(d.mask(x.shape[1]), 1)))
    return d.give("sequence", ops.matmul(weights, x))


@idiom()
def padding_mask_of_heads(d: Draw) -> Any:
    """(B, H, T, T) scores with a mask of the keys (B, 1, 1, T)."""
    x = d.sequence()
    scores = head_scores(d, x, d.size(), d.size())
    return d.softmax(masked(d, scores, d.expand(d.mask(x.shape[1]), 1, 2)))


@idiom()
def query_mask(d: Draw) -> Any:
    """Padded query steps become zero: a mask (B, T, 1) on the result, or (B, 1, T, 1) on the weights."""
    x = d.sequence()
    keep = d.mask(x.shape[1])
    if d.coin():
        scores = head_scores(d, x, d.size(), d.size())
        return d.times(d.softmax(scores), d.expand(keep, 1, 3))
    y = ops.matmul(d.softmax(self_scores(d, x, d.size())), x)
    return d.give("sequence", d.times(y, d.expand(keep, 2)))


@idiom()
def pairwise_mask(d: Draw) -> Any:
    """A mask of queries and keys: (B, T, 1) with (B, 1, T)."""
    x = d.sequence()
    keep = d.mask(x.shape[1])
    pairs = d.times(d.expand(keep, 2), d.expand(keep, 1))
    if d.coin():
        return masked(d, self_scores(d, x, d.size()), pairs)
    return masked(d, head_scores(d, x, d.size(), d.size()), d.expand(pairs, 1))


@idiom()
def causal_mask(d: Draw) -> Any:
    """A constant (T, T), (1, T, T), (1, 1, T, T) over scores."""
    x = d.sequence()
    t = x.shape[1]
    if d.coin():
        scores, units = self_scores(d, x, d.size()), d.pick(0, 1)
    else:
        scores, units = head_scores(d, x, d.size(), d.size()), d.pick(0, 1, 2)
    return d.softmax(masked(d, scores, causal(t).reshape((1,) * units + (t, t))))


@idiom()
def look_ahead_and_padding(d: Draw) -> Any:
    """Both masks as one: (T, T) with (B, 1, T) or (B, 1, 1, T), through a minimum or a product."""
    x = d.sequence()
    t = x.shape[1]
    both = d.pick(ops.minimum, ops.multiply)
    if d.coin():
        keep = both(d.expand(d.mask(t), 1), causal(t))
        return d.softmax(masked(d, self_scores(d, x, d.size()), keep))
    keep = both(d.expand(d.mask(t), 1, 2), causal(t))
    return d.softmax(masked(d, head_scores(d, x, d.size(), d.size()), keep))


@idiom()
def relative_bias(d: Draw) -> Any:
    """A constant (H, T, T), or ALiBi's slopes (H, 1, 1) times distances (T, T)."""
    x = d.sequence()
    h, t = d.size(), x.shape[1]
    scores = head_scores(d, x, h, d.size())
    if d.coin():
        return d.softmax(scores + d.constant(*(1,) * d.pick(0, 1), h, t, t))
    distance = np.abs(np.arange(t)[:, None] - np.arange(t)[None]).astype("float32")
    return d.softmax(scores - d.constant(h, 1, 1) * distance)


@idiom()
def head_gate(d: Draw) -> Any:
    """A factor for each head: a constant (H, 1, 1), or a gate (B, H, 1, 1)."""
    x = d.sequence()
    h, k = d.size(), d.size()
    y = ops.matmul(ops.softmax(head_scores(d, x, h, k)), heads(d, x, h, k))
    if d.coin():
        y = d.times(y, d.constant(h, 1, 1))
    else:
        y = d.times(y, d.expand(d.gate(ops.mean(x, axis=1), h), 2, 3))
    return d.give("sequence", layers.Reshape((x.shape[1], h * k))(d.swap(y, 1, 2)))


@idiom()
def heads_folded(d: Draw) -> Any:
    """Heads folded into the batch (B H, T, K), the mask repeated in the same order, and the heads unfolded again."""
    x = d.sequence()
    h, k, t = d.size(), d.size(), x.shape[1]
    q, key, value = (ops.reshape(heads(d, x, h, k), (-1, t, k)) for _ in range(3))
    scores = ops.matmul(q, ops.transpose(key, (0, 2, 1)))
    if d.coin():
        keep = ops.repeat(d.mask(t), h, axis=0)
        scores = scores + (1.0 - d.expand(keep, 1)) * -1e9
    if d.coin():
        scores = scores + causal(t)
    y = ops.matmul(d.softmax(scores), value)
    y = ops.reshape(y, (-1, h, t, k))
    return ops.reshape(ops.transpose(y, (0, 2, 1, 3)), (-1, t, h * k))


@idiom()
def steps_folded(d: Draw) -> Any:
    """Steps folded into the batch (B T, D), a Dense layer, a gate (B T, 1) or (B T, D), and unfolded again."""
    x = d.sequence()
    t, n = x.shape[1:]
    flat = ops.reshape(x, (-1, n))
    y = d.times(layers.Dense(n)(flat), layers.Dense(d.pick(1, n), activation="sigmoid")(flat))
    return ops.reshape(y, (-1, t, n))


@idiom()
def slot_attention(d: Draw) -> Any:
    """A softmax over slots, normalised along the steps; each slot is the weighted mean of the values."""
    x = d.sequence()
    s, k = d.size(), d.size()
    slots = layers.Reshape((s, k))(layers.Dense(s * k)(ops.mean(x, axis=1)))
    key, value = layers.Dense(k)(x), layers.Dense(k)(x)
    if d.coin():
        weights = d.softmax(ops.einsum("bsk,btk->bst", slots, key), axis=1)
        weights = weights / (ops.sum(weights, axis=2, keepdims=True) + 1e-6)
        return ops.matmul(weights, value)
    weights = d.softmax(ops.matmul(key, d.swap(slots, 1, 2)), axis=2)
    weights = weights / (ops.sum(weights, axis=1, keepdims=True) + 1e-6)
    if d.coin():
        return ops.sum(d.times(d.expand(weights, 3), d.expand(value, 2)), axis=1)
    return ops.einsum("bts,btk->bsk", weights, value)


@idiom()
def weights_over_time(d: Draw) -> Any:
    """A softmax over time, perhaps with dropout or transposed twice, and a weighted sum."""
    x = d.sequence()
    t = x.shape[1]
    way = d.pick("column", "flat", "dense", "nested", "distributed", "repeated", "dot", "matmul", "einsum")
    if way == "column":
        return ops.sum(d.times(x, d.softmax(layers.Dense(1)(x), axis=1)), axis=1)
    if way == "distributed":
        logits = layers.TimeDistributed(layers.Dense(1))(x)
        return ops.sum(d.times(x, layers.Softmax(axis=1)(logits)), axis=1)
    flat = layers.Flatten()(layers.Dense(1)(x))
    if way == "dense":
        weights = layers.Dense(t, activation=d.pick("softmax", layers.Softmax(), keras.activations.softmax))(
            flat
        )
    elif way == "nested":
        inner = keras.Input((t,), batch_size=d.batch)
        weights = keras.Model(inner, d.softmax(inner))(flat)
    else:
        weights = d.softmax(flat)
    if d.coin(0.3):
        weights = layers.Dropout(0.2)(weights)
    if way == "repeated":
        return d.times(x, layers.Permute((2, 1))(layers.RepeatVector(x.shape[2])(weights)))
    if way == "dot":
        return layers.Dot(axes=(1, 1))([weights, x])
    if way == "matmul":
        return ops.squeeze(ops.matmul(d.expand(weights, 1), x), 1)
    if way == "einsum":
        return ops.einsum("bt,btd->bd", weights, x)
    lifted = d.expand(weights, 2)
    if d.coin(0.2):
        lifted = d.swap(d.swap(lifted, 1, 2), 1, 2)
    y = d.times(x, lifted)
    return ops.sum(y, axis=1) if d.coin() else d.give("sequence", y)


@idiom()
def weights_per_feature(d: Draw) -> Any:
    """A softmax over time for each feature: a Dense between two transposes."""
    x = d.sequence()
    weights = layers.Dense(x.shape[1], activation="softmax")(d.swap(x, 1, 2))
    return d.give("sequence", d.times(x, d.swap(weights, 1, 2)))


@idiom()
def weights_of_slices(d: Draw) -> Any:
    """A softmax over branches; a slice of it is the factor of each branch."""
    x = d.vector()
    n = d.pick(2, 3)
    share = d.softmax(layers.Dense(n)(x))
    branches = [layers.Dense(x.shape[1])(x) for _ in range(n)]
    taken = [d.times(y, share[:, k : k + 1]) for k, y in enumerate(branches)]
    return d.give("vector", layers.Add()(taken))


@idiom()
def additive_attention(d: Draw) -> Any:
    """Bahdanau: a query added at every step, tanh, one score for each step."""
    x, q = d.sequence(), d.vector()
    k = d.size()
    query = layers.Dense(k)(q)
    query = d.expand(query, 1) if d.coin() else layers.RepeatVector(x.shape[1])(query)
    scores = layers.Dense(1)(ops.tanh(d.plus(layers.Dense(k)(x), query)))
    return ops.sum(d.times(d.softmax(scores, axis=1), x), axis=1)


@idiom()
def additive_scores_of_all_pairs(d: Draw) -> Any:
    """(B, T, 1, K) with (B, 1, S, K): a score for each pair of steps."""
    x, k = d.sequence(), d.size()
    y = x if d.coin() else d.sequence()
    both = d.plus(d.expand(layers.Dense(k)(x), 2), d.expand(layers.Dense(k)(y), 1))
    scores = ops.squeeze(layers.Dense(1)(ops.tanh(both)), -1)
    return d.softmax(scores)


@idiom()
def graph_attention_scores(d: Draw) -> Any:
    """A column of scores plus a row of scores; their softmax times the adjacency."""
    x = d.sequence()
    t = x.shape[1]
    scores = layers.Dense(1)(x) + d.swap(layers.Dense(1)(x), 1, 2)
    edges = d.input(t, t) if d.coin() else d.constant(t, t)
    return d.give("sequence", ops.matmul(d.times(d.softmax(scores), edges), x))


@idiom()
def cross_attention(d: Draw) -> Any:
    """Queries of one sequence, keys and values of another, the keys masked."""
    x, y, k = d.sequence(), d.sequence(), d.size()
    scores = ops.matmul(layers.Dense(k)(x), d.swap(layers.Dense(k)(y), 1, 2))
    scores = masked(d, scores, d.expand(d.mask(y.shape[1]), 1))
    return ops.matmul(d.softmax(scores), layers.Dense(k)(y))


@idiom()
def linear_attention(d: Draw) -> Any:
    """Keys times values first, then queries, over the sum of the keys."""
    x, k = d.sequence(), d.size()
    q, key = (layers.Dense(k, activation="softplus")(x) for _ in range(2))
    memory = ops.einsum("btk,btd->bkd", key, x) if d.coin() else layers.Dot(axes=1)([key, x])
    total = ops.sum(key, axis=1, keepdims=True)
    share = ops.sum(d.times(q, total), axis=-1, keepdims=True) + 1.0
    return d.give("sequence", ops.matmul(q, memory) / share)


@idiom()
def attention_layer(d: Draw) -> Any:
    """Keras's own attention layers, their result times a gate or a mask."""
    x = d.sequence()
    if d.coin():
        y = layers.MultiHeadAttention(2, d.size())(x, x)
    else:
        y = layers.Attention()([x, x]) if d.coin() else layers.AdditiveAttention()([x, x])
    keep = d.expand(d.mask(x.shape[1]), 2)
    return d.give("sequence", d.times(y, keep) if d.coin() else d.times(y, layers.Dense(1)(x)))


@idiom()
def local_window(d: Draw) -> Any:
    """Weights times a constant band (T, T), normalised again by their sums."""
    x = d.sequence()
    t = x.shape[1]
    band = (np.abs(np.arange(t)[:, None] - np.arange(t)[None]) <= 1).astype("float32")
    weights = d.times(d.softmax(self_scores(d, x, d.size())), band)
    return d.give("sequence", ops.matmul(weights / ops.sum(weights, axis=-1, keepdims=True), x))


@idiom()
def channel_attention_of_sequences(d: Draw) -> Any:
    """Weights (B, D, D) between features, on (B, T, D)."""
    x = d.sequence()
    scores = ops.matmul(d.swap(x, 1, 2), x) if d.coin() else layers.Dot(axes=1)([x, x])
    return d.give("sequence", ops.matmul(x, d.softmax(scores)))
