"""A reading that holds for all open sizes is preferred over one that fixes an open size.

The judges are Keras and ONNX Runtime: the repaired file is right at several lengths.
"""

from __future__ import annotations

import keras
import numpy as np
import onnxruntime
import pytest
from keras import ops
from onnx import helper

import rewriter
from rewriter.ir.axis import Axis, Role, new_axis
from rewriter.ir.size import Size, symbol, unknown
from rewriter.rules.match import Match, NoMatch, match
from rewriter.rules.notation import parse
from tests.formats.onnx.test_read import graph_model, save


def product(folder, first, second):
    node = helper.make_node("Mul", ["x", "y"], ["z"], name="mul")
    return save(graph_model([node], {"x": first, "y": second}, {"z": [None] * len(first)}), folder / "m.onnx")


DECIDED = {
    "map": (["N", 5, "seq", 8], ["N", "seq", 8], "nchw,nhw->nchw"),
    "steps": (["N", "seq", 8], ["N", 8], "nsc,nc->nsc"),
    "channels first": (["N", 4, "seq"], ["N", 4], "ncs,nc->ncs"),
    "image": (["N", "h", "w", 8], ["N", 8], "nhwc,nc->nhwc"),
}


@pytest.mark.parametrize("name", DECIDED)
def test_what_holds_at_every_size_is_chosen(name, tmp_path):
    first, second, subscripts = DECIDED[name]
    path = product(tmp_path, first, second)
    (finding,) = rewriter.check(path).findings
    assert finding.choice is not None, finding.why
    assert "no open size is assumed" in finding.why
    fixed = rewriter.repair(path, tmp_path / "fixed.onnx", verify=False).output
    session = onnxruntime.InferenceSession(fixed, providers=["CPUExecutionProvider"])
    for sizes in ({"N": 3, "seq": 7, "h": 6, "w": 9}, {"N": 2, "seq": 5, "h": 8, "w": 8}):
        x, y = (
            np.random.default_rng(k).normal(size=[sizes.get(s, s) for s in shape]).astype("float32")
            for k, shape in enumerate((first, second))
        )
        (z,) = session.run(None, {"x": x, "y": y})
        np.testing.assert_allclose(z, np.einsum(subscripts, x, y), rtol=1e-5)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (["N", 8, "seq", 8], ["N", 8]),  # two axes of that size
        (["N", "seq", 8], ["N", "seq2"]),  # every reading fixes an open size
        (["N", "h", "h", 3], ["N", "h"]),
    ],
)
def test_what_more_than_one_reading_keeps_open_is_a_tie(first, second, tmp_path):
    (finding,) = rewriter.check(product(tmp_path, first, second)).findings
    assert finding.choice is None


def test_the_same_in_keras(tmp_path):
    x, y = keras.Input((None, 8), name="x"), keras.Input((8,), name="y")
    keras.Model([x, y], ops.multiply(x, y)).save(tmp_path / "m.keras")
    fixed = rewriter.repair(tmp_path / "m.keras", tmp_path / "fixed.keras", verify=False).output
    model = keras.models.load_model(fixed)
    for batch, length in ((3, 5), (8, 8), (2, 8)):
        a, b = np.random.normal(size=(batch, length, 8)), np.random.normal(size=(batch, 8))
        np.testing.assert_allclose(model([a, b]), np.einsum("btd,bd->btd", a, b), rtol=1e-5)


def axes(*sizes: Size) -> tuple[Axis, ...]:
    return (new_axis(symbol("B"), Role.BATCH), *map(new_axis, sizes))


SEQ = symbol("seq", given=True)
UNKNOWN = unknown()


@pytest.mark.parametrize(
    ("first", "second", "fixes"),
    [
        (axes(5, SEQ, 8), axes(5, SEQ), False),
        (axes(5, SEQ, 8), axes(5, 7), True),
        (axes(5, SEQ, 8), axes(5, symbol("T")), True),
        (axes(5, UNKNOWN, 8), axes(5, 7), False),  # no open size
        (axes(5, SEQ, 8), axes(5, UNKNOWN), False),
    ],
)
def test_which_open_sizes_are_fixed(first, second, fixes):
    found = match(parse("b m n k, b m n -> b m n k"), [first, second])
    assert isinstance(found, Match)
    assert found.fixes_an_open_size is fixes


@pytest.mark.parametrize("size", [SEQ, UNKNOWN])
def test_no_size_is_two_numbers_at_once(size):
    found = match(parse("b m n k, b m n -> b m n k"), [axes(5, size, 3), axes(size, 8)])
    assert isinstance(found, NoMatch)
    assert found.reason == f"{size} would be 5 and 8 at once"
