"""Intent: what the author of a model stated about its axes, and whether a reading keeps to that.

A node that cannot run at some batch size is a fault whatever was meant. For all other nodes the finder and the ranking
ask this module:

- an axis of size 1 that a Reshape, an ExpandDims, ``keepdims``, a ``None`` index or a constant's own shape put there
  states the positions of the other axes, including the batch. A reading that leaves such an axis unused, or moves it,
  ranks below one that keeps it;
- a transpose right before a product states the order of the axes, unless a layer after it says otherwise;
- exchanged rows and columns of a map are not a fault: only the author knows which is which.

A node that runs at every batch size can be wrong only where nothing is stated: an operand of lower rank, which the
convention pads, or a size that happens to be 1.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..ir.axis import SPATIAL, Axis, Role, Value
from ..shapes.broadcast import Column, positions
from ..shapes.facts import is_exported
from .candidate import Candidate
from .evidence import Pair
from .sites import Site

Axes = tuple[Axis, ...]


# -- unit axes -----------------------------
def is_written(axis: Axis | None) -> bool:
    """True for an axis of size 1 that the author put there for an axis of another operand."""
    return axis is not None and axis.size == 1 and bool(axis.facts.written)


def unused_units(candidate: Candidate, values: Sequence[Value]) -> int:
    """How many of the author's unit axes a reading leaves unused, or moves.

    The axes of an operand keep their order in the result. Each unit axis between two of them is for one axis that other
    operands have there. The axes of an operand that the author transposed may also be in the order before that. It also
    counts if a reading drops a layer's one feature, which leaves one number a sample.

    Args:
        values: the operands.
    """
    equation, sizes = candidate.match.equation, candidate.match.sizes
    if equation.joins or any(sizes[name] != 1 for name in equation.contracted):
        return 0
    number = len(equation.output) == 1 and any(
        axis.size == 1 and axis.role in (Role.FEATURE, Role.CHANNEL)
        for axes in candidate.match.operands
        for axis in axes
    )
    return number + sum(
        min(_unused(candidate, operand, order) for order in _orders(value))
        for operand, value in enumerate(values)
    )


def _orders(value: Value) -> list[Sequence[int]]:
    """The axes of an operand by number: in their order, and in their order before the author's transpose."""
    straight = range(len(value.axes or ()))
    back = turned_back(value)
    return [straight] if back is None else [straight, back]


def turned_back(value: Value) -> list[int] | None:
    """The axes of a tensor, by number, in their order before the author's transpose.

    None where the tensor was not transposed, or got axes since.
    """
    moved = value.facts.moved
    return None if not is_moved(value) or -1 in moved else sorted(range(len(moved)), key=lambda i: moved[i])


def _unused(candidate: Candidate, operand: int, order: Sequence[int]) -> int:
    axes = candidate.match.operands[operand]
    if not any(map(is_written, axes)):
        return 0
    found = candidate.match
    terms = dict(zip(found.kept[operand], found.equation.operands[operand], strict=True))
    own = {name for term in terms.values() for name in term.names}
    output = found.equation.output
    unused = units = 0
    at = 0
    for position in order:
        axis = axes[position]
        if axis.size == 1:
            units += is_written(axis)
            continue
        names = terms[position].names if position in terms else ()
        place = next((i for i, term in enumerate(output) if set(names) & set(term.names)), None)
        if place is None or place < at:
            return sum(map(is_written, axes))  # in another order: every unit axis is moved
        unused += max(0, units - _others(candidate, range(at, place), own))
        at, units = place + 1, 0
    unused += max(0, units - _others(candidate, range(at, len(output)), own))
    # At a higher rank than the result, one unit axis is too many, and the others still count. Else all are moved.
    return sum(map(is_written, axes)) if unused and len(axes) <= len(output) else unused


def _others(candidate: Candidate, places: Collection[int], own: Collection[str]) -> int:
    """How many axes of the result at these places belong to other operands only."""
    output, sizes = candidate.match.equation.output, candidate.match.sizes
    return sum(any(name not in own and sizes[name] != 1 for name in output[place].names) for place in places)


