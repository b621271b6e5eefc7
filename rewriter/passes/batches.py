"""Batches of a fixed size on one side and open on the other: why they are refused, and what may be repeated."""

from __future__ import annotations

from collections.abc import Sequence

from ..ir.axis import Axis, Role
from ..shapes.broadcast import fixes_batch
from . import stages
from .candidate import Candidate, Remark, remark
from .decision import Decision
from .finding import LITERAL, Operand

Pair = tuple[Operand, Operand]


def clash(operands: Sequence[Operand]) -> Pair | None:
    """An operand whose batch is a plain number and one whose batch is open, in that order, or None."""
    first = [(o, o.value.axes[0]) for o in operands if o.value.axes]
    for operand, axis in first:
        for other, open_axis in first:
            if isinstance(axis.size, int) and fixes_batch(axis, open_axis):
                return operand, other
    return None


def refusal(operands: Sequence[Operand]) -> Decision | None:
    """The decision that a fixed and an open batch cannot be repaired; None without them, or for a batch of 1."""
    pair = clash(operands)
    if pair is None or (number := _batch(pair[0]).size) == 1:
        return None
    names = [None if operand.source == LITERAL else operand.source for operand in pair]
    return Decision(stages.BATCHES, details={"number": number, "fixed": names[0], "other": names[1]})


def doubt(candidate: Candidate) -> Remark | None:
    """Why a reading that repeats one sample to the batch needs the user's choice, or None."""
    for step in candidate.plan.steps:
        if step.op != "Tile" or 0 not in repeated_axes(step.repeats, step.axes):
            continue
        axes = candidate.match.operands[step.operand]
        if axes and axes[0].role is Role.BATCH and axes[0].size == 1:
            return remark("one-sample")
    return None


def repeated_axes(repeats: Sequence[int], like: Sequence[int]) -> set[int]:
    """The axes along which a Tile repeats."""
    return {*like, *(i for i, times in enumerate(repeats) if times != 1)}


def _batch(operand: Operand) -> Axis:
    assert operand.value.axes is not None
    return operand.value.axes[0]
