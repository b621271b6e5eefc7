"""Candidates: every reading of a node that its operands allow, ranked by its evidence.

Rows that compute the same are one candidate. For three operands or more, the one with the most axes is the data,
and each other one is placed against it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from ..ir.axis import Axis
from ..ir.size import Size, Truth, same
from ..rules.lower import Plan, lower, lower_by_matmul
from ..rules.match import Match, match
from ..rules.notation import Equation, Term
from ..rules.table import Family, Rule, families_of, kind_of
from ..rules.table import Kind as RuleKind
from ..shapes.broadcast import Convention, Fit, align, broadcast, fit, positions
from ..shapes.facts import sums_by_place
from . import batches
from .evidence import Rank, demand, weigh
from .find import operand_axes
from .finding import Applicability, Candidate
from .intent import (
    fills_units,
    is_moved,
    is_written,
    moves_a_unit,
    moves_the_batch,
    split_axes,
    turned_back,
    undoes,
    unused_units,
)
from .joining import TURNED, joinings
from .placements import axis_names, placements
from .ranking import order
from .recorded import reshapes
from .sites import Site
from .subscripts import einsum_readings

Axes = tuple[Axis, ...]
_REGROUPING = frozenset({"turned-gate", "flat-gate", "flat-data"})
_MAX_COMBINATIONS = 64


def candidates(
    site: Site, rules: Sequence[Rule], with_identity: bool = False, complete: bool = True
) -> list[Candidate]:
    """Every meaning that matches, the best first; readings that compute the same are one.

    Args:
        with_identity: keep readings of the result as it stands (no node to insert).
        complete: add to the rules every other placement of one operand's axes on those of the other.
    """
    if site.family is Family.OTHER:
        lost = reshapes(site.inference, site.node.name)
        return [] if lost is None else [lost]
    operands = operand_axes(site)
    if not operands:
        return []
    found = itertools.chain(
        _readings(site, operands, [rule for rule in rules if rule.serves(site.family)]),
        _placed(site, operands) if complete else (),
    )
    stands = site.recorded is None or site.recorded == _naive_shape(site)
    distinct: dict[object, Candidate] = {}
    for candidate in found:
        if not candidate.plan.steps and not with_identity:
            continue
        evidence = weigh(candidate.match.pairs, operands, [v.facts.weights for v in site.values])
        demand(evidence, candidate.plan.output, site.recorded or _naive_shape(site), stands)
        evidence.restored = _restores(candidate, site)
        evidence.unused_units = unused_units(candidate, site.values)
        evidence.in_order = _in_order(candidate, site)
        evidence.keeps_data = _keeps_data(candidate, site) + _sums_weights(candidate, site)
        candidate.rank = evidence.rank
        candidate.evidence = evidence.texts() or [_size_text(candidate)]
        key = (_named_axes(candidate), candidate.plan.output)
        known = distinct.get(key)
        if known is None or _spelled_better(candidate, known):
            distinct[key] = candidate
    _ask(site, list(distinct.values()))
    return sorted(distinct.values(), key=order)


def _spelled_better(candidate: Candidate, known: Candidate) -> bool:
    """True where one of two readings that compute the same has no nodes, more evidence, no sum, or names more units."""

    def quality(one: Candidate) -> tuple[bool, Rank, bool, int]:
        sums = bool(one.match.equation.contracted)
        return not one.plan.steps, one.rank, not sums, sum(map(len, one.match.kept))

    return quality(candidate) > quality(known)


def _readings(site: Site, operands: Sequence[Axes], rules: Sequence[Rule]) -> Iterator[Candidate]:
    if site.family is Family.JOINING:
        yield from _joined(site, operands)
    elif site.node.operation.config.get("normalize"):
        return  # a Dot layer that divides by the lengths does more than any equation says
    elif site.family is Family.CONTRACTION:
        yield from _as_subscripts(site, operands)
        if len(operands) == 2:
            yield from (c for rule in rules for c in _binary(rule, operands, lower_by_matmul))
    elif len(operands) == 2:
        yield from (c for rule in rules for c in _binary(rule, operands, partial(plan_of, site=site)))
    else:
        yield from _several(rules, operands, site.convention)


def _placed(site: Site, operands: Sequence[Axes]) -> Iterator[Candidate]:
    """The readings that no rule has a name for."""
    if len(operands) != 2 or site.family not in (Family.PRODUCT, Family.ELEMENTWISE):
        return
    for placed in placements(operands, site.recorded):
        if site.family not in families_of(placed.equation):
            continue
        found = match(placed.equation, operands, roles=False, keep_units=placed.keep_units)
        if isinstance(found, Match):
            plan = plan_of(found, site)
            if not plan.cannot:
                kind = kind_of(placed.equation)
                yield Candidate(placed.rule, found, plan, kind, _backwards(found.equation), generic=True)
    for equation in _turned_back(site, operands):
        if kind_of(equation) is not RuleKind.CONTRACT:
            continue  # the placements have it
        for found in matches(equation, operands, roles=False):
            plan = plan_of(found, site)
            if not plan.cannot:
                yield Candidate("turned-gate", found, plan, kind_of(equation), generic=True)


def _turned_back(site: Site, operands: Sequence[Axes]) -> Iterator[Equation]:
    """The node as it would be with an operand in the order that it had before the author transposed it."""
    for k, value in enumerate(site.values):
        back = turned_back(value)
        if back is None:
            continue
        turned = [*operands[:k], tuple(operands[k][i] for i in back), *operands[k + 1 :]]
        columns = align(site.convention, turned)
        full = [[axis for axis in column if axis is not None and axis.size != 1] for column in columns]
        if any(fit(column[0], axis) is not Fit.SAME for column in full for axis in column[1:]):
            continue
        names = axis_names(tuple(column[0] if column else Axis(1) for column in full))
        terms = []
        for operand, axes in enumerate(operands):
            places = positions(site.convention, len(axes), len(columns))
            order: Sequence[int] = back if operand == k else range(len(axes))
            stands = dict(zip(order, places, strict=True))
            terms.append(
                tuple(Term((names[stands[i]],)) if a.size != 1 else Term(()) for i, a in enumerate(axes))
            )
        output = tuple(Term((n,)) if column else Term(()) for n, column in zip(names, full, strict=True))
        yield Equation(tuple(terms), output)


def _backwards(equation: Equation) -> bool:
    """True where the axes that only the first operand has come after those that only the second one has."""
    left, right = equation.names(0), equation.names(1)
    own = [
        name in right for term in equation.output for name in term.names if (name in left) != (name in right)
    ]
    return own != sorted(own)


def _ask(site: Site, found: Sequence[Candidate]) -> None:
    """Mark readings that turn or regroup an operand, and for which nothing but sizes speaks.

    Where an operand was just transposed, that may be what is wrong: undoing it is as good as leaving it.
    """
    plain = [c for c in found if c.rule not in _REGROUPING and c.kind in (RuleKind.PLACE, RuleKind.REPEAT)]
    undoing = {id(c) for c in found if undoes(c, site)}
    waiting = [k for k, value in enumerate(site.values) if moves_a_unit(value)]
    for candidate in found:
        supported = candidate.rank.supported
        turned = {s.operand for s in candidate.plan.steps if s.op == "Transpose"}
        moved = bool(turned) and all(k >= 0 and is_moved(site.values[k]) for k in turned)
        if candidate.kind is RuleKind.TURN:
            sizes = [tuple(a.size for a in axes) for axes in candidate.match.operands]
            told = (
                candidate.rank.demanded == 1
                if candidate.plan.output not in sizes
                else id(candidate) in undoing
            )
            candidate.needs_evidence = not told
        elif candidate.rule in _REGROUPING:
            above = [c for c in plain if c.rank > candidate.rank or (c.rank == candidate.rank and turned)]
            rivals = [c for c in above if not moved or id(c) in undoing]
            candidate.needs_evidence = bool(rivals) or (bool(turned) and not supported and not moved)
        if candidate.kind is RuleKind.CONTRACT and candidate.rank.demanded != 1:
            candidate.needs_evidence |= not fills_units(candidate, site.values)
        nothing_speaks = candidate.generic and bool(turned) and not supported and not moved
        candidate.doubt = _doubt(candidate, site, waiting, nothing_speaks)
    placed = [c for c in found if c.kind is not RuleKind.CONTRACT and not c.needs_evidence]
    keeping = [c for c in found if id(c) in undoing and c.rank.consistent == 0]
    filling = [
        c for c in found if c.rank.consistent == 0 and not c.needs_evidence and fills_units(c, site.values)
    ]
    turned_units = any(is_moved(v) and any(map(is_written, v.axes or ())) for v in site.values)
    for candidate in found:
        if id(candidate) not in undoing and any(_keeps_units(c, candidate) for c in keeping):
            candidate.doubt = candidate.doubt or "turning the other operand back keeps the author's unit axis"
        if candidate.rank.units < 0 and any(c.rank.demanded >= candidate.rank.demanded for c in filling):
            candidate.doubt = candidate.doubt or "another reading has something on the author's unit axis"
        if candidate.rank.units < 0 and turned_units and id(candidate) not in undoing:
            candidate.doubt = (
                candidate.doubt or "turned back, an operand has its unit axis where it was written"
            )
        grown = candidate.kind is RuleKind.CONTRACT and candidate.rank.demanded != 1
        if grown and placed and fills_units(candidate, site.values):
            candidate.doubt = (
                candidate.doubt or "the operands also fit with nothing on the author's unit axis"
            )


def _keeps_units(candidate: Candidate, other: Candidate) -> bool:
    """True where a reading leaves fewer of the author's unit axes unused than another one that gives the same axes, in
    that or another order."""
    axes, others = (sorted(map(str, c.plan.output)) for c in (candidate, other))
    return candidate.rank.units > other.rank.units and axes == others


def _doubt(candidate: Candidate, site: Site, waiting: Sequence[int], nothing_speaks: bool) -> str:
    """Why a reading is not to be chosen for the user, or ""."""
    transposes = [step for step in candidate.plan.steps if step.op == "Transpose" and step.operand >= 0]
    if one_sample := batches.doubt(candidate):
        return one_sample
    if nothing_speaks or (candidate.rule == TURNED and candidate.rank.demanded != 1):
        return "nothing but sizes speaks for turning an operand"
    if site.family is Family.JOINING and transposes and _joins_elsewhere(operand_axes(site)):
        return "another axis to join along would do as well as an operand in another order"
    if any(moves_the_batch(site.values[step.operand]) for step in transposes):
        return "somebody moved the batch of the operand that it turns: pairs of samples may be meant"
    if any(site.is_stale(step.operand) for step in transposes):
        return "an operand that it turns has not the shape that the file records: the fault may be above"
    if _rests_on_a_split(candidate, site):
        return (
            "a Reshape made the axes that it takes in another order: it may have made them in the wrong one"
        )
    if any(_long(candidate.plan.output) <= _long(site.operands[k].value.sizes or ()) for k in waiting):
        return "an operand's unit axis was moved for something to stand on, and nothing does"
    return ""


def _joins_elsewhere(operands: Sequence[Axes]) -> bool:
    """True where tensors that cannot be joined as it is written could be along another axis."""
    first, *others = operands
    return all(len(axes) == len(first) for axes in others) and any(
        all(
            same(a.size, b.size) is Truth.YES
            for axes in others
            for place, (a, b) in enumerate(zip(first, axes, strict=True))
            if place != along
        )
        for along in range(1, len(first))
    )


def plan_of(found: Match, site: Site) -> Plan:
    """The nodes that a match comes to at a node."""
    if site.family is Family.CONTRACTION:
        return lower_by_matmul(found)
    return lower(found, site.convention)


def _joined(site: Site, operands: Sequence[Axes]) -> Iterator[Candidate]:
    default = -1 if site.node.operation.kind == "layer" else 0
    for reading in joinings(operands, site.node.operation.config.get("axis", default)):
        for found in matches(reading.equation, operands, roles=False):
            plan = plan_of(found, site)
            if not plan.cannot:
                yield Candidate(reading.rule, found, plan, kind_of(reading.equation))


def _as_subscripts(site: Site, operands: Sequence[Axes]) -> Iterator[Candidate]:
    """The einsum that is written, with the axes of one operand in another order, or without some of them."""
    for equation in einsum_readings(site.node.operation.config.get("subscripts"), operands):
        for found in matches(equation, operands, roles=False):
            plan = plan_of(found, site)
            if not plan.cannot:
                yield Candidate("einsum", found, plan, RuleKind.CONTRACT)


def _named_axes(candidate: Candidate) -> tuple[tuple[int, ...], ...]:
    """Which axes of the operands and the result are one, those of size 1 left out: what a contraction computes."""
    numbers: dict[str, int] = {}
    equation = candidate.match.equation
    return tuple(
        tuple(
            numbers.setdefault(name, len(numbers))
            for term in terms
            for name in term.names
            if candidate.match.sizes[name] != 1
        )
        for terms in (*equation.operands, equation.output)
    )


def _in_order(candidate: Candidate, site: Site) -> int:
    """How far a sum is over operands in the order in which they stand, and over the axes that the node names."""
    ranks = {len(axes) for axes in candidate.match.operands}
    if candidate.kind is not RuleKind.CONTRACT:
        return 0
    if site.family is Family.CONTRACTION:
        straight = _only_reversed(candidate) if candidate.swapped else True
        return int(straight) + int(_sums_as_stated(candidate, site))
    # Which of two ranks comes first says nothing of what is summed: only equal ones can stand in either order. Nor does
    # the order of a sum of tensors, nor of an outer product for each of the axes that both have.
    equation = candidate.match.equation
    per_position = not equation.contracted and len(equation.names(0) & equation.names(1)) > 1
    in_order = not candidate.swapped and not per_position and len(ranks) == 1
    return int(site.family is Family.PRODUCT and in_order)


def _sums_as_stated(candidate: Candidate, site: Site) -> bool:
    """True where a Dot layer sums over the axes that it names, counted in what its operands are reshaped to."""
    stated, equation = _stated_axes(site), candidate.match.equation
    if stated is None or len(equation.contracted) != 1:
        return False
    (summed,) = equation.contracted
    for k, axis in enumerate(stated):
        names: list[str] = []
        terms = dict(zip(candidate.match.kept[k], equation.operands[k], strict=True))
        for position in range(len(candidate.match.operands[k])):
            names += terms[position].names if position in terms else ("",)
        if summed not in names or names.index(summed) != axis % len(names):
            return False
    return True


def _stated_axes(site: Site) -> list[int] | None:
    """The axes that are summed as the node is written: those that a Dot layer names, or those of a matrix product."""
    if sums_by_place(site.node.operation):
        return [-1, -2] if all(len(axes) > 1 for axes in operand_axes(site)) else None
    stated = site.node.operation.config.get("axes") if site.node.operation.class_name == "Dot" else None
    pair = [stated, stated] if isinstance(stated, int) else stated
    plain = isinstance(pair, list) and len(pair) == 2 and all(isinstance(axis, int) for axis in pair)
    return pair if plain else None


def _only_reversed(candidate: Candidate) -> bool:
    """True for a product whose operands stand in the wrong order, and are not transposed besides."""
    second, first = candidate.match.equation.operands
    return first[-1:] == second[-2:-1] and first[-1].names[0] in candidate.match.equation.contracted


def _restores(candidate: Candidate, site: Site) -> int:
    """How many operands get the shape that the file states for them, where they lost an axis of it."""
    found = 0
    for k in range(len(site.operands)):
        recorded = site.meant_shape(k) or site.built_shape(k)
        shapes = [step.to for step in candidate.plan.steps if step.operand == k]
        if recorded is not None and shapes:
            plain = tuple(size if isinstance(size, int) else None for size in shapes[-1])
            found += plain == recorded
    return found


def _keeps_data(candidate: Candidate, site: Site) -> bool:
    """True where all operands but one are weights that a softmax made, and that one stays as it is.

    Not where the data was just turned itself: then both could be the one to turn.
    """
    data = [k for k, value in enumerate(site.values) if not value.facts.weights]
    if len(data) != 1 or len(site.operands) < 2 or is_moved(site.values[data[0]]):
        return False
    return all(step.operand != data[0] for step in candidate.plan.steps)


def _sums_weights(candidate: Candidate, site: Site) -> bool:
    """True for a sum along the axis along which a softmax's weights add up to one."""
    equation = candidate.match.equation
    for k, value in enumerate(site.values):
        terms = dict(zip(candidate.match.kept[k], equation.operands[k], strict=True))
        for position, axis in enumerate(value.axes or ()):
            names = terms[position].names if position in terms else ()
            if axis.facts.sums_to_one and equation.contracted & set(names):
                return True
    return False


