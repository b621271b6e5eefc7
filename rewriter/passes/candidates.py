"""Candidates: every reading of a node that its operands allow, ranked by its evidence.

Readings that compute the same are one candidate.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial

from ..ir.axis import Axis, Role
from ..ir.size import Size, Truth, divide, same
from ..rules.table import Family, Rule
from ..rules.table import Kind as RuleKind
from ..shapes.broadcast import Convention
from ..shapes.written import subscripts, summed_axes
from . import batches, records
from .candidate import Candidate, Remark, remark
from .evidence import Rank, demand, weigh
from .find import as_it_stands, operand_axes
from .intent import (
    fills_units,
    is_moved,
    is_written,
    moves_a_unit,
    moves_the_batch,
    split_axes,
    undoes,
    unused_units,
)
from .joining import TURNED
from .ranking import order
from .readings import EINSUM, readings
from .recorded import reshapes
from .sites import Site, has_names
from .subscripts import letters_of

Axes = tuple[Axis, ...]
# How far above a node factors are looked for: the cost of a chain of nodes grows with its length.
_MOST_ABOVE = 20
_FLAT = "flat-data"
_REGROUPING = frozenset({"turned-gate", "flat-gate", _FLAT})


def candidates(
    site: Site, rules: Sequence[Rule], with_identity: bool = False, complete: bool = True
) -> list[Candidate]:
    """Every reading that matches, the best first; readings that compute the same are one.

    Args:
        with_identity: keep readings that insert no node.
        complete: add to the rules every other placement of one operand's axes on those of the other.
    """
    if site.family is Family.OTHER:
        lost = reshapes(site.inference, site.node.name)
        return [] if lost is None else [lost]
    operands = operand_axes(site)
    if not operands:
        return []
    stands = site.recorded is None or site.recorded == _naive_shape(site)
    weights = [value.facts.weights for value in site.values]
    distinct: dict[object, Candidate] = {}
    for candidate in readings(site, rules, complete):
        if not candidate.plan.steps and not with_identity:
            continue
        evidence = weigh(candidate.match.pairs, operands, weights, centred=site.is_centred)
        demand(evidence, candidate.plan.output, site.recorded or _naive_shape(site), stands)
        if _records_nothing(site, candidate):
            evidence.demanded, evidence.demand_text = 0, ""
        evidence.merged = _merged(candidate)
        evidence.restored = _restores(candidate, site)
        evidence.unused_units = unused_units(candidate, site.values)
        evidence.in_order = _in_order(candidate, site)
        evidence.keeps_data = _keeps_data(candidate, site) + _sums_weights(candidate, site)
        evidence.proven = not candidate.match.fixes_an_open_size
        candidate.rank = evidence.rank
        candidate.evidence = evidence.texts() or [_size_text(candidate)]
        key = (_named_axes(candidate), candidate.plan.output)
        known = distinct.get(key)
        if known is None or _spelled_better(candidate, known):
            distinct[key] = candidate
    _ask(site, list(distinct.values()))
    return sorted(distinct.values(), key=order)


def _records_nothing(site: Site, candidate: Candidate) -> bool:
    """True if an ONNX file records only open sizes for the result of a contraction, and not those of the reading.

    An output of unknown sizes is what exporters write of any model; a name is a statement.
    """
    recorded, names = site.recorded, site.recorded_names
    if site.family is not Family.CONTRACTION or names is None or recorded is None:
        return False
    return all(r is None for r in recorded) and not has_names(candidate.plan.output, names)


def _spelled_better(candidate: Candidate, known: Candidate) -> bool:
    """True if ``candidate`` is the better one of two readings that compute the same.

    The better one has no nodes, else more evidence, no sum, or more unit axes named.
    """

    def quality(one: Candidate) -> tuple[bool, Rank, bool, int]:
        sums = bool(one.match.equation.contracted)
        return not one.plan.steps, one.rank, not sums, sum(map(len, one.match.kept))

    return quality(candidate) > quality(known)


def _ask(site: Site, found: Sequence[Candidate]) -> None:
    """Set ``needs_evidence`` and ``doubt`` of the readings.

    A reading that transposes, regroups or sums an operand needs more evidence than sizes. If the author transposed an
    operand right before, that transpose may be the fault: undoing it counts as much as keeping it.
    """
    plain = [c for c in found if c.rule not in _REGROUPING and c.kind in (RuleKind.PLACE, RuleKind.REPEAT)]
    undoing = {id(c) for c in found if undoes(c, site)}
    waiting = [k for k, value in enumerate(site.values) if moves_a_unit(value)]
    scaled = cache(partial(_scaled_since_turned, site))
    for candidate in found:
        supported = candidate.rank.supported
        turned = {s.operand for s in candidate.plan.steps if s.op == "Transpose"}
        moved = bool(turned) and all(k >= 0 and is_moved(site.values[k]) for k in turned)
        if candidate.kind is RuleKind.TURN:
            sizes = [tuple(a.size for a in axes) for axes in candidate.match.operands]
            undone = id(candidate) in undoing
            back = undone and any(k >= 0 and moves_the_batch(site.values[k]) for k in turned)
            told = candidate.rank.demanded == 1 or back if candidate.plan.output not in sizes else undone
            candidate.needs_evidence = not told
        elif candidate.rule in _REGROUPING:
            above = [c for c in plain if c.rank > candidate.rank or (c.rank == candidate.rank and turned)]
            rivals = [c for c in above if not moved or id(c) in undoing]
            candidate.needs_evidence = bool(rivals) or (bool(turned) and not supported and not moved)
        if candidate.kind is RuleKind.CONTRACT and candidate.rank.demanded != 1:
            candidate.needs_evidence |= not fills_units(candidate, site.values)
        unsupported = candidate.generic and bool(turned) and not supported and not moved
        candidate.doubt = _doubt(candidate, site, waiting, scaled, unsupported)
    placed = [c for c in found if c.kind is not RuleKind.CONTRACT and not c.needs_evidence]
    keeping = [c for c in found if id(c) in undoing and c.rank.consistent == 0]
    filling = [
        c for c in found if c.rank.consistent == 0 and not c.needs_evidence and fills_units(c, site.values)
    ]
    restored = max((c.rank.restored for c in found if c.rank.consistent == 0), default=0)
    changed = records.changed_above(site)
    exported = site.recorded_names is not None
    turned_units = any(is_moved(v) and any(map(is_written, v.axes or ())) for v in site.values)
    for candidate in found:
        if id(candidate) not in undoing and any(_keeps_units(c, candidate) for c in keeping):
            candidate.doubt = candidate.doubt or remark("turned-back")
        if candidate.rank.units < 0 and any(c.rank.demanded >= candidate.rank.demanded for c in filling):
            candidate.doubt = candidate.doubt or remark("filled-elsewhere")
        unlikely = candidate.rule in _REGROUPING or (exported and candidate.generic)
        if candidate.rank.units < 0 and (unlikely or _rests_on_sizes(candidate)):
            candidate.doubt = candidate.doubt or remark("moved-unit")
        if exported and any(_keeps_layout(c, candidate) for c in found):
            candidate.doubt = candidate.doubt or remark("unit-of-layout")
        if candidate.rank.units < 0 and turned_units and id(candidate) not in undoing:
            candidate.doubt = candidate.doubt or remark("turned-unit")
        if candidate.rank.restored < restored and candidate.rank.demanded != 1:
            candidate.doubt = candidate.doubt or remark("restored-elsewhere")
        if _splits(candidate) and any(_as_well(candidate, c) for c in found):
            candidate.doubt = candidate.doubt or remark("regroups-the-other")
        if candidate.rank.in_order and _steps_apart(candidate):
            candidate.doubt = candidate.doubt or remark("steps-apart")
        grown = candidate.kind is RuleKind.CONTRACT and candidate.rank.demanded != 1
        if grown and placed and fills_units(candidate, site.values):
            candidate.doubt = candidate.doubt or remark("fits-without")
        if grown and fills_units(candidate, site.values) and (whole := _split_instead(candidate)):
            candidate.doubt = candidate.doubt or remark("split-instead", sizes=whole)
        candidate.doubt = candidate.doubt or records.against(candidate, site, changed)


def _steps_apart(candidate: Candidate) -> bool:
    """True for a product of matrices whose result has the steps in its columns, and not in its rows but before them.

    Scores of attention whose heads were moved behind the steps look like that, and so do scores of heads there.
    """
    equation = candidate.match.equation
    if candidate.kind is not RuleKind.CONTRACT or len(equation.output) < 4:
        return False
    axes: dict[str, Axis] = {}
    for k, operand in enumerate(candidate.match.operands):
        for position, term in zip(candidate.match.kept[k], equation.operands[k], strict=True):
            axes.update(dict.fromkeys(term.names, operand[position]))
    *before, rows, columns = (
        axes.get(term.names[0]) if len(term.names) == 1 else None for term in equation.output
    )
    if columns is None or rows is None or _are_steps_of_both(rows, columns):
        return False
    return any(axis is not None and _are_steps_of_both(axis, columns) for axis in before)


def _are_steps_of_both(a: Axis, b: Axis) -> bool:
    return a.is_same(b) or a.role is b.role is Role.TIME


def _keeps_layout(candidate: Candidate, other: Candidate) -> bool:
    """True if ``other`` moves the author's unit axes, and ``candidate`` transposes the data and keeps them.

    In an ONNX file either transpose may be the lost one: only what follows shows the layout of the result.
    """
    return (
        candidate.rule == "turned-data"
        and other.kind is RuleKind.PLACE
        and candidate.rank.units > other.rank.units
        and candidate.rank.consistent == 0
    )


def _rests_on_sizes(candidate: Candidate) -> bool:
    """True if nothing but numbers is evidence for the axes that meet, apart from the first one of each operand.

    An open size that meets itself is more than a number.
    """
    rank = candidate.rank
    if rank.demanded == 1 or rank.restored or rank.derived or rank.roles or rank.features:
        return False
    firsts = {id(axes[0]) for axes in candidate.match.operands if axes}
    return not any(
        (a.is_same(b) or not isinstance(a.size, int)) and not {id(a), id(b)} <= firsts
        for _, a, b in candidate.match.pairs
    )


def _splits(candidate: Candidate) -> bool:
    """True for a reading that splits an axis, so its result has more axes, without a recorded shape for that."""
    return (
        candidate.rule == _FLAT
        and candidate.rank.demanded != 1
        and any(len(term.names) > 1 for terms in candidate.match.equation.operands for term in terms)
        and all(len(term.names) == 1 for term in candidate.match.equation.output)
    )


def _as_well(candidate: Candidate, other: Candidate) -> bool:
    """True if ``other`` pairs the axes on equal evidence, but flattens the other operand."""
    return (
        other.rule == _FLAT
        and other.rank.same == candidate.rank.same
        and other.rank.consistent == candidate.rank.consistent
        and any(len(term.names) > 1 for term in other.match.equation.output)
    )


def _split_instead(candidate: Candidate) -> tuple[Size, Size] | None:
    """The size of an axis that a unit axis of the other operand is filled with, and the size beside that unit axis
    which divides it: the axis may have been split in two before. None without them: ``b m, b 1 n`` where n divides m.
    """
    operands = candidate.match.operands
    for axes, others in (operands, operands[::-1]) if len(operands) == 2 else ():
        for place, unit in enumerate(axes):
            beside = [a.size for a in axes[max(place - 1, 0) : place + 2] if a.size != 1]
            if not is_written(unit):
                continue
            for part, whole in itertools.product(beside, others):
                times = divide(whole.size, part) if whole.role is not Role.BATCH else None
                if times not in (None, 1):
                    return whole.size, part
    return None


def _keeps_units(candidate: Candidate, other: Candidate) -> bool:
    """True if ``candidate`` uses more of the author's unit axes than ``other``, and both results have the same
    sizes."""
    axes, others = (sorted(map(str, c.plan.output)) for c in (candidate, other))
    return candidate.rank.units > other.rank.units and axes == others


def _doubt(
    candidate: Candidate,
    site: Site,
    waiting: Sequence[int],
    scaled: Callable[[int], Site | None],
    unsupported: bool,
) -> Remark | None:
    """Why a reading must not be chosen without the user, or None.

    Args:
        waiting: the operands with a unit axis that the author moved.
        scaled: ``_scaled_since_turned`` of an operand.
        unsupported: nothing but sizes is evidence for what it transposes.
    """
    transposes = [step for step in candidate.plan.steps if step.op == "Transpose" and step.operand >= 0]
    if one_sample := batches.doubt(candidate):
        return one_sample
    if unsupported or (candidate.rule == TURNED and candidate.rank.demanded != 1):
        return remark("only-sizes")
    if site.family is Family.JOINING and transposes and _joins_elsewhere(operand_axes(site)):
        return remark("joins-elsewhere")
    if any(moves_the_batch(site.values[step.operand]) for step in transposes):
        return remark("moved-batch")
    if any(site.is_stale(step.operand) for step in transposes):
        return remark("stale")
    between = next(filter(None, (scaled(step.operand) for step in transposes)), None)
    if between is not None:
        return remark("before-or-after", node=between.name)
    if _rests_on_a_split(candidate, site):
        return remark("split")
    if any(_long(candidate.plan.output) <= _long(site.operands[k].value.sizes or ()) for k in waiting):
        return remark("empty-unit")
    return None


def _scaled_since_turned(site: Site, operand: int) -> Site | None:
    """A node between the author's transpose of an operand and this one, with factors that may be for another axis.

    Nothing shows which axis they are for, and before that node they would meet another one.
    """
    above = site.above(operand)
    for _ in range(_MOST_ABOVE):
        if above is None:
            return None
        moved = [k for k, value in enumerate(above.values) if is_moved(value)]
        if len(moved) != 1 or any(value.axes is None for value in above.values):
            return None
        stands = as_it_stands(above)
        if stands.pairs and not stands.is_known:
            return above
        above = above.above(moved[0])
    return None


def _joins_elsewhere(operands: Sequence[Axes]) -> bool:
    """True if tensors that cannot be joined along the written axis fit along another one."""
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


def _merged(candidate: Candidate) -> int:
    """How many axes are the same on both sides only as further parts of one axis: they count as one."""
    parts = {name for name, a, b in candidate.match.pairs if a.is_same(b)}
    together = {
        term.names for terms in candidate.match.equation.operands for term in terms if len(term.names) > 1
    }
    return sum(max(0, len(parts & set(names)) - 1) for names in together)


def _named_axes(candidate: Candidate) -> tuple[tuple[int, ...], ...]:
    """A key of what a reading computes: which axes of operands and result are the same, without those of size 1."""
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
    """How closely a contraction keeps the order of the operands and the axes that the node names: 0, 1 or 2."""
    ranks = {len(axes) for axes in candidate.match.operands}
    if candidate.kind is not RuleKind.CONTRACT:
        return 0
    if site.family is Family.CONTRACTION:
        if letters_of(subscripts(site.node.operation)) is not None:
            return 2 if _has_the_letters(candidate, site) else int(candidate.rule == EINSUM)
        straight = _only_reversed(candidate) if candidate.swapped else _keeps_the_order(candidate)
        return int(straight) + int(_sums_as_stated(candidate, site))
    # The order is evidence only for a product of operands of equal rank. It is not evidence for a sum of tensors, or
    # for an outer product along several shared axes.
    equation = candidate.match.equation
    per_position = not equation.contracted and len(equation.names(0) & equation.names(1)) > 1
    in_order = not candidate.swapped and not per_position and len(ranks) == 1
    return int(site.family is Family.PRODUCT and in_order)


def _sums_as_stated(candidate: Candidate, site: Site) -> bool:
    """True if a Dot layer sums over the axes that it names, counted on its operands after their Reshape."""
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


def _has_the_letters(candidate: Candidate, site: Site) -> bool:
    """True if the equation has the letters of the einsum's subscripts in their order, merged axes allowed."""
    letters = letters_of(subscripts(site.node.operation))
    if letters is None:
        return False
    equation = candidate.match.equation
    names = ([n for term in terms for n in term.names] for terms in (*equation.operands, equation.output))
    return _numbered(names) == _numbered(letters)


