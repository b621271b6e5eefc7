"""Every row of the table, from its equation alone: its nodes compute the equation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from rewriter.ir.axis import Axis, Origin, Role, new_axis
from rewriter.ir.size import symbol, unknown
from rewriter.rules.lower import lower
from rewriter.rules.match import Match, NoMatch, match
from rewriter.rules.notation import Equation, parse
from rewriter.rules.oracle import evaluate
from rewriter.rules.table import Kind, builtin, kind_of
from rewriter.shapes.broadcast import Convention
from tests.rules import plans

CONVENTIONS = (Convention.MERGE, Convention.NUMPY)


def rows() -> list[tuple[str, Equation]]:
    """Each equation of each rule, with one, two and three axes for a star, in both orders."""
    result = []
    for rule in builtin():
        for written in rule.equations:
            counts = (1, 2, 3) if written.starred else (0,)
            for count, order in itertools.product(counts, (written, written.swapped())):
                ranks = [sum(count if t.star else 1 for t in terms) for terms in order.operands]
                expanded = order.expand(ranks)
                assert expanded is not None
                result.append((rule.name, expanded))
    return result


ROWS = rows()
IDS = [f"{name}: {equation}" for name, equation in ROWS]


def shared(equation: Equation) -> set[str]:
    """The names, except the batch, that are in both operands."""
    return equation.names(0) & equation.names(1) - {"b"}


def holds_part(equation: Equation) -> bool:
    """Whether an operand has a part of an axis of the result, and is repeated along it."""
    wholes = [set(term.names) for term in equation.output]
    return any(0 < len(equation.names(k) & w) < len(w) for k in (0, 1) for w in wholes)


def one_batch(equation: Equation) -> bool:
    """Whether both operands have a batch axis that is not tiled."""
    return all(any(t.names == ("b",) for t in terms) for terms in equation.operands)


def among(rows: list[tuple[str, Equation]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("name", "equation"), rows, ids=[f"{n}: {e}" for n, e in rows])


@pytest.mark.parametrize("convention", CONVENTIONS, ids=str)
@pytest.mark.parametrize("twin", [False, True], ids=["distinct", "equal"])
@pytest.mark.parametrize(("name", "equation"), ROWS, ids=IDS)
def test_the_nodes_compute_the_equation(name, equation, twin, convention):
    sizes = plans.sizes_of(equation, (3,) * 8 if twin else plans.PRIMES)
    found = match(equation, [plans.axes_of(terms, sizes) for terms in equation.operands])
    assert isinstance(found, Match), found
    plan = lower(found, convention)
    assert not plan.cannot
    operands = plans.arrays([plans.shape_of(terms, sizes) for terms in equation.operands])
    desired = evaluate(equation, sizes, operands)
    np.testing.assert_array_equal(plans.run(plan, operands, convention), desired)
    assert plan.output == desired.shape
    assert tuple(a.size for a in found.output()) == desired.shape


@pytest.mark.parametrize("convention", CONVENTIONS, ids=str)
@pytest.mark.parametrize(("name", "equation"), ROWS, ids=IDS)
def test_a_plan_has_no_step_that_changes_nothing(name, equation, convention):
    sizes = plans.sizes_of(equation)
    found = match(equation, [plans.axes_of(terms, sizes) for terms in equation.operands])
    shapes = dict(enumerate(plans.shape_of(terms, sizes) for terms in equation.operands))
    for step in lower(found, convention).steps:
        before = shapes.get(step.operand)
        if step.op == "Reshape":
            assert step.to != before
        if step.op == "Transpose":
            assert step.axes != tuple(range(len(step.axes)))
        shapes[step.operand] = step.to


@pytest.mark.parametrize(("name", "equation"), ROWS, ids=IDS)
def test_nothing_is_repeated_where_broadcasting_does_it(name, equation):
    sizes = plans.sizes_of(equation)
    found = match(equation, [plans.axes_of(terms, sizes) for terms in equation.operands])
    plan = lower(found, Convention.NUMPY)
    if kind_of(equation) is Kind.CONTRACT:
        assert not plan.repeats or holds_part(equation)
    else:
        assert plan.repeats == (kind_of(equation) is Kind.REPEAT)


@among([row for row in ROWS if shared(row[1])])
def test_another_size_is_a_near_miss_with_its_reason(name, equation):
    """A name in both operands must have one size: one more on one side is no match."""
    sizes = plans.sizes_of(equation)
    operands = [list(plans.axes_of(terms, sizes)) for terms in equation.operands]
    place = next(i for i, term in enumerate(equation.operands[1]) if shared(equation) & set(term.names))
    operands[1][place] = new_axis(23)
    failure = match(equation, operands)
    assert isinstance(failure, NoMatch)
    assert failure.stage == "size"
    assert "23" in failure.reason
    given = [axis for axes in operands for axis in axes]
    assert failure.axes
    assert all(any(culprit is axis for axis in given) for culprit in failure.axes)


@among([row for row in ROWS if one_batch(row[1])])
def test_the_batch_may_be_a_symbol(name, equation):
    """With an open batch, at most one size of a Reshape is open: a -1 can express it."""
    sizes = plans.sizes_of(equation)
    batch = Origin(Role.BATCH)
    operands = [
        tuple(
            Axis(symbol("B"), batch) if "b" in term.names else axis
            for term, axis in zip(terms, plans.axes_of(terms, sizes), strict=True)
        )
        for terms in equation.operands
    ]
    found = match(equation, operands)
    assert isinstance(found, Match)
    for step in lower(found, Convention.NUMPY).steps:
        assert step.op != "Reshape" or sum(not isinstance(s, int) for s in step.to) <= 1


def test_two_open_sizes_are_written_as_new_axes():
    """A Reshape has one -1: with more sizes open, axes are added by name."""
    batch, height, width = Origin(Role.BATCH), new_axis(symbol("H")), new_axis(symbol("W"))
    data = (Axis(symbol("B"), batch), height, width, new_axis(7))
    gate = (Axis(symbol("B"), batch), height, width)
    plan = lower(match(parse("b h w c, b h w -> b h w c"), [data, gate]), Convention.NUMPY)
    assert [(s.op, s.operand, s.axes) for s in plan.steps] == [("ExpandDims", 1, (3,))]


def test_unknown_sizes_are_assumed_not_proven():
    data = (new_axis(symbol("B"), Role.BATCH), new_axis(unknown()), new_axis(5))
    gate = (new_axis(symbol("B"), Role.BATCH), new_axis(unknown()))
    found = match(parse("b t d, b t -> b t d"), [data, gate])
    assert isinstance(found, Match)
    assert "t" in found.assumed


@pytest.mark.parametrize(
    ("axis", "role", "equation"),
    [
        (2, Role.WIDTH, "b s* c, b c -> b s* c"),
        (1, Role.HEIGHT, "b c s*, b c -> b c s*"),
        (1, Role.CHANNEL, "b t d, b t -> b t d"),
    ],
)
def test_an_axis_that_is_something_else_is_a_near_miss(axis, role, equation):
    data = [new_axis(2, Role.BATCH), new_axis(5), new_axis(5)]
    data[axis] = new_axis(5, role)
    failure = match(parse(equation), [tuple(data), (new_axis(2, Role.BATCH), new_axis(5))])
    assert isinstance(failure, NoMatch)
    assert failure.stage == "role"
    assert str(role) in failure.reason


def test_the_batch_of_a_weight_is_no_batch():
    """A constant beside a batched operand has no batch of its own."""
    data = (new_axis(symbol("B"), Role.BATCH), new_axis(7), new_axis(5))
    assert isinstance(match(parse("b t d, t -> b t d"), [data, (new_axis(7),)]), Match)
    assert isinstance(match(parse("b t d, b -> b t d"), [data, (new_axis(7),)]), NoMatch)


def test_every_name_of_the_design_is_there():
    names = {rule.name for rule in builtin()}
    assert names >= {
        "channel-gate",
        "channel-scale",
        "spatial-gate",
        "time-gate",
        "step-gate",
        "sample-weight",
        "layout",
        "upsample",
        "batch-tile",
        "outer",
        "matmul",
        "matmul-nt",
        "grouped-dot",
    }


def test_np_tile_order():
    """``(n b)`` repeats the whole batch, ``(s n)`` repeats each entry n times."""
    x = np.arange(6.0).reshape(3, 2)
    tiled = evaluate(parse("(n b) r, b r -> (n b) r"), {"n": 2, "b": 3, "r": 2}, [np.ones((6, 2)), x])
    np.testing.assert_array_equal(tiled, np.tile(x, (2, 1)))
    nearest = evaluate(parse("b (s n), b s -> b (s n)"), {"n": 2, "b": 3, "s": 2}, [np.ones((3, 4)), x])
    np.testing.assert_array_equal(nearest, np.repeat(x, 2, axis=1))
