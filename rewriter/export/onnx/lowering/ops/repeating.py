"""Padding, tiling and repeating along axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from .....ir.size import Size
from ...emitter import Emitter
from ...graph import Tensor
from ...registry import op
from ._operands import argument, as_tensor, flattened


@op("numpy", "Pad")
def pad(call: Emitter) -> Tensor:
    """``pad(x[a, b], ((1, 2), (0, 0))) -> [a+3, b]``, with a value or mirrored at the edges."""
    x = call.x
    widths = _widths(call, x.rank)
    mode = call.text("mode", "constant").lower()
    if mode == "symmetric":
        return _mirrored(call, x, widths)
    if mode not in ("constant", "reflect"):
        raise call.refuse(f"TensorFlow has no pad mode {mode!r}")
    pads = [before for before, _ in widths] + [after for _, after in widths]
    if not any(pads):
        return x
    if mode == "reflect":
        return call.op("Pad", x, pads, mode="reflect")
    value = argument(call, 1, "constant_values")
    return call.op("Pad", x, pads, as_tensor(call, 0 if value is None else value, x.dtype), mode="constant")


def _widths(call: Emitter, rank: int) -> list[tuple[int, int]]:
    given = call.get("pad_width")
    rows: list[Any] = list(given) if isinstance(given, (list, tuple)) else [given]
    if rows and all(isinstance(row, int) for row in rows):
        rows = [rows]
    pairs = [(call.whole("pad_width", row[0]), call.whole("pad_width", row[-1])) for row in rows]
    return pairs * rank if len(pairs) == 1 else pairs


def _mirrored(call: Emitter, x: Tensor, widths: list[tuple[int, int]]) -> Tensor:
    """The numbers at each edge mirrored, including the outermost."""
    for axis, (before, after) in enumerate(widths):
        parts = []
        if before:
            parts.append(call.slice(x, axis, before - 1, None, -1))
        parts.append(x)
        if after:
            parts.append(call.slice(x, axis, -1, -after - 1, -1))
        x = call.concat(parts, axis)
    return x


@op("numpy", "Tile")
def tile(call: Emitter) -> Tensor:
    """``tile(x[a, b], (2, 3)) -> [2*a, 3*b]``; the shorter of shape and repeats gets ones in front."""
    x, given = call.x, call.arg(1, "repeats", None)
    listed = list(given) if isinstance(given, (list, tuple)) else [given]
    listed = [1] * (x.rank - len(listed)) + listed
    x = call.unsqueeze(x, *range(len(listed) - x.rank))
    if any(isinstance(n, Tensor) for n in listed):
        parts = [call.reshape(as_tensor(call, n, "int64"), [1]) for n in listed]
        return call.op("Tile", x, call.concat(parts, 0), as_sizes=call.sizes)
    counts = [call.whole("repeats", v, 0) for v in listed]
    return x if all(n == 1 for n in counts) else call.op("Tile", x, counts)


@op("numpy", "Repeat")
def repeat(call: Emitter) -> Tensor:
    """``repeat(x[a, b], 2, axis=1) -> [a, 2*b]``; a list has a count for each position."""
    x, given = call.x, call.arg(1, "repeats", None)
    if isinstance(given, Tensor):
        return _repeated(call, x, given, call.axis(call.get("axis"), x.rank))
    counts = [call.whole("repeats", v, 0) for v in (given if isinstance(given, (list, tuple)) else (given,))]
    if call.get("axis") is None:
        x, axis = (call.reshape(x, [1]) if x.rank == 0 else flattened(call, x)), 0
    else:
        axis = call.axis(call.get("axis"), x.rank)
    if len(counts) > 1:
        # Another number of positions fails at run time, as in Keras.
        x = call.reshape(x, [*x.sizes[:axis], len(counts), *x.sizes[axis + 1 :]])
    size = x.sizes[axis]
    if size == 1:  # another operator may broadcast it instead
        return call.op("Tile", x, [counts[0] if n == axis else 1 for n in range(x.rank)])
    if isinstance(size, int):
        places = np.repeat(np.arange(size), counts[0] if len(counts) == 1 else counts)
        return call.op("Gather", x, places.astype(np.int64), axis=axis)
    times = counts[0]
    grown: list[Size] = [*x.sizes[: axis + 1], times, *x.sizes[axis + 1 :]]
    shape = [times if n == axis + 1 else 1 for n in range(len(grown))]
    spread = call.op("Expand", call.unsqueeze(x, axis + 1), shape, as_sizes=grown)
    return call.reshape(spread, [*x.sizes[:axis], size * times, *x.sizes[axis + 1 :]])


def _repeated(call: Emitter, x: Tensor, times: Tensor, axis: int) -> Tensor:
    """Each entry of an axis as often as a computed number says."""
    count = call.reshape(call.cast(times, "int64"), [1])
    grown = [*x.sizes[: axis + 1], count, *x.sizes[axis + 1 :]]
    spread = call.expand(call.unsqueeze(x, axis + 1), grown)
    return call.op("Reshape", spread, call.shape(call.sizes, x), as_sizes=call.sizes)
