"""Sizes that no value of their symbols makes equal."""

from __future__ import annotations

import math

import pytest

from rewriter.ir.size import Truth, floordiv, same, symbol

B, T = symbol("B"), symbol("T")


@pytest.mark.parametrize(
    ("a", "b", "answer"),
    [
        (3 * B, 5, Truth.NO),
        (3 * B, 6, Truth.UNKNOWN),
        (3 * B + 6 * T, 10, Truth.NO),
        (3 * B + 6 * T, 12, Truth.UNKNOWN),
        (4 * B, 2 * T + 1, Truth.NO),
        (4 * B, 2 * T, Truth.UNKNOWN),
        (2 * floordiv(T, 3), 7, Truth.NO),
        (2 * floordiv(T, 3) + 1, 7, Truth.UNKNOWN),
        (B, 5, Truth.UNKNOWN),
        (3 * B + 2, 5 + 3 * T, Truth.UNKNOWN),
    ],
    ids=str,
)
def test_what_the_coefficients_have_in_common(a, b, answer):
    assert same(a, b) is same(b, a) is answer
    assert any(x == y for x, y in _pairs(a, b)) == (answer is Truth.UNKNOWN)


def _pairs(a, b):
    """Both sizes at small values of the symbols."""
    for batch in range(1, 30):
        for time in range(1, 30):
            yield tuple(_at(size, batch, time) for size in (a, b))


def _at(size, batch, time):
    if isinstance(size, int):
        return size
    return eval(str(size).replace("B", str(batch)).replace("T", str(time)), {"floor": math.floor})
