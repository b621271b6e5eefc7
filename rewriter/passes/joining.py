"""Readings of a Concatenate whose operands do not fit, as equations: ``b h w c, b d -> b h w (c+d)``.

Every operand is placed on the axes of the one of the highest rank, in order, or with its channels moved. A missing axis
is repeated. Where sizes are whole multiples of one another, the smaller one is repeated (a spatial axis entry by entry,
a batch as a whole); a batch that is not a whole multiple is repeated and cut off. Where one operand has one position
more than the others, its last position is dropped. Or each operand is flattened to one vector for each sample.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..ir.axis import Axis, Role
from ..ir.size import Size, Truth, divide, same
from ..rules.notation import Equation, Term, sum_of
from ..shapes.broadcast import conflicting
from .evidence import beside_channels
from .placements import off_by_one

Axes = tuple[Axis, ...]
_SPACE = {1: ("t",), 2: ("h", "w"), 3: ("z", "h", "w")}
_FACTORS = ("n", "m", "k", "j")
_PARTS = "cdefgopquvxyabihjklmnrstwz"
_MAX_OPERANDS = 8
TURNED = "join-turned"
_MOST_TURNED = 6  # axes that are tried in every order
_MAX_READINGS = 64

# For each axis of an operand, the position of the axis of the result that it is placed on.
Placement = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Joined:
    """A reading: the equation, and the name of what it does."""

    rule: str
    equation: Equation


def joinings(operands: Sequence[Axes], axis: object) -> Iterator[Joined]:
    """Every reading of ``concatenate(operands, axis)`` in which the operands fit.

    Args:
        axis: the value in the configuration; it counts on the operand of the highest rank.
    """
    rank = max(map(len, operands))
    if not isinstance(axis, int) or not -rank <= axis < rank or not 1 < len(operands) <= _MAX_OPERANDS:
        return
    place = axis % rank
    largest = [axes for axes in operands if len(axes) == rank]
    data = next((axes for axes in largest if axes[0].role is Role.BATCH), largest[0])
    ways = [_placements(axes, data, place) for axes in operands]
    combinations = itertools.islice(itertools.product(*ways), _MAX_READINGS)
    equations = (_equation(operands, placements, rank, place) for placements in combinations)
    distinct = {str(equation): equation for equation in equations if equation is not None}
    # A size that happens to be a multiple of another one is weaker evidence than a missing axis.
    for equation in sorted(distinct.values(), key=_repeats):
        yield Joined(_rule(equation, operands), equation)
    lowest = min(map(len, operands))
    if lowest == 2 < rank and axis in (-1, 1):
        flat = _flat(operands)
        if flat is not None:
            yield Joined("join-flat", flat)


def _repeats(equation: Equation) -> bool:
    """True if the entries of an operand's own axis, except the batch, are repeated."""
    return any(len(term.names) > 1 and not term.parts and "b" not in term.names for term in equation.output)


def _rule(equation: Equation, operands: Sequence[Axes]) -> str:
    if equation.lacking - {0}:
        return "join-spread"
    if any(_is_turned(terms, equation.output) for terms in equation.operands):
        return TURNED
    if any(term.cropped for terms in equation.operands for term in terms):
        return "join-crop"
    if any(term.cut for term in equation.output):
        return "join-cover"
    if equation.lacking or any(len(term.names) > 1 and not term.parts for term in equation.output):
        return "join-repeat"
    return "join"


def _is_turned(terms: Sequence[Term], output: Sequence[Term]) -> bool:
    """True if an operand has its axes in another order than the result, other than that of another layout.

    In another layout all axes but one are in order, and that one is first or last.
    """
    if len(terms) != len(output):
        return False
    stands = [
        (k, i) for k, t in enumerate(terms) for i, o in enumerate(output) if set(t.names) & set(o.names) if i
    ]
    others = len(output) - 1
    return not any(all((k - 1 + by) % others == i - 1 for k, i in stands) for by in (0, 1, -1))


