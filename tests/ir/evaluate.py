"""The value of a size for given values of its symbols: the oracle for the algebra of sizes."""

from __future__ import annotations

from collections.abc import Mapping

from rewriter.ir.size import Atom, Size, Symbol


def evaluate(size: Size, values: Mapping[str, int]) -> int:
    """``evaluate(2*H + ceil(W/2), {"H": 3, "W": 5}) -> 9``, by plain integer arithmetic."""
    if isinstance(size, int):
        return size
    total = 0
    for monomial, coefficient in size.terms:
        for atom, power in monomial:
            coefficient *= _atom(atom, values) ** power
        total += coefficient
    return total


def _atom(atom: Atom, values: Mapping[str, int]) -> int:
    if isinstance(atom, Symbol):
        return values[atom.name]
    return evaluate(atom.numerator, values) // atom.divisor
