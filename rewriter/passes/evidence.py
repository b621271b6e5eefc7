"""Evidence for what a multiply means, in kinds from the strongest to the weakest.

A candidate's rank holds one number for each kind, compared in order: there are no weights. The first kind in which two
candidates differ decides between them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..ir.axis import SPATIAL, WEAK, Axis, Role
from ..ir.size import Size, Truth, same


class Rank(NamedTuple):
    """A candidate's evidence in numbers, the strongest kind first; larger is better, the first difference decides."""

    demanded: int = 0
    restored: int = 0
    consistent: int = 0
    units: int = 0
    same: int = 0
    derived: int = 0
    roles: int = 0
    features: int = 0
    keeps_data: int = 0
    built_for: int = 0
    proven: int = 0
    in_order: int = 0

    @property
    def supported(self) -> bool:
        """True if there is evidence for the pairing of the axes."""
        return bool(self.same or self.derived or self.roles or self.features)


Axes = tuple[Axis, ...]
Pair = tuple[str, Axis, Axis]
Shape = tuple[int | None, ...]


@dataclass(slots=True)
class Evidence:
    """Evidence for and against one way to pair the axes of two operands.

    ``merged`` is the number of entries of ``same`` that are further parts of one axis.
    """

    demanded: int = 0
    restored: int = 0
    unused_units: int = 0
    contradictions: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    merged: int = 0
    derived: list[str] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)
    features: list[str] = field(default_factory=list)
    demand_text: str = ""
    keeps_data: int = 0
    built_for: int = 0
    proven: int = 0
    in_order: int = 0

    @property
    def rank(self) -> Rank:
        return Rank(
            self.demanded,
            self.restored,
            -len(self.contradictions),
            -self.unused_units,
            len(self.same) - self.merged,
            len(self.derived),
            len(self.roles),
            len(self.features),
            self.keeps_data,
            self.built_for,
            self.proven,
            self.in_order,
        )

    @property
    def hits(self) -> int:
        """How many pairs have other evidence than their sizes."""
        return len(self.same) + len(self.derived) + len(self.roles) + len(self.features)

    def texts(self) -> list[str]:
        demand = [self.demand_text] if self.demand_text else []
        restored = ["an operand gets the shape that the file records for it here"] if self.restored else []
        against = [f"against: {text}" for text in self.contradictions]
        if self.unused_units:
            against.append("against: it drops an axis of size 1, or leaves it unused")
        return [*demand, *restored, *against, *self.same, *self.derived, *self.roles, *self.features]


def weigh(
    pairs: Sequence[Pair],
    operands: Sequence[Axes],
    softmax: Sequence[bool] = (),
    lineage: bool = True,
    centred: bool = False,
) -> Evidence:
    """Evidence for a pairing, from origins, lineage and roles of the axes of both sides.

    A pair contradicts where one of its axes is, or was computed along, another axis of the other operand than its
    partner. An operand may have two axes of one size and one role (rows and columns of a square matrix). Then neither
    identity nor lineage shows which of the two is meant, and neither counts. Lineage through layers that mix features,
    as Dense does, counts only for axes that a layer gave a role, and only if the axis fits nowhere else. If another
    axis of the data has its size, or several axes have it as their product, the source of a gate does not show its
    target.

    Args:
        softmax: for each operand, whether a softmax made it. Softmax weights are spread over positions as often as over
            features, so the source of their Dense layer does not show their target.
        lineage: whether to look at what an axis was computed along, or only at what it is.
        centred: whether one operand is the other's own mean: identity then tells its axes apart.
    """
    evidence = Evidence()
    spread = {id(a) for axes, soft in zip(operands, softmax, strict=False) if soft for a in axes}
    twins = set() if centred else _twins(pairs, operands)
    taken = {id(axis) for _, a, b in pairs if a.is_same(b) for axis in (a, b)}
    data = larger(operands)
    for number, (name, a, b) in enumerate(pairs):
        if Role.BATCH in (a.role, b.role) or number in twins:
            continue
        soft = bool({id(a), id(b)} & spread)
        traced = lineage and not fits_elsewhere(a, b, operands, taken, data)
        if a.is_same(b):
            evidence.same.append(f"{name} is the same axis on both sides")
        elif traced and not (soft and not {a.role, b.role} & SPATIAL) and _computed_along(a, b):
            evidence.derived.append(f"{name} was computed from the other operand's {_role_text(a, b)} axis")
        elif (stray := _stray(a, b, operands, traced and not soft, _group(a, b, pairs))) is not None:
            evidence.contradictions.append(_stray_text(name, a, stray))
        elif a.role not in WEAK and b.role not in WEAK:
            if a.role is b.role:
                evidence.roles.append(f"{name} is {a.role} on both sides")
            else:
                evidence.contradictions.append(f"{name} pairs {a} with {b}")
        elif beside_channels(a, b, operands):
            evidence.contradictions.append(
                f"{name} pairs {a} with {b}, and both sides have channels of their own"
            )
        elif traced and not soft and {a.role, b.role} == {Role.CHANNEL, Role.FEATURE}:
            evidence.features.append(f"{name} is features on both sides")
    return evidence


