"""Concatenate of operands that do not fit: placed, repeated or flattened if evidence demands exactly that.

Keras is the judge: the repaired file computes the same as the valid model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import pytest
from keras import layers
from keras.src.ops.numpy import Concatenate, Tile

import rewriter
from rewriter.errors import UsageError
from rewriter.rules.notation import parse
from tests.mutation.edits import read_config, write_config
from tests.passes.test_downstream import forget
from tests.passes.test_family import assert_computes, broken
from tests.zoo.common import randomise


def _signal(steps: int | None = 5, features: int = 7):
    signal = keras.Input((steps, 3), name="signal")
    return signal, layers.Dense(features, name="features")(signal)


def _vector(size: int = 11):
    vector = keras.Input((4,), name="vector")
    return vector, layers.Dense(size, name="code")(vector)


def one_more() -> keras.Model:
    """``b t c, b t -> b t (c+1)``."""
    signal, x = _signal()
    level = keras.Input((5,), name="level")
    y = layers.Concatenate(name="join")([x, layers.Reshape((5, 1), name="spread")(level)])
    return keras.Model([signal, level], layers.Dense(2, name="head")(y))


def token() -> keras.Model:
    """``b c, b t c -> b (1+t) c``: a class token in front."""
    signal, x = _signal()
    vector, code = _vector(7)
    y = layers.Concatenate(axis=1, name="join")([layers.Reshape((1, 7), name="spread")(code), x])
    return keras.Model([signal, vector], layers.Dense(2, name="head")(layers.Flatten()(y)))


def every_step() -> keras.Model:
    """``b t c, b d -> b t (c+d)``: one vector at every step."""
    signal, x = _signal()
    vector, code = _vector()
    y = layers.Concatenate(name="join")([x, layers.RepeatVector(5, name="spread")(code)])
    return keras.Model([signal, vector], layers.Dense(2, name="head")(y))


def every_place() -> keras.Model:
    """``b d, b h w c -> b h w (d+c)``: one vector at every position, with the operator."""
    image = keras.Input((5, 6, 3), name="image")
    x = layers.Conv2D(7, 1, name="features")(image)
    vector, code = _vector()
    place = layers.Reshape((1, 1, 11), name="place")(code)
    y = Concatenate(-1, name="join")([layers.UpSampling2D((5, 6), name="spread")(place), x])
    return keras.Model([image, vector], layers.Conv2D(2, 1, name="head")(y))


def every_place_first() -> keras.Model:
    """``b c h w, b d -> b (c+d) h w``."""
    image = keras.Input((7, 5, 6), name="image")
    x = layers.BatchNormalization(axis=1, name="features")(image)
    vector, code = _vector()
    place = layers.Reshape((11, 1, 1), name="place")(code)
    tiled = Tile((1, 1, 5, 6), name="spread")(place)
    y = layers.Concatenate(axis=1, name="join")([x, tiled])
    return keras.Model([image, vector], layers.BatchNormalization(axis=1, name="after")(y))


def skip() -> keras.Model:
    """``b (h n) (w m) c, b h w d -> ...``: a decoder's step up."""
    image = keras.Input((8, 12, 3), name="image")
    x = layers.Conv2D(5, 3, padding="same", name="features")(image)
    y = layers.Conv2D(7, 3, padding="same", name="down")(layers.MaxPooling2D(2)(x))
    y = layers.Concatenate(name="join")([x, layers.UpSampling2D(2, name="spread")(y)])
    return keras.Model(image, layers.Conv2D(2, 1, name="head")(y))


def pyramid() -> keras.Model:
    """Three scales side by side."""
    image = keras.Input((8, 12, 3), name="image")
    x = layers.Conv2D(5, 3, padding="same", name="features")(image)
    y = layers.Conv2D(7, 3, padding="same", name="down")(layers.MaxPooling2D(2)(x))
    z = layers.Conv2D(4, 3, padding="same", name="deeper")(layers.MaxPooling2D(2)(y))
    up = layers.UpSampling2D(2, name="spread")(y), layers.UpSampling2D(4, name="spread_too")(z)
    return keras.Model(image, layers.Conv2D(2, 1, name="head")(layers.Concatenate(name="join")([x, *up])))


