"""Find: the fault of a node, from its operands' axes and the convention by which they meet."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.axis import WEAK, Axis, Role
from ..ir.size import Truth, is_unknown, same
from ..rules.table import Family
from ..shapes.broadcast import (
    Column,
    Fit,
    align,
    crossed_number,
    crosses,
    fit,
    holds_batch,
    only_at,
    pairs_of,
)
from ..shapes.facts import declares_less, sums_by_place
from .batches import clash
from .codes import Kind
from .evidence import Evidence, Pair, beside_channels, weigh
from .intent import is_written, states_pairs
from .sites import Site

Axes = tuple[Axis, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault and what happens there, in words."""

    kind: Kind
    message: str


@dataclass(frozen=True, slots=True)
class AsItStands:
    """The pairing that the convention makes, and the evidence for it."""

    pairs: tuple[Pair, ...]
    evidence: Evidence
    implicit: bool

    @property
    def is_known(self) -> bool:
        """True if every axis meets the same axis or one of the same role, and nothing contradicts."""
        batch = sum(Role.BATCH in (a.role, b.role) for _, a, b in self.pairs)
        known = len(self.evidence.same) + len(self.evidence.roles)
        return bool(self.pairs) and known == len(self.pairs) - batch and not self.evidence.contradictions


def operand_axes(site: Site) -> list[Axes]:
    """Axes of the operands, whose rank must be known."""
    return [v.axes or () for v in site.values]


def proven_fault(site: Site) -> Fault | None:
    """A fault that sizes and the batch alone prove, whatever was meant; None where the product is legal."""
    operands = operand_axes(site)
    columns = align(site.convention, operands)
    texts = " x ".join(v.text() for v in site.values)
    met = [(place, a, b, fit(a, b)) for place, column in enumerate(columns) for a, b in pairs_of(column)]

    def first(how: Fit) -> tuple[int, Axis, Axis] | None:
        return next(((place, a, b) for place, a, b, found in met if found is how), None)

    if (never := first(Fit.NEVER)) is not None:
        place, a, b = never
        kind = Kind.BATCH_SIZE if a.role is b.role is Role.BATCH else Kind.INCOMPATIBLE
        return Fault(kind, f"{texts}: {a} meets {b} at axis {place}, and neither is 1")
    if (luck := first(Fit.BY_LUCK)) is not None:
        place, a, b = luck
        if Role.BATCH not in (a.role, b.role):
            merged, number = (b, a) if isinstance(a.size, int) else (a, b)
            text = f"{texts}: {merged}, which holds the batch, meets {number} at axis {place}"
            return Fault(Kind.BATCH_MISALIGNED, f"{text}; runs at one batch size only")
        other = b if a.role is Role.BATCH else a
        if place == 0 and _holds_samples(site, other):
            return Fault(Kind.BATCH_SIZE, f"{texts}: {only_at(a, b)}")
        return Fault(
            Kind.BATCH_MISALIGNED,
            f"{texts}: the batch meets {other} at axis {place}; runs at batch 1, is silently wrong at "
            f"batch {other.size}, raises otherwise",
        )
    if (fixed := first(Fit.FIXED)) is not None:
        _, a, b = fixed
        return Fault(Kind.BATCH_SIZE, f"{texts}: {only_at(a, b)}")
    stray = _stray_batch(site, columns, texts)
    crossed = ((p, b if a.role is Role.BATCH else a) for p, a, b, _ in met if crosses(a, b, operands))
    if stray is None and (found := next(crossed, None)) is not None:
        return Fault(Kind.BATCH_MISALIGNED, _meets_batch(texts, *found))
    if stray is None and (crossed_at := crossed_number(columns)) is not None:
        return Fault(Kind.INCOMPATIBLE, f"{texts}: at axis {crossed_at.place}, {crossed_at.text()}")
    if stray is None and (open_ := first(Fit.UNPROVEN)) is not None:
        place, a, b = open_
        return Fault(
            Kind.UNPROVEN, f"{texts}: nothing proves that {a} and {b}, which meet at axis {place}, are equal"
        )
    return stray