def _twins(pairs: Sequence[Pair], operands: Sequence[Axes]) -> set[int]:
    """Numbers of the pairs whose data axis has a twin, of the same size and role, without a partner."""
    if not pairs:
        return set()
    data = _data(operands)
    # A pair starts with the first operand's axis; with three operands or more, with the data's.
    mine = [a if data == 0 or len(operands) > 2 else b for _, a, b in pairs]
    used = {id(axis) for axis in mine}
    return {
        number
        for number, axis in enumerate(mine)
        if any(_are_twins(o, axis) and id(o) not in used for o in operands[data])
    }


def twins_of_kept(operands: Sequence[Axes]) -> tuple[int, int] | None:
    """The numbers of an operand and of the larger one, where the first has one of two twins of the second, or None."""
    data = larger(operands)
    if data is None:
        return None
    for number, axes in enumerate(operands):
        kept = [axis for axis in axes if number != data and axis.role is not Role.BATCH and axis.size != 1]
        for mine in operands[data]:
            twins = sum(_are_twins(other, mine) for other in operands[data])
            if twins > 1 and any(axis.is_same(mine) for axis in kept):
                return number, data
    return None


def _are_twins(a: Axis, b: Axis) -> bool:
    """True for axes of one size and one role, as the rows and columns of a square matrix."""
    return a.size == b.size and a.role is b.role


def fits_elsewhere(
    a: Axis, b: Axis, operands: Sequence[Axes], taken: Collection[int], data: int | None
) -> bool:
    """True if the smaller operand's axis fits other axes of the larger one as well as the one it meets.

    That is one other axis of its size, or consecutive axes with its size as their product.

    Args:
        taken: axes that are the same on both sides, by ``id``: no other axis is placed on them.
        data: the number of the larger operand (``larger``); None where there is none.
    """
    if data is None:
        return False
    mine, other = (a, b) if any(a is axis for axis in operands[data]) else (b, a)
    axes = [axis for axis in operands[data][1:] if axis.size != 1]
    for start in range(len(axes)):
        size: Size = 1
        for axis in axes[start:]:
            if id(axis) in taken or axis is mine:
                break
            size = size * axis.size
            if same(size, other.size) is Truth.YES:
                return True
    return False


def _data(operands: Sequence[Axes]) -> int:
    """The number of the operand with the most axes that are not 1: the others are placed on it."""
    return max(range(len(operands)), key=lambda k: (_full(operands[k]), len(operands[k])))


def larger(operands: Sequence[Axes]) -> int | None:
    """The number of the operand with the most axes that are not 1; None where two have equally many."""
    data = _data(operands)
    most = _full(operands[data])
    return data if sum(_full(axes) == most for axes in operands) == 1 else None


def _full(axes: Axes) -> int:
    return sum(axis.size != 1 for axis in axes)


def channel_on_space(pairs: Sequence[Pair], operands: Sequence[Axes]) -> bool:
    """True if factors that were computed along the channels meet a spatial axis."""
    for _, a, b in pairs:
        if not {a.role, b.role} & SPATIAL:
            continue
        stray = _stray(a, b, operands, by_lineage=True)
        if stray is not None and stray.role is Role.CHANNEL:
            return True
    return False


