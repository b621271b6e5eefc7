"""The algebra of sizes against plain integer arithmetic at random values of the symbols."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rewriter.ir.size import (
    FloorDiv,
    Poly,
    Size,
    Truth,
    ceildiv,
    divide,
    floordiv,
    is_unknown,
    product,
    same,
    symbol,
    unknown,
)
from tests.ir.evaluate import evaluate

SETTINGS = settings(deadline=None, max_examples=200)

NAMES = ("B", "H", "W")
H = symbol("H")
UNKNOWN = [unknown(), unknown()]
Values = dict[str, int]


def name_of(size: Poly) -> str:
    ((((atom, _),), _),) = size.terms
    return atom.name


HIDDEN = [name_of(size) for size in UNKNOWN]


@dataclass(frozen=True)
class Sum:
    """A size, and its value as a function of the symbols' values, computed without the algebra."""

    size: Size
    exact: Callable[[Values], int]
    text: str

    def __repr__(self) -> str:
        return self.text


def constant(n: int) -> Sum:
    return Sum(n, lambda values: n, str(n))


def named(name: str) -> Sum:
    return Sum(symbol(name), lambda values: values[name], name)


def hidden(number: int) -> Sum:
    return Sum(UNKNOWN[number], lambda values: values[HIDDEN[number]], f"?{number}")


def binary(sign: str, a: Sum, b: Sum) -> Sum:
    apply = {"+": operator.add, "-": operator.sub, "*": operator.mul}[sign]
    return Sum(apply(a.size, b.size), lambda v: apply(a.exact(v), b.exact(v)), f"({a} {sign} {b})")


