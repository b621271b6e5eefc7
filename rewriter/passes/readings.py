"""Readings: every equation that describes the operands of a node, with the nodes that implement it, not yet ranked.

A reading comes from a rule, from another placement of one operand's axes on those of the other, from the subscripts of
an einsum, or from another way to join. For three operands or more, the one with the most axes is the data, and each
other one is placed on it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from ..ir.axis import Axis, Role
from ..rules.lower import Plan, lower, lower_by_matmul
from ..rules.match import Match, NoMatch, match
from ..rules.notation import Equation, Term, parse
from ..rules.table import Family, Rule, families_of, kind_of
from ..rules.table import Kind as RuleKind
from ..shapes.broadcast import Convention, Fit, align, broadcast, fit, positions
from ..shapes.facts import sums_by_place
from ..shapes.written import joined_axis, normalizes, subscripts
from .candidate import Applicability, Candidate
from .find import operand_axes
from .intent import turned_back
from .joining import joinings
from .placements import axis_names, placements
from .sites import Site
from .subscripts import einsum_readings

Axes = tuple[Axis, ...]
_MAX_COMBINATIONS = 64
_PAIRS = parse("b k, n k -> b n")
# The name of the readings that keep an einsum's letters.
EINSUM = "einsum"


@dataclass(frozen=True, slots=True)
class Try:
    """One equation of a rule, tried on two operands in one order: its candidate, or None.

    ``written`` is the equation as the rule has it; ``cannot`` says why it cannot be lowered to nodes.
    """

    rule: Rule
    written: Equation
    equation: Equation
    operands: tuple[Axes, ...]
    candidate: Candidate | None = None
    cannot: str = ""

    @property
    def failure(self) -> NoMatch | None:
        """Where it fails, with the axes that do not fit."""
        if self.candidate is not None:
            return None
        if self.cannot:
            return NoMatch("nodes", "no-nodes", text=self.cannot)
        found = match(self.equation, self.operands)
        return found if isinstance(found, NoMatch) else NoMatch("nodes", "axes-left-out")


def readings(site: Site, rules: Sequence[Rule], complete: bool) -> Iterator[Candidate]:
    """Every reading of a node.

    Args:
        complete: add to the rules every other placement of one operand's axes on those of the other.
    """
    operands = operand_axes(site)
    yield from _readings(site, operands, [rule for rule in rules if rule.serves(site.family)])
    if complete:
        yield from _placed(site, operands)
        yield from _repeated(site, operands, rules)


def _readings(site: Site, operands: Sequence[Axes], rules: Sequence[Rule]) -> Iterator[Candidate]:
    if site.family is Family.JOINING:
        yield from _joined(site, operands)
    elif normalizes(site.node.operation):
        return  # it divides by the vectors' lengths, which no equation states
    elif site.family is Family.CONTRACTION:
        yield from _as_subscripts(site, operands)
        if len(operands) == 2:
            yield from (c for rule in rules for c in _binary(rule, operands, lower_by_matmul))
            yield from _pairs_of_samples(site, operands)
    elif len(operands) == 2:
        yield from (c for rule in rules for c in _binary(rule, operands, partial(plan_of, site=site)))
    else:
        yield from _several(rules, operands, site.convention)


def _placed(site: Site, operands: Sequence[Axes]) -> Iterator[Candidate]:
    """The readings that no rule names."""
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
            continue  # the placements already have it
        for found in matches(equation, operands, roles=False):
            plan = plan_of(found, site)
            if not plan.cannot:
                yield Candidate("turned-gate", found, plan, kind_of(equation), generic=True)


def _repeated(site: Site, operands: Sequence[Axes], rules: Sequence[Rule]) -> Iterator[Candidate]:
    """Readings that repeat each sample of a batch, which the user has to ask for.

    A batch that nothing was folded into is otherwise repeated as a whole.
    """
    if len(operands) != 2:
        return
    for rule in rules:
        for written in rule.equations if rule.serves(site.family) else ():
            for equation in (written, written.swapped()):
                refused = match(equation, operands)
                if not isinstance(refused, NoMatch) or refused.problem != "whole-batch":
                    continue
                for found in matches(equation, operands, roles=False):
                    plan, kind = plan_of(found, site), kind_of(equation)
                    if not plan.cannot and kind is RuleKind.REPEAT:
                        swapped = equation is not written
                        yield Candidate(
                            rule.name, found, plan, kind, swapped, needs_evidence=True, asked_only=True
                        )


def _turned_back(site: Site, operands: Sequence[Axes]) -> Iterator[Equation]:
    """The equation of the node with an operand in its order before the author's transpose."""
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
    """True if the axes that only the first operand has come after those that only the second one has."""
    left, right = equation.names(0), equation.names(1)
    own = [
        name in right for term in equation.output for name in term.names if (name in left) != (name in right)
    ]
    return own != sorted(own)