def layout() -> keras.Model:
    """Channels last beside channels first."""
    last, first = keras.Input((5, 6, 3), name="last"), keras.Input((7, 5, 6), name="first")
    x = layers.Conv2D(4, 1, name="features")(last)
    y = layers.BatchNormalization(axis=1, name="other")(first)
    y = layers.Concatenate(name="join")([x, layers.Permute((2, 3, 1), name="spread")(y)])
    return keras.Model([last, first], layers.Conv2D(2, 1, name="head")(y))


def any_width() -> keras.Model:
    """Open sizes, one always twice the other."""
    image = keras.Input((None, None, 3), name="image")
    small = layers.Conv2D(5, 3, padding="same", name="small")(image)
    large = layers.Conv2D(4, 3, padding="same", name="large")(layers.UpSampling2D(2, name="up")(image))
    y = layers.Concatenate(name="join")([large, layers.UpSampling2D(2, name="spread")(small)])
    return keras.Model(image, layers.Conv2D(2, 1, name="head")(y))


def batches() -> keras.Model:
    """``(n b) c, b d -> (n b) (c+d)``: 12 samples beside 4."""
    x, y = keras.Input(batch_shape=(12, 3), name="x"), keras.Input(batch_shape=(4, 5), name="y")
    joined = layers.Concatenate(name="join")([x, Tile((3, 1), name="spread")(y)])
    return keras.Model([x, y], layers.Dense(2, name="head")(joined))


def article() -> keras.Model:
    """``b h w c, (n b) d -> (n b) ((h w c)+d)``: repeated, flattened, concatenated."""
    image = keras.Input(batch_shape=(4, 5, 6, 3), name="image")
    signal = keras.Input(batch_shape=(8, 7), name="signal")
    x = layers.Flatten(name="flat")(Tile((2, 1, 1, 1), name="spread")(image))
    y = layers.Concatenate(name="join")([x, layers.Dense(11, name="code")(signal)])
    return keras.Model([image, signal], layers.Dense(2, name="head")(y))


@dataclass(frozen=True)
class Case:
    """A model, the removed nodes, the expected reading, and the nodes that are inserted."""

    build: Callable[[], keras.Model]
    rule: str
    inserted: str
    drop: tuple[str, ...] = ("spread",)
    by_weights: bool = True


CASES = [
    Case(one_more, "join", "Reshape"),
    Case(token, "join", "Reshape", by_weights=False),
    Case(every_step, "join-spread", "Reshape Tile"),
    Case(every_place, "join-spread", "Reshape Tile", ("spread", "place")),
    Case(every_place_first, "join-spread", "Reshape Tile", ("spread", "place")),
    Case(skip, "join-repeat", "Repeat Repeat"),
    Case(pyramid, "join-repeat", "Repeat Repeat Repeat Repeat", ("spread", "spread_too")),
    Case(layout, "join", "Transpose"),
    Case(any_width, "join-repeat", "Repeat Repeat"),
    Case(batches, "join-repeat", "Tile"),
    Case(article, "join-flat", "Reshape Tile", ("flat", "spread")),
]
IDS = [c.build.__name__ for c in CASES]


def make(case: Case, folder):
    keras.backend.clear_session()
    model = randomise(case.build())
    return model, broken(model, folder, *case.drop, at="join")


def ranked(result):
    return [(f.why, [(c.rule, c.equation, c.rank) for c in f.candidates]) for f in result.findings]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_joined_as_the_file_records(case, tmp_path):
    model, path = make(case, tmp_path)
    by_default = rewriter.repair(path, tmp_path / "none.keras")
    assert by_default.output is None
    assert "--ops all" in by_default.findings[0].why
    result = rewriter.repair(path, tmp_path / "fixed.keras", ops="all", verify=False)
    assert result.output is not None, ranked(result)
    (finding,) = result.findings
    assert finding.choice.rule == case.rule
    assert " ".join(i.op for i in result.inserted) == case.inserted
    assert str(parse(finding.choice.equation)) == finding.choice.equation
    assert_computes(tmp_path / "fixed.keras", model, 5, 6, 7)
    again = rewriter.repair(tmp_path / "fixed.keras", tmp_path / "again.keras", ops="all", verify=False)
    assert (again.findings, again.inserted) == ([], [])