def _placements(axes: Axes, data: Axes, place: int) -> list[Placement]:
    """The placements of an operand: axes in order, the batch on the batch, sizes equal or multiples of one another.

    If none fits, or channels meet other axes than the data's channels, the operand may have the other layout. If it
    fits in order only by repetition, its axes may also be in another order: rows for columns.
    """
    found = [
        places
        for places in itertools.combinations(range(len(data)), len(axes))
        if _fits(axes, places, data, place)
    ]
    crossed = any(
        beside_channels(a, data[i], (axes, data))
        for places in found
        for a, i in zip(axes, places, strict=True)
    )
    if (not found or crossed) and len(axes) == len(data) > 2 and place in (1, len(data) - 1):
        rest = [i for i in range(1, len(data)) if i != place]
        moved = (0, *rest, place) if place == 1 else (0, place, *rest)
        if moved != tuple(range(len(data))) and _is_moved(axes, moved, data, place):
            found = [moved]
    if len(axes) == len(data) <= _MOST_TURNED and not any(
        _is_exact(axes, places, data, place) for places in found
    ):
        found += [
            (0, *order)
            for order in itertools.permutations(range(1, len(data)))
            if _fits(axes, (0, *order), data, place) and _is_exact(axes, (0, *order), data, place)
        ]
    return found


def _is_exact(axes: Axes, places: Placement, data: Axes, place: int) -> bool:
    """True if channels meet channels, and all sizes but that of the joined axis are equal: no repetition, no cut."""
    return all(
        where == place or same(axis.size, data[where].size) is Truth.YES
        for axis, where in zip(axes, places, strict=True)
    ) and not any(
        beside_channels(axis, data[where], (axes, data)) for axis, where in zip(axes, places, strict=True)
    )


def _fits(axes: Axes, places: Placement, data: Axes, place: int) -> bool:
    for axis, where in zip(axes, places, strict=True):
        other = data[where]
        one_sample = where == 0 and 1 in (axis.size, other.size)
        if (axis.role is Role.BATCH) != (other.role is Role.BATCH) and not one_sample:
            return False
        if where != place and axis.size != 1 and other.size != 1 and not _related(axis, other, where == 0):
            return False
    return True


def _is_moved(axes: Axes, places: Placement, data: Axes, place: int) -> bool:
    """True if an operand with its channels moved fits all axes of the data, without repetition or role conflicts."""
    return _fits(axes, places, data, place) and all(
        not conflicting(axis, data[where])
        and (
            where == place
            or 1 in (axis.size, data[where].size)
            or same(axis.size, data[where].size) is Truth.YES
        )
        for axis, where in zip(axes, places, strict=True)
    )


def _related(a: Axis, b: Axis, batch: bool) -> bool:
    """True if the sizes can be equal, one is a whole multiple of the other, or one position longer.

    For a batch, any two plain numbers but 0 are related.
    """
    if same(a.size, b.size) is not Truth.NO or (not batch and (off_by_one(a, b) or off_by_one(b, a))):
        return True
    whole = any(isinstance(q, int) and q > 1 for q in (divide(a.size, b.size), divide(b.size, a.size)))
    return whole or (
        batch and isinstance(a.size, int) and isinstance(b.size, int) and 0 not in (a.size, b.size)
    )


