"""Axis sizes: an ``int``, or a normalised polynomial over named symbols and floor divisions.

A ``Poly`` is a sum of integer multiples of monomials; an atom of a monomial is a ``Symbol`` (``B``, ``H``) or a
``FloorDiv`` (``H // 2``). Ceil division is floor division of ``x + k - 1``: one normal form serves both, and
``ceil(ceil(H/2)/2)`` comes out as ``ceil(H/4)``. Constants collapse to ``int``; two sizes are structurally equal only
if they are equal for every value of their symbols. An unknown size is a new symbol.
"""

from __future__ import annotations

import enum
import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any


class Truth(enum.Enum):
    """Answer of a comparison of sizes. It has no truth value: compare it with a member."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"

    def __bool__(self) -> bool:
        raise TypeError("Truth has three values; compare it with Truth.YES, Truth.NO or Truth.UNKNOWN")


@dataclass(frozen=True, slots=True)
class Symbol:
    """A named size that is fixed when the model runs. ``minimum`` is the least value that it can have.

    ``given`` marks a name from an ONNX file: two such names may stand for one size.
    """

    name: str
    minimum: int = 1
    unknown: bool = False
    given: bool = False

    def sort_key(self) -> tuple[Any, ...]:
        return (0, self.name)

    def __str__(self) -> str:
        return "?" if self.unknown else self.name


@dataclass(frozen=True, slots=True)
class FloorDiv:
    """``numerator // divisor`` for a polynomial numerator that the divisor does not divide."""

    numerator: Poly
    divisor: int

    @property
    def minimum(self) -> int | None:
        low = self.numerator.minimum
        return None if low is None else low // self.divisor

    @property
    def unknown(self) -> bool:
        return self.numerator.unknown

    @property
    def given(self) -> bool:
        return self.numerator.given

    def sort_key(self) -> tuple[Any, ...]:
        return (1, self.numerator.sort_key, self.divisor)

    def __str__(self) -> str:
        over = self.numerator - (self.divisor - 1)
        if isinstance(over, Poly) and over.constant == 0:
            return f"ceil({_grouped(over)}/{self.divisor})"
        return f"floor({_grouped(self.numerator)}/{self.divisor})"


Atom = Symbol | FloorDiv
Monomial = tuple[tuple[Atom, int], ...]