def quotient(up: bool, a: Sum, n: int) -> Sum:
    if up:
        return Sum(ceildiv(a.size, n), lambda v: -(-a.exact(v) // n), f"ceil({a} / {n})")
    return Sum(floordiv(a.size, n), lambda v: a.exact(v) // n, f"floor({a} / {n})")


leaf = st.one_of(
    st.integers(-6, 9).map(constant), st.sampled_from(NAMES).map(named), st.sampled_from([0, 1]).map(hidden)
)
tree = st.recursive(
    leaf,
    lambda inner: st.one_of(
        st.builds(binary, st.sampled_from("+-*"), inner, inner),
        st.builds(quotient, st.booleans(), inner, st.integers(1, 6)),
    ),
    max_leaves=6,
)
values = st.fixed_dictionaries(
    {n: st.integers(1, 40) for n in NAMES} | {n: st.integers(0, 40) for n in HIDDEN}
)


@SETTINGS
@given(tree, values)
def test_it_is_integer_arithmetic(a: Sum, at: Values) -> None:
    assert evaluate(a.size, at) == a.exact(at)


@SETTINGS
@given(tree)
def test_a_constant_is_an_int(a: Sum) -> None:
    if isinstance(a.size, Poly):
        assert a.size.terms
        assert any(monomial for monomial, _ in a.size.terms)
        assert all(k for _, k in a.size.terms)


@SETTINGS
@given(tree, tree, tree)
def test_one_normal_form(a: Sum, b: Sum, c: Sum) -> None:
    x, y, z = a.size, b.size, c.size
    pairs = [
        (x + y, y + x),
        (x * y, y * x),
        ((x + y) + z, x + (y + z)),
        ((x * y) * z, x * (y * z)),
        (x * (y + z), x * y + x * z),
        (x - y, -(y - x)),
        (x - x, 0),
        (x * 0, 0),
        (x * 1, x),
    ]
    for left, right in pairs:
        assert left == right
        assert hash(left) == hash(right)
        assert str(left) == str(right)


polynomial = st.recursive(
    leaf, lambda inner: st.builds(binary, st.sampled_from("+-*"), inner, inner), max_leaves=6
)


@SETTINGS
@given(polynomial, st.integers(1, 6), st.integers(1, 6))
def test_divisions_nest(a: Sum, m: int, n: int) -> None:
    assert floordiv(floordiv(a.size, m), n) == floordiv(a.size, m * n)
    assert ceildiv(ceildiv(a.size, m), n) == ceildiv(a.size, m * n)
    assert floordiv(a.size * m, m) == a.size
    assert floordiv(a.size * m, m * n) == floordiv(a.size, n)
    assert floordiv(a.size + m * n, m) == floordiv(a.size, m) + n


@SETTINGS
@given(tree, tree, st.lists(values, min_size=8, max_size=8))
def test_same_is_never_contradicted(a: Sum, b: Sum, at: list[Values]) -> None:
    answer = same(a.size, b.size)
    equal = [a.exact(v) == b.exact(v) for v in at]
    if answer is Truth.YES:
        assert all(equal)
    elif answer is Truth.NO:
        assert not any(equal)
    assert same(b.size, a.size) is answer


@SETTINGS
@given(tree, st.integers(-5, 5))
def test_same_knows_a_constant_difference(a: Sum, n: int) -> None:
    assert same(a.size + n, a.size) is (Truth.NO if n else Truth.YES)


@SETTINGS
@given(tree, st.lists(values, min_size=4, max_size=4))
def test_the_minimum_is_a_lower_bound(a: Sum, at: list[Values]) -> None:
    if isinstance(a.size, Poly) and a.size.minimum is not None:
        assert all(a.exact(v) >= a.size.minimum for v in at)


@SETTINGS
@given(tree, tree, values)
def test_divide_gives_a_true_quotient(a: Sum, b: Sum, at: Values) -> None:
    result = divide(a.size, b.size)
    assume(result is not None)
    assert result is not None
    assert evaluate(result, at) * b.exact(at) == a.exact(at) or b.exact(at) == 0
    assert result * b.size == a.size or a.size == b.size


@SETTINGS
@given(tree, tree)
def test_divide_undoes_a_product(a: Sum, b: Sum) -> None:
    assume(b.size != 0 and not (isinstance(b.size, int) and b.size < 0))
    assert divide(a.size * b.size, b.size) == a.size


@SETTINGS
@given(tree, values)
def test_what_is_printed_is_what_it_is(a: Sum, at: Values) -> None:
    assume(not is_unknown(a.size))
    text = re.sub(r"\^", "**", str(a.size))
    scope = {"floor": math.floor, "ceil": math.ceil, **{n: Exact(at[n], 1) for n in NAMES}}
    result = eval(text, {"__builtins__": {}}, scope)
    assert result == a.exact(at)


@SETTINGS
@given(tree)
def test_unknown_where_an_unknown_takes_part(a: Sum) -> None:
    text = str(a.size)
    assert is_unknown(a.size) == ("?" in text)


@pytest.mark.parametrize(
    ("a", "b", "answer"),
    [
        (H, H // 2, Truth.NO),
        (2 * H, ceildiv(H, 2), Truth.NO),
        (H, H // 2 + H // 3, Truth.NO),
        (ceildiv(H, 2) + 1, H // 2, Truth.NO),
        (H, ceildiv(H, 2), Truth.UNKNOWN),
        (H, 2 * (H // 2), Truth.UNKNOWN),
        (H - 2, H // 2, Truth.UNKNOWN),
    ],
)
def test_a_floor_is_not_more_than_what_it_is_of(a: Size, b: Size, answer: Truth) -> None:
    assert same(a, b) is same(b, a) is answer


def test_unknowns_equal_only_themselves() -> None:
    a, b = UNKNOWN
    assert same(a, a) is Truth.YES
    assert same(a, b) is Truth.UNKNOWN
    assert a != b
    assert str(a) == str(b) == "?"


def test_truth_has_no_truth_value() -> None:
    with pytest.raises(TypeError):
        bool(Truth.YES)


@pytest.mark.parametrize("divisor", [0, -1])
def test_no_division_by_what_is_not_positive(divisor: int) -> None:
    for size in (4, symbol("H")):
        with pytest.raises(ValueError):
            floordiv(size, divisor)
        with pytest.raises(ValueError):
            ceildiv(size, divisor)
    assert divide(symbol("H"), divisor) is None


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (symbol("H"), "H"),
        (symbol("H") * 2 + 1, "2*H+1"),
        (symbol("H") * symbol("H") * symbol("B"), "B*H^2"),
        (ceildiv(symbol("H"), 2), "ceil(H/2)"),
        (ceildiv(ceildiv(symbol("H"), 2), 2), "ceil(H/4)"),
        (floordiv(symbol("H"), 2), "floor(H/2)"),
        (floordiv(symbol("H") * 2, 3), "floor(2*H/3)"),
        (ceildiv(symbol("H") + symbol("W"), 3), "ceil((H+W)/3)"),
        (floordiv(symbol("H") - 3, 2) + 1, "ceil(H/2)-1"),
        (1 - symbol("H"), "-H+1"),
    ],
)
def test_how_it_reads(size: Size, text: str) -> None:
    assert str(size) == text


def test_a_product_of_nothing_is_one() -> None:
    assert product([]) == 1
    assert product([2, symbol("H"), 3]) == symbol("H") * 6


def test_floor_of_a_known_part_is_taken_out() -> None:
    size = floordiv(symbol("H") + 7, 2)
    assert isinstance(size, Poly)
    assert size == ceildiv(symbol("H"), 2) + 3
    assert any(isinstance(atom, FloorDiv) for monomial, _ in size.terms for atom, _ in monomial)


class Exact:
    """A rational that ``/`` keeps exact, for reading printed sizes."""

    def __new__(cls, over: int, under: int) -> object:
        from fractions import Fraction

        return Fraction(over, under)
