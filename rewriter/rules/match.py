"""Does an equation describe a product of these operands? Pure: ``Match``, or ``NoMatch`` with the culprit axes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple

from ..ir.axis import SPATIAL, WEAK, Axis, Role, either, merge_axes, new_axis, same_kind, unit_axis
from ..ir.size import Size, Truth, divide, has_given_name, is_unknown, product, same
from .notation import Equation, Term, Terms

Axes = tuple[Axis, ...]
Pair = tuple[str, Axis, Axis]

# What a name in the table may stand for. A name that is not listed may be any axis but the batch.
_NOT_BATCH = frozenset(Role) - {Role.BATCH}
NAME_ROLES: dict[str, frozenset[Role]] = {
    "b": frozenset({Role.BATCH, Role.UNKNOWN}),
    "c": WEAK | {Role.CHANNEL},
    "s": SPATIAL | WEAK,
    "t": WEAK | {Role.TIME},
    "d": WEAK,
    "r": _NOT_BATCH,
}


@dataclass(frozen=True, slots=True)
class NoMatch:
    """Where an equation fails on its operands.

    ``stage`` is ``rank``, ``role``, ``size`` or ``nodes``: how far it got. ``problem`` is a row of ``PROBLEMS``,
    ``axes`` are the operands' axes that do not fit, ``names`` their names in the equation, ``sizes`` the sizes that
    they are compared with.
    """

    stage: str
    problem: str
    axes: Axes = ()
    names: tuple[str, ...] = ()
    sizes: tuple[Size, ...] = ()
    text: str = ""

    @property
    def reason(self) -> str:
        return PROBLEMS[self.problem].format(
            axis=self.axes[0] if self.axes else "",
            name=self.names[0] if self.names else "",
            names=" ".join(self.names),
            either=" and ".join(self.names),
            sizes=" and ".join(map(str, self.sizes or self.names)),
            product="*".join(map(str, self.sizes)),
            text=self.text,
        )


# Why an equation does not describe operands.
PROBLEMS = {
    "ranks": "the equation has no form for ranks {sizes}",
    "not-one": "{axis} is not 1",
    "differ": "{name} would be {sizes}",
    "products-differ": "({names}) would be {sizes}",
    "not-at-once": "{text} would be {sizes} at once",
    "not-one-more": "{axis} is not one more than {sizes}",
    "not-the-product": "{axis} is not {product}",
    "untold": "nothing tells {either} apart in {axis}",
    "not-covered": "{axis} is not covered by {sizes} with a rest",
    "no-multiple": "{axis} is not a whole multiple of {sizes}",
    "once": "{axis} is {sizes} once: there is nothing to repeat or to group",
    "not-the-batch": "{name} would be {axis}, which is not the batch",
    "the-batch": "{name} would be the batch",
    "another-role": "{name} would be {axis}",
    "whole-batch": "{axis} is an unchanged batch: it is repeated whole",
    "not-in-the-batch": "{name} would be in {axis}, which is not the batch",
    "factors": "{axis} is {text}",
    "no-nodes": "it cannot be lowered to nodes: {text}",
    "not-repeated": "it needs no nodes: nothing is to be repeated",
    "axes-left-out": "it fits only with axes that are left out",
}


@dataclass(frozen=True, slots=True)
class Match:
    """An equation, stars written out, with a size for every name.

    ``kept`` holds for each operand the positions of the axes that its terms stand for (unit axes can be left out).
    ``pairs`` are the axes that the equation makes equal; ``assumed`` names sizes that could not be proven equal.
    """

    equation: Equation
    operands: tuple[Axes, ...]
    kept: tuple[tuple[int, ...], ...]
    sizes: dict[str, Size]
    pairs: tuple[Pair, ...]
    assumed: frozenset[str] = frozenset()
    axes: dict[str, Axis] = field(default_factory=dict)

    @property
    def fixes_an_open_size(self) -> bool:
        """True if it fits only when an open size of the file equals a number, or another open size.

        Unknown sizes do not count, nor do the batches of two inputs of an ONNX file: they can be equal.
        """
        return any(
            name != "b" and not is_unknown(a.size) and not is_unknown(b.size)
            for name, a, b in _open_pairs(self.pairs, self.assumed)
        )

    def output(self) -> Axes:
        """The axes of the result."""
        result = []
        for term in self.equation.output:
            if term.parts:
                joined = self.axes.get(term.names[0]) if term.names else None
                result.append(same_kind(joined, self.size(term)) if joined else new_axis(self.size(term)))
                continue
            whole = self._whole(term.names)
            if whole is not None:
                result.append(whole)
            elif not term.names:
                result.append(unit_axis("Reshape"))
            else:
                result.append(merge_axes(self.axes.get(n) or new_axis(self.sizes[n]) for n in term.names))
        return tuple(result)

    def size(self, term: Term) -> Size:
        """The size of an axis of the result."""
        if term.parts:
            return sum((product(self.sizes[n] for n in part) for part in term.parts), 0)
        if term.cut:
            whole = self._whole(term.names)
            assert whole is not None
            return whole.size
        return product(self.sizes[name] for name in term.names)

    def _whole(self, names: tuple[str, ...]) -> Axis | None:
        """The axis of an operand that is exactly this term, if possible one with a known role; None without one."""
        found = [
            self.operands[k][position]
            for k, terms in enumerate(self.equation.operands)
            for term, position in zip(terms, self.kept[k], strict=True)
            if term.names == names and names and not term.cropped
        ]
        return either(found) if found else None


def match(
    equation: Equation, operands: Sequence[Axes], roles: bool = True, keep_units: Sequence[bool] = ()
) -> Match | NoMatch:
    """Match an equation to operands.

    Args:
        equation: as written; stars are expanded here.
        operands: the axes of each operand.
        roles: require the roles that names have in the table (``NAME_ROLES``); off for an equation that a user states.
        keep_units: for each operand, whether its unit axes count (they do by default); the batch always does.
    """
    batched = any(axis.role is Role.BATCH for axes in operands for axis in axes)
    first = (Role.BATCH,) if batched else (Role.BATCH, Role.UNKNOWN)
    kept = tuple(
        tuple(
            i
            for i, a in enumerate(axes)
            if a.size != 1 or (keep_units[k] if keep_units else True) or (i == 0 and a.role in first)
        )
        for k, axes in enumerate(operands)
    )
    ranks = [len(positions) for positions in kept]
    expanded = equation.expand(ranks)
    if expanded is None:
        return NoMatch("rank", "ranks", sizes=tuple(ranks))
    sizes: dict[str, Size] = {}
    where: dict[str, Axis] = {}
    named_by: dict[str, int] = {}  # the operand of ``where``
    pairs: list[Pair] = []
    assumed: set[str] = set()
    groups: list[_Group] = []
    for k, terms in enumerate(expanded.operands):
        unshown = _may_start_with_a_batch(k, operands)
        for term, position in zip(terms, kept[k], strict=True):
            axis = operands[k][position]
            if not term.names:
                if axis.size != 1:
                    return NoMatch("size", "not-one", (axis,))
                continue
            may_be_batch = position == 0 and (unshown or not batched)
            if roles and (wrong := _role_clash(expanded, term.names, axis, may_be_batch)) is not None:
                return wrong
            if len(term.names) > 1 or term.cropped:
                groups.append(_Group(term, axis, k))
                continue
            (name,) = term.names
            if name not in sizes:
                sizes[name], where[name], named_by[name] = axis.size, axis, k
                continue
            answer = same(sizes[name], axis.size)
            if answer is Truth.NO:
                return NoMatch("size", "differ", (where[name], axis), (name,), (sizes[name], axis.size))
            if answer is Truth.UNKNOWN:
                assumed.add(name)
            pairs.append((name, where[name], axis))
    failure = _solve_groups(groups, sizes, where, named_by, pairs, assumed)
    failure = failure or _at_once(_open_pairs(pairs, assumed))
    if failure is not None:
        return failure
    return Match(expanded, tuple(operands), kept, sizes, tuple(pairs), frozenset(assumed), where)


def _open_pairs(pairs: Iterable[Pair], assumed: AbstractSet[str]) -> list[Pair]:
    """The pairs of axes whose sizes are assumed to be equal."""
    return [
        (name, a, b)
        for name, a, b in pairs
        if assumed >= set(name.split()) and same(a.size, b.size) is Truth.UNKNOWN
    ]


def _at_once(pairs: Sequence[Pair]) -> NoMatch | None:
    """Why the assumed sizes contradict each other, such as one size that would be 5 and 8; None if they do not."""
    groups: list[dict[Size, Axis]] = []
    for name, a, b in pairs:
        mine = {a.size: a, b.size: b}
        for group in [g for g in groups if not mine.keys().isdisjoint(g)]:
            groups.remove(group)
            mine |= group
        groups.append(mine)
        for one, other in itertools.combinations(sorted(mine, key=str), 2):
            if same(one, other) is Truth.NO:
                shared = next(size for size in mine if size not in (one, other))
                return NoMatch(
                    "size", "not-at-once", (mine[one], mine[other]), (name,), (one, other), str(shared)
                )
    return None


def _has_batch(axes: Axes) -> bool:
    return any(axis.role is Role.BATCH for axis in axes)


def _may_start_with_a_batch(number: int, operands: Sequence[Axes]) -> bool:
    """True if axis 0 of an operand of an ONNX file may be the batch: it has a name, and no other operand has it."""
    axes = operands[number]
    if not axes or not has_given_name(axes[0].size) or _has_batch(axes):
        return False
    others = (a for k, other in enumerate(operands) if k != number for a in other)
    return all(axes[0].size != other.size for other in others)


def _role_clash(equation: Equation, names: tuple[str, ...], axis: Axis, may_be_batch: bool) -> NoMatch | None:
    """Why an axis cannot stand for these names; None if it can.

    Args:
        may_be_batch: the axis is at the place of a batch, and nothing shows which axis is the batch.
    """
    letters = [equation.letter(name) for name in names]
    if "b" in letters and len(letters) > 1:
        return fold_clash(letters, axis, may_be_batch)
    folded = any(leaf.role is Role.BATCH for leaf in axis.flat())
    if "b" in letters:
        if folded or (axis.role is Role.UNKNOWN and may_be_batch):
            return None
        return NoMatch("role", "not-the-batch", (axis,), ("b",))
    if folded:
        return NoMatch("role", "the-batch", (axis,), (letters[0],))
    allowed = NAME_ROLES.get(letters[0], _NOT_BATCH)
    return None if axis.role in allowed else NoMatch("role", "another-role", (axis,), names)


def fold_clash(letters: Sequence[str], axis: Axis, may_be_batch: bool) -> NoMatch | None:
    """Why an axis cannot be the batch times other names, in this order; None if it can.

    An axis that a Reshape made of the batch and others shows the order. A batch without other axes in it can only be
    repeated as a whole.
    """
    leaves = axis.flat()
    places = [i for i, leaf in enumerate(leaves) if leaf.role is Role.BATCH]
    if axis.role is Role.BATCH and len(leaves) == 1:
        return NoMatch("role", "whole-batch", (axis,)) if letters[0] == "b" else None
    if not places:
        known = axis.role is not Role.UNKNOWN or not (may_be_batch or not isinstance(axis.size, int))
        return NoMatch("role", "not-in-the-batch", (axis,), ("b",)) if known else None
    if places != [0 if letters[0] == "b" else len(leaves) - 1]:
        made_of = " times ".join(str(leaf.size) for leaf in leaves)
        place = "first" if letters[0] == "b" else "last"
        return NoMatch("role", "factors", (axis,), text=f"{made_of}: the batch is not its {place} factor")
    return None


class _Group(NamedTuple):
    """A term of several names, or one with a sum: its axis, and the number of the operand."""

    term: Term
    axis: Axis
    operand: int

    def pair(self, name: str, factor: Axis, other: Axis, operand: int) -> Pair:
        """A name on an axis of this term and on one of another operand, the first operand's axis first."""
        return (name, factor, other) if self.operand < operand else (name, other, factor)


