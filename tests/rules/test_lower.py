"""Equations that users write: their nodes compute the equation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from rewriter.ir.axis import Axis, Origin, Role, new_axis
from rewriter.ir.size import symbol
from rewriter.rules.lower import lower
from rewriter.rules.match import Match, match
from rewriter.rules.notation import Equation, Term, parse
from rewriter.rules.oracle import evaluate
from rewriter.shapes.broadcast import Convention
from tests.rules import plans

CONVENTIONS = (Convention.MERGE, Convention.NUMPY)
PLAIN = [
    "b t d, b d -> b t d",
    "b t d, b t -> b t d",
    "b h w c, b c -> b h w c",
    "b d, b d -> b d",
    "b f, f -> b f",
]


def with_units() -> list[str]:
    """Each equation with one or two unit axes in every place of its result except the first."""
    result = []
    for equation in map(parse, PLAIN):
        rank = len(equation.output)
        for places in [*((p,) for p in range(1, rank + 1)), *itertools.combinations(range(1, rank + 1), 2)]:
            terms = list(equation.output)
            for place in reversed(places):
                terms.insert(place, Term(()))
            result += [str(Equation(equation.operands, tuple(terms)))]
    return result


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("convention", CONVENTIONS, ids=str)
@pytest.mark.parametrize("text", with_units())
def test_a_unit_axis_of_the_result_is_written_out(text, convention, swap):
    equation = parse(text).swapped() if swap else parse(text)
    sizes = plans.sizes_of(equation)
    found = match(equation, [plans.axes_of(terms, sizes) for terms in equation.operands])
    assert isinstance(found, Match)
    plan = lower(found, convention)
    operands = plans.arrays([plans.shape_of(terms, sizes) for terms in equation.operands])
    actual = plans.run(plan, operands, convention)
    assert actual.shape == plan.output == tuple(sizes[t.names[0]] if t.names else 1 for t in equation.output)
    np.testing.assert_array_equal(actual, evaluate(equation, sizes, operands))


def test_a_unit_axis_with_two_open_sizes_is_an_axis_by_name():
    batch, time = Origin(Role.BATCH), new_axis(symbol("T"))
    data = (Axis(symbol("B"), batch), time, new_axis(7))
    plan = lower(match(parse("b t d, b d -> b 1 t d"), [data, (data[0], data[2])]), Convention.MERGE)
    assert [(s.op, s.operand, s.axes) for s in plan.steps] == [("ExpandDims", 0, (1,))]
