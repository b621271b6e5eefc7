"""Placements: every way to pair the axes of one operand with those of the other, as equations.

The rules of the table name the usual readings; this module completes the list. One operand is the data, the other one
the gate. Each gate axis is placed on a data axis of its size, in any order, or on consecutive data axes whose flattened
form it is; or consecutive gate axes on one data axis. The result has the data's axes in their order, in another layout,
or in an order that gives a shape that the file records.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..ir.axis import SPATIAL, Axis, Role
from ..ir.size import Truth, divide, has_given_name, product, same
from ..rules.match import fold_clash
from ..rules.notation import Equation, Term, sum_of

Axes = tuple[Axis, ...]
Shape = tuple[int | None, ...]
_LETTERS = "mnkjlpquvw"
MAX_RANK = 6
_MAX_PLACEMENTS = 24

# The readings of the passes by name, without those that a rule of the table names.
SUMMARIES = {
    "lost-reshape": "the Reshape that an operand has lost since the file was written",
    "turned-gate": "one factor per entry of some axes, in another order",
    "turned-data": "a gate, with the data transposed to another layout",
    "flat-gate": "one factor per entry of some axes, flattened into one axis",
    "flat-data": "flattened data against the axes that it came from, or a factor for each group of it",
    "outer-gate": "a factor along an axis of size 1 of the data",
    "all-pairs": "a product of each sample of one side with each of the other",
    "outer-any": "each entry of some axes of one side with each of some axes of the other",
    "crop": "axes of which one side has one entry more, left out (an odd size after pooling and upsampling)",
}

# For each axis of the gate, the positions of the data's axes that it is placed on.
Places = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Placed:
    """A reading: the equation, the name of what it does, and whether unit axes count, by operand."""

    rule: str
    equation: Equation
    keep_units: tuple[bool, bool]


@dataclass(frozen=True, slots=True)
class _Lead:
    """The batch terms at the front of the data, the gate and the result."""

    data: tuple[Term, ...]
    gate: tuple[Term, ...]
    result: tuple[Term, ...]


def placements(operands: Sequence[Axes], recorded: Shape | None) -> Iterator[Placed]:
    """Every reading of a product of two operands, either of them as the data.

    Both have the batch, or one has heads folded into it; or one has no batch, as constants have none, or neither has.

    Args:
        recorded: the recorded shape of the result, which another order of the axes may have.
    """
    first, second = operands
    cropped = _cropped(first, second)
    if cropped is not None:
        yield Placed("crop", cropped, (True, True))
    larger: list[Iterator[Placed]] = []
    for data, gate, swapped in ((first, second, False), (second, first, True)):
        for lead in _leads(data, gate):
            # Without a batch, an axis of size 1 takes its place; it has no term.
            whole = data if lead.data else (Axis(1), *data)
            asked = recorded if lead.data or recorded is None else (None, *recorded)
            entries = tuple(a for a in gate[len(lead.gate) :] if a.size != 1)
            if not entries or len(whole) > MAX_RANK or len(gate) > MAX_RANK:
                continue
            for rule, written in _readings(whole, entries, asked, not lead.data):
                yield Placed(rule, _led(written, lead, swapped), (not swapped, swapped))
            if not swapped or lead.data != lead.gate:  # else the same with the operands exchanged
                larger.append(_larger(whole, entries, asked, lead, swapped))
    yield from itertools.chain(*larger)


def _larger(
    data: Axes, entries: Axes, recorded: Shape | None, lead: _Lead, swapped: bool
) -> Iterator[Placed]:
    alone = bool(lead.data) and not lead.gate
    for written in itertools.islice(_interleaved(data, entries, recorded, alone), _MAX_PLACEMENTS):
        yield Placed("outer-any", _led(written, lead, swapped), (False, False))


def _cropped(first: Axes, second: Axes) -> Equation | None:
    """Operands of one rank that differ by one entry along some axes and nowhere else: ``b (h+1) w c, b h w c``."""
    if len(first) != len(second) or len(first) < 3 or not (_has_batch(first[0]) and _has_batch(second[0])):
        return None
    terms: tuple[list[Term], list[Term]] = ([], [])
    result: list[Term] = []
    for name, a, b in zip(axis_names(first), first, second, strict=True):
        term = Term((name,))
        more = [off_by_one(a, b), off_by_one(b, a)]
        if not any(more) and same(a.size, b.size) is Truth.NO and 1 not in (a.size, b.size):
            return None
        for own, axis, longer, other in zip(terms, (a, b), more, (b, a), strict=True):
            stretched = axis.size == 1 and other.size != 1
            own.append(Term(()) if stretched else sum_of([(name,), ()]) if longer else term)
        result.append(term)
    left_out = any(term.cropped for own in terms for term in own)
    return Equation(tuple(map(tuple, terms)), tuple(result)) if left_out else None


def off_by_one(longer: Axis, shorter: Axis) -> bool:
    """True if both axes are positions, or may be, and ``longer`` has one entry more."""
    positions = all(axis.role in SPATIAL or axis.role is Role.UNKNOWN for axis in (longer, shorter))
    return positions and shorter.size != 1 and same(longer.size, shorter.size + 1) is Truth.YES


def _leads(data: Axes, gate: Axes) -> Iterator[_Lead]:
    """The ways to pair the batches of two operands."""
    if not data or not gate or any(_has_batch(axis) for axes in (data, gate) for axis in axes[1:]):
        return
    b = Term(("b",))
    batched = _has_batch(data[0]), _has_batch(gate[0])
    if batched == (True, True):
        yield _Lead((b,), (b,), (b,))
        for names in (("i", "b"), ("b", "i")):
            long = Term(names)
            if len(data[0].flat()) > 1 and not fold_clash(names, data[0], False):
                yield _Lead((long,), (b,), (long,))
            if len(gate[0].flat()) > 1 and not fold_clash(names, gate[0], False):
                yield _Lead((b,), (long,), (long,))
    elif batched == (True, False):
        yield _Lead((b,), (), (b,))
    elif batched == (False, False):
        yield _Lead((), (), ())


def _has_batch(axis: Axis) -> bool:
    return any(leaf.role is Role.BATCH for leaf in axis.flat())


def _led(equation: Equation, lead: _Lead, swapped: bool) -> Equation:
    """The equation with its batch terms replaced by those of ``lead``."""
    data, gate = equation.operands
    led = Equation((lead.data + data[1:], lead.gate + gate[1:]), lead.result + equation.output[1:])
    return led.swapped() if swapped else led


def _readings(
    data: Axes, entries: Axes, recorded: Shape | None, unled: bool
) -> Iterator[tuple[str, Equation]]:
    """Equations with the data first; ``entries`` are the axes of the gate, but for the batch and unit axes.

    Args:
        unled: nothing shows the batch, so the first axis of the data may be it.
    """
    for places in itertools.islice(_singles(data, entries), _MAX_PLACEMENTS):
        if len(places) == sum(a.size != 1 for a in data[1:]) and any(_inserted(a) for a in data):
            continue  # an axis was inserted for another operand's axis
        straight = list(places) == sorted(places)
        yield ("axis-gate" if straight else "turned-gate"), _equation(data, places)
        for order in _orders(data, recorded, unled):
            rank = {position: k for k, position in enumerate(order)}
            if sorted(places, key=lambda p: rank[p[0]]) == list(places):
                yield "turned-data", _equation(data, places, order)
    for places in itertools.islice(_flattened(data, entries), _MAX_PLACEMENTS):
        equation = _equation(data, places)
        yield "flat-gate", equation
        yield "flat-data", Equation(equation.operands, _merged(equation.output, places))
    yield from (("flat-data", equation) for equation in _grouped(data, entries, recorded))
    yield from (("outer-gate", equation) for equation in _spread(data, entries))


def _singles(data: Axes, entries: Axes) -> Iterator[Places]:
    """Every axis of the gate on one axis of the data; those in the data's order first."""
    fitting = [
        [p for p in range(1, len(data)) if same(data[p].size, entry.size) is Truth.YES] for entry in entries
    ]
    found = [places for places in itertools.product(*fitting) if len(set(places)) == len(places)]
    found.sort(key=lambda places: (list(places) != sorted(places), places))
    for places in found:
        yield tuple((p,) for p in places)