def _numbered(words: Iterable[Iterable[str]]) -> list[list[int]]:
    numbers: dict[str, int] = {}
    return [[numbers.setdefault(name, len(numbers)) for name in word] for word in words]


def _stated_axes(site: Site) -> tuple[int, int] | None:
    """The axis of each operand that the node sums over as written, or None."""
    return summed_axes(site.node.operation, [len(axes) for axes in operand_axes(site)])


def _keeps_the_order(candidate: Candidate) -> bool:
    """True if the result has the axes of each operand in their order."""
    equation = candidate.match.equation
    places = {name: place for place, term in enumerate(equation.output) for name in term.names}
    kept = (
        [places[name] for term in terms for name in term.names if name in places]
        for terms in equation.operands
    )
    return all(found == sorted(found) for found in kept)


def _only_reversed(candidate: Candidate) -> bool:
    """True for a matrix product whose operands are in the wrong order, and not transposed."""
    second, first = candidate.match.equation.operands
    return first[-1:] == second[-2:-1] and first[-1].names[0] in candidate.match.equation.contracted


def _restores(candidate: Candidate, site: Site) -> int:
    """How many operands get back the shape that the file states for them."""
    found = 0
    for k in range(len(site.operands)):
        recorded = site.meant_shape(k) or site.built_shape(k)
        shapes = [step.to for step in candidate.plan.steps if step.operand == k]
        if recorded is not None and shapes:
            plain = tuple(size if isinstance(size, int) else None for size in shapes[-1])
            found += plain == recorded
    return found


