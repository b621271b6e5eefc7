"""Readings of an einsum with operands in another order or of another rank: its own letters, on other axes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from ..ir.axis import Axis, Role
from ..rules.notation import Equation, Term

Axes = tuple[Axis, ...]
_MAX_RANK = 5


def einsum_readings(subscripts: object, operands: Sequence[Axes]) -> Iterator[Equation]:
    """Equations with the result's letters as written, and the letters of one operand on its other axes.

    ``bij,bjk->bik`` of ``x[b, i, j]`` and ``y[b, k, j]`` is read as ``b i j, b k j -> b i k``. An operand that has
    fewer axes than letters lacks some of them, or has consecutive letters as one axis: ``b i, b (i j) -> b j``.
    """
    written = _split(subscripts)
    if written is None or len(operands) != 2 or max(map(len, operands)) > _MAX_RANK:
        return
    terms, result = written
    for changed, other in ((0, 1), (1, 0)):
        if len(terms[other]) != len(operands[other]) or len(terms[changed]) < len(operands[changed]):
            continue
        as_written = list(terms[other])
        orders = itertools.permutations(terms[changed], len(operands[changed]))
        for groups in itertools.chain(_merged(terms[changed], len(operands[changed])), map(list, orders)):
            pair = [as_written, groups] if changed else [groups, as_written]
            if groups != list(terms[changed]) and _can_be(pair, result, operands):
                yield Equation((_terms(pair[0]), _terms(pair[1])), _terms(result))


def letters_of(subscripts: object) -> tuple[str, str, str] | None:
    """The letters of both operands and of the result of an einsum of the form ``ab,bc->ac``, else None."""
    written = _split(subscripts)
    if written is None:
        return None
    (first, second), result = written
    return first, second, result


def _merged(letters: str, axes: int) -> Iterator[list[str]]:
    """The letters in their order, some consecutive ones as one axis."""
    if axes < len(letters):
        for cuts in itertools.combinations(range(1, len(letters)), axes - 1):
            yield [letters[i:k] for i, k in itertools.pairwise((0, *cuts, len(letters)))]


def _split(subscripts: object) -> tuple[list[str], str] | None:
    """The operands' letters and the result's; None for an einsum of another form than ``ab,bc->ac``."""
    if not isinstance(subscripts, str):
        return None
    left, arrow, result = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    letters = [*terms, result]
    plain = all(text.isalpha() and len(set(text)) == len(text) for text in letters if text)
    return (terms, result) if arrow and len(terms) == 2 and all(terms) and plain else None


def _can_be(pair: Sequence[Sequence[str]], result: str, operands: Sequence[Axes]) -> bool:
    """True if every letter has an axis, a summed letter has two, and the batch is one letter of the result."""
    first, second = (set("".join(groups)) for groups in pair)
    summed = (first | second) - set(result)
    batches = {
        group
        for groups, axes in zip(pair, operands, strict=True)
        for group, axis in zip(groups, axes, strict=True)
        if axis.role is Role.BATCH
    }
    return (
        set(result) <= first | second
        and bool(summed)
        and summed <= first & second
        and len(batches) <= 1
        and batches <= set(result)
    )


def _terms(groups: Sequence[str]) -> tuple[Term, ...]:
    return tuple(Term(tuple(group)) for group in groups)