@dataclass(frozen=True)
class Poly:
    """A non-constant polynomial: ``((monomial, coefficient), ...)`` in a fixed order, the constant term last."""

    terms: tuple[tuple[Monomial, int], ...]

    @cached_property
    def _hash(self) -> int:
        return hash(self.terms)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def sort_key(self) -> tuple[Any, ...]:
        """A key that differs for any two polynomials, even for unknown sizes, which print alike."""
        return tuple((tuple((atom.sort_key(), power) for atom, power in m), k) for m, k in self.terms)

    @property
    def constant(self) -> int:
        return next((k for m, k in self.terms if not m), 0)

    @cached_property
    def unknown(self) -> bool:
        """True if an unknown size takes part."""
        return any(atom.unknown for m, _ in self.terms for atom, _ in m)

    @cached_property
    def given(self) -> bool:
        """True if a name of an ONNX file takes part."""
        return any(atom.given for m, _ in self.terms for atom, _ in m)

    @cached_property
    def minimum(self) -> int | None:
        """A lower bound, from the symbols' minima, or None where a term is negative without bound."""
        bounds = [low for low in (self._term_by_term(), self._without_floors()) if low is not None]
        return max(bounds, default=None)

    def _without_floors(self) -> int | None:
        """A bound by ``(x - d + 1)/d <= x // d <= x/d``, which sees that ``H - H//2`` is more than 0."""
        floors = [m[0][0] for m, _ in self.terms if len(m) == 1 and m[0][1] == 1]
        divisors = [atom.divisor for atom in floors if isinstance(atom, FloorDiv)]
        if not divisors:
            return None
        common = math.lcm(*divisors)
        below: Size = 0
        for monomial, coefficient in self.terms:
            atom, power = monomial[0] if len(monomial) == 1 else (None, 0)
            if isinstance(atom, FloorDiv) and power == 1:
                numerator = atom.numerator - (atom.divisor - 1) if coefficient > 0 else atom.numerator
                below = below + numerator * (coefficient * common // atom.divisor)
            else:
                below = below + Poly(((monomial, coefficient * common),))
        low = below if isinstance(below, int) else below.minimum
        return None if low is None else -(-low // common)

    def _term_by_term(self) -> int | None:
        total = 0
        for monomial, coefficient in self.terms:
            low = 1
            for atom, power in monomial:
                if atom.minimum is None or atom.minimum < 0:
                    return None
                low *= atom.minimum**power
            if monomial and coefficient < 0:
                return None
            total += coefficient * low
        return total

    def __add__(self, other: Size) -> Size:
        return _from_terms(itertools.chain(self.terms, _terms(other)))

    @cached_property
    def weight(self) -> int:
        """How many floor divisions its text shows, those inside others counted each time."""
        divisions = (atom for m, _ in self.terms for atom, _ in m if isinstance(atom, FloorDiv))
        return sum(1 + atom.numerator.weight for atom in divisions)

    def __mul__(self, other: Size) -> Size:
        terms = _terms(other)
        if len(self.terms) * len(terms) > _MAX_TERMS:
            return unknown()
        result = _from_terms(
            (_multiply(a, b), j * k) for (a, j), (b, k) in itertools.product(self.terms, terms)
        )
        if isinstance(result, Poly) and sum(p for _, p in result.terms[0][0]) > _MAX_DEGREE:
            return unknown()
        return result

    def __neg__(self) -> Size:
        return self * -1

    def __sub__(self, other: Size) -> Size:
        return self + (-other)

    def __rsub__(self, other: Size) -> Size:
        return -self + other

    __radd__ = __add__
    __rmul__ = __mul__

    def __floordiv__(self, divisor: int) -> Size:
        """``self // divisor`` for a positive int; what the divisor divides is taken out of the floor."""
        if divisor <= 0:
            raise ValueError(f"cannot divide a size by {divisor}")
        whole = _from_terms((m, k // divisor) for m, k in self.terms)
        rest = _from_terms((m, k % divisor) for m, k in self.terms)
        if isinstance(rest, int):
            return whole
        common = math.gcd(divisor, *(k for m, k in rest.terms if m))
        if common > 1:
            # (g*x + c) // (g*d) is (x + c // g) // d.
            return whole + _from_terms((m, k // common) for m, k in rest.terms) // (divisor // common)
        if rest.weight >= _MAX_WEIGHT:
            return unknown()
        nested = _unnested(rest, divisor)
        if nested is not None:
            return whole + nested
        return whole + Poly(((((FloorDiv(rest, divisor), 1),), 1),))

    def __str__(self) -> str:
        text = ""
        for monomial, coefficient in self.terms:
            factors = [f"{atom}^{power}" if power > 1 else str(atom) for atom, power in monomial]
            if abs(coefficient) != 1 or not monomial:
                factors.insert(0, str(abs(coefficient)))
            sign = "-" if coefficient < 0 else "+" if text else ""
            text += sign + "*".join(factors)
        return text

    __repr__ = __str__


Size = int | Poly

_fresh = itertools.count(1)

# A file can make sizes grow without end (squaring one forty times takes forty layers); above these a size is unknown.
_MAX_TERMS = 1024
_MAX_DEGREE = 64
_MAX_WEIGHT = 64


def symbol(name: str, given: bool = False) -> Poly:
    """The size called ``name``, at least 1; ``given`` where an ONNX file calls it so."""
    return Poly(((((Symbol(name, given=given), 1),), 1),))


def unknown() -> Poly:
    """An unknown size: equal to itself and to nothing else."""
    return Poly(((((Symbol(f"?{next(_fresh)}", minimum=0, unknown=True), 1),), 1),))


def is_unknown(size: Size) -> bool:
    """True for a size in which an unknown takes part."""
    return isinstance(size, Poly) and size.unknown


def may_be_any(size: Size) -> bool:
    """True for a size that can equal one of another name: an unknown one, or one that an ONNX file names."""
    return isinstance(size, Poly) and (size.unknown or size.given)


def has_given_name(size: Size) -> bool:
    """True for a size that an ONNX file names: it can be a batch that no operator shows to be one."""
    return isinstance(size, Poly) and size.given


def named_part(size: Size) -> Symbol | None:
    """The named size of an ONNX file that a size is a multiple of (``N`` for ``N`` and ``4*N``), or None."""
    if not isinstance(size, Poly) or len(size.terms) != 1:
        return None
    monomial = size.terms[0][0]
    if len(monomial) != 1 or monomial[0][1] != 1:
        return None
    atom = monomial[0][0]
    return atom if isinstance(atom, Symbol) and atom.given else None


def is_size(value: Any) -> bool:
    """True for a size, of any sign; not for a truth value."""
    return isinstance(value, Poly) or (isinstance(value, int) and not isinstance(value, bool))


def is_beyond(size: Size) -> bool:
    """True for a size of 2**63 or more, or with such a coefficient: no tensor has it."""
    if isinstance(size, int):
        return size >= 2**63
    return any(abs(k) >= 2**63 for _, k in size.terms)


def floordiv(size: Size, divisor: int) -> Size:
    """``size // divisor`` for a positive divisor."""
    if divisor <= 0:
        raise ValueError(f"cannot divide a size by {divisor}")
    return size // divisor


def ceildiv(size: Size, divisor: int) -> Size:
    """``-(-size // divisor)`` for a positive divisor."""
    return floordiv(size + (divisor - 1), divisor)


def product(sizes: Iterable[Size]) -> Size:
    """The product of the sizes; 1 for none."""
    result: Size = 1
    for size in sizes:
        result = result * size
    return result


def same(a: Size, b: Size) -> Truth:
    """Are the sizes equal for every value (YES), for none (NO), or is it open (UNKNOWN)?"""
    if a is b or a == b:
        return Truth.YES
    if isinstance(a, int) and isinstance(b, int):
        return Truth.NO
    difference = a - b
    if isinstance(difference, int):
        return Truth.YES if difference == 0 else Truth.NO
    for low in (difference.minimum, _minimum(-difference)):
        if low is not None and low > 0:
            return Truth.NO
    # ``3*B`` is never 5: the common divisor of the coefficients has to divide the rest.
    terms = dict(difference.terms)
    rest = terms.pop((), 0)
    return Truth.NO if rest % math.gcd(*terms.values()) else Truth.UNKNOWN


def divide(a: Size, b: Size) -> Size | None:
    """``a / b`` where b divides a for every value of the symbols, else None."""
    if a == b:
        return 1
    if isinstance(b, int):
        if b <= 0:
            return None
        if isinstance(a, int):
            return a // b if a % b == 0 else None
        if any(k % b for _, k in a.terms):
            return None
        return _from_terms((m, k // b) for m, k in a.terms)
    if isinstance(a, int):
        return 0 if a == 0 else None
    return _divide_monomial(a, b) if len(b.terms) == 1 else _divide_long(a, b)


def _divide_monomial(a: Poly, b: Poly) -> Size | None:
    (monomial, coefficient) = b.terms[0]
    quotient = []
    for m, k in a.terms:
        powers = dict(m)
        for atom, power in monomial:
            powers[atom] = powers.get(atom, 0) - power
        if k % coefficient or any(p < 0 for p in powers.values()):
            return None
        quotient.append((_sorted(powers), k // coefficient))
    return _from_terms(quotient)


def _divide_long(a: Poly, b: Poly) -> Size | None:
    """Long division by the leading term; the order of the terms is the same in both."""
    quotient: Size = 0
    rest: Size = a
    for _ in range(len(a.terms) * 4):
        if isinstance(rest, int):
            return quotient if rest == 0 else None
        step = _divide_monomial(Poly(rest.terms[:1]), Poly(b.terms[:1]))
        if step is None:
            return None
        quotient = quotient + step
        rest = rest - step * b
    return None


def _minimum(size: Size) -> int | None:
    return size if isinstance(size, int) else size.minimum


def _terms(size: Size) -> tuple[tuple[Monomial, int], ...]:
    if isinstance(size, Poly):
        return size.terms
    return (((), size),) if size else ()


def _multiply(a: Monomial, b: Monomial) -> Monomial:
    if not a or not b:
        return a or b
    powers = dict(a)
    for atom, power in b:
        powers[atom] = powers.get(atom, 0) + power
    return _sorted(powers)


def _sorted(powers: dict[Atom, int]) -> Monomial:
    return tuple(sorted(((a, p) for a, p in powers.items() if p), key=lambda item: item[0].sort_key()))


def _from_terms(terms: Iterable[tuple[Monomial, int]]) -> Size:
    total: dict[Monomial, int] = {}
    for monomial, coefficient in terms:
        total[monomial] = total.get(monomial, 0) + coefficient
    kept = [(m, k) for m, k in total.items() if k]
    if not kept:
        return 0
    if len(kept) == 1 and not kept[0][0]:
        return kept[0][1]
    kept.sort(key=lambda term: (-sum(p for _, p in term[0]), [(a.sort_key(), -p) for a, p in term[0]]))
    return Poly(tuple(kept))


def _unnested(numerator: Poly, divisor: int) -> Size | None:
    """``(x // a + c) // b`` as ``(x + a*c) // (a*b)``; None where there is no single division to take in."""
    linear = [
        (monomial[0][0], monomial)
        for monomial, k in numerator.terms
        if k == 1 and len(monomial) == 1 and monomial[0][1] == 1 and isinstance(monomial[0][0], FloorDiv)
    ]
    if len(linear) != 1:
        return None
    inner, taken = linear[0]
    assert isinstance(inner, FloorDiv)
    others = _from_terms((m, k) for m, k in numerator.terms if m != taken)
    return (inner.numerator + others * inner.divisor) // (divisor * inner.divisor)


def _grouped(size: Poly) -> str:
    """The text of a size as a factor: a sum in brackets."""
    return f"({size})" if len(size.terms) > 1 else str(size)