def _flattened(data: Axes, entries: Axes) -> Iterator[Places]:
    """One axis of the gate on several of the data's, all in the data's order or in that of the axis's own factors."""
    runs = [
        tuple(range(start, end))
        for start in range(1, len(data))
        for end in range(start + 1, len(data) + 1)
        if end == start + 1 or all(a.size != 1 for a in data[start:end])
    ]
    fitting = [
        [run for run in runs if same(product(data[p].size for p in run), entry.size) is Truth.YES]
        for entry in entries
    ]
    for places in itertools.product(*fitting):
        positions = [p for run in places for p in run]
        if any(len(run) > 1 for run in places) and positions == sorted(set(positions)):
            yield from itertools.product(
                *(_factor_orders(data, run, entry) for run, entry in zip(places, entries, strict=True))
            )


def _factor_orders(data: Axes, run: tuple[int, ...], entry: Axis) -> list[tuple[int, ...]]:
    """The axes of a run in their own order, and in other orders in which they are the factors of the entry."""
    factors = entry.flat()
    others = (order for order in itertools.permutations(run) if order != run)
    return [run] + [
        order
        for order in others
        if len(factors) == len(order) and all(data[p].is_same(f) for p, f in zip(order, factors, strict=True))
    ]


def _orders(data: Axes, recorded: Shape | None, unled: bool) -> Iterator[tuple[int, ...]]:
    """Other orders of the data's axes: other layouts, and those of the recorded shape if the data does not have it."""
    straight = tuple(range(1, len(data)))
    if len(straight) < 2:
        return
    layouts = {(*straight[1:], straight[0]), (straight[-1], *straight[:-1])}
    if unled and len(straight) > 2 and has_given_name(data[1].size):
        first, *rest = straight
        layouts |= {(first, *rest[1:], rest[0]), (first, rest[-1], *rest[:-1])}
    if recorded is not None and len(recorded) == len(data) and not _has_shape(data, straight, recorded):
        layouts.update(o for o in itertools.permutations(straight) if _has_shape(data, o, recorded))
    yield from sorted(layouts)


