"""Heads folded into the batch: a mask of the batch is repeated in the order in which the Reshape folded them."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras.src.ops.numpy import Add, Matmul, Multiply, Reshape
from onnx import helper

import rewriter
from rewriter.ir.axis import Axis, Origin, Role, merge_axes, new_axis
from rewriter.ir.size import symbol
from rewriter.rules.match import Match, NoMatch, match
from rewriter.rules.notation import parse
from tests.formats.onnx.test_read import fixed, graph_model, random, run, save
from tests.passes.test_family import assert_computes, broken
from tests.zoo.common import randomise

JOIN = {"Multiply": Multiply, "Add": Add}


def attention(order: str, mask_rank: int, join: str, heads: int = 4, steps: int = 5) -> keras.Model:
    """Scores of every head with the heads before (``heads batch``) or after the batch, and a mask of the batch."""
    x = keras.Input((steps, 12), name="x")
    mask = keras.Input((steps, steps)[: mask_rank - 1], name="mask")

    def split(units: keras.KerasTensor, name: str) -> keras.KerasTensor:
        y = ops.reshape(units, (-1, steps, heads, 3))
        y = ops.transpose(y, (2, 0, 1, 3) if order == "heads batch" else (0, 2, 1, 3))
        return ops.reshape(y, (-1, steps, 3))

    q, k, v = (split(layers.Dense(12, name=n)(x), n) for n in "qkv")
    scores = ops.softmax(Matmul(name="scores")(q, ops.transpose(k, (0, 2, 1))))
    if order == "heads batch":
        spread = ops.tile(mask, (heads, *[1] * (mask_rank - 1)))
    else:
        spread = ops.repeat(mask, heads, axis=0)
    if mask_rank == 2:
        spread = Reshape((-1, steps, 1), name="column")(spread)
    y = Matmul(name="context")(JOIN[join](name="join")(scores, spread), v)
    back = (heads, -1, steps, 3) if order == "heads batch" else (-1, heads, steps, 3)
    y = ops.transpose(ops.reshape(y, back), (1, 2, 0, 3) if order == "heads batch" else (0, 2, 1, 3))
    return randomise(keras.Model([x, mask], layers.Dense(3, name="head")(ops.reshape(y, (-1, steps, 12)))))


@pytest.mark.parametrize("join", JOIN)
@pytest.mark.parametrize("order", ["heads batch", "batch heads"])
def test_a_mask_is_repeated_as_the_heads_were_folded(order, join, tmp_path):
    keras.backend.clear_session()
    model = attention(order, 3, join)
    dropped = "tile" if order == "heads batch" else "repeat"
    path = broken(model, tmp_path, dropped, at="join")
    result = rewriter.repair(path, tmp_path / "fixed.keras", ops="all", verify=False)
    (finding,) = result.findings
    assert result.output is not None, finding.why
    assert finding.choice.rule == ("batch-tile" if order == "heads batch" else "batch-repeat")
    assert_computes(tmp_path / "fixed.keras", model, 2, 4, 5)


@pytest.mark.parametrize("order", ["heads batch", "batch heads"])
def test_a_mask_of_lower_rank_is_listed_for_each_axis_and_none_taken(order, tmp_path):
    keras.backend.clear_session()
    model = attention(order, 2, "Multiply")
    dropped = ("tile" if order == "heads batch" else "repeat", "column")
    path = broken(model, tmp_path, *dropped, at="join")
    result = rewriter.repair(path, tmp_path / "fixed.keras", ops="all", verify=False)
    (finding,) = result.findings
    fold = "(i b)" if order == "heads batch" else "(b i)"
    wanted = f"{fold} m n, b m -> {fold} m n"
    assert {wanted, f"{fold} m n, b n -> {fold} m n"} <= {c.equation for c in finding.candidates}
    told = rewriter.repair(path, tmp_path / "told.keras", ops="all", at={"join": wanted}, verify=False)
    assert told.output is not None
    assert_computes(tmp_path / "told.keras", model, 2, 4, 5)


def folded(*factors: Axis) -> tuple[Axis, ...]:
    return (merge_axes(factors), new_axis(5))


def test_the_factors_of_a_folded_axis_tell_the_two_orders_apart():
    batch = Axis(symbol("B"), Origin(Role.BATCH))
    small = (batch, new_axis(5))
    tile, repeat = parse("(n b) r*, b r* -> (n b) r*"), parse("(b n) r*, b r* -> (b n) r*")
    before, after = folded(new_axis(4), batch), folded(batch, new_axis(4))
    assert isinstance(match(tile, [before, small]), Match)
    assert isinstance(match(repeat, [after, small]), Match)
    for equation, operand, place in ((repeat, before, "first"), (tile, after, "last")):
        failure = match(equation, [operand, small])
        assert isinstance(failure, NoMatch)
        assert failure.stage == "role"
        assert f"the batch is not its {place} factor" in failure.reason
    unknown = (Axis(4 * symbol("B")), new_axis(5))
    assert isinstance(match(tile, [unknown, small]), Match)
    assert isinstance(match(repeat, [unknown, small]), Match)


def test_a_batch_that_nothing_was_folded_into_is_repeated_whole():
    large, small = ((new_axis(n, Role.BATCH), new_axis(5)) for n in (64, 32))
    assert isinstance(match(parse("(n b) r*, b r* -> (n b) r*"), [large, small]), Match)
    failure = match(parse("(b n) r*, b r* -> (b n) r*"), [large, small])
    assert isinstance(failure, NoMatch)
    assert "repeated whole" in failure.reason


@pytest.mark.parametrize("before", [True, False])
def test_the_same_in_onnx(before, tmp_path):
    perm = [1, 0, 2, 3] if before else [0, 1, 2, 3]
    nodes = [
        helper.make_node("Transpose", ["x"], ["turned"], perm=perm),
        helper.make_node("Reshape", ["turned", "shape"], ["folded"]),
        helper.make_node("Mul", ["folded", "mask"], ["y"], "scale"),
    ]
    shapes = {"x": ["N", 4, 5, 6], "mask": ["N", 5, 6]}
    proto = graph_model(nodes, shapes, {"y": [None, 5, 6]}, {"shape": np.array([-1, 5, 6])})
    fixed(save(proto, tmp_path / "m.onnx"), tmp_path / "o.onnx")
    for batch in (1, 3, 4):
        x, mask = random(shapes["x"], batch, 0), random(shapes["mask"], batch, 1)
        wide = x.transpose(perm).reshape(-1, 5, 6)
        spread = np.tile(mask, (4, 1, 1)) if before else np.repeat(mask, 4, 0)
        (actual,) = run(tmp_path / "o.onnx", {"x": x, "mask": mask})
        np.testing.assert_array_equal(actual, wide * spread)