def _solve_groups(
    groups: list[_Group],
    sizes: dict[str, Size],
    where: dict[str, Axis],
    named_by: dict[str, int],
    pairs: list[Pair],
    assumed: set[str],
) -> NoMatch | None:
    """Add the sizes of names that occur only in products: each product gives one of them by division."""
    solved: dict[tuple[str, ...], Axis] = {}
    for group in sorted(groups, key=lambda group: len(group.term.names)):
        term, axis, operand = group
        names = term.names
        if term.cropped:
            (name,) = names
            if name not in sizes and isinstance(axis.size, int) and axis.size > 1:
                sizes[name], where[name], named_by[name] = axis.size - 1, axis, operand
                continue
            if name not in sizes or same(axis.size, sizes[name] + 1) is not Truth.YES:
                known = (sizes[name],) if name in sizes else ()
                return NoMatch("size", "not-one-more", (axis,), (name,), known)
            pairs.append(group.pair(name, axis, where[name], named_by[name]))
            continue
        if names in solved:
            answer = same(solved[names].size, axis.size)
            if answer is Truth.NO:
                both = solved[names].size, axis.size
                return NoMatch("size", "products-differ", (solved[names], axis), names, both)
            if answer is Truth.UNKNOWN:
                assumed |= set(names)
            pairs.append((" ".join(names), solved[names], axis))
            continue
        solved[names] = axis
        open_names = [name for name in names if name not in sizes]
        have = product(sizes[name] for name in names if name in sizes)
        if not open_names:
            if same(have, axis.size) is not Truth.YES:
                return NoMatch("size", "not-the-product", (axis,), names, tuple(sizes[n] for n in names))
        elif len(open_names) > 1:
            return NoMatch("size", "untold", (axis,), tuple(open_names))
        else:
            quotient = None if have == 0 else divide(axis.size, have)
            if term.cut:
                quotient = None if quotient is not None else _times(axis.size, have)
                if quotient is None:
                    return NoMatch("size", "not-covered", (axis,), names, (have,))
            elif quotient is None:
                return NoMatch("size", "no-multiple", (axis,), names, (have,))
            if quotient == 1:
                return NoMatch("size", "once", (axis,), names, (have,))
            sizes[open_names[0]] = quotient
        leaves = axis.flat()
        batches = [leaf for leaf in leaves if leaf.role is Role.BATCH]
        if len(leaves) > 1 and (len(leaves) == len(names) or batches):
            factors = dict(zip(names, leaves, strict=False)) if len(leaves) == len(names) else {}
            for name in names:
                factor = batches[0] if batches and name == "b" else factors.get(name)
                if name in where and factor is not None:
                    pairs.append(group.pair(name, factor, where[name], named_by[name]))
        else:
            # (s n) against s: the long axis is the short one repeated.
            pairs.extend(group.pair(n, axis, where[n], named_by[n]) for n in names if n in where)
    return None


def _times(whole: Size, part: Size) -> int | None:
    """How many times ``part`` covers ``whole``, rounded up; None if ``part`` is not smaller."""
    if not isinstance(whole, int) or not isinstance(part, int) or not 0 < part < whole:
        return None
    return -(-whole // part)


def terms_text(terms: Terms) -> str:
    return " ".join(map(str, terms))
