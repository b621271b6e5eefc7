"""Skips with one more entry on one side: listed as a crop, never chosen, right if the user states it."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers
from keras.src.ops.numpy import Multiply
from onnx import helper

import rewriter
from rewriter.ir.axis import Role, new_axis
from rewriter.ir.size import symbol
from rewriter.passes.joining import joinings
from rewriter.passes.placements import placements
from rewriter.rules.lower import lower
from rewriter.rules.match import Match, NoMatch, match
from rewriter.rules.notation import parse
from rewriter.rules.oracle import evaluate
from rewriter.shapes.broadcast import Convention
from tests.formats.onnx.test_read import fixed, graph_model, random, run, save
from tests.passes.test_family import assert_computes, broken
from tests.rules import plans
from tests.zoo.common import randomise

JOINS = {
    "Concatenate": lambda pair: layers.Concatenate(name="join")(pair),
    "Add": lambda pair: layers.Add(name="join")(pair),
    "Multiply": lambda pair: Multiply(name="join")(*pair),
}


def unet(join: str, size: int = 9) -> keras.Model:
    """A skip of 9 x 7 and its pooled and upsampled copy of 8 x 6, with the crop between them."""
    image = keras.Input((size, size - 2, 3), name="image")
    x = layers.Conv2D(5, 3, padding="same", name="down")(image)
    y = layers.UpSampling2D(name="up")(layers.MaxPooling2D(name="pool")(x))
    x = layers.Cropping2D(((0, 1), (0, 1)), name="crop")(x)
    return randomise(keras.Model(image, layers.Conv2D(2, 1, name="head")(JOINS[join]([x, y]))))


@pytest.mark.parametrize("join", JOINS)
def test_a_crop_is_listed_never_chosen_and_right_if_told(join, tmp_path):
    keras.backend.clear_session()
    model = unet(join)
    path = broken(model, tmp_path, "crop", at="join")
    result = rewriter.repair(path, tmp_path / "fixed.keras", ops="all", verify=False)
    assert result.output is None
    (finding,) = result.findings
    crops = [c for c in finding.candidates if "crop" in c.rule]
    assert len(crops) == 1
    assert crops[0].equation.startswith("b (h+1) (w+1) c, b h w ")
    assert "nothing shows at which end" in finding.why or "what follows" in finding.why
    told = rewriter.repair(path, tmp_path / "told.keras", ops="all", at={"join": crops[0].equation})
    assert told.output is not None
    assert {i.op for i in told.inserted} == {"Slice"}
    assert_computes(tmp_path / "told.keras", model, 5)


def test_the_same_in_onnx(tmp_path):
    node = helper.make_node("Mul", ["x", "y"], ["z"], "scale")
    shapes = {"x": ["N", 4, 9, 7], "y": ["N", 4, 8, 7]}
    proto = graph_model([node], shapes, {"z": ["N", 4, 8, 7]})
    path = save(proto, tmp_path / "m.onnx")
    fixed(path, tmp_path / "o.onnx", at={"scale": "b c (h+1) w, b c h w -> b c h w"})
    x, y = (random(shape, 3, seed) for seed, shape in enumerate(shapes.values()))
    (actual,) = run(tmp_path / "o.onnx", {"x": x, "y": y})
    np.testing.assert_array_equal(actual, x[:, :, :8] * y)


@pytest.mark.parametrize("text", ["b (h+1) (w+1) c, b h w c -> b h w c", "b (t+1) c, b (s+1) c -> b t s"])
def test_what_a_crop_says_is_what_its_nodes_compute(text):
    equation = parse(text)
    assert str(equation) == text
    sizes = plans.sizes_of(equation)
    operands = plans.arrays([[sizes[t.names[0]] + t.cropped for t in terms] for terms in equation.operands])
    found = match(equation, [tuple(map(new_axis, v.shape)) for v in operands], roles=False)
    assert isinstance(found, Match), found
    actual = plans.run(lower(found, Convention.NUMPY), operands, Convention.NUMPY)
    np.testing.assert_array_equal(actual, evaluate(equation, sizes, operands))


def sequence(*sizes: int, role: Role = Role.UNKNOWN) -> tuple:
    return (new_axis(symbol("B"), Role.BATCH), *(new_axis(size, role) for size in sizes))


@pytest.mark.parametrize(
    ("first", "second", "equation"),
    [
        ((5, 7), (4, 7), "b (m+1) n, b m n -> b m n"),
        ((4, 8), (5, 7), "b m (n+1), b (m+1) n -> b m n"),
        ((5, 1), (4, 7), "b (m+1) 1, b m n -> b m n"),
    ],
)
def test_either_side_may_be_the_longer_one(first, second, equation):
    found = {p.rule: str(p.equation) for p in placements([sequence(*first), sequence(*second)], None)}
    assert found["crop"] == equation


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (sequence(6, 7), sequence(4, 7)),
        (sequence(5, 7), sequence(4, 9)),
        (sequence(5), sequence(4)),
        (sequence(2, 7), sequence(1, 7)),
        (sequence(5, 7, role=Role.CHANNEL), sequence(4, 7, role=Role.CHANNEL)),
    ],
    ids=["two more", "another axis too", "no positions", "one of one", "channels"],
)
def test_what_is_no_crop(first, second):
    assert "crop" not in {p.rule for p in placements([first, second], None)}


def test_a_join_crops_every_operand_that_is_longer():
    operands = [sequence(5, 8, 3), sequence(4, 8, 2), sequence(5, 7, 3)]
    (joined,) = [j for j in joinings(operands, -1) if j.rule == "join-crop"]
    assert [sum(t.cropped for t in terms) for terms in joined.equation.operands] == [2, 1, 1]


def test_a_size_that_is_no_one_more_is_a_near_miss():
    failure = match(parse("b (t+1) c, b t c -> b t c"), [sequence(6, 7), sequence(4, 7)])
    assert isinstance(failure, NoMatch)
    assert (failure.stage, failure.reason) == ("size", "6 is not one more than 4")