def _long(sizes: Sequence[Size]) -> int:
    return sum(size != 1 for size in sizes)


def _rests_on_a_split(candidate: Candidate, site: Site) -> bool:
    """True for a reading that takes axes which a Reshape right before it made of others in another order than stands.

    It transposes them, or sums over another one of them than the one that a Dot layer names.
    """
    for step in candidate.plan.steps:
        if step.op == "Transpose" and step.operand >= 0:
            order = [position for position in step.axes if position in split_axes(site.values[step.operand])]
            if order != sorted(order):
                return True
    stated = _stated_axes(site)
    if stated is None or len(candidate.match.equation.contracted) != 1:
        return False
    (summed,) = candidate.match.equation.contracted
    for k, axis in enumerate(stated):
        terms = zip(candidate.match.equation.operands[k], candidate.match.kept[k], strict=True)
        places = {position for term, position in terms if term.names == (summed,)}
        places.add(axis % len(candidate.match.operands[k]))
        if len(places) == 2 and places <= set(split_axes(site.values[k])):
            return True
    return False


def _size_text(candidate: Candidate) -> str:
    if candidate.match.assumed:
        return f"fits if {', '.join(sorted(candidate.match.assumed))} has one size on both sides"
    sizes = candidate.match.sizes
    names = sorted({name for name, _, _ in candidate.match.pairs} & sizes.keys() - {"b"})
    return f"the sizes fit ({', '.join(f'{n}={sizes[n]}' for n in names)})" if names else "any sizes fit"