def _equation(
    operands: Sequence[Axes], placements: Sequence[Placement], rank: int, place: int
) -> Equation | None:
    """The equation of operands with these placements; None where sizes on one axis are not multiples of one another."""
    others = [i for i in range(rank) if i != place]
    if place == 0:
        names = dict(zip(others, _positions(len(others)), strict=True))
    else:
        names = {0: "b", **dict(zip(others[1:], _positions(len(others) - 1), strict=True))}
    taken = set(names.values())
    factors = iter(n for n in (*_FACTORS, *(f"n{i}" for i in range(1, 64))) if n not in taken)
    columns: dict[int, dict[Size, tuple[str, ...]]] = {}
    cut: dict[int, Size] = {}
    cropped: dict[int, Size] = {}
    for where, name in names.items():
        sizes = [
            axes[i].size
            for axes, places in zip(operands, placements, strict=True)
            for i, at in enumerate(places)
            if at == where and axes[i].size != 1
        ]
        chain = _chain(sizes)
        pair = sorted({s for s in sizes if isinstance(s, int)})
        if chain is None and where != 0 and len(pair) == len(set(sizes)) == 2 and pair[1] - pair[0] == 1:
            columns[where] = dict.fromkeys(pair, (name,))
            cropped[where] = pair[1]
            continue
        if chain is None:
            if where != 0 or len(set(sizes)) != 2 or not all(isinstance(s, int) for s in sizes):
                return None
            small, large = sorted(s for s in set(sizes) if isinstance(s, int))
            columns[where] = {small: (name,), large: (next(factors), name)}
            cut[where] = large
            continue
        columns[where] = {}
        whole: tuple[str, ...] = (name,)
        for number, size in enumerate(chain):
            if number:
                factor = next(factors)
                whole = (factor, *whole) if where == 0 else (*whole, factor)
            columns[where][size] = whole
    taken |= {n for column in columns.values() for whole in column.values() for n in whole}
    letters = (letter for letter in _PARTS if letter not in taken)
    parts: list[tuple[str, ...]] = []
    terms: list[tuple[Term, ...]] = []
    for axes, places in zip(operands, placements, strict=True):
        own: list[Term] = []
        part: tuple[str, ...] = ()
        for axis, where in zip(axes, places, strict=True):
            if where == place:
                part = (next(letters),)
                own.append(Term(part))
            elif axis.size == 1 and columns[where]:
                own.append(Term(()))
            elif where in cropped and axis.size == cropped[where]:
                own.append(sum_of([columns[where][axis.size], ()]))
            else:
                own.append(_term(axis.size, columns[where], cut.get(where)))
        parts.append(part)
        terms.append(tuple(own))
    output = [
        sum_of(parts)
        if i == place
        else Term(())
        if not columns[i]
        else _term(_longest(columns[i]), columns[i], cut.get(i))
        for i in range(rank)
    ]
    return Equation(tuple(terms), tuple(output))


def _positions(count: int) -> tuple[str, ...]:
    return _SPACE.get(count) or tuple(f"s{i + 1}" for i in range(count))


def _term(size: Size, column: dict[Size, tuple[str, ...]], cut: Size | None) -> Term:
    names = next((names for known, names in column.items() if same(known, size) is Truth.YES), None)
    if names is None:  # an unknown size: taken for the first known one
        names = next(iter(column.values()), ())
    return Term(names, cut=cut is not None and size == cut)


def _longest(column: dict[Size, tuple[str, ...]]) -> Size:
    return max(column, key=lambda size: len(column[size]))


def _chain(sizes: Sequence[Size]) -> list[Size] | None:
    """The distinct sizes, each a whole multiple of the one before; None where they are not."""
    distinct: list[Size] = []
    for size in sizes:
        if all(same(size, other) is Truth.NO for other in distinct):
            distinct.append(size)
    chain: list[Size] = []
    while distinct:
        first = next((s for s in distinct if all(divide(o, s) is not None for o in distinct)), None)
        if first is None or (chain and not isinstance(divide(first, chain[-1]), int)):
            return None
        chain.append(first)
        distinct.remove(first)
    return chain


def _flat(operands: Sequence[Axes]) -> Equation | None:
    """Every operand as one vector for each sample: ``b h w c, b d -> b ((h w c)+d)``."""
    if len({axes[0].role is Role.BATCH for axes in operands}) != 1:
        return None
    batch = _equation([(axes[0], Axis(1)) for axes in operands], [(0, 1)] * len(operands), 2, 1)
    if batch is None:
        return None
    taken = {n for term in batch.output if not term.parts for n in term.names}
    taken |= set(_SPACE[3]) | set(_SPACE[1])
    letters = (letter for letter in _PARTS if letter not in taken)
    taken -= set(_SPACE[3]) | set(_SPACE[1])
    terms, parts = [], []
    for k, axes in enumerate(operands):
        free = [n for n in _positions(len(axes) - 2) if n not in taken] if len(axes) > 2 else []
        taken |= set(free)
        own_names = [*free, *(next(letters) for _ in range(len(axes) - 1 - len(free)))]
        terms.append((batch.operands[k][0], *(Term((n,)) for n in own_names)))
        parts.append(tuple(own_names))
    return Equation(tuple(terms), (batch.output[0], sum_of(parts)))
