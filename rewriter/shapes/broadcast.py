"""How operands of different rank align in an elementwise op, and the axes of its result.

``merge`` is the convention of ``keras.layers.Multiply``, ``Add`` and the other merge layers: axis 0 is the batch, and
missing axes are inserted at position 1. ``numpy`` is that of ``keras.ops``, the Python operators, TensorFlow and ONNX:
operands are right-aligned. ``built`` is that of a merge layer built on operands of one rank, which never inserts axes:
a merge layer decides this in ``build``, and Keras builds it on the shapes in ``build_config``.
Source: ``Merge.build`` and ``call`` in ``keras/src/layers/merging/base_merge.py`` (Keras 3.15) and NumPy's broadcasting
rules.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..ir.axis import CONSTANT, WEAK, Axis, Known, Role, new_axis, record, recording
from ..ir.identities import settle
from ..ir.size import Truth, has_given_name, may_be_any, named_part, same, unknown
from .call import ShapeError


class Convention(str, enum.Enum):
    MERGE = "merge"
    NUMPY = "numpy"
    BUILT = "built"
    NONE = "none"

    __str__ = str.__str__

    @property
    def alignment(self) -> str:
        """``merge``, ``numpy`` or ``none``: where missing axes are inserted."""
        return "numpy" if self is Convention.BUILT else self.value


class Fit(enum.Enum):
    """Whether two aligned axes broadcast, and how."""

    SAME = "same"
    STRETCH = "one is 1 and is repeated"
    NEVER = "the sizes differ"
    BY_LUCK = "only a batch of one size fits"
    FIXED = "one batch is open, the other is a number"
    UNPROVEN = "the sizes may differ"


Axes = tuple[Axis, ...]
Column = tuple[Axis | None, ...]


def merging(built: Sequence[Sequence[int | None]], operands: Sequence[Axes]) -> Convention:
    """``built`` for a merge layer that was built on shapes of one rank and is called on several; else ``merge``."""
    ranks = {len(shape) for shape in built}
    return Convention.BUILT if len(ranks) == 1 < len({len(axes) for axes in operands}) else Convention.MERGE


def positions(convention: Convention, rank: int, out_rank: int) -> tuple[int, ...]:
    """Where each axis of an operand of ``rank`` lands among ``out_rank`` output axes."""
    missing = out_rank - rank
    if convention is Convention.MERGE and rank:
        return (0, *range(1 + missing, out_rank))
    return tuple(range(missing, out_rank))


def align(convention: Convention, operands: Sequence[Axes]) -> list[Column]:
    """One column for each output axis: the axis of each operand there (None where the operand has none)."""
    out_rank = max((len(axes) for axes in operands), default=0)
    columns: list[list[Axis | None]] = [[None] * len(operands) for _ in range(out_rank)]
    for number, axes in enumerate(operands):
        for axis, place in zip(axes, positions(convention, len(axes), out_rank), strict=True):
            columns[place][number] = axis
    return [tuple(column) for column in columns]


def fit(a: Axis, b: Axis) -> Fit:
    """Whether two aligned axes broadcast, by their sizes and by which of them is the batch."""
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
    if Role.BATCH not in (a.role, b.role) and holds_batch(a) != holds_batch(b):
        return Fit.BY_LUCK if isinstance(a.size, int) or isinstance(b.size, int) else Fit.UNPROVEN
    return Fit.FIXED if fixes_batch(a, b) else Fit.UNPROVEN


def crosses(a: Axis, b: Axis, operands: Sequence[Axes]) -> bool:
    """True if the batch of one operand meets another axis (say time) of an operand with the same batch elsewhere.

    Two names in an ONNX file can stand for one size, but a batch and an axis of its own samples cannot.
    """
    batch, other = (a, b) if a.role is Role.BATCH else (b, a)
    if batch.role is not Role.BATCH or other.role in WEAK | {Role.BATCH} or not has_given_name(other.size):
        return False
    beside = next((axes for axes in operands if any(axis is other for axis in axes)), ())
    return any(axis.is_same(batch) for axis in beside)


@dataclass(frozen=True, slots=True)
class Crossed:
    """An axis of a named size that meets a number, at ``place``, next to ``beside`` of that same named size."""

    place: int
    named: Axis
    number: Axis
    beside: Axis

    def text(self) -> str:
        return f"{self.named} meets {self.number}, and stands beside it in the same operand as {self.beside}"


def crossed_number(columns: Sequence[Column]) -> Crossed | None:
    """Where a named size of an ONNX file meets a number, and the operand with the number has that size elsewhere.

    There it meets no axis of that size: ``[N, T, 4] * [N, 4, T]``. Each size is right in one place only, and the model
    runs only where both are equal. None where there is no such place.
    """
    for place, column in enumerate(columns):
        for mine, named in enumerate(column):
            symbol = None if named is None else named_part(named.size)
            if named is None or symbol is None:
                continue
            for k, number in enumerate(column):
                if number is None or not isinstance(number.size, int) or number.size == 1:
                    continue
                for other in [*columns[:place], *columns[place + 1 :]]:
                    beside, partner = other[k], other[mine]
                    if beside is None or named_part(beside.size) != symbol:
                        continue
                    if partner is None or same(partner.size, beside.size) is not Truth.YES:
                        return Crossed(place, named, number, beside)
    return None


def is_fixed(a: Axis, b: Axis) -> bool:
    """True if a named size of an ONNX file has to be a number other than 1."""
    number, named = (a, b) if isinstance(a.size, int) else (b, a)
    return isinstance(number.size, int) and number.size != 1 and named_part(named.size) is not None


def pairs_of(column: Sequence[Axis | None]) -> list[tuple[Axis, Axis]]:
    """The first axis that is not 1, paired with each other axis: their sizes have to be equal."""
    axes = [axis for axis in column if axis is not None]
    place = next((i for i, a in enumerate(axes) if a.size != 1), None)
    if place is None:
        return []
    return [(axes[place], a) for i, a in enumerate(axes) if i != place]


def refuse_crossed(columns: Sequence[Column]) -> None:
    """Raises ShapeError where a named size meets a number as in ``crossed_number``."""
    crossed = crossed_number(columns)
    if crossed is not None:
        raise ShapeError(crossed.text())


def holds_batch(axis: Axis) -> bool:
    """True for an axis that an open batch was merged into, as ``3*B``."""
    return not isinstance(axis.size, int) and any(
        leaf.role is Role.BATCH for leaf in axis.factors and axis.flat()
    )


def fixes_batch(a: Axis, b: Axis) -> bool:
    """True if an open batch meets a plain number, 1 included: then only that batch size runs."""
    number, other = (a, b) if isinstance(a.size, int) else (b, a)
    return isinstance(number.size, int) and not isinstance(other.size, int) and other.role is Role.BATCH


def only_at(a: Axis, b: Axis) -> str:
    """The message for two axes where ``fixes_batch`` is true."""
    number, other = (a, b) if isinstance(a.size, int) else (b, a)
    sides = f"the batch is {other.size} on one side and {number.size} on the other"
    return f"{sides}: this runs at batch {number.size} only"


def conflicting(a: Axis, b: Axis) -> bool:
    """True if both roles are strong and differ."""
    return a.role not in WEAK and b.role not in WEAK and a.role is not b.role


def meet(a: Axis, b: Axis) -> Axis:
    """The output axis of two that fit: the one whose size is not 1; of two equal ones, the one with the stronger facts.

    The unit axis of a constant is not evidence about the other axis: a bias of one feature has one too.
    """
    if a.size == 1 and b.size != 1:
        return b
    if b.size == 1 and a.size != 1:
        return a
    if a.size == b.size == 1 and a.role in WEAK and b.facts.written and not a.facts.written:
        return a if b.facts.written == CONSTANT else b
    if a.size == b.size == 1 and a.facts.written == CONSTANT:
        return b
    if isinstance(b.size, int) and not isinstance(a.size, int):
        return b
    return b if a.role in WEAK and b.role not in WEAK else a


def broadcast(convention: Convention, operands: Sequence[Axes], unify: bool = True) -> Axes:
    """The output axes of an elementwise op.

    With ``unify``, aligned axes that fit become one axis, unless the operands differ in rank or some of the axes
    contradict each other. Then the finder has to judge whether the aligned axes belong together; for the same reason
    multiplies never unify. Where the axes of the operands meet crosswise, the identity of the result's axes is unknown.
    They are new axes: facts from downstream do not flow back to the operands, and a sum never unifies two axes of one
    tensor. The result's axes are also new for a sum of tensors of different rank where, say, features of channels meet
    the width.

    Raises:
        ShapeError: two aligned axes do not broadcast at every batch size.
    """
    columns = align(convention, operands)
    picked = [_fitting(column) for column in columns]
    refuse_crossed(columns)
    one_rank = len({len(axes) for axes in operands if axes}) < 2
    effect = Meeting(columns, tuple(picked), tuple(map(_open, columns, picked)), unify, one_rank)
    if recording():
        record(effect.play)
        return effect.result()
    return settle([effect.play], effect.result())


def is_number(axis: Axis) -> bool:
    """True if the size is known before the model runs."""
    return isinstance(axis.size, int)


def leave_open(a: Axis, b: Axis) -> None:
    """Record that two axes have to be equal, where this is not proven."""
    if same(a.size, b.size) is Truth.UNKNOWN:
        record(lambda known: known.leave_open(a, b))


def stacked(operands: Sequence[Axes]) -> Axes:
    """The broadcast leading (batch) axes of a contraction; records pairs that are not proven equal."""
    for column in align(Convention.NUMPY, operands):
        present = _present(column)
        for axis in present[1:]:
            leave_open(present[0], axis)
    return broadcast(Convention.NUMPY, operands)


def _fitting(column: Column) -> Axis:
    """The axis of a column that the result gets, by size. Raises ShapeError where the axes do not broadcast."""
    present = [axis for axis in column if axis is not None]
    out = present[0]
    for axis in present[1:]:
        how = fit(out, axis)
        if how is Fit.FIXED:
            raise ShapeError(only_at(out, axis))
        if how in (Fit.NEVER, Fit.BY_LUCK):
            raise ShapeError(f"{out} meets {axis}: {how.value}")
        out = _either_size(out, axis) if _undetermined(out, axis) else meet(out, axis)
    return out


def _undetermined(a: Axis, b: Axis) -> bool:
    """True if either may be 1: two names in an ONNX file can stand for one size, so the result's size is unknown."""
    return (
        1 not in (a.size, b.size)
        and may_be_any(a.size)
        and may_be_any(b.size)
        and same(a.size, b.size) is Truth.UNKNOWN
    )


