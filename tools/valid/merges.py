"""Merge layers that pad ranks, merges of several operands, choices, and explicit broadcasts."""

from __future__ import annotations

from typing import Any

from keras import layers, ops

from tools.valid.draw import Draw
from tools.valid.idiom import idiom


def merge(d: Draw) -> Any:
    """A merge layer that takes any number of operands."""
    return d.pick(
        layers.Multiply, layers.Multiply, layers.Add, layers.Maximum, layers.Minimum, layers.Average
    )()


@idiom()
def merge_of_three(d: Draw) -> Any:
    """Data, a gate per channel and a map, all at once."""
    x = d.image()
    gate = d.expand(d.gate(layers.GlobalAveragePooling2D()(x), x.shape[-1]), 1, 2)
    spot = layers.Conv2D(1, 1, activation="sigmoid")(x)
    operands = [x, gate, spot]
    d.random.shuffle(operands)
    return d.give("image", merge(d)(operands))


@idiom()
def merge_of_rows_and_columns(d: Draw) -> Any:
    """Three statistics that together broadcast to the shape of an image."""
    x = d.image()
    return d.give("image", merge(d)([d.reduce(x, 2, 3), d.reduce(x, 1, 3), d.reduce(x, 1, 2)]))


@idiom()
def gate_that_the_layer_pads(d: Draw) -> Any:
    """A merge layer inserts the missing axes after the batch: (B, C) meets the channels."""
    if d.coin():
        x = d.image()
        gate = d.gate(layers.GlobalAveragePooling2D()(x), x.shape[-1])
        return d.give("image", merge(d)([x, gate]))
    x = d.sequence()
    gate = d.gate(layers.GlobalAveragePooling1D()(x), x.shape[-1])
    return d.give("sequence", merge(d)([x, gate]))


@idiom()
def number_that_the_layer_pads(d: Draw) -> Any:
    """A merge layer inserts the missing axes of one number for each sample, (B, 1)."""
    kind = d.pick("image", "sequence")
    x = getattr(d, kind)()
    return d.give(kind, merge(d)([x, layers.Dense(1)(d.vector())]))


@idiom()
def numbers_of_samples(d: Draw) -> Any:
    """Losses times sample weights: (B,) with (B,), or (B, 1) with (B, 1) and a constant of one element."""
    x = d.vector()
    error = ops.mean(ops.square(x - layers.Dense(x.shape[1])(x)), axis=-1)
    weight = d.input()
    if d.coin():
        return d.times(error, weight)
    return d.times(d.expand(error, 1), d.expand(weight, 1)) * d.constant(1)


@idiom()
def rows_of_scores(d: Draw) -> Any:
    """(B, T) scores with a bias (B, 1), a table (T,) or (1, T), a mask (B, T), or their own sum."""
    x = d.vector()
    way = d.pick("bias", "table", "row", "mask", "sum")
    if way == "bias":
        return d.give("vector", d.meet(x, layers.Dense(1)(d.vector())))
    if way == "table":
        return d.give("vector", d.meet(x, d.constant(x.shape[1])))
    if way == "row":
        return d.give("vector", d.meet(x, d.constant(1, x.shape[1])))
    if way == "mask":
        return d.give("vector", d.times(x, d.mask(x.shape[1])))
    return d.give("vector", d.meet(x, ops.sum(x, axis=1, keepdims=True)))


@idiom()
def chosen_by_a_mask(d: Draw) -> Any:
    """`where` with a mask that has a unit axis, then the result times the same mask."""
    x = d.sequence()
    keep = d.mask(x.shape[1])
    y = ops.where(ops.greater(d.expand(keep, 2), 0.5), x, 0.0)
    return d.give("sequence", d.times(y, d.expand(keep, 2)))


@idiom()
def repeated_by_hand(d: Draw) -> Any:
    """A vector repeated at every step, or a column at every feature, by tile, repeat, stack or Concatenate."""
    x = d.sequence()
    t, n = x.shape[1:]
    way = d.pick("tile", "repeat", "stack", "features", "concatenate")
    if way == "features":
        score = d.gate(x, 1)
        return d.give(
            "sequence", d.times(x, ops.repeat(score, n, axis=2) if d.coin() else ops.tile(score, (1, 1, n)))
        )
    v = d.vector(n)
    if way == "tile":
        repeated = ops.tile(d.expand(v, 1), (1, t, 1))
    elif way == "repeat":
        repeated = ops.repeat(d.expand(v, 1), t, axis=1)
    elif way == "stack":
        repeated = ops.stack([v] * t, axis=1)
    else:
        repeated = layers.Concatenate(axis=1)([d.expand(v, 1)] * t)
    return d.give("sequence", d.times(x, repeated))


@idiom()
def unit_axis_moved(d: Draw) -> Any:
    """A kept axis is squeezed and restored, or moved to the end and back."""
    x = d.image()
    kept = ops.mean(x, axis=d.pick(1, 2), keepdims=True)
    axis = kept.shape.index(1, 1)
    if d.coin():
        kept = d.expand(ops.squeeze(kept, axis), axis)
    else:
        kept = ops.moveaxis(ops.moveaxis(kept, axis, -1), -1, axis)
    return d.give("image", d.meet(x, kept))


@idiom()
def dense_of_one(d: Draw) -> Any:
    """A Dense of one unit for each of two operands: a column meets a row."""
    x = d.sequence()
    column, row = layers.Dense(1)(x), layers.Dense(1)(d.swap(x, 1, 2))
    y = d.meet(column, d.swap(row, 1, 2))
    return d.give("sequence", d.times(x, y))


@idiom()
def differences_of_points(d: Draw) -> Any:
    """Points (B, K, 2) of each sample: a kernel of their squared differences, times a weight for each point."""
    k = d.size()
    points = layers.Reshape((k, 2))(layers.Dense(2 * k)(d.vector()))
    lack = ops.square(d.expand(points, 2) - d.expand(points, 1))
    kernel = ops.exp(-ops.sum(lack, axis=-1, keepdims=d.coin()))
    weight = d.gate(d.vector(), k)
    places = (1, 3) if len(kernel.shape) == 4 else (1,)
    return d.times(kernel, d.expand(weight, *places))


@idiom()
def one_hot_choice(d: Draw) -> Any:
    """The entry at an index: the data times a one-hot vector, summed."""
    x = d.sequence()
    t = x.shape[1]
    chosen = ops.one_hot(d.input(dtype="int32"), t)
    return ops.sum(d.times(x, d.expand(chosen, 2)), axis=1)


@idiom()
def peak_mask(d: Draw) -> Any:
    """The data where it equals its maximum along an axis; the maximum keeps that axis or gets it back."""
    kind = d.pick("sequence", "image")
    x = getattr(d, kind)()
    axis = d.pick(*range(1, len(x.shape)))
    peak = ops.max(x, axis=axis, keepdims=True) if d.coin() else d.expand(ops.max(x, axis=axis), axis)
    return d.give(kind, d.times(x, ops.cast(ops.equal(x, peak), "float32")))