def _naive_shape(site: Site) -> tuple[int | None, ...] | None:
    """What Keras's static inference makes of the node: None where a size is None and the other is not 1."""
    if site.convention is Convention.NONE:
        values = site.inference.values.get(site.node.name)
        broken = site.node.name in site.inference.faults or not values or values[0].shape is None
        return None if broken or not values else tuple(values[0].shape or ())
    shapes = [v.shape or [] for v in site.values]
    out_rank = max(map(len, shapes))
    result: list[int | None] = [1] * out_rank
    for shape in shapes:
        lead = [] if site.convention is Convention.NUMPY else shape[:1]
        rest = shape[len(lead) :]
        padded = [*lead, *([1] * (out_rank - len(shape))), *rest]
        for i, size in enumerate(padded):
            if result[i] == 1:
                result[i] = size
            elif size == 1 or size == result[i]:
                continue
            elif size is None or result[i] is None:
                result[i] = (
                    size
                    if result[i] is None and site.convention is Convention.NUMPY
                    else (result[i] if site.convention is Convention.NUMPY else None)
                )
            else:
                return None
    return tuple(result)


def _binary(rule: Rule, operands: Sequence[Axes], planned: Callable[[Match], Plan]) -> Iterator[Candidate]:
    """The ways in which a rule's equations describe two operands, in either order, with and without unit axes."""
    for written in rule.equations:
        symmetric = written.operands[0] == written.operands[1]
        for equation in (written,) if symmetric else (written, written.swapped()):
            for found in matches(equation, operands):
                plan = planned(found)
                if not plan.cannot:
                    kind, swapped = kind_of(written), equation is not written
                    yield Candidate(rule.name, found, plan, kind, swapped, generic=rule.generic)