@pytest.mark.parametrize("case", [c for c in CASES if c.by_weights], ids=lambda c: c.build.__name__)
def test_joined_as_the_weights_behind_it_ask(case, tmp_path):
    model, path = make(case, tmp_path)
    result = rewriter.repair(
        forget(path, tmp_path / "f.keras"), tmp_path / "fixed.keras", ops="all", verify=False
    )
    assert result.output is not None, ranked(result)
    assert result.findings[0].choice.rule == case.rule
    assert_computes(tmp_path / "fixed.keras", model, 5)


def test_without_anything_that_asks_a_new_rank_is_refused(tmp_path):
    signal, x = _signal()
    vector, code = _vector()
    y = layers.Concatenate(name="join")([x, layers.RepeatVector(5, name="spread")(code)])
    path = broken(randomise(keras.Model([signal, vector], y)), tmp_path, "spread")
    result = rewriter.repair(path, tmp_path / "fixed.keras", ops="all")
    assert result.output is None
    assert {c.rule for c in result.findings[0].candidates} == {"join-spread", "join-flat"}


def test_a_map_of_the_same_image_is_refused_where_nothing_asks_for_it(tmp_path):
    """Roles and origins support one placement, but a new rank needs explicit evidence."""
    image = keras.Input((5, 6, 3), name="image")
    x = layers.Conv2D(7, 1, name="features")(image)
    level = layers.Reshape((5, 6), name="flat")(layers.Conv2D(1, 1, name="score")(x))
    y = layers.Concatenate(name="join")([x, layers.Reshape((5, 6, 1), name="spread")(level)])
    path = broken(randomise(keras.Model(image, y)), tmp_path, "spread")
    result = rewriter.repair(path, tmp_path / "fixed.keras", ops="all")
    assert result.output is None
    (finding,) = result.findings
    assert finding.candidates[0].equation == "b h w c, b h w -> b h w (c+1)"


def test_a_map_as_wide_as_long_is_a_tie(tmp_path):
    """``(B, 6)`` beside ``(B, 6, 6, 6)``: sizes do not tell rows, columns and channels apart."""
    image, level = keras.Input((6, 6, 6), name="image"), keras.Input((6, 6), name="level")
    spread = layers.RepeatVector(6, name="flat")(layers.Flatten()(level))
    spread = layers.Reshape((6, 6, 6), name="spread")(layers.Dense(36, name="mix")(spread))
    y = layers.Concatenate(name="join")([image, spread])
    model = keras.Model([image, level], layers.Conv2D(2, 1, name="head")(y))
    path = broken(randomise(model), tmp_path, "spread", "mix", "flat", "flatten")
    result = rewriter.repair(path, tmp_path / "fixed.keras", ops="all")
    assert result.output is None, ranked(result)


def test_sizes_without_a_provable_ratio_are_refused(tmp_path):
    """Half of an open size is rounded: nothing proves that twice that is the size."""
    image = keras.Input((None, None, 3), name="image")
    down = layers.MaxPooling2D(2, name="down")(layers.Conv2D(5, 3, padding="same", name="features")(image))
    up = layers.ZeroPadding2D(0)(layers.UpSampling2D(2, name="spread")(down))
    y = layers.Concatenate(name="join")([image, up])
    model = keras.Model(image, layers.Conv2D(2, 1, name="head")(y))
    path = broken(randomise(model), tmp_path, "spread")
    result = rewriter.repair(path, tmp_path / "fixed.keras", ops="all")
    assert not result.inserted


def covered() -> keras.Model:
    """10 samples beside 6, through a Tile and a Slice."""
    x, y = keras.Input(batch_shape=(10, 3), name="x"), keras.Input(batch_shape=(6, 5), name="y")
    joined = layers.Concatenate(name="join")([x, Tile((2, 1), name="spread")(y)[:10, :]])
    return keras.Model([x, y], layers.Dense(2, name="head")(joined))


