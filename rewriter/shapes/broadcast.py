"""The two conventions by which operands of different rank meet, and what an elementwise op makes of them.

``merge`` is that of ``keras.layers.Multiply``, ``Add`` and their kin: axis 0 is the batch, and missing axes go in at
position 1. ``numpy`` is that of ``keras.ops``, the Python operators, TensorFlow and ONNX: operands are right-aligned.
Source: ``keras/src/layers/merging/base_merge.py`` (Keras 3.15) and NumPy's broadcasting rules.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Sequence

from ..ir.axis import WEAK, Axis, Role, new_axis, note_conflict
from ..ir.size import Truth, may_be_any, same, unknown
from .call import ShapeError


class Convention(str, enum.Enum):
    MERGE = "merge"
    NUMPY = "numpy"
    NONE = "none"

    __str__ = str.__str__


class Fit(enum.Enum):
    """How two aligned axes go together."""

    SAME = "same"
    STRETCH = "one is 1 and is repeated"
    NEVER = "the sizes differ"
    BY_LUCK = "only a batch of one size fits"
    UNPROVEN = "the sizes may differ"


Axes = tuple[Axis, ...]
Column = tuple[Axis | None, ...]


def positions(convention: Convention, rank: int, out_rank: int) -> tuple[int, ...]:
    """Where each axis of an operand of ``rank`` lands among ``out_rank`` output axes."""
    missing = out_rank - rank
    if convention is Convention.MERGE and rank:
        return (0, *range(1 + missing, out_rank))
    return tuple(range(missing, out_rank))


def align(convention: Convention, operands: Sequence[Axes]) -> list[Column]:
    """The output axes, each as the operands' axes that meet there (None where one has none)."""
    out_rank = max((len(axes) for axes in operands), default=0)
    columns: list[list[Axis | None]] = [[None] * len(operands) for _ in range(out_rank)]
    for number, axes in enumerate(operands):
        for axis, place in zip(axes, positions(convention, len(axes), out_rank), strict=True):
            columns[place][number] = axis
    return [tuple(column) for column in columns]


def fit(a: Axis, b: Axis) -> Fit:
    """How two axes that meet go together, by size and by which of them is the batch."""
    answer = same(a.size, b.size)
    if answer is Truth.YES:
        return Fit.SAME
    if a.size == 1 or b.size == 1:
        return Fit.STRETCH
    if answer is Truth.NO:
        return Fit.NEVER
    if (a.role is Role.BATCH) != (b.role is Role.BATCH):
        other = b if a.role is Role.BATCH else a
        return Fit.UNPROVEN if may_be_any(other.size) else Fit.BY_LUCK
    return Fit.UNPROVEN


def conflicting(a: Axis, b: Axis) -> bool:
    """True where both roles are strong and differ."""
    return a.role not in WEAK and b.role not in WEAK and a.role is not b.role


def meet(a: Axis, b: Axis) -> Axis:
    """The output axis of two that fit: the one that is not 1, and of two equals the one that says more.

    Two names of an ONNX file can be one size, and either of them can be 1: nothing is known of what comes out.
    """
    if a.size == 1 and b.size != 1:
        return b
    if b.size == 1 and a.size != 1:
        return a
    if may_be_any(a.size) and may_be_any(b.size) and same(a.size, b.size) is Truth.UNKNOWN:
        return new_axis(
            unknown(), Role.BATCH if a.role is Role.BATCH or b.role is Role.BATCH else Role.UNKNOWN
        )
    if isinstance(b.size, int) and not isinstance(a.size, int):
        return b
    return b if a.role in WEAK and b.role not in WEAK else a


def broadcast(convention: Convention, operands: Sequence[Axes], unify: bool = True) -> Axes:
    """The output axes of an elementwise op.

    With ``unify``, axes that fit become one axis, unless the operands differ in rank or some of the axes contradict
    each other: whether those that the convention then puts together belong together is what the finder has to judge.
    For the same reason multiplies do not unify at all. Where the axes of their operands meet crosswise,
    nobody can say what the result's are: they are new, so that what is learnt downstream does not flow back to them.
    So are those of a sum of tensors of different rank in which features of channels, say, meet the width.

    Raises:
        ShapeError: two axes that meet cannot go together at every batch size.
    """
    result = []
    columns = align(convention, operands)
    one_rank = len({len(axes) for axes in operands if axes}) < 2
    unify_here = unify and one_rank and not _contradict(columns)
    for column in columns:
        present = [axis for axis in column if axis is not None]
        out = present[0]
        for axis in present[1:]:
            how = fit(out, axis)
            if how in (Fit.NEVER, Fit.BY_LUCK):
                raise ShapeError(f"{out} meets {axis}: {how.value}")
            if unify and how is Fit.SAME and conflicting(out, axis):
                note_conflict(f"{out} meets {axis}")
            if unify_here and how is Fit.SAME and not (out.factors or axis.factors):
                out.origin.unify(axis.origin)
            out = meet(out, axis)
        result.append(out)
    if not unify and _crosswise(columns):
        return tuple(
            axis if _identities_agree(column) else new_axis(axis.size)
            for axis, column in zip(result, columns, strict=True)
        )
    if unify and not one_rank and any(map(_of_two_sources, columns)):
        return tuple(
            axis if axis.size == 1 or axis.role is Role.BATCH else new_axis(axis.size) for axis in result
        )
    return tuple(result)


def _of_two_sources(column: Column) -> bool:
    """True where axes meet that are, or were computed along, what layers take for different things."""
    sources = {axis.origin.source() for axis in column if axis is not None and axis.size != 1}
    return len(sources - {None}) > 1


def _contradict(columns: Sequence[Column]) -> bool:
    """True where axes meet that layers take for different things."""
    return any(
        conflicting(a, b)
        for column in columns
        for a, b in itertools.combinations([x for x in column if x is not None and x.size != 1], 2)
    )


def _crosswise(columns: Sequence[Column]) -> bool:
    """True where an axis of one operand meets another axis than the one that it is in the other operand."""
    for place, column in enumerate(columns):
        for k, axis in enumerate(column):
            if (
                axis is None
                or axis.size == 1
                or any(axis.is_same(o) for j, o in enumerate(column) if o and j != k)
            ):
                continue
            for other_place, others in enumerate(columns):
                if other_place != place and any(
                    axis.is_same(o) for j, o in enumerate(others) if o and j != k
                ):
                    return True
    return False


def _identities_agree(column: Column) -> bool:
    present = [axis for axis in column if axis is not None and axis.size != 1]
    return all(axis.is_same(present[0]) for axis in present)
