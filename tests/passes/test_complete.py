"""For every broadcast: the product is still among the readings when any of its unit axes are lost."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from rewriter.ir.axis import Role, Value, new_axis
from rewriter.passes.candidates import candidates
from rewriter.passes.finding import Operand
from rewriter.passes.suggest import _site
from rewriter.rules.table import builtin
from tests.rules import plans

BATCH, SIZES = 2, (3, 5, 7)
Shape = tuple[int, ...]


def subsets(items: list[int]) -> Iterator[tuple[int, ...]]:
    return itertools.chain.from_iterable(itertools.combinations(items, n) for n in range(len(items) + 1))


def broadcasts(constant: bool) -> Iterator[tuple[Shape, Shape, tuple[int, ...], tuple[int, ...]]]:
    """Shapes of one rank that broadcast, and which of their unit axes are lost; a constant has no batch."""
    for rank in (1, 2, 3):
        for full in itertools.product(((1, 1), (1, 0), (0, 1)), repeat=rank):
            sides = list(zip(*full, strict=True))
            if not all(map(any, sides)):
                continue
            sizes = [tuple(n if f else 1 for n, f in zip(SIZES, side, strict=False)) for side in sides]
            x, y = (BATCH, *sizes[0]), (1 if constant else BATCH, *sizes[1])
            units = [[i for i, n in enumerate(s) if n == 1] for s in (x, y)]
            for lost in itertools.product(*map(subsets, units)):
                if (lost[0] or lost[1]) and (not constant or 0 in lost[1]):
                    yield x, y, *lost


def listed(operands: list[np.ndarray], op: str, constant: bool) -> list[np.ndarray]:
    """The results of the nodes of every reading."""
    values = [
        Value(
            tuple(
                new_axis(n, Role.UNKNOWN if i or (constant and k) else Role.BATCH)
                for i, n in enumerate(a.shape)
            )
        )
        for k, a in enumerate(operands)
    ]
    site = _site([Operand("lhs", values[0]), Operand("rhs", values[1])], op)
    found = candidates(site, builtin(), with_identity=True)
    return [plans.run(c.plan, operands, site.convention) for c in found]


@pytest.mark.parametrize("op", ["Multiply", "multiply", "add"])
@pytest.mark.parametrize("constant", [False, True], ids=["two batches", "a constant"])
def test_every_broadcast_is_listed_when_its_unit_axes_are_lost(constant, op):
    for x, y, *lost in broadcasts(constant):
        pair = plans.arrays([x, y])
        operands = [np.squeeze(array, axes) for array, axes in zip(pair, lost, strict=True)]
        results = listed(operands, op, constant)
        desired = pair[0] * pair[1]
        assert any(np.array_equal(r, desired) for r in results), [a.shape for a in operands]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3)))[1:])
def test_a_constant_with_its_axes_in_another_order_is_listed(order):
    x, y = plans.arrays([(BATCH, *SIZES), SIZES])
    results = listed([x, y.transpose(order)], "multiply", True)
    assert any(np.array_equal(r, x * y) for r in results)
