"""Images and spectra cut into windows, patches and bands; the parts are folded into the batch or kept as axes."""

from __future__ import annotations

from typing import Any

from keras import layers, ops

from tools.valid.draw import Draw
from tools.valid.idiom import idiom


@idiom()
def shifted_windows(d: Draw) -> Any:
    """Swin: windows folded into the batch; scores plus constants for all windows (M, M) or each (N, M, M)."""
    n, m, c = d.size(), d.pick(2, 3), d.size()
    x = d.image(n * m, n * m, c)
    cut = ops.reshape(x, (-1, n, m, n, m, c))
    windows = ops.reshape(ops.transpose(cut, (0, 1, 3, 2, 4, 5)), (-1, m * m, c))
    q, key = layers.Dense(c)(windows), layers.Dense(c)(windows)
    scores = ops.matmul(q, ops.transpose(key, (0, 2, 1))) + d.constant(m * m, m * m)
    if d.coin():
        split = ops.reshape(scores, (-1, n * n, m * m, m * m))
        split = split + d.constant(*d.pick((), (1,)), n * n, m * m, m * m)
        scores = ops.reshape(split, (-1, m * m, m * m))
    y = ops.matmul(d.softmax(scores), windows)
    y = ops.transpose(ops.reshape(y, (-1, n, n, m, m, c)), (0, 1, 3, 2, 4, 5))
    return ops.reshape(y, (-1, n * m, n * m, c))


@idiom()
def patches(d: Draw) -> Any:
    """Patches as steps, a table of positions, a gate from their mean, reshaped to an image."""
    n, m, c = d.size(), d.pick(1, 2), d.size()
    x = layers.Conv2D(c, m, strides=m)(d.image(n * m, n * m))
    tokens = layers.Reshape((n * n, c))(x)
    tokens = d.plus(tokens, d.constant(*d.pick((), (1,)), n * n, c))
    tokens = d.times(tokens, d.expand(d.gate(layers.GlobalAveragePooling1D()(tokens), c), 1))
    return d.give("image", layers.Reshape((n, n, c))(tokens))


@idiom()
def pixel_shuffle(d: Draw) -> Any:
    """Channels moved to positions by a Reshape and a transpose; a gate per channel before, a map after."""
    h, w, c = d.size(), d.size(), d.size()
    x = d.image(h, w, 4 * c)
    x = d.times(x, d.expand(d.gate(layers.GlobalAveragePooling2D()(x), 4 * c), 1, 2))
    x = layers.Permute((1, 3, 2, 4, 5))(layers.Reshape((h, w, 2, 2, c))(x))
    x = layers.Reshape((2 * h, 2 * w, c))(x)
    return d.give("image", d.times(x, ops.sigmoid(ops.mean(x, axis=-1, keepdims=True))))


@idiom()
def separated_sources(d: Draw) -> Any:
    """A spectrogram (B, T, F) times a mask for each source, (B, T, F, S) or (B, S, T, F)."""
    x, s = d.sequence(), d.size()
    t, f = x.shape[1:]
    masks = layers.Reshape((t, f, s))(layers.Dense(f * s, activation="sigmoid")(x))
    if d.coin():
        return d.times(d.expand(x, 3), masks)
    return d.times(d.expand(x, 1), ops.transpose(masks, (0, 3, 1, 2)))


@idiom()
def spectrogram_as_image(d: Draw) -> Any:
    """A sequence as an image of one channel, a map on it, reshaped to a sequence."""
    x = d.sequence()
    t, f = x.shape[1:]
    y = d.expand(x, 3)
    spot = layers.Conv2D(d.pick(1, d.size()), 3, padding="same", activation="sigmoid")(y)
    y = d.times(y, spot)
    return d.give("sequence", layers.Reshape((t, f * y.shape[3]))(y))


@idiom()
def bands(d: Draw) -> Any:
    """Bands of a spectrum, each with a gate: (B, T, K, F) times (B, 1, K, 1)."""
    t, k, f = d.size(), d.size(), d.size()
    x = layers.Reshape((t, k, f))(d.sequence(t, k * f))
    gate = d.gate(ops.mean(x, axis=(1, 3)), k)
    return d.give("sequence", layers.Reshape((t, k * f))(d.times(x, d.expand(gate, 1, 3))))


@idiom()
def mixed_tokens(d: Draw) -> Any:
    """MLP-Mixer: a Dense along the steps between two transposes, then one along the features, each with a scale."""
    x = d.sequence()
    t, n = x.shape[1:]
    y = d.swap(layers.Dense(t)(d.swap(x, 1, 2)), 1, 2)
    x = d.plus(x, d.times(y, d.constant(n)))
    return d.give("sequence", d.plus(x, d.times(layers.Dense(n)(x), d.constant(t, 1))))


@idiom()
def chunks(d: Draw) -> Any:
    """Steps in chunks (B, N, M, D): each chunk meets its statistic, times a weight of the chunk."""
    n, m, size = d.size(), d.size(), d.size()
    x = layers.Reshape((n, m, size))(d.sequence(n * m, size))
    mean = d.reduce(x, 2)
    weight = d.softmax(ops.mean(x, axis=(2, 3)))
    y = d.times(d.meet(x, mean), d.expand(weight, 2, 3))
    return d.give("sequence", layers.Reshape((n * m, size))(y))


@idiom()
def turned_attention(d: Draw) -> Any:
    """Coordinate attention as published: rows and columns through one convolution, a transpose before and after."""
    x = d.image()
    h, c = x.shape[1], x.shape[3]
    rows = ops.mean(x, axis=2, keepdims=True)
    columns = d.swap(ops.mean(x, axis=1, keepdims=True), 1, 2)
    both = layers.Conv2D(d.size(), 1, activation="relu")(layers.Concatenate(axis=1)([rows, columns]))
    rows, columns = (both[:, :h], both[:, h:]) if d.coin() else ops.split(both, [h], axis=1)
    rows = layers.Conv2D(c, 1, activation="sigmoid")(rows)
    columns = layers.Conv2D(c, 1, activation="sigmoid")(d.swap(columns, 1, 2))
    return d.give("image", d.times(d.times(x, rows), columns))


@idiom()
def rotated_branches(d: Draw) -> Any:
    """Triplet attention: a branch swaps two axes, pools, convolves, gates and swaps back."""
    x = d.image()
    one, other = d.pick((1, 3), (2, 3), (1, 2))
    y = d.swap(x, one, other)
    pooled = [ops.max(y, axis=3, keepdims=True), ops.mean(y, axis=3, keepdims=True)]
    gate = layers.Conv2D(1, 3, padding="same", activation="sigmoid")(layers.Concatenate()(pooled))
    return d.give("image", d.swap(d.times(y, gate), one, other))