def _holds_samples(site: Site, axis: Axis) -> bool:
    """True for the first axis of a constant of the same rank as the others: one entry for each sample of a batch.

    False for a vector: it is as likely to hold features.
    """
    constants = [o.value.axes or () for o in site.operands if o.value.is_constant]
    return _of_one_rank(site) and any(len(axes) > 1 and axes[0] is axis for axes in constants)


def noun(site: Site) -> str:
    """The word for the result of an elementwise operation."""
    return "product" if site.family is Family.PRODUCT else "result"


def whole_fault(site: Site) -> Fault | None:
    """A fault of a contraction or of joined tensors: it cannot run, mixes samples or layouts, or is not proven."""
    texts = " x ".join(v.text() for v in site.values)
    message = site.inference.faults.get(site.node.name)
    if message is not None:
        first = [axes[0] for axes in operand_axes(site) if axes and axes[0].role is Role.BATCH]
        batches = site.family is Family.JOINING and any(
            same(first[0].size, a.size) is Truth.NO for a in first[1:]
        )
        batches = batches or (_of_one_rank(site) and clash(site.operands) is not None)
        return Fault(Kind.BATCH_SIZE if batches else Kind.INCOMPATIBLE, f"{texts}: {message}")
    if site.family is Family.JOINING:
        return _joined_layouts(site, texts)
    if site.family is not Family.CONTRACTION:
        return None
    return _summed_batch(site, texts) or _pairs_of_samples(site, texts) or _open_sum(site, texts)


def _joined_layouts(site: Site, texts: str) -> Fault | None:
    """Joined tensors where the channels of one meet another axis of one that has channels of its own."""
    first, *others = operand_axes(site)
    for axes in others:
        for place, (a, b) in enumerate(zip(first, axes, strict=False)):
            if 1 not in (a.size, b.size) and beside_channels(a, b, (first, axes)):
                return Fault(Kind.LAYOUT, f"{texts}: it runs, but axis {place} joins {a} with {b}")
    return None


def _of_one_rank(site: Site) -> bool:
    return len({len(axes) for axes in operand_axes(site)}) == 1


def _summed_batch(site: Site, texts: str) -> Fault | None:
    """A contraction of the batch with an axis of a size of its own."""
    for a, b in site.unproven:
        batch, other = (a, b) if a.role is Role.BATCH else (b, a)
        named = f"an axis of {other}" if str(other) == str(other.size) else str(other)
        summed = f"{texts}: it sums over the batch and {named}; runs only at batch {other.size}"
        if fit(a, b) is Fit.BY_LUCK:
            return Fault(Kind.BATCH_MISALIGNED, f"{summed}, and is wrong there")
        beside_batch = batch.role is Role.BATCH and other.role is not Role.BATCH
        if beside_batch and other.size == 1 and batch.size != 1:
            return Fault(Kind.BATCH_MISALIGNED, summed)
    return None


def _open_sum(site: Site, texts: str) -> Fault | None:
    """A contraction that runs only where open sizes are equal.

    Next to constants, only sizes that the file declares as open count, and none in a SavedModel.
    """
    weights = any(value.is_constant for value in site.values)
    pairs = site.unproven
    if weights:
        told = not declares_less(site.node.operation)
        pairs = [(a, b) for a, b in pairs if told and not (is_unknown(a.size) or is_unknown(b.size))]
    if not pairs:
        return None
    a, b = pairs[0]
    return Fault(Kind.UNPROVEN, f"{texts}: nothing proves that {a} and {b}, which meet, are equal")