def _keeps_data(candidate: Candidate, site: Site) -> bool:
    """True if all operands but one are softmax weights, and that one, the data, stays unchanged.

    False where the data was transposed right before: then either operand could be the one to transpose.
    """
    data = [k for k, value in enumerate(site.values) if not value.facts.weights]
    if len(data) != 1 or len(site.operands) < 2 or is_moved(site.values[data[0]]):
        return False
    return all(step.operand != data[0] for step in candidate.plan.steps)


def _sums_weights(candidate: Candidate, site: Site) -> bool:
    """True if this node, or the one that takes its result, sums softmax weights along their softmax axis."""
    equation = candidate.match.equation
    next_ = site.summed_next
    rank = len(equation.output)
    places = {axis % rank for axis in next_ if -rank <= axis < rank} if len(next_) == 1 else set()
    summed = equation.contracted | {name for place in places for name in equation.output[place].names}
    for k, value in enumerate(site.values):
        terms = dict(zip(candidate.match.kept[k], equation.operands[k], strict=True))
        for position, axis in enumerate(value.axes or ()):
            names = terms[position].names if position in terms else ()
            if axis.facts.sums_to_one and summed & set(names):
                return True
    return False


def _long(sizes: Sequence[Size]) -> int:
    return sum(size != 1 for size in sizes)


def _rests_on_a_split(candidate: Candidate, site: Site) -> bool:
    """True for a reading that reorders axes that a Reshape right before made out of others.

    It transposes them, or sums over another one of them than a Dot layer names.
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
    """The result's shape by Keras's static inference; None where that fails.

    Under the merge convention a size is None where one operand has None and the other not 1.
    """
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
