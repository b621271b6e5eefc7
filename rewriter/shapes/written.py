"""What the configuration of a join or a contraction states: which axes, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ir.graph import Operation
from .facts import sums_by_place


def summed_axes(operation: Operation, ranks: Sequence[int]) -> tuple[int, int] | None:
    """The axis of each operand over which a contraction sums; None where the configuration does not state it.

    A Dot layer states both (``axes``); a matrix product sums over the last axis and the last but one.
    """
    if sums_by_place(operation):
        return (-1, -2) if min(ranks, default=0) > 1 else None
    stated = operation.config.get("axes") if operation.class_name == "Dot" else None
    pair = [stated, stated] if isinstance(stated, int) else stated
    plain = isinstance(pair, list) and len(pair) == 2 and all(isinstance(axis, int) for axis in pair)
    return (pair[0], pair[1]) if plain and pair is not None else None


def normalizes(operation: Operation) -> bool:
    """True for a Dot layer that divides by the norms of the vectors that it multiplies."""
    return bool(operation.config.get("normalize"))


def joined_axis(operation: Operation) -> Any:
    """The axis along which tensors are joined; the default is the last one for a layer, the first for an op."""
    return operation.config.get("axis", -1 if operation.kind == "layer" else 0)


def subscripts(operation: Operation) -> Any:
    """The subscripts of an einsum as the file states them."""
    return operation.config.get("subscripts")
