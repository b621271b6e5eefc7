"""Padding, tiling and repeating: sizes grow."""

from __future__ import annotations

from typing import Any

from ...ir.axis import Axis, Value, remade, unit_axis
from ...ir.size import Size, Truth, same
from ..call import Call, ShapeError, op
from ._operands import flattened


def resized(axis: Axis, size: Size) -> Axis:
    """The axis with this size; the same axis where the size is the same."""
    return axis if size == axis.size else remade(axis, size)


@op("numpy", "Pad")
def pad(call: Call) -> Value:
    """``pad(x[a, b], ((1, 2), (0, 0))) -> [a+3, b]``; one number or one pair applies to every axis."""
    axes = call.axes
    widths = _widths(call, call.get("pad_width"), len(axes))
    return call.like(
        [resized(a, a.size + before + after) for a, (before, after) in zip(axes, widths, strict=True)]
    )


def _widths(call: Call, given: Any, rank: int) -> list[tuple[int, int]]:
    if isinstance(given, (list, tuple)) and given and all(isinstance(v, int) for v in given):
        rows: list[Any] = [given]
    else:
        rows = list(given) if isinstance(given, (list, tuple)) else [(given, given)]
    pairs = []
    for row in rows:
        if not isinstance(row, (list, tuple)) or len(row) not in (1, 2):
            raise call.bad("pad_width", given, "pairs of whole numbers")
        pairs.append((call.whole("pad_width", row[0], 0), call.whole("pad_width", row[-1], 0)))
    if len(pairs) == 1:
        return pairs * rank
    if len(pairs) != rank:
        raise ShapeError(f"{len(pairs)} pairs of padding for a tensor of rank {rank}")
    return pairs


@op("numpy", "Tile")
def tile(call: Call) -> Value:
    """``tile(x[a, b], (2, 3)) -> [2*a, 3*b]``; the shorter of shape and repeats is padded in front with ones."""
    axes, given = call.axes, call.arg(1, "repeats", None)
    counts = [call.size("repeats", v, 0) for v in (given if isinstance(given, (list, tuple)) else (given,))]
    counts = [*([1] * (len(axes) - len(counts))), *counts]
    axes = (*(unit_axis("Tile") for _ in range(len(counts) - len(axes))), *axes)
    return call.like([resized(a, a.size * n) for a, n in zip(axes, counts, strict=True)])


@op("numpy", "Repeat")
def repeat(call: Call) -> Value:
    """``repeat(x[a, b], 2, axis=1) -> [a, 2*b]``; without an axis x is flattened; a list has a count for each entry."""
    axes, given = call.axes, call.arg(1, "repeats", None)
    counts = [call.size("repeats", v, 0) for v in (given if isinstance(given, (list, tuple)) else (given,))]
    if call.get("axis") is None:
        axes, place = flattened(axes), 0
    else:
        place = call.axis(call.get("axis"), len(axes))
    old = axes[place]
    if len(counts) == 1:
        new = resized(old, old.size * counts[0])
    elif same(old.size, len(counts)) is Truth.NO:
        raise ShapeError(f"{len(counts)} repeat counts do not fit {old}")
    else:
        new = remade(old, sum(counts))
    return call.like([*axes[:place], new, *axes[place + 1 :]])
