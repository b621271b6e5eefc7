"""Equalisation of the histograms of an image's tiles, with limited contrast (``clahe.py`` of Keras 3.15)."""

from __future__ import annotations

import numpy as np

from ..emitter import Emitter
from ..graph import Array, Tensor
from ..refusal import Refused
from ._resize import fixed_size


def equalised_tiles(call: Emitter, x: Tensor) -> Tensor:
    """``equalised_tiles(x[B, C, H, W]) -> [B, C, H, W]``, from 0 to 255; height, width and channels are fixed."""
    batch, channels = x.sizes[0], fixed_size(x, 1)
    grid = call.integers("tile_grid_size", 2, 1, 8)
    tile = [-(-fixed_size(x, n) // grid[n - 2]) for n in (2, 3)]
    pixels = call.op("Clip", x, call.constant(0.0, x.dtype), call.constant(255.0, x.dtype))
    pixels = call.cast(pixels, "int64")
    for axis, count, size in zip((2, 3), grid, tile, strict=True):
        if count * size > 2 * fixed_size(x, axis):
            raise Refused("its image is too small for so many tiles")
        pixels = call.op("Gather", pixels, _mirrored(fixed_size(x, axis), count * size), axis=axis)
    height, width = (count * size for count, size in zip(grid, tile, strict=True))
    tiles = call.reshape(pixels, [batch, channels, grid[0], tile[0], grid[1], tile[1]])
    tiles = call.transpose(tiles, [0, 1, 2, 4, 3, 5])
    tiles = call.reshape(tiles, [batch, channels, *grid, tile[0] * tile[1]])
    shares = _shares(call, tiles, float(tile[0] * tile[1]))
    # A tile is read at its middle; beyond the outer ones, they are repeated.
    for axis, count in zip((2, 3), grid, strict=True):
        shares = call.op("Gather", shares, [0, *range(count), count - 1], axis=axis)
    columns = grid[1] + 2
    flat = call.reshape(shares, [batch, channels, (grid[0] + 2) * columns * 256])
    rows, across = (_between_tiles(n, size) for n, size in zip((height, width), tile, strict=True))

    def found(y: Array, x: Array) -> Tensor:
        place = call.op("Add", pixels, (y[:, None] * columns + x[None]) * 256)
        y_x = call.op("GatherElements", flat, call.reshape(place, [batch, channels, height * width]), axis=2)
        return call.reshape(y_x, [batch, channels, height, width])

    def mixed(a: Tensor, b: Tensor, share: Array) -> Tensor:
        return call.op("Add", call.op("Mul", a, 1 - share), call.op("Mul", b, share))

    (up, down, fall), (left, right, slope) = rows, across
    y = mixed(
        mixed(found(up, left), found(up, right), slope),
        mixed(found(down, left), found(down, right), slope),
        fall[:, None],
    )
    for axis in (2, 3):
        y = call.slice(y, axis, 0, fixed_size(x, axis))
    return y


def _mirrored(size: int, wanted: int) -> Array:
    """``int64[wanted]``: the positions 0, 1 … size - 1, size - 1, size - 2 …"""
    return np.concatenate([np.arange(size), np.arange(size)[::-1]])[:wanted]


def _between_tiles(size: int, tile: int) -> tuple[Array, Array, Array]:
    """For each position: the tile before its middle, the one behind it, and the share of the latter."""
    place = (np.arange(size, dtype=np.float32) - np.float32(tile / 2)) / np.float32(tile) + np.float32(1)
    before = np.floor(place)
    return before.astype(np.int64), before.astype(np.int64) + 1, place - before


def _shares(call: Emitter, tiles: Tensor, count: float) -> Tensor:
    """``shares(tiles[..., n]) -> [..., 256]``: how many pixels are up to each number, from 0 to 255."""
    sizes = (*tiles.sizes[:-1], 256)
    zeros, ones = (
        call.expand(call.constant(0.0, "float32"), sizes),
        call.expand(call.constant(1.0, "float32"), tiles.sizes),
    )
    counts = call.op("ScatterElements", zeros, tiles, ones, axis=tiles.rank - 1, reduction="add")
    clip = call.number("clip_limit", 4.0)
    if clip > 0:
        clipped = call.op("Min", counts, clip * count / 256)
        excess = call.reduce("ReduceSum", call.op("Sub", counts, clipped), [-1], keepdims=True)
        counts = call.op("Add", clipped, call.op("Div", excess, 256.0))
    total = call.op("CumSum", counts, call.constant(tiles.rank - 1, "int64"))
    least = call.slice(total, -1, 0, 1)
    rest = call.op("Sub", call.constant(count, "float32"), least)
    rest = call.op("Where", call.op("Equal", rest, 0.0), call.constant(1.0, "float32"), rest)
    y = call.op("Div", call.op("Mul", call.op("Sub", total, least), 255.0), rest)
    return call.op("Clip", y, call.constant(0.0, "float32"), call.constant(255.0, "float32"))