def _pairs_of_samples(site: Site, texts: str) -> Fault | None:
    """The batch of both sides in the result: meant if the author moved one of them, a fault if neither was moved.

    The rows of one side may hold its batch, as where a Dense of all steps lacks the Reshape after it.
    """
    operands = operand_axes(site)
    result = site.inference.values[site.node.name][0].axes or ()
    if not sums_by_place(site.node.operation) or max(map(len, operands), default=0) < 3:
        return None
    batched = all(axes and _is_of_samples(axes[0]) for axes in operands)
    before = max(sum(map(_is_of_samples, axes)) for axes in operands)
    if not batched or sum(map(_is_of_samples, result)) <= before:
        return None
    return Fault(
        Kind.GROWN, f"{texts}: the result [{', '.join(map(str, result))}] holds every pair of samples"
    )


def _is_of_samples(axis: Axis) -> bool:
    """True for the batch, and for an axis that it was merged into."""
    return axis.role is Role.BATCH or holds_batch(axis)


def _stray_batch(site: Site, columns: list[Column], texts: str) -> Fault | None:
    """A batch axis that the convention, not the author, puts on another axis than the batch of another operand."""
    ranks = {len(axes) for axes in operand_axes(site)}
    if len(ranks) == 1:
        return None
    # A batch that is fixed at 1 is repeated along whatever it meets, like any axis of size 1.
    homes = [
        next(
            (
                i
                for i, column in enumerate(columns)
                if (a := column[k]) is not None and a.role is Role.BATCH and a.size != 1
            ),
            None,
        )
        for k in range(len(site.operands))
    ]
    places = sorted({home for home in homes if home is not None})
    if len(places) < 2:
        return None
    standing = [[k for k, home in enumerate(homes) if home == place] for place in places]
    if all(
        states_pairs(columns, standing[0], place) or states_pairs(columns, later, places[0])
        for place, later in zip(places[1:], standing[1:], strict=True)
    ):
        return None
    others = [a for a in columns[places[1]] if a is not None and a.role is not Role.BATCH]
    if any(a.size != 1 for a in others):
        return Fault(Kind.BATCH_MISALIGNED, _meets_batch(texts, places[1], others[0]))
    return Fault(
        Kind.GROWN,
        f"{texts}: the batch of one operand is at axis {places[0]} of the result, that of another at axis {places[1]}; "
        f"the {noun(site)} holds every pair of samples",
    )


def _meets_batch(texts: str, place: int, other: Axis) -> str:
    return f"{texts}: the batch of one operand meets {other} of the other at axis {place}"


def as_it_stands(site: Site) -> AsItStands:
    """How the convention pairs the axes of a legal product, and the evidence for and against it."""
    operands = operand_axes(site)
    pairs: list[Pair] = []
    for place, column in enumerate(align(site.convention, operands)):
        present = [a for a in column if a is not None and a.size != 1]
        pairs += [(f"axis {place}", a, b) for a, b in pairs_of(present)]
    implicit = len({len(axes) for axes in operands if axes}) > 1
    weights = [v.facts.weights for v in site.values]
    evidence = weigh(pairs, operands, weights, lineage=False, centred=site.is_centred)
    return AsItStands(tuple(pairs), evidence, implicit)


def grows(site: Site) -> bool:
    """True if missing axes, and not the author, make the product larger than every operand."""
    operands = operand_axes(site)
    columns = align(site.convention, operands)
    if len({len(axes) for axes in operands if axes}) < 2:
        return False
    widened = set()
    for column in columns:
        if any(a is not None and same(a.size, 1) is not Truth.YES for a in column):
            if any(a is not None and a.size == 1 and _is_meant_for(a, column) for a in column):
                return False
            widened |= {k for k, a in enumerate(column) if (a is None or a.size == 1) and operands[k]}
    return widened >= {k for k, axes in enumerate(operands) if axes}


def _is_meant_for(unit: Axis, column: Column) -> bool:
    """True for a unit axis that the author inserted for another axis, and for one channel that meets channels."""
    channels = {a.role for a in column if a is not None and a.size != 1} <= {Role.CHANNEL, Role.FEATURE}
    return is_written(unit) or (unit.role is Role.CHANNEL and channels)


def strong(axis: Axis) -> bool:
    """True if a layer says what the axis is."""
    return axis.role not in WEAK and axis.role is not Role.BATCH