def _has_shape(data: Axes, order: Sequence[int], recorded: Shape) -> bool:
    sizes = [data[p].size for p in order]
    return all(r == (s if isinstance(s, int) else None) for r, s in zip(recorded[1:], sizes, strict=True))


def _grouped(data: Axes, entries: Axes, recorded: Shape | None) -> Iterator[Equation]:
    """Consecutive gate axes are one axis of the data, or its leading factor: ``b (m n), b m -> b m n``.

    Any divisor could be the leading factor, so it needs a recorded shape.
    """
    for position in range(1, len(data)):
        for start, end in itertools.combinations(range(len(entries) + 1), 2):
            group = entries[start:end]
            part = product(a.size for a in group)
            times = divide(data[position].size, part) if part != 0 else None
            if times is None or (times == 1 and len(group) == 1):
                continue
            split = [a.size for a in group] + [times] * (times != 1)
            sizes = [a.size for a in data[1:]]
            sizes[position - 1 : position] = split
            if times != 1 and (recorded is None or list(recorded[1:]) != sizes):
                continue
            others = [*entries[:start], *entries[end:]]
            rest = [p for p in range(1, len(data)) if p != position]
            for places in _singles((data[0], *(data[p] for p in rest)), tuple(others)):
                at = [rest[p[0] - 1] for p in places]
                in_order = [*at[:start], position, *at[start:]]
                if in_order == sorted(in_order):
                    yield _group_equation(data, position, len(group), times != 1, at, start)


def _spread(data: Axes, entries: Axes) -> Iterator[Equation]:
    """Axes of the gate on unit axes of the data, all in order: ``b m 1, b m n -> b m n``."""
    names = axis_names(data)
    fitting = [
        [p for p in range(1, len(data)) if data[p].size == 1 or same(data[p].size, entry.size) is Truth.YES]
        for entry in entries
    ]
    ways = (at for at in itertools.product(*fitting) if list(at) == sorted(set(at)))
    for at in itertools.islice(ways, _MAX_PLACEMENTS):
        units = {p for p in at if data[p].size == 1}
        if units:
            plain = [[name] if p not in units else [] for p, name in enumerate(names)]
            gate = _terms([["b"], *([names[p]] for p in at)])
            yield Equation((_terms(plain), gate), _terms([[name] for name in names]))