def test_a_batch_that_is_no_whole_multiple_waits_to_be_told(tmp_path):
    model = randomise(covered())
    cut = next(op.name for op in model.operations if op.name.startswith("get_item"))
    path = broken(model, tmp_path, cut, "spread")
    result = rewriter.repair(path, tmp_path / "fixed.keras", ops="all")
    assert result.output is None
    (finding,) = result.findings
    assert str(finding.kind) == "batch-size"
    (candidate,) = finding.candidates
    assert (candidate.rule, str(candidate.applicability)) == ("join-cover", "unsafe")
    for how in ({"mode": "best"}, {"at": {"join": "join-cover"}}, {"at": {"join": candidate.equation}}):
        told = rewriter.repair(path, tmp_path / "fixed.keras", ops="all", verify=False, **how)
        assert [i.op for i in told.inserted] == ["Tile", "Slice"]
        assert_computes(tmp_path / "fixed.keras", model)


def test_what_does_not_describe_the_operands_is_no_statement(tmp_path):
    model = randomise(covered())
    cut = next(op.name for op in model.operations if op.name.startswith("get_item"))
    path = broken(model, tmp_path, cut, "spread")
    for text in ("b c, b d -> b (c+d)", "join-flat", "b c, (n b) d -> (n b) (c+d)"):
        with pytest.raises(UsageError):
            rewriter.repair(path, tmp_path / "fixed.keras", ops="all", at={"join": text})


@pytest.mark.parametrize(
    ("shapes", "equation"),
    [
        (("None,28,28,64", "None,14,14,32"), "b (h n) (w m) c, b h w d -> b (h n) (w m) (c+d)"),
        (("None,10,10,3", "None,128"), "b h w c, b d -> b h w (c+d)"),
        (("64,10", "48,12"), "(n b)~ c, b d -> (n b)~ (c+d)"),
        (("32,10,10,3", "64,128"), "b h w c, (n b) d -> (n b) ((h w c)+d)"),
        (("None,7,5", "None,7"), "b t c, b t -> b t (c+1)"),
    ],
)
def test_suggest_has_the_reading(shapes, equation):
    found = rewriter.suggest(*shapes, op="Concatenate")
    assert not found.legal
    assert found.chosen is None
    assert equation in [c.equation for c in found.candidates]


def test_nearest_upsampling_repeats_each_entry():
    """The order of a repeated spatial axis and of a repeated batch, as in NumPy."""
    from rewriter.rules.lower import lower
    from rewriter.rules.match import match
    from rewriter.shapes.broadcast import Convention
    from tests.rules import plans

    equation = parse("(n b) (s m) c, b s d -> (n b) (s m) (c+d)")
    x, y = np.arange(4 * 6 * 2.0).reshape(4, 6, 2), np.arange(2 * 3 * 5.0).reshape(2, 3, 5)
    operands = [plans.axes_of(t, {"n": 2, "b": 2, "s": 3, "m": 2, "c": 2, "d": 5}) for t in equation.operands]
    plan = lower(match(equation, operands, roles=False), Convention.NONE)
    values = [x, y]
    for step in plan.steps:
        values[step.operand] = plans.apply(step, values[step.operand])
    wanted = np.tile(np.repeat(y, 2, axis=1), (2, 1, 1))
    np.testing.assert_array_equal(np.concatenate(values, -1), np.concatenate([x, wanted], -1))
    assert plan.output == (4, 6, 7)


@pytest.mark.parametrize("shapes", [((6, 6), (8, 6)), ((5, 5), (3, 5)), ((4, 7, 4), (9, 7, 4))])
def test_another_axis_to_join_along_is_as_good_as_another_order(shapes, tmp_path):
    """A Concatenate along the wrong axis and one of a transposed operand are the same file."""
    tensors = [keras.Input(shape) for shape in shapes]
    keras.Model(tensors, layers.Concatenate(1, name="join")(tensors)).save(tmp_path / "m.keras")
    config = read_config(tmp_path / "m.keras")
    for layer in config["config"]["layers"]:
        if layer["name"] == "join":
            layer["config"]["axis"] = -1
    write_config(tmp_path / "m.keras", tmp_path / "broken.keras", config)
    result = rewriter.repair(tmp_path / "broken.keras", tmp_path / "fixed.keras", ops="all")
    assert result.output is None
    assert "axis 1 in place of -1" in result.findings[0].why
