"""Reshape by factorisation against arrays of labels: reshaped indices show which axes are kept."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rewriter.ir.axis import Axis, Role, new_axis
from rewriter.ir.size import Size, floordiv, is_unknown, symbol
from rewriter.shapes.call import ShapeError
from rewriter.shapes.reshape import reshape
from tests.ir.evaluate import evaluate

SETTINGS = settings(deadline=None, max_examples=300)
Shape = tuple[int, ...]
VALUES = ({"B": 7, "H": 11, "W": 13}, {"B": 3, "H": 2, "W": 17}, {"B": 1, "H": 6, "W": 4})


def kept_by_labels(shape: Shape, target: Shape) -> list[range | None]:
    """For each target axis longer than 1, the run of source axes whose joint index it is, or None.

    Every source index is written into an array of the source shape and reshaped along; an axis is kept where the label
    equals the position on one target axis everywhere.
    """
    labels = np.indices(shape).reshape((len(shape), *target)) if shape else np.zeros((0, *target), int)
    places = np.indices(target)
    result: list[range | None] = []
    for number, size in enumerate(target):
        found = None
        for start, stop in itertools.combinations(range(len(shape) + 1), 2):
            run = range(start, stop)
            if size == 1 or math.prod(shape[k] for k in run) != size or 1 in (shape[start], shape[stop - 1]):
                continue
            joint = np.zeros(target, int)
            for k in run:
                joint = joint * shape[k] + labels[k]
            if (joint == places[number]).all():
                found = run
        result.append(found)
    return result


def claimed(axes: Sequence[Axis], result: Sequence[Axis]) -> list[list[int] | None]:
    """Our claim: for each result axis, the numbers of its source axes."""

    def number(leaf: Axis) -> int | None:
        return next((k for k, a in enumerate(axes) if a.size != 1 and leaf.is_same(a)), None)

    found = []
    for axis in result:
        leaves = [number(leaf) for leaf in axis.flat()]
        found.append(None if axis.size == 1 or None in leaves else [k for k in leaves if k is not None])
    return found


def compare(shape: Shape, target: Shape) -> None:
    axes = [new_axis(n) for n in shape]
    result = reshape(axes, target)
    assert tuple(a.size for a in result) == target
    oracle = [
        None if run is None else [k for k in run if shape[k] != 1] for run in kept_by_labels(shape, target)
    ]
    assert claimed(axes, result) == oracle


def regrouped(draw: st.DrawFn, shape: Shape) -> Shape:
    """Another shape of as many elements: factors split and joined at random, with some ones."""
    total, target = math.prod(shape), []
    while total > 1:
        step = draw(st.sampled_from([d for d in range(2, total + 1) if total % d == 0]))
        target.append(step)
        total //= step
    for place in draw(st.lists(st.integers(0, len(target)), max_size=2)):
        target.insert(place, 1)
    return tuple(target)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Shape, Shape]:
    shape = tuple(draw(st.lists(st.sampled_from([1, 2, 2, 3, 4, 5, 6]), max_size=4)))
    return shape, regrouped(draw, shape)


@SETTINGS
@given(pairs())
def test_identity_is_that_of_the_labels(pair: tuple[Shape, Shape]) -> None:
    compare(*pair)


def test_identity_for_every_pair_of_small_shapes() -> None:
    by_count: dict[int, list[Shape]] = {}
    for rank in range(4):
        for shape in itertools.product((1, 2, 3, 4, 6), repeat=rank):
            if math.prod(shape) <= 36:
                by_count.setdefault(math.prod(shape), []).append(shape)
    compared = 0
    for shapes in by_count.values():
        for a, b in itertools.product(shapes, repeat=2):
            compare(a, b)
            compared += 1
    assert compared > 1400


@SETTINGS
@given(pairs())
def test_there_and_back_is_the_same(pair: tuple[Shape, Shape]) -> None:
    """Merging loses nothing: a product of axes can be split into those axes again."""
    shape, target = pair
    axes = [new_axis(n) for n in shape]
    there = reshape(axes, target)
    back = reshape(there, shape)
    for axis, again, run in zip(axes, back, _restored(shape, target), strict=True):
        assert axis.size == again.size
        assert axis.size == 1 or axis.is_same(again) == run


def _restored(shape: Shape, target: Shape) -> list[bool]:
    """Whether each source axis goes into one target axis together with whole axes only."""
    whole = [k for run in kept_by_labels(shape, target) if run is not None for k in run]
    return [k in whole for k in range(len(shape))]


@st.composite
def symbolic(draw: st.DrawFn) -> tuple[list[Size], list[Size]]:
    """A shape with symbols, and a target made by joining and splitting neighbours."""
    pool: list[Size] = [symbol("B"), symbol("H"), symbol("W"), 2, 3, 4, 6, 1]
    shape = draw(st.lists(st.sampled_from(pool), min_size=1, max_size=5))
    target: list[Size] = []
    for size in shape:
        choice = draw(st.integers(0, 4))
        if choice == 0 and target:
            target[-1] = target[-1] * size
        elif choice == 1 and isinstance(size, int) and size % 2 == 0:
            target += [2, size // 2]
        elif choice == 2:
            target += [1, size]
        else:
            target.append(size)
    if draw(st.booleans()):
        target[draw(st.integers(0, len(target) - 1))] = -1
    return shape, target


@SETTINGS
@given(symbolic())
def test_symbolic_sizes_hold_at_every_value(pair: tuple[list[Size], list[Size]]) -> None:
    shape, target = pair
    axes = [new_axis(n) for n in shape]
    result = reshape(axes, target)
    assert all(not is_unknown(a.size) for a in result)
    said = claimed(axes, result)
    for values in VALUES:
        real = tuple(evaluate(n, values) for n in shape)
        wanted = tuple(evaluate(n, values) for n in target)
        got = tuple(evaluate(a.size, values) for a in result)
        assert got == np.empty(real, np.int8).reshape(wanted).shape
        oracle = kept_by_labels(real, got)
        for mine, run, length in zip(said, oracle, got, strict=True):
            if mine is not None and length > 1:
                assert run is not None, "no axis of the operand goes here"
                assert [k for k in mine if real[k] > 1] == [k for k in run if real[k] > 1]


@SETTINGS
@given(symbolic(), st.integers(2, 9))
def test_too_many_elements_are_refused(pair: tuple[list[Size], list[Size]], factor: int) -> None:
    shape, target = pair
    assume(-1 not in target)
    with pytest.raises(ShapeError):
        reshape([new_axis(n) for n in shape], [*target, factor])


# -- cases by hand -----------------------------
def named(**sizes: Size) -> dict[str, Axis]:
    return {name: new_axis(size) for name, size in sizes.items()}


def test_flatten_remembers_its_factors() -> None:
    a = named(b=symbol("B"), h=7, w=5, c=3)
    b, flat = reshape([*a.values()], [-1, 105])
    assert b is a["b"]
    assert [f is x for f, x in zip(flat.factors, (a["h"], a["w"], a["c"]), strict=True)] == [True] * 3


def test_a_gate_gets_its_unit_axes() -> None:
    a = named(b=symbol("B"), c=64)
    b, one, other, c = reshape([*a.values()], [-1, 1, 1, 64])
    assert b is a["b"]
    assert c is a["c"]
    assert one.size == other.size == 1


def test_a_batch_split_into_groups_is_not_the_batch() -> None:
    batch = Axis(symbol("B"))
    batch.origin.hint(Role.BATCH)
    groups, four, c = reshape([batch, new_axis(6)], [-1, 2, 6])
    assert groups.size == floordiv(symbol("B"), 2)
    assert not groups.is_same(batch)
    assert (four.size, c.size) == (2, 6)


def test_a_part_of_an_axis_is_derived_from_it() -> None:
    features = new_axis(12)
    _b, heads, depth = reshape([new_axis(symbol("B")), features], [-1, 3, 4])
    assert [axis.origin.derived for axis in (heads, depth)] == [features.origin] * 2
    assert not heads.is_same(features)


@pytest.mark.parametrize(
    ("shape", "target"),
    [((4, 6), (5, -1)), ((4, 6), (-1, -1)), ((4, 6), (4, 7)), ((4, 6), (0, -1)), ((), (2,)), ((4,), ())],
)
def test_what_cannot_be(shape: Shape, target: Shape) -> None:
    with pytest.raises(ShapeError):
        reshape([new_axis(n) for n in shape], target)


def test_empty_tensors_do_not_trip_it() -> None:
    for shape, target in (((0, 3), (3, 0)), ((0,), (0, 5)), ((0, 3), (0, 3)), ((2, 0), (0,))):
        assert tuple(a.size for a in reshape([new_axis(n) for n in shape], target)) == target
