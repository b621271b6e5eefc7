"""Candidates: every reading of a node that its operands allow, ranked by its evidence.

Rows that come to the same nodes are one candidate. For three operands or more, the one with the most axes is the data,
and each other one is placed against it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from ..ir.axis import Axis
from ..rules.lower import Plan, lower, lower_by_matmul
from ..rules.match import Match, match
from ..rules.notation import Equation, Term
from ..rules.table import Family, Rule, kind_of
from ..rules.table import Kind as RuleKind
from ..shapes.broadcast import Convention, align, broadcast, positions
from .evidence import demand, weigh
from .find import operand_axes
from .finding import Applicability, Candidate
from .joining import joinings
from .sites import Site
from .subscripts import einsum_readings

Axes = tuple[Axis, ...]
_ORDER = {RuleKind.PLACE: 0, RuleKind.REPEAT: 1, RuleKind.CONTRACT: 2}
_MAX_COMBINATIONS = 64


def candidates(site: Site, rules: Sequence[Rule], with_identity: bool = False) -> list[Candidate]:
    """Every meaning that matches, the best first; rows that come to the same nodes are one.

    ``with_identity`` keeps readings of the result as it stands (no node to insert).
    """
    operands = operand_axes(site)
    if not operands:
        return []
    found = _readings(site, operands, [rule for rule in rules if rule.serves(site.family)])
    stands = site.recorded is None or site.recorded == _naive_shape(site)
    distinct: dict[object, Candidate] = {}
    for candidate in found:
        if not candidate.plan.steps and not with_identity:
            continue
        evidence = weigh(candidate.match.pairs, operands, [o.softmax for o in site.operands])
        demand(evidence, candidate.plan.output, site.recorded or _naive_shape(site), stands)
        evidence.contradictions += _written_units(candidate, operands)
        # Which of two ranks comes first says nothing of what is summed: only equal ones can stand in either order.
        evidence.in_order = int(
            candidate.kind is RuleKind.CONTRACT
            and not candidate.swapped
            and (site.family is Family.CONTRACTION or len({len(axes) for axes in operands}) == 1)
        )
        if site.family is Family.CONTRACTION and candidate.swapped:
            evidence.in_order = int(_only_reversed(candidate))
        evidence.keeps_data = int(_keeps_data(candidate, site))
        candidate.rank = evidence.rank
        candidate.evidence = evidence.texts() or [_size_text(candidate)]
        steps = _named_axes(candidate) if site.family is Family.CONTRACTION else candidate.plan.steps
        key = (steps, candidate.plan.output)
        known = distinct.get(key)
        if known is None or candidate.rank > known.rank:
            distinct[key] = candidate
    first_rank = len(operands[0]) if operands else 0
    return sorted(
        distinct.values(),
        key=lambda c: (
            *(-n for n in c.rank[:1]),
            must_be_asked_for(c),
            *(-n for n in c.rank[1:]),
            _ORDER[c.kind],
            bool(c.match.assumed),
            abs(len(c.plan.output) - first_rank),
        ),
    )


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


def _only_reversed(candidate: Candidate) -> bool:
    """True for a product whose operands stand in the wrong order, and are not transposed besides."""
    second, first = candidate.match.equation.operands
    return first[-1:] == second[-2:-1] and first[-1].names[0] in candidate.match.equation.contracted


def _written_units(candidate: Candidate, operands: Sequence[Axes]) -> list[str]:
    """What speaks against a reading whose result lacks an axis that was inserted into the operand of the most axes."""
    rank = max(map(len, operands))
    if len(candidate.plan.output) >= rank:
        return []
    return [
        "it leaves out an axis that was inserted on purpose"
        for axes, kept in zip(operands, candidate.match.kept, strict=True)
        if len(axes) == rank and any(axes[i].origin.root().inserted for i in range(rank) if i not in kept)
    ]


def _keeps_data(candidate: Candidate, site: Site) -> bool:
    """True where all operands but one are weights that a softmax made, and that one stays as it is.

    Not where the data was just turned itself: then both could be the one to turn.
    """
    data = [k for k, operand in enumerate(site.operands) if not operand.softmax]
    if len(data) != 1 or len(site.operands) < 2 or _is_turned(site, data[0]):
        return False
    return all(step.operand != data[0] for step in candidate.plan.steps)


def _is_turned(site: Site, operand: int) -> bool:
    """True where an operand comes straight out of a transpose: it may be that one which is not meant."""
    source = site.inference.graph.nodes.get(site.operands[operand].source.rpartition("/")[2])
    return source is not None and source.operation.class_name in (
        "Permute",
        "Transpose",
        "Swapaxes",
        "Moveaxis",
    )


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
        lead = shape[:1] if site.convention is Convention.MERGE and shape else []
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
            kind, swapped = kind_of(written), equation is not written
            for found in matches(equation, operands):
                plan = planned(found)
                if not plan.cannot:
                    yield Candidate(rule.name, found, plan, kind, swapped, generic=rule.generic)


def matches(equation: Equation, operands: Sequence[Axes], roles: bool = True) -> Iterator[Match]:
    """Matches with all axes as they are, then with the unit axes of one operand or of all left out."""
    seen: set[tuple[tuple[int, ...], ...]] = set()
    units = [any(a.size == 1 for a in axes[1:]) for axes in operands]
    for keep in itertools.product(*((True, False) if u else (True,) for u in units)):
        found = match(equation, operands, roles, keep)
        if isinstance(found, Match) and found.kept not in seen:
            seen.add(found.kept)
            yield found


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


def must_be_asked_for(candidate: Candidate) -> bool:
    """True for a sum or a new rank that nothing downstream or recorded asks for."""
    return candidate.kind is RuleKind.CONTRACT and candidate.rank[0] != 1


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