def _interleaved(data: Axes, entries: Axes, recorded: Shape | None, alone: bool) -> Iterator[Equation]:
    """A result larger than both: ``b m n, b m k -> b m k n``, the axes of each operand in their order.

    With a recorded shape, only results that have it, including its unit axes; without one, those with at most one axis
    more than either side.

    Args:
        alone: whether the data alone has a batch.
    """
    names = dict(zip(map(id, data), axis_names(data), strict=True))
    free = [n for n in _LETTERS if n not in names.values()]
    mine = tuple(axis for axis in data[1:] if axis.size != 1)
    longest = max(len(mine), len(entries))
    for merged in _merges(mine, entries):
        own = alone or any(b is None for _, b in merged)
        if not own or all(a is not None for a, _ in merged):
            continue
        if recorded is None and len(merged) > longest + 1:
            continue
        letters = iter(free)
        terms = [([names[id(a)]] if a is not None else [next(letters)]) for a, _ in merged]
        result = terms if recorded is None else _in_shape(terms, merged, recorded[1:])
        if result is not None:
            left = [term for term, (a, _) in zip(terms, merged, strict=True) if a is not None]
            right = [term for term, (_, b) in zip(terms, merged, strict=True) if b is not None]
            batch = [["b"]]
            yield Equation((_terms(batch + left), _terms(batch + right)), _terms(batch + result))


Merged = tuple[tuple[Axis | None, Axis | None], ...]


def _in_shape(terms: Sequence[list[str]], merged: Merged, shape: Shape) -> list[list[str]] | None:
    """The terms with unit axes inserted where a shape has them; None where their sizes are not those of the shape."""
    sizes = [axis.size for pair in merged for axis in (pair[0] or pair[1],) if axis is not None]
    if [r for r in shape if r != 1] != [s if isinstance(s, int) else None for s in sizes]:
        return None
    rest = iter(terms)
    return [[] if wanted == 1 else next(rest) for wanted in shape]


def _merges(x: Axes, y: Axes) -> Iterator[Merged]:
    """Every interleaving of the axes of both sides, each side in its order; axes of one size may become one axis."""
    if not x or not y:
        yield (*((a, None) for a in x), *((None, b) for b in y))
        return
    if same(x[0].size, y[0].size) is Truth.YES:
        yield from (((x[0], y[0]), *rest) for rest in _merges(x[1:], y[1:]))
    yield from (((x[0], None), *rest) for rest in _merges(x[1:], y))
    yield from (((None, y[0]), *rest) for rest in _merges(x, y[1:]))


def _inserted(axis: Axis) -> bool:
    return axis.size == 1 and bool(axis.facts.written)


def axis_names(data: Axes) -> list[str]:
    """``b``, then the usual letter of each axis with a known role, and a free letter for each other one."""
    letters = {Role.HEIGHT: "h", Role.WIDTH: "w", Role.DEPTH: "z", Role.CHANNEL: "c", Role.TIME: "t"}
    result = ["b"]
    free = iter(_LETTERS)
    for axis in data[1:]:
        letter = letters.get(axis.role)
        result.append(
            letter
            if letter is not None and letter not in result
            else next(n for n in free if n not in result)
        )
    return result


def _terms(names: Sequence[Sequence[str]]) -> tuple[Term, ...]:
    return tuple(Term(tuple(group)) for group in names)


def _equation(data: Axes, places: Places, order: Sequence[int] = ()) -> Equation:
    names = axis_names(data)
    gate = _terms([["b"], *([names[p] for p in run] for run in places)])
    result = _terms([["b"], *([names[p]] for p in order or range(1, len(data)))])
    return Equation((_terms([[name] for name in names]), gate), result)


def _merged(terms: Sequence[Term], places: Places) -> tuple[Term, ...]:
    """The data's terms, with those that one axis of the gate is placed on merged into one, in the gate's order."""
    runs = {min(run): run for run in places}
    taken = {position for run in places for position in run} - set(runs)
    return tuple(
        Term(tuple(name for p in runs.get(position, (position,)) for name in terms[p].names))
        for position in range(len(terms))
        if position not in taken
    )


def _group_equation(
    data: Axes, position: int, count: int, has_rest: bool, at: Sequence[int], start: int
) -> Equation:
    names = axis_names(data)
    free = [n for n in _LETTERS if n not in names]
    split = free[: count + has_rest]
    terms = [[name] if p != position else split for p, name in enumerate(names)]
    before, after = ([[names[p]] for p in places] for places in (at[:start], at[start:]))
    gate = [["b"], *before, *([n] for n in free[:count]), *after]
    result = [[name] for term in terms for name in term]
    return Equation((_terms(terms), _terms(gate)), _terms(result))
