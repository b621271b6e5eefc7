"""Factors and offsets per position of an image: maps, rows and columns, grids, layouts, transposed square maps."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import layers, ops

from tools.valid.draw import Draw
from tools.valid.idiom import idiom


@idiom()
def spatial_attention(d: Draw) -> Any:
    """Mean and peak over the channels, a convolution, a map for all channels."""
    x = d.image(open_places=True)
    maps = [ops.mean(x, axis=-1, keepdims=True), ops.max(x, axis=-1, keepdims=True)]
    joined = layers.Concatenate()(maps) if d.coin() else ops.concatenate(maps, axis=-1)
    spot = layers.Conv2D(1, 3, padding="same", activation="sigmoid")(joined)
    return d.give("image", d.times(x, spot))


@idiom()
def map_lifted(d: Draw) -> Any:
    """A map (B, H, W) that gets its channel axis back."""
    x = d.image()
    spot = ops.mean(x, axis=-1) if d.coin() else ops.squeeze(layers.Conv2D(1, 1)(x), -1)
    return d.give("image", d.meet(x, d.expand(ops.sigmoid(spot), 3)))


@idiom()
def map_input(d: Draw) -> Any:
    """A map that is an input of the model (B, H, W), or with its channel axis."""
    x = d.image()
    h, w = x.shape[1:3]
    spot = d.input(h, w, 1) if d.coin() else d.expand(d.input(h, w), 3)
    return d.give("image", d.times(x, spot))


@idiom()
def flat_softmax(d: Draw) -> Any:
    """A softmax over all positions, reshaped to an image."""
    x = d.image()
    h, w = x.shape[1:3]
    share = d.softmax(layers.Flatten()(layers.Conv2D(1, 1)(x)))
    return ops.sum(d.times(x, layers.Reshape((h, w, 1))(share)), axis=(1, 2))


@idiom()
def global_context(d: Draw) -> Any:
    """A weighted sum over all positions, added at each position."""
    x = d.image()
    h, w, c = x.shape[1:]
    share = d.softmax(layers.Reshape((h * w, 1))(layers.Conv2D(1, 1)(x)), axis=1)
    context = ops.sum(d.times(layers.Reshape((h * w, c))(x), share), axis=1)
    return d.give("image", d.plus(x, d.expand(layers.Dense(c)(context), 1, 2)))


@idiom()
def coordinate_attention(d: Draw) -> Any:
    """A gate for each row and one for each column."""
    x = d.image()
    c = x.shape[-1]
    if d.coin():
        rows, columns = d.gate(ops.mean(x, axis=2, keepdims=True), c), d.gate(d.reduce(x, 1), c)
    else:
        rows, columns = (
            d.expand(d.gate(ops.mean(x, axis=2), c), 2),
            d.expand(d.gate(ops.mean(x, axis=1), c), 1),
        )
    return d.give("image", d.times(d.times(x, rows), columns))


@idiom()
def row_times_column(d: Draw) -> Any:
    """A statistic of the columns meets one of the rows; the result has the shape of the image."""
    x = d.image(open_places=True)
    return d.give("image", d.meet(d.reduce(x, 1), d.reduce(x, 2)))


@idiom()
def crossed_statistics(d: Draw) -> Any:
    """A square map meets the statistic of its other axis: `x * transpose(mean(x, keepdims))`."""
    n = d.size()
    x = d.image(n, n)
    axis = d.pick(1, 2)
    kept = d.pick(ops.mean, ops.max)(x, axis=axis, keepdims=True)
    return d.meet(x, d.swap(kept, 1, 2))


@idiom()
def crossed_channels(d: Draw) -> Any:
    """A sequence with T = D meets its means over steps or features, transposed."""
    n = d.size()
    x = d.sequence(n, n)
    return d.meet(x, d.swap(ops.mean(x, axis=d.pick(1, 2), keepdims=True), 1, 2))


@idiom()
def own_transpose(d: Draw) -> Any:
    """A square map meets its own transpose: symmetric or skew."""
    n = d.size()
    x = d.sequence(n, n) if d.coin() else d.image(n, n)
    y = d.meet(x, d.swap(x, 1, 2))
    return y * 0.5 if d.coin() else y


@idiom()
def product_of_turned(d: Draw) -> Any:
    """`x * transpose(y)` of two square maps: each entry meets the mirrored one."""
    n = d.size()
    kind = d.pick("sequence", "image")
    x, y = getattr(d, kind)(n, n), getattr(d, kind)(n, n)
    if kind == "image" and x.shape != y.shape:
        y = layers.Conv2D(x.shape[-1], 1)(y)
    return d.meet(x, d.swap(y, 1, 2))


@idiom()
def product_of_two_layouts(d: Draw) -> Any:
    """A cube of equal sizes meets one that is transposed directly before; no later layer names an axis."""
    n = d.size()
    x, y = d.image(n, n, n), d.image(n, n, n)
    order = d.pick((0, 3, 1, 2), (0, 2, 3, 1), (0, 3, 2, 1))
    turned = ops.transpose(y, order) if d.coin() else layers.Permute(order[1:])(y)
    return d.meet(x, turned)


@idiom()
def turned_images(d: Draw) -> Any:
    """A square image meets a rotated, flipped or transposed copy, as in test-time augmentation."""
    n = d.size()
    x = d.image(n, n)
    turned = d.pick(
        lambda y: ops.flip(d.swap(y, 1, 2), axis=1),
        lambda y: ops.flip(y, axis=2),
        lambda y: ops.flip(ops.flip(y, axis=1), axis=2),
        lambda y: ops.rot90(y, axes=(1, 2)),
        lambda y: d.swap(y, 1, 2),
    )(x)
    return d.give("image", layers.Average()([x, turned]) if d.coin() else d.meet(x, turned))


@idiom()
def branch_of_channels_first(d: Draw) -> Any:
    """A branch turns to channels first and back before the product."""
    x = d.image()
    y = layers.BatchNormalization(axis=1)(layers.Permute((3, 1, 2))(x))
    back = layers.Permute((2, 3, 1))(y) if d.coin() else ops.transpose(y, (0, 2, 3, 1))
    return d.give("image", d.times(x, ops.sigmoid(back)))


@idiom()
def joined_layouts(d: Draw) -> Any:
    """A channels-first image, transposed to channels last and concatenated."""
    x = d.first()
    y = ops.transpose(x, (0, 2, 3, 1))
    z = layers.Conv2D(d.size(), 1)(d.image(*x.shape[2:]))
    return d.give("image", layers.Concatenate()([y, z]))


@idiom()
def coarse_gate(d: Draw) -> Any:
    """A gate of half the resolution, upsampled."""
    h, w = d.size(), d.size()
    x = d.image(2 * h, 2 * w)
    y = d.pick(layers.MaxPooling2D, layers.AveragePooling2D)(2)(x)
    gate = layers.Conv2D(d.pick(1, x.shape[-1]), 3, padding="same", activation="sigmoid")(y)
    if d.coin():
        gate = layers.UpSampling2D(2)(gate)
    else:
        gate = ops.repeat(ops.repeat(gate, 2, axis=1), 2, axis=2)
    return d.give("image", d.times(x, gate))


@idiom()
def u_net_skip(d: Draw) -> Any:
    """An image pooled with padding, upsampled, cropped to the size of the skip, and concatenated or merged."""
    x = d.image()
    h, w, c = x.shape[1:]
    y = layers.Conv2D(c, 1)(layers.MaxPooling2D(2, padding="same")(x))
    y = layers.UpSampling2D(2)(y)[:, :h, :w]
    return d.give("image", layers.Concatenate()([x, y]) if d.coin() else d.meet(x, y))


@idiom()
def coordinate_channels(d: Draw) -> Any:
    """CoordConv: constant grids, broadcast over the batch by adding zeros, concatenated to the channels."""
    x = d.image()
    h, w = x.shape[1:3]
    grid = np.stack(np.meshgrid(np.linspace(0, 1, h), np.linspace(0, 1, w), indexing="ij"), -1)
    grid = grid.astype("float32")[None] if d.coin() else grid.astype("float32")
    return d.give("image", layers.Concatenate()([x, ops.zeros_like(x[..., :1]) + grid]))


@idiom()
def constant_map(d: Draw) -> Any:
    """A constant for each position (H, W, 1), row (H, 1, 1) or column (W, 1), or for a whole sample (H, W, C)."""
    x = d.image()
    h, w, c = x.shape[1:]
    shape = d.pick(
        (h, w, 1), (1, h, w, 1), (h, 1, 1), (w, 1), (1, 1, w, 1), (h, w, c), (1, h, w, c), (h, 1, c)
    )
    return d.give("image", d.meet(x, d.constant(*shape)))


@idiom()
def expected_place(d: Draw) -> Any:
    """Soft arg-max: heat maps times the coordinates of their positions, summed."""
    x = d.image()
    h, w, k = x.shape[1:]
    heat = layers.Reshape((h, w, k))(d.softmax(layers.Reshape((h * w, k))(x), axis=1))
    rows = np.linspace(0, 1, h, dtype="float32").reshape(d.pick((h, 1, 1), (1, h, 1, 1)))
    columns = np.linspace(0, 1, w, dtype="float32").reshape(d.pick((w, 1), (1, w, 1), (1, 1, w, 1)))
    return [ops.sum(heat * rows, axis=(1, 2)), ops.sum(heat * columns, axis=(1, 2))]


@idiom()
def concurrent_gates(d: Draw) -> Any:
    """scSE and BAM: a gate per channel and one per position of one input, added together or each applied."""
    x = d.image()
    c = x.shape[-1]
    channels = d.expand(d.gate(layers.GlobalAveragePooling2D()(x), c), 1, 2)
    places = layers.Conv2D(1, 1)(x)
    if d.coin():
        return d.give("image", d.times(x, ops.sigmoid(d.plus(channels, places))))
    return d.give("image", layers.Maximum()([d.times(x, channels), d.times(x, places)]))


@idiom()
def image_between_layouts(d: Draw) -> Any:
    """A map over channels-first data: (B, 1, H, W) from a statistic that keeps the axis, or with the axis inserted."""
    x = d.first()
    spot = d.reduce(x, 1) if d.coin() else d.expand(ops.mean(x, axis=1), 1)
    return d.give("first", d.times(x, ops.sigmoid(spot)))


@idiom()
def row_and_column_tables(d: Draw) -> Any:
    """Learned positions of rows and columns as constants with unit axes, added to each other and to the data."""
    x = d.image()
    h, w, c = x.shape[1:]
    rows, columns = d.constant(h, 1, c), d.constant(1, w, c)
    return d.give("image", x + rows + columns if d.coin() else x + (rows + columns)[None])


@idiom()
def video_frames(d: Draw) -> Any:
    """Frames times their weights over time, then times a statistic of the video."""
    t, h, w, c = (d.size() for _ in range(4))
    x = layers.TimeDistributed(layers.Conv2D(c, 1))(d.input(t, h, w, d.size()))
    pooled = layers.TimeDistributed(layers.GlobalAveragePooling2D())(x)
    if d.coin():
        share = d.expand(d.softmax(layers.Dense(1)(pooled), axis=1), 3, 4)
    else:
        share = d.expand(ops.softmax(ops.squeeze(layers.Dense(1)(pooled), -1)), 2, 3, 4)
    y = d.times(x, share)
    return d.times(y, d.reduce(x, *d.pick((1,), (1, 4), (2, 3), (4,))))