def fills_units(candidate: Candidate, values: Sequence[Value]) -> bool:
    """True if a result is larger than each operand only because the author's unit axes are used."""
    found = candidate.match
    if found.equation.contracted or found.equation.joins or unused_units(candidate, values):
        return False
    rank = len(found.equation.output)
    units = [sum(map(is_written, axes)) for axes in found.operands]
    full = [sum(a.size != 1 for a in axes) for axes in found.operands]
    return any(n + u == rank and u for n, u in zip(full, units, strict=True))


# -- the order of the axes -----------------------------
def is_moved(value: Value) -> bool:
    """True if the author transposed a tensor, and its axes that are not 1 are in another order since."""
    full = [p for p, axis in zip(value.facts.moved, value.axes or (), strict=False) if axis.size != 1]
    return full != sorted(full)


def moves_the_batch(value: Value) -> bool:
    """True if the author's transpose moved the batch, as for ``u @ transpose(v)``."""
    return bool(value.facts.moved) and value.facts.moved[0] != 0


def moves_a_unit(value: Value) -> bool:
    """True if the author's transpose moved only unit axes: they are there for axes of another operand."""
    moved = value.facts.moved
    units = any(
        p not in (i, -1) and a.size == 1
        for i, (p, a) in enumerate(zip(moved, value.axes or (), strict=False))
    )
    return units and not is_moved(value)


def undoes(candidate: Candidate, site: Site) -> bool:
    """True if every operand that is transposed gets back its order from before the author's transpose."""
    axes = {s.operand: s.axes for s in candidate.plan.steps if s.op == "Transpose"}
    for operand, order in axes.items():
        value = site.operands[operand].value if operand >= 0 else None
        before = value.facts.moved if value is not None else ()
        if value is None or len(before) != len(order):
            return False
        sizes = [a.size for a in value.axes or ()]
        back = [before[p] for p in order if sizes[p] != 1]
        if back != sorted(back):
            return False
    return bool(axes)


def split_axes(value: Value) -> list[int]:
    """The axes of a tensor, by number, that a Reshape right before made out of others."""
    return [i for i, axis in enumerate(value.axes or ()) if axis.facts.split]


def is_padded_to(site: Site, operand: int, recorded: Sequence[int | None]) -> bool:
    """True if the convention pads an operand of lower rank to exactly the recorded shape."""
    axes = site.operands[operand].value.axes or ()
    if len(recorded) < len(axes):
        return False
    sizes: list[int | None] = [1] * len(recorded)
    for axis, place in zip(axes, positions(site.convention, len(axes), len(recorded)), strict=True):
        sizes[place] = axis.size if isinstance(axis.size, int) else None
    return sizes == list(recorded)


# -- whether a node that runs is meant as written -----------------------------
def states_pairs(columns: Sequence[Column], operands: Sequence[int], place: int) -> bool:
    """True if each of these operands has a batch or a written unit axis at a place, so the author paired them."""
    return all(
        (axis := columns[place][k]) is not None and (axis.role is Role.BATCH or is_written(axis))
        for k in operands
    )


def _is_exported(site: Site, value: Value) -> bool:
    """True for an image that an exporter transposed around a convolution: that transpose is not the author's.

    The order is ``[B, C, S...]`` to ``[B, S..., C]``, or back.
    """
    axes = value.axes or ()
    rank = len(axes)
    if not is_exported(site.node.operation) or rank < 3:
        return False
    last, first = (0, *range(2, rank), 1), (0, rank - 1, *range(1, rank - 1))
    place = {last: rank - 1, first: 1}.get(value.facts.moved)
    return place is not None and all(
        axis.role is Role.CHANNEL if i == place else axis.role in SPATIAL
        for i, axis in enumerate(axes[1:], 1)
    )


def is_stated(site: Site, operands: Sequence[Axes], pairs: Sequence[Pair]) -> bool:
    """True if the author stated how the operands of a product that runs meet.

    The operands have one rank, and written unit axes, a transpose, or exchanged spatial axes show it.
    """
    if len({len(axes) for axes in operands if axes}) > 1:
        return False
    full = max((sum(a.size != 1 for a in axes) for axes in operands), default=0)
    written = [
        axes for axes in operands if any(map(is_written, axes)) and sum(a.size != 1 for a in axes) < full
    ]
    if written or any(is_moved(value) and not _is_exported(site, value) for value in site.values):
        return True
    crossed = [(a, b) for _, a, b in pairs if not a.is_same(b) and a.role is not b.role]
    return bool(crossed) and all({a.role, b.role} <= SPATIAL for a, b in crossed)
