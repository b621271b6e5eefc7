"""What an einsum with operands in another order or of another rank can mean: its own letters, on other axes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from ..ir.axis import Axis, Role
from ..rules.notation import Equation, Term

Axes = tuple[Axis, ...]
_MAX_RANK = 5


def einsum_readings(subscripts: object, operands: Sequence[Axes]) -> Iterator[Equation]:
    """Equations with the result's letters as they are written, and those of one operand on other axes of it.

    ``bij,bjk->bik`` of ``x[b, i, j]`` and ``y[b, k, j]`` is read as ``b i j, b k j -> b i k``. An operand that has
    fewer axes than letters lacks some of them.
    """
    written = _split(subscripts)
    if written is None or len(operands) != 2 or max(map(len, operands)) > _MAX_RANK:
        return
    terms, result = written
    for changed, other in ((0, 1), (1, 0)):
        if len(terms[other]) != len(operands[other]) or len(terms[changed]) < len(operands[changed]):
            continue
        for letters in itertools.permutations(terms[changed], len(operands[changed])):
            pair = [terms[0], terms[1]]
            pair[changed] = "".join(letters)
            if pair != terms and _can_be(pair, result, operands):
                yield Equation((_terms(pair[0]), _terms(pair[1])), _terms(result))


def _split(subscripts: object) -> tuple[list[str], str] | None:
    """The operands' letters and the result's; None for an einsum of another form than ``ab,bc->ac``."""
    if not isinstance(subscripts, str):
        return None
    left, arrow, result = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    letters = [*terms, result]
    plain = all(text.isalpha() and len(set(text)) == len(text) for text in letters if text)
    return (terms, result) if arrow and len(terms) == 2 and all(terms) and plain else None


def _can_be(pair: Sequence[str], result: str, operands: Sequence[Axes]) -> bool:
    """True where every letter has an axis, what is summed has two, and the batch is one letter of the result."""
    given = set(pair[0]) | set(pair[1])
    summed = given - set(result)
    batches = {
        letter
        for text, axes in zip(pair, operands, strict=True)
        for letter, axis in zip(text, axes, strict=True)
        if axis.role is Role.BATCH
    }
    return (
        set(result) <= given
        and bool(summed)
        and summed <= set(pair[0]) & set(pair[1])
        and len(batches) <= 1
        and batches <= set(result)
    )


def _terms(letters: str) -> tuple[Term, ...]:
    return tuple(Term((letter,)) for letter in letters)