def _either_size(a: Axis, b: Axis) -> Axis:
    return new_axis(unknown(), Role.BATCH if Role.BATCH in (a.role, b.role) else Role.UNKNOWN)


def _open(column: Column, picked: Axis) -> Axis | None:
    """A new axis for the result, where only the identities decide which axis of the column it is; else None."""
    present = [axis for axis in column if axis is not None and axis.size != 1]
    if not present or picked.factors:
        return None
    return new_axis(picked.size, Role.BATCH if picked.role is Role.BATCH else Role.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Meeting:
    """The effect of an elementwise op on the identities of its axes, played when roles and identities are known.

    ``picked`` are the result's axes by size. ``made`` are the new axes in their place; each may be unified with an
    operand's axis.
    """

    columns: list[Column]
    picked: tuple[Axis, ...]
    made: tuple[Axis | None, ...]
    unify: bool
    one_rank: bool

    def result(self) -> Axes:
        return tuple(made or picked for made, picked in zip(self.made, self.picked, strict=True))

    def play(self, known: Known) -> None:
        contradict = any(self._contradicts(known, column) for column in self.columns) or layouts_differ(
            known, self.columns
        )
        crosswise = self._crosswise(known)
        unify_here = self.unify and self.one_rank and not contradict and not crosswise
        outs = [self._unified(known, column, unify_here) for column in self.columns]
        if crosswise:
            own = [len({known.identity(axis) for axis in _present(column)}) < 2 for column in self.columns]
        elif self.unify and not self.one_rank and any(self._of_two_sources(known, c) for c in self.columns):
            own = [known.role(out.origin) is Role.BATCH for out in outs]
        else:
            own = [True] * len(outs)
        for column, made, out, is_own in zip(self.columns, self.made, outs, own, strict=True):
            first = next(iter(_present(column)), None)
            settled = first is None or not any(_undetermined(first, axis) for axis in _present(column))
            if made is not None and is_own and settled:
                known.unify(out.origin, made.origin)

    def _unified(self, known: Known, column: Column, unify_here: bool) -> Axis:
        present = [axis for axis in column if axis is not None]
        out = present[0]
        for axis in present[1:]:
            if fit(out, axis) is Fit.SAME:
                if self.unify and _conflict(known, out, axis):
                    known.note(f"{known.axis_text(out)} meets {known.axis_text(axis)}")
                if unify_here and not (out.factors or axis.factors):
                    known.unify(out.origin, axis.origin)
                if known.role(out.origin) in WEAK and known.role(axis.origin) not in WEAK:
                    out = axis
            else:
                out = meet(out, axis)
        return out

    @staticmethod
    def _contradicts(known: Known, column: Column) -> bool:
        """True if axes meet that have different strong roles."""
        return len({known.role(axis.origin) for axis in _present(column)} - WEAK) > 1

    @staticmethod
    def _of_two_sources(known: Known, column: Column) -> bool:
        """True if axes meet that have, or were computed from axes with, different roles."""
        present = list(_present(column))
        if len({known.identity(axis) for axis in present}) < 2:
            return False
        return len({known.source(axis) for axis in present} - {None}) > 1

    def _crosswise(self, known: Known) -> bool:
        """True if an axis that two operands share meets a different axis of the other operand."""
        whose = [
            [None if axis is None or axis.size == 1 else known.identity(axis) for axis in column]
            for column in self.columns
        ]
        held = [Counter(column) for column in whose]
        return any(
            identity is not None
            and held[place][identity] == 1
            and any(
                held[other][identity] - (whose[other][k] == identity) > 0
                for other in range(len(held))
                if other != place
            )
            for place, column in enumerate(whose)
            for k, identity in enumerate(column)
        )


def layouts_differ(known: Known, columns: Sequence[Column]) -> bool:
    """True if the channels of one operand meet another axis of an operand that has channels of its own."""

    def is_channel(axis: Axis | None) -> bool:
        return axis is not None and axis.size != 1 and known.role(axis.origin) is Role.CHANNEL

    channels = [[is_channel(axis) for axis in column] for column in columns]
    own = [any(column) for column in zip(*channels, strict=True)]
    return any(
        any(here) and any(own[k] and not here[k] for k, axis in enumerate(column) if _long(axis))
        for here, column in zip(channels, columns, strict=True)
    )


def _long(axis: Axis | None) -> bool:
    return axis is not None and axis.size != 1


def _present(column: Column) -> list[Axis]:
    return [axis for axis in column if axis is not None and _long(axis)]


def _conflict(known: Known, a: Axis, b: Axis) -> bool:
    """True if both roles are strong and differ."""
    one, other = known.role(a.origin), known.role(b.origin)
    return one not in WEAK and other not in WEAK and one is not other