def descent(pairs: Sequence[Pair], operands: Sequence[Axes]) -> tuple[bool, list[str]]:
    """Whether an axis was computed from the one that it meets, and a text for each axis that comes from another.

    Lineage through layers that mix features, as Dense does, counts here.
    """
    tensors = [(name, a, b) for name, a, b in pairs if Role.BATCH not in (a.role, b.role)]
    met = any(_descends(a, b) or _descends(b, a) for _, a, b in tensors)
    strays = [(name, a, _stray(a, b, operands, by_lineage=True)) for name, a, b in tensors]
    return met, [_stray_text(name, a, stray) for name, a, stray in strays if stray is not None]


def _stray_text(name: str, axis: Axis, stray: Axis) -> str:
    return f"{name} pairs {axis} with an axis that comes from {stray}"


def beside_channels(a: Axis, b: Axis, operands: Sequence[Axes]) -> bool:
    """True if the channels of one operand meet another axis of an operand that has channels itself."""
    if (a.role is Role.CHANNEL) == (b.role is Role.CHANNEL):
        return False
    other = b if a.role is Role.CHANNEL else a
    axes = next((axes for axes in operands if any(x is other for x in axes)), ())
    return any(x.role is Role.CHANNEL and x.size != 1 for x in axes)


def _computed_along(a: Axis, b: Axis) -> bool:
    return (a.role not in WEAK and _descends(b, a)) or (b.role not in WEAK and _descends(a, b))


def demand(evidence: Evidence, output: Sequence[Size], recorded: Shape | None, stands: bool) -> None:
    """Compare the product's shape with the recorded one, and enter the result into ``evidence``.

    Args:
        stands: the recorded shape is only what Keras computed for the unchanged product: the rest of the model was
            built on it, which is weak evidence of what was meant.
    """
    if recorded is None:
        return
    fits = len(recorded) == len(output) and all(
        r is None or (not isinstance(s, int)) or r == s for r, s in zip(recorded, output, strict=True)
    )
    exact = fits and all(
        (r is None) == (not isinstance(s, int)) for r, s in zip(recorded, output, strict=True)
    )
    if stands:
        evidence.built_for = int(exact)
        return
    evidence.demanded = 1 if exact else 0 if fits else -1
    shape = "(" + ", ".join("None" if r is None else str(r) for r in recorded) + ")"
    if exact:
        evidence.demand_text = f"the file records {shape} for the result"
    elif not fits:
        evidence.demand_text = f"against: the file records {shape} for the result"


def _roots(axis: Axis) -> set[int]:
    """The ids of the origins that this axis is, or is computed from; for a product, those of its factors."""
    return {id(root) for leaf in axis.flat() for root in leaf.origin.lineage()}


def _descends(child: Axis, parent: Axis) -> bool:
    own = {id(leaf.origin) for leaf in parent.flat()}
    return bool(own) and own <= _roots(child)


def _group(a: Axis, b: Axis, pairs: Sequence[Pair]) -> set[int]:
    """The axes, by ``id``, that are paired with either axis of this pair."""
    return {id(y) for _, x, y in pairs if x is a} | {id(x) for _, x, y in pairs if y is b}


def _stray(
    a: Axis, b: Axis, operands: Sequence[Axes], by_lineage: bool, group: Collection[int] = ()
) -> Axis | None:
    """The axis of an operand, outside the pair, that the pair's other axis is, or comes from; None without one."""
    for axes in operands:
        if any(axis is a for axis in axes):
            other, mine = b, a
        elif any(axis is b for axis in axes):
            other, mine = a, b
        else:
            continue
        for axis in axes:
            if axis is mine or id(axis) in group or axis.size == 1 or axis.role is Role.BATCH:
                continue
            if axis.is_same(other) or (by_lineage and axis.role not in WEAK and _descends(other, axis)):
                return axis
    return None


def _role_text(a: Axis, b: Axis) -> str:
    strong = next((x.role for x in (a, b) if x.role not in WEAK), None)
    return str(strong or a.role)