def matches(equation: Equation, operands: Sequence[Axes], roles: bool = True) -> Iterator[Match]:
    """Matches with all axes as they are, then with the unit axes of one operand or of all left out."""
    if not all(map(_can_have, equation.operands, operands)):
        return
    seen: set[tuple[tuple[int, ...], ...]] = set()
    units = [any(a.size == 1 for a in axes[1:]) for axes in operands]
    for keep in itertools.product(*((True, False) if u else (True,) for u in units)):
        found = match(equation, operands, roles, keep)
        if isinstance(found, Match) and found.kept not in seen:
            seen.add(found.kept)
            yield found


def _can_have(terms: Sequence[Term], axes: Axes) -> bool:
    """True where some rank between that without unit axes and that with all of them is one that the terms have."""
    fewest = sum(axis.size != 1 for axis in axes)
    return len(terms) <= len(axes) and (fewest <= len(terms) or any(term.star for term in terms))


def _several(rules: Sequence[Rule], operands: Sequence[Axes], convention: Convention) -> Iterator[Candidate]:
    """Three operands or more: the largest one is the data, and each other one is placed against it."""
    data = max(range(len(operands)), key=lambda k: (sum(a.size != 1 for a in operands[k]), len(operands[k])))
    choices: list[list[Candidate | None]] = []
    right_aligned = partial(lower, convention=Convention.NUMPY)
    for k, axes in enumerate(operands):
        if k == data:
            continue
        pair = [operands[data], axes]
        found = [c for rule in rules for c in _binary(rule, pair, right_aligned) if _keeps(c, pair)]
        distinct = {_places(c.match): c for c in reversed(found)}
        ways: list[Candidate | None] = list(reversed(distinct.values())) if axes else [None]
        if not ways:
            return
        choices.append(ways)
    others = [k for k in range(len(operands)) if k != data]
    for combination in itertools.islice(itertools.product(*choices), _MAX_COMBINATIONS):
        joined = _join(operands, data, others, combination, convention)
        if joined is not None:
            yield joined


