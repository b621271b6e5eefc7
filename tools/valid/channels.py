"""Factors and offsets per channel: gates, conditions, constants, normalisations written by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers, ops

from tools.valid.draw import Draw
from tools.valid.idiom import idiom


@idiom()
def squeeze_excite(d: Draw) -> Any:
    """A gate from the pooled channels, its unit axes written in one of many ways."""
    x = d.image(open_places=True)
    pooled = d.pick(layers.GlobalAveragePooling2D(), layers.GlobalMaxPooling2D())(x)
    gate = d.expand(d.gate(pooled, x.shape[-1]), 1, 2)
    return d.give("image", d.times(x, gate))


@idiom()
def squeeze_excite_kept(d: Draw) -> Any:
    """Squeeze-and-excitation with a pool that keeps its axes, and 1 x 1 convolutions."""
    x = d.image(open_places=True)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x) if d.coin() else d.reduce(x, 1, 2)
    if d.coin():
        gate = layers.Conv2D(d.size(), 1, activation="relu")(gate)
    gate = d.pick(layers.Conv2D, lambda n, _, **k: layers.Dense(n, **k))(
        x.shape[-1], 1, activation="sigmoid"
    )(gate)
    return d.give("image", d.times(x, gate))


@idiom()
def excite_volume(d: Draw) -> Any:
    """Squeeze-and-excitation over volumes."""
    c = d.size()
    x = layers.Conv3D(c, 1)(d.input(d.size(), d.size(), d.size(), d.size()))
    return d.times(x, d.expand(d.gate(layers.GlobalAveragePooling3D()(x), c), 1, 2, 3))


@idiom()
def excite_steps(d: Draw) -> Any:
    """Squeeze-and-excitation over sequences: the mean over time gates every step."""
    x = d.sequence(open_time=True)
    gate = d.gate(layers.GlobalAveragePooling1D()(x), x.shape[-1])
    return d.give("sequence", d.times(x, d.expand(gate, 1)))


@idiom()
def film(d: Draw) -> Any:
    """A condition scales and shifts every channel."""
    x = d.image(open_places=True)
    c = x.shape[-1]
    condition = d.vector()
    if d.coin():
        both = layers.Dense(2 * c)(condition)
        gamma, beta = (both[:, :c], both[:, c:]) if d.coin() else ops.split(both, 2, axis=-1)
    else:
        gamma, beta = layers.Dense(c)(condition), layers.Dense(c)(condition)
    x = d.times(x, d.expand(gamma, 1, 2))
    return d.give("image", d.plus(x, d.expand(beta, 1, 2)))


@idiom()
def adaptive_instance_norm(d: Draw) -> Any:
    """AdaIN written by hand: statistics over the positions, scale and offset from a vector."""
    x = d.image()
    mean = ops.mean(x, axis=(1, 2), keepdims=True)
    spread = ops.std(x, axis=(1, 2), keepdims=True) + 1e-3
    style = d.vector()
    gamma = d.expand(layers.Dense(x.shape[-1])(style), 1, 2)
    beta = d.expand(layers.Dense(x.shape[-1])(style), 1, 2)
    return d.give("image", (x - mean) / spread * (1.0 + gamma) + beta)


@idiom()
def modulated_features(d: Draw) -> Any:
    """A style scales the channels before a convolution, and its norm divides the result."""
    x = d.image()
    style = 1.0 + layers.Dense(x.shape[-1])(d.vector())
    y = layers.Conv2D(d.size(), 3, padding="same")(d.times(x, d.expand(style, 1, 2)))
    norm = ops.rsqrt(1.0 + ops.sum(ops.square(style), axis=-1, keepdims=True))
    return d.give("image", d.times(y, d.expand(norm, 1, 2)))


@idiom()
def first_gate(d: Draw) -> Any:
    """Channels first: a gate (B, C, 1, 1)."""
    x = d.first()
    pooled = (
        layers.GlobalAveragePooling2D(data_format="channels_first")(x)
        if d.coin()
        else ops.mean(x, axis=(2, 3))
    )
    return d.give("first", d.times(x, d.expand(d.gate(pooled, x.shape[1]), 2, 3)))


@idiom()
def first_statistics(d: Draw) -> Any:
    """Channels first: a statistic over the channels, the positions, the rows or the columns."""
    x = d.first()
    axes = d.pick((1,), (2, 3), (2,), (3,))
    return d.give("first", d.meet(x, d.reduce(x, *axes)))


@idiom()
def first_constant(d: Draw) -> Any:
    """Channels first: constants (C, 1, 1), (1, C, 1, 1), (H, W), (1, 1, H, W) or of a whole sample."""
    x = d.first()
    c, h, w = x.shape[1:]
    shape = d.pick((c, 1, 1), (1, c, 1, 1), (h, w), (1, h, w), (1, 1, h, w), (c, h, w), (1, c, h, w))
    return d.give("first", d.meet(x, d.constant(*shape)))


@idiom()
def channel_constant(d: Draw) -> Any:
    """Channels last: constants (C,), (1, C), (1, 1, C), (1, 1, 1, C), as NumPy or as a tensor."""
    x = d.image(open_places=True)
    values = d.constant(*(1,) * d.pick(0, 1, 2, 3), x.shape[-1])
    return d.give("image", d.meet(x, values if d.coin() else ops.convert_to_tensor(values)))


@idiom()
def feature_constant(d: Draw) -> Any:
    """Sequences or vectors: a constant for each feature."""
    kind = d.pick("sequence", "vector")
    x = getattr(d, kind)()
    return d.give(kind, d.meet(x, d.constant(*(1,) * d.pick(0, 1), x.shape[-1])))


@idiom()
def scalars(d: Draw) -> Any:
    """Numbers, and constants of one element."""
    x = d.pick(d.image, d.sequence, d.vector)()
    return 2.0 * x * np.float32(0.5) + d.constant(*(1,) * d.pick(0, 1, 2)) - d.constant(1)


@idiom()
def layer_norm_by_hand(d: Draw) -> Any:
    """Mean and variance over the features with kept axes; scale and offset as constants."""
    kind = d.pick("image", "sequence", "vector")
    x = getattr(d, kind)()
    if d.coin():
        mean, variance = ops.moments(x, axes=(-1,), keepdims=True)
    else:
        mean, variance = ops.mean(x, axis=-1, keepdims=True), ops.var(x, axis=-1, keepdims=True)
    y = (x - mean) * ops.rsqrt(variance + 1e-3) if d.coin() else (x - mean) / ops.sqrt(variance + 1e-3)
    return d.give(kind, y * d.constant(x.shape[-1]) + d.constant(x.shape[-1]))


@idiom()
def root_mean_square(d: Draw) -> Any:
    """RMSNorm, over the features or over all of a sample."""
    kind = d.pick("image", "sequence", "vector")
    x = getattr(d, kind)()
    axes = d.pick((-1,), tuple(range(1, len(x.shape))))
    norm = ops.rsqrt(ops.mean(ops.square(x), axis=axes, keepdims=True) + 1e-3)
    return d.give(kind, d.times(x, norm))


@idiom()
def global_response_norm(d: Draw) -> Any:
    """ConvNeXt V2: norms over the positions, divided by their mean over the channels."""
    x = d.image()
    norm = ops.sqrt(ops.sum(ops.square(x), axis=(1, 2), keepdims=True) + 1e-6)
    share = norm / (ops.mean(norm, axis=-1, keepdims=True) + 1e-6)
    return d.give("image", (x * share) * d.constant(x.shape[-1]) + d.constant(1, 1, 1, x.shape[-1]) + x)


@idiom()
def group_norm_by_hand(d: Draw) -> Any:
    """Groups by a Reshape, statistics over three axes, the Reshape back."""
    groups, h, w = d.size(), d.size(), d.size()
    each = d.size()
    x = d.image(h, w, groups * each)
    y = layers.Reshape((h, w, groups, each))(x)
    y = y - ops.mean(y, axis=(1, 2, 4), keepdims=True)
    y = d.times(y, ops.rsqrt(ops.mean(ops.square(y), axis=(1, 2, 4), keepdims=True) + 1e-3))
    if d.coin():
        y = d.times(y, d.expand(d.gate(layers.GlobalAveragePooling2D()(x), groups), 1, 2, 4))
    return d.give("image", layers.Reshape((h, w, groups * each))(y))


@idiom()
def shuffled_groups(d: Draw) -> Any:
    """A gate for each group of channels, then a channel shuffle: the axes of groups and members are exchanged."""
    h, w, groups, each = (d.size() for _ in range(4))
    x = layers.Reshape((h, w, groups, each))(d.image(h, w, groups * each))
    gate = d.gate(ops.mean(x, axis=(1, 2, 4)), groups)
    y = d.swap(d.times(x, d.expand(gate, 1, 2, 4)), 3, 4)
    return d.give("image", layers.Reshape((h, w, groups * each))(y))


@idiom()
def efficient_channel_attention(d: Draw) -> Any:
    """A convolution along the pooled channels."""
    x = d.image()
    gate = d.expand(layers.GlobalAveragePooling2D()(x), 2)
    gate = layers.Conv1D(1, 3, padding="same", activation="sigmoid")(gate)
    if d.coin():
        gate = d.expand(ops.squeeze(gate, -1), 1, 2)
    else:
        gate = layers.Reshape((1, 1, x.shape[-1]))(gate)
    return d.give("image", d.times(x, gate))


@idiom()
def selective_kernel(d: Draw) -> Any:
    """Branches, weighted for each channel by a softmax over the branches."""
    c, n = d.size(), d.pick(2, 3)
    source = d.image()
    branches = [layers.Conv2D(c, 3, padding="same", dilation_rate=k + 1)(source) for k in range(n)]
    pooled = layers.GlobalAveragePooling2D()(layers.Add()(branches))
    share = d.softmax(layers.Reshape((n, c))(layers.Dense(n * c)(pooled)), axis=1)
    if d.coin():
        stacked = ops.stack(branches, axis=1)
        return d.give("image", ops.sum(d.times(stacked, d.expand(share, 2, 3)), axis=1))
    taken = [d.times(x, d.expand(share[:, k], 1, 2)) for k, x in enumerate(branches)]
    return d.give("image", layers.Add()(taken))


@idiom()
def gated_linear_unit(d: Draw) -> Any:
    """The product of two branches of one shape: two layers, the slices of one layer, or its split."""
    kind = d.pick("image", "sequence", "vector")
    x = getattr(d, kind)()
    c = d.size()
    way = d.pick("layers", "split", "slices")
    if way == "layers":
        a, b = layers.Dense(c)(x), layers.Dense(c, activation="sigmoid")(x)
    elif way == "split":
        a, b = ops.split(layers.Dense(2 * c)(x), 2, axis=-1)
    else:
        y = layers.Dense(2 * c)(x)
        a, b = y[..., :c], ops.sigmoid(y[..., c:])
    return d.give(kind, d.times(a, b))


@idiom()
def residual_scale(d: Draw) -> Any:
    """A residual branch times a constant for each channel and one factor for each sample."""
    kind = d.pick("image", "sequence")
    x = getattr(d, kind)()
    branch = layers.Dense(x.shape[-1])(x) * d.constant(x.shape[-1])
    each = d.reduce(x, *range(1, len(x.shape)))
    return d.give(kind, x + d.times(branch, each))


@idiom()
def normalised_vectors(d: Draw) -> Any:
    """Every vector divided by its norm, with a kept axis."""
    kind = d.pick("sequence", "vector", "image")
    x = getattr(d, kind)()
    length = ops.sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True) + 1e-6)
    return d.give(kind, d.pick(x / length, x * ops.reciprocal(length), layers.UnitNormalization()(x)))