def plan_of(found: Match, site: Site) -> Plan:
    """The nodes that implement a match at a node."""
    if site.family is Family.CONTRACTION:
        return lower_by_matmul(found)
    return lower(found, site.convention)


def _joined(site: Site, operands: Sequence[Axes]) -> Iterator[Candidate]:
    for reading in joinings(operands, joined_axis(site.node.operation)):
        for found in matches(reading.equation, operands, roles=False):
            plan = plan_of(found, site)
            if not plan.cannot:
                yield Candidate(reading.rule, found, plan, kind_of(reading.equation))


def _pairs_of_samples(site: Site, operands: Sequence[Axes]) -> Iterator[Candidate]:
    """A product of two matrices with a row for each sample: the similarities of all pairs of samples."""
    rows = [len(axes) == 2 and axes[0].role is Role.BATCH for axes in operands]
    if not sums_by_place(site.node.operation) or not all(rows):
        return
    for found in matches(_PAIRS, operands, roles=False):
        plan = plan_of(found, site)
        if not plan.cannot:
            yield Candidate("all-pairs", found, plan, RuleKind.CONTRACT, asked_only=True, needs_evidence=True)


def _as_subscripts(site: Site, operands: Sequence[Axes]) -> Iterator[Candidate]:
    """The written einsum, with the axes of one operand in another order, or without some of them."""
    for equation in einsum_readings(subscripts(site.node.operation), operands):
        for found in matches(equation, operands, roles=False):
            plan = plan_of(found, site)
            if not plan.cannot:
                yield Candidate(EINSUM, found, plan, RuleKind.CONTRACT)


def _binary(rule: Rule, operands: Sequence[Axes], planned: Callable[[Match], Plan]) -> Iterator[Candidate]:
    """The ways in which a rule's equations describe two operands, in either order, with and without unit axes."""
    return (each.candidate for each in tries(rule, operands, planned) if each.candidate is not None)


def tries(rule: Rule, operands: Sequence[Axes], planned: Callable[[Match], Plan]) -> Iterator[Try]:
    """Each equation of a rule in either order of the operands: every way in which it fits, or one try that failed."""
    both = tuple(operands)
    for written in rule.equations:
        symmetric = written.operands[0] == written.operands[1]
        for equation in (written,) if symmetric else (written, written.swapped()):
            missed = Try(rule, written, equation, both)
            fits = False
            for found in matches(equation, operands):
                plan = planned(found)
                if plan.cannot:
                    missed = Try(rule, written, equation, both, cannot=plan.cannot)
                    continue
                fits = True
                kind, swapped = kind_of(written), equation is not written
                made = Candidate(rule.name, found, plan, kind, swapped, generic=rule.generic)
                yield Try(rule, written, found.equation, both, made)
            if not fits:
                yield missed


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
    """True if the terms can describe the axes with all, some or none of the unit axes."""
    fewest = sum(axis.size != 1 for axis in axes)
    return len(terms) <= len(axes) and (fewest <= len(terms) or any(term.star for term in terms))


def _several(rules: Sequence[Rule], operands: Sequence[Axes], convention: Convention) -> Iterator[Candidate]:
    """Three operands or more: the largest one is the data, and each other one is placed on it."""
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
    """The position of each axis of the second operand among those of the first; -1 for none."""
    place = {
        term.names: position for term, position in zip(found.equation.operands[0], found.kept[0], strict=True)
    }
    return tuple(place.get(term.names, -1) for term in found.equation.operands[1])


def _keeps(candidate: Candidate, pair: Sequence[Axes]) -> bool:
    """True if the product has exactly the data's axes."""
    return candidate.kind is not RuleKind.CONTRACT and candidate.plan.output == tuple(a.size for a in pair[0])


def _join(
    operands: Sequence[Axes],
    data: int,
    others: Sequence[int],
    combination: Sequence[Candidate | None],
    convention: Convention,
) -> Candidate | None:
    """One equation over all operands, from a pairing of each other operand with the data; None where there is none."""
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
    """The candidate that writes out the missing axes of a legal implicit broadcast; None where there are none."""
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