def _places(found: Match) -> tuple[int, ...]:
    """Where each axis of the second operand stands among those of the first."""
    place = {
        term.names: position for term, position in zip(found.equation.operands[0], found.kept[0], strict=True)
    }
    return tuple(place.get(term.names, -1) for term in found.equation.operands[1])


def _keeps(candidate: Candidate, pair: Sequence[Axes]) -> bool:
    """True where the product has exactly the data's axes."""
    return candidate.kind is not RuleKind.CONTRACT and candidate.plan.output == tuple(a.size for a in pair[0])


def _join(
    operands: Sequence[Axes],
    data: int,
    others: Sequence[int],
    combination: Sequence[Candidate | None],
    convention: Convention,
) -> Candidate | None:
    """One equation over all operands from one against the data for each other operand."""
    names = _data_names(len(operands[data]), combination)
    terms: list[tuple[Term, ...]] = [()] * len(operands)
    terms[data] = tuple(map(Term, names))
    kept: list[tuple[int, ...]] = [()] * len(operands)
    kept[data] = tuple(range(len(operands[data])))
    sizes = {n[0]: a.size for n, a in zip(names, operands[data], strict=True)}
    where = {n[0]: a for n, a in zip(names, operands[data], strict=True)}
    pairs = []
    rules = []
    for k, chosen in zip(others, combination, strict=True):
        if chosen is None:
            continue
        found = chosen.match
        positions_of = {}
        for term, position in zip(found.equation.operands[0], found.kept[0], strict=True):
            positions_of[term.names] = position
        own: list[Term] = []
        for term in found.equation.operands[1]:
            if term.names not in positions_of:
                return None
            own.append(Term(names[positions_of[term.names]]))
        terms[k] = tuple(own)
        kept[k] = found.kept[1]
        for term, position in zip(own, kept[k], strict=True):
            pairs.append((term.names[0], where[term.names[0]], operands[k][position]))
        rules.append(chosen.rule)
    equation = Equation(tuple(terms), terms[data])
    joined = Match(equation, tuple(operands), tuple(kept), sizes, tuple(pairs), frozenset(), where)
    plan: Plan = lower(joined, convention)
    if plan.cannot:
        return None
    generic = all(chosen.generic for chosen in combination if chosen is not None)
    return Candidate("+".join(dict.fromkeys(rules)), joined, plan, RuleKind.PLACE, generic=generic)


def _data_names(rank: int, combination: Sequence[Candidate | None]) -> tuple[tuple[str, ...], ...]:
    """Names for the data's axes: those of the first pairing that names them all."""
    for chosen in combination:
        if chosen is not None:
            terms = [term.names for term in chosen.match.equation.operands[0]]
            if len(terms) == rank and all(len(names) == 1 for names in terms):
                return tuple(terms)
    return tuple((f"x{i}" if i else "b",) for i in range(rank))


def as_written(site: Site) -> Candidate | None:
    """A legal product with operands of different rank, as the candidate that writes its missing axes out."""
    operands = operand_axes(site)
    if site.convention is Convention.NONE or not operands:
        return None
    if any(v.axes is None for v in site.values) or len({len(axes) for axes in operands}) == 1:
        return None
    columns = align(site.convention, operands)
    names = ["b", *(f"x{i}" for i in range(1, len(columns)))]
    terms, kept = [], []
    for axes in operands:
        places = positions(site.convention, len(axes), len(columns))
        terms.append(tuple(Term((names[p],)) for a, p in zip(axes, places, strict=True) if a.size != 1))
        kept.append(tuple(i for i, a in enumerate(axes) if a.size != 1))
        if not axes:
            return None
    out = broadcast(site.convention, operands, unify=False)
    sizes = {name: axis.size for name, axis in zip(names, out, strict=True)}
    equation = Equation(
        tuple(terms), tuple(Term((n,)) if a.size != 1 else Term(()) for n, a in zip(names, out, strict=True))
    )
    found = Match(
        equation, tuple(operands), tuple(kept), sizes, (), frozenset(), dict(zip(names, out, strict=True))
    )
    plan = lower(found, Convention.NONE)
    if plan.cannot or not plan.steps:
        return None
    return Candidate("explicit", found, plan, RuleKind.PLACE, applicability=Applicability.SAFE)
