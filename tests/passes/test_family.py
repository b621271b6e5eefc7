"""Sums and similar operations: faults as at a multiply, found and repaired under ``ops="all"``, left alone otherwise.

Keras is the judge: the repaired file computes the same as the valid model, at batch 1, 3 and the sizes that occur.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras.src.ops import numpy as kernels

import rewriter
from rewriter.errors import UsageError
from tests import support
from tests.mutation.edits import Recipe, mutate
from tests.zoo.common import randomise


def _image() -> tuple:
    image = keras.Input((5, 7, 3), name="image")
    return image, layers.Conv2D(11, 3, padding="same", name="features")(image)


def _factors(x, units: int = 11):
    return layers.Dense(units, name="shift")(layers.GlobalAveragePooling2D(name="pool")(x))


def shift(join: Callable) -> keras.Model:
    """A per-channel shift with its Reshape: ``b h w c, b c -> b h w c``."""
    image, x = _image()
    g = layers.Reshape((1, 1, 11), name="spread")(_factors(x))
    y = layers.Conv2D(2, 1, name="head")(join(x, g))
    return keras.Model(image, y)


def position(join: Callable) -> keras.Model:
    """A map with its Reshape: ``b h w c, b h w -> b h w c``."""
    image, x = _image()
    m = layers.Reshape((5, 7), name="map")(layers.Conv2D(1, 1, name="score")(x))
    m = layers.Reshape((5, 7, 1), name="spread")(m)
    return keras.Model(image, layers.Conv2D(2, 1, name="head")(join(x, m)))


def step(join: Callable) -> keras.Model:
    """The statistics of a sequence with its unit axis: ``b t d, b d -> b t d``."""
    signal = keras.Input((5, 3), name="signal")
    x = layers.Dense(7, name="features")(signal)
    m = layers.Reshape((1, 7), name="spread")(layers.GlobalAveragePooling1D(name="mean")(x))
    return keras.Model(signal, layers.Dense(2, name="head")(join(x, m)))


def first(join: Callable) -> keras.Model:
    """Channels first with equal sizes: ``b c h w, b c -> b c h w``."""
    image = keras.Input((6, 6, 6), name="image")
    x = layers.BatchNormalization(axis=1, name="features")(image)
    pooled = layers.GlobalAveragePooling2D(data_format="channels_first", name="pool")(x)
    g = layers.Reshape((6, 1, 1), name="spread")(layers.Activation("sigmoid", name="shift")(pooled))
    return keras.Model(image, layers.BatchNormalization(axis=1, name="after")(join(x, g)))


def layout(join: Callable) -> keras.Model:
    """Channels last beside channels first, all sizes equal."""
    last, other = keras.Input((6, 6, 3), name="last"), keras.Input((6, 6, 6), name="first")
    x = layers.Conv2D(6, 3, padding="same", name="features")(last)
    y = layers.Permute((2, 3, 1), name="spread")(layers.BatchNormalization(axis=1, name="other")(other))
    return keras.Model([last, other], layers.Conv2D(2, 1, name="head")(join(x, y)))


@dataclass(frozen=True)
class Case:
    """A model, its broken node, and the operation that joins the operands there."""

    build: Callable[[Callable], keras.Model]
    layer: bool
    name: str
    swap: bool = False

    def model(self) -> keras.Model:
        """The valid model."""

        def join(x, y):
            pair = (y, x) if self.swap else (x, y)
            if self.layer:
                return getattr(layers, self.name)(name="join")(list(pair))
            return getattr(kernels, self.name)(name="join")(*pair)

        keras.backend.clear_session()
        return randomise(self.build(join))


CASES = [
    Case(shift, False, "Add"),
    Case(shift, False, "Subtract", swap=True),
    Case(shift, False, "Maximum"),
    Case(position, True, "Add"),
    Case(position, True, "Subtract"),
    Case(position, True, "Average"),
    Case(position, True, "Minimum", swap=True),
    Case(position, False, "Divide"),
    Case(step, False, "Subtract"),
    Case(step, False, "TrueDivide"),
    Case(step, False, "DivideNoNan"),
    Case(step, False, "Minimum"),
    Case(first, True, "Add"),
    Case(first, True, "Maximum", swap=True),
    Case(first, False, "Add"),
    Case(layout, True, "Add"),
    Case(layout, False, "Subtract", swap=True),
    Case(layout, True, "Average"),
]
IDS = [f"{c.build.__name__}-{'layers' if c.layer else 'ops'}.{c.name}{'-swapped' * c.swap}" for c in CASES]


def broken(model: keras.Model, folder, *drop: str, at: str = "join"):
    model.save(folder / "valid.keras")
    return mutate(folder / "valid.keras", folder / "broken.keras", Recipe(tuple(at.split()), drop)).path


def assert_computes(path, model: keras.Model, *sizes: int) -> None:
    """The file computes the same as the model."""
    fixed = support.load(path)
    for batch in (1, 3, *sizes):
        inputs = support.random_inputs(model, batch, seed=batch)
        support.compare(support.run(fixed, inputs), support.run(model, inputs))


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_sum_is_repaired_to_the_original_function(case, tmp_path):
    model = case.model()
    path = broken(model, tmp_path, "spread")
    report = rewriter.check(path, ops="all")
    assert [(f.node, f.severity) for f in report.findings] == [("join", "error")]
    assert report.multiplies == 0
    result = rewriter.repair(path, tmp_path / "fixed.keras", ops="all", verify=False)
    assert result.output is not None, [(f.why, [c.equation for c in f.candidates]) for f in result.findings]
    assert not {i.op for i in result.inserted} & {"Tile", "Repeat", "MatMul"}
    assert_computes(tmp_path / "fixed.keras", model, 5, 6, 7)
    again = rewriter.repair(tmp_path / "fixed.keras", tmp_path / "again.keras", ops="all", verify=False)
    assert (again.findings, again.inserted) == ([], [])
    assert (tmp_path / "again.keras").read_bytes() == (tmp_path / "fixed.keras").read_bytes()


@pytest.mark.parametrize("case", CASES[:3], ids=IDS[:3])
def test_by_default_a_sum_is_reported_and_left_alone(case, tmp_path):
    path = broken(case.model(), tmp_path, "spread")
    result = rewriter.repair(path, tmp_path / "fixed.keras")
    assert result.output is None
    (finding,) = result.findings
    assert (finding.node, finding.choice) == ("join", None)
    assert "--ops all" in finding.why


def test_a_sum_behind_a_multiply_is_repaired_with_it(tmp_path):
    """FiLM: scale and shift, both without their Reshape."""
    image, x = _image()
    scale = layers.Reshape((1, 1, 11), name="spread_scale")(
        layers.Dense(11, name="scale")(layers.Flatten()(x))
    )
    shift = layers.Reshape((1, 1, 11), name="spread_shift")(_factors(x))
    y = kernels.Add(name="add")(kernels.Multiply(name="mul")(x, scale), shift)
    model = randomise(keras.Model(image, layers.Conv2D(2, 1, name="head")(y)))
    path = broken(model, tmp_path, "spread_scale", "spread_shift", at="mul add")
    only = rewriter.repair(path, tmp_path / "fixed.keras", verify=False)
    assert only.output is None
    assert {f.node: bool(f.choice) for f in only.findings} == {"mul": True, "add": False}
    assert "--ops all" in next(f.why for f in only.findings if f.node == "add")
    result = rewriter.repair(path, tmp_path / "fixed.keras", ops="all", verify=False)
    assert result.multiplies == 1
    assert [f.choice.rule for f in result.findings] == ["channel-gate", "channel-gate"]
    assert_computes(tmp_path / "fixed.keras", model, 5, 7, 11)


def test_rows_that_contract_have_no_meaning_for_a_sum(tmp_path):
    x, y = keras.Input((5,), name="x"), keras.Input((35,), name="y")
    wide = layers.Dense(35, name="wide")(x)
    model = keras.Model([x, y], layers.Add(name="join")([wide, y]))
    path = broken(model, tmp_path, "wide")
    (finding,) = rewriter.check(path, ops="all").findings
    assert finding.chosen is None
    assert {c.rule for c in finding.candidates} == {"outer"}
    assert {"outer", "grouped-dot"} <= {c.rule for c in rewriter.suggest((None, 5), (None, 35)).candidates}
    assert {c.rule for c in rewriter.suggest((None, 5), (None, 35), op="Add").candidates} == {"outer"}


def test_a_gate_per_channel_and_one_per_place_are_added_up(tmp_path):
    """Each side has axes that the other lacks; the recorded shape has all of them."""
    x = keras.Input((5, 7, 3), name="x")
    channels = layers.Dense(11)(layers.GlobalAveragePooling2D()(x))
    lifted = layers.Reshape((1, 1, 11), name="lifted")(channels)
    gate = kernels.Add(name="join")(lifted, layers.Conv2D(1, 1)(x))
    model = keras.Model(x, layers.Dense(2)(layers.GlobalAveragePooling2D()(gate)))
    path = broken(model, tmp_path, "lifted")
    result = rewriter.repair(path, tmp_path / "fixed.keras", ops="all")
    assert result.output is not None, [f.why for f in result.findings]
    assert [f.choice.equation for f in result.findings] == ["b c, b h w 1 -> b h w c"]
    assert_computes(tmp_path / "fixed.keras", model, 3, 5, 7)


@pytest.mark.parametrize("ops_", ["multiply", "all"])
def test_a_sum_along_axes_of_two_kinds_tells_nothing_of_its_result(ops_, tmp_path):
    """Features of channels meet the width: it runs, and a repair at the later multiply cannot fix it."""
    image = keras.Input((6, 6, 3), name="image")
    x = layers.Conv2D(6, 3, padding="same")(image)
    channels = layers.Reshape((1, 1, 6))(layers.Dense(6)(layers.GlobalAveragePooling2D()(x)))
    places = layers.Reshape((6, 6))(layers.Conv2D(1, 1)(x))
    gate = layers.Activation("sigmoid")(layers.Add()([channels, places]))
    keras.Model(image, layers.Multiply()([x, gate])).save(tmp_path / "m.keras")
    assert rewriter.check(tmp_path / "m.keras", ops=ops_).findings == []


def test_ops_are_checked(tmp_path):
    with pytest.raises(UsageError, match="multiply or all"):
        rewriter.check(tmp_path / "none.keras", ops="sums")
    with pytest.raises(UsageError, match="multiply or all"):
        rewriter.repair(tmp_path / "none.keras", tmp_path / "out.keras", ops="")


# -- legal operations -----------------------------
def legal(steps: int, features: int) -> keras.Model:
    """Sums, contractions and concatenations that are right, each on inputs of its own."""
    inputs, outputs = [], []

    def fresh(*shape):
        inputs.append(keras.Input(shape))
        return inputs[-1]

    def sequence():
        return layers.Dense(features)(fresh(steps, 3))

    x = sequence()
    outputs.append(layers.Add()([x, layers.Dense(features)(x)]))
    outputs.append(sequence() + layers.Embedding(steps, features)(np.arange(steps)))
    outputs.append(layers.LayerNormalization()(sequence() + np.ones(features, "float32")))
    x = sequence()
    outputs.append((x - ops.mean(x, axis=1, keepdims=True)) / ops.std(x, axis=-1, keepdims=True))
    hidden = layers.Dense(features)(fresh(4))
    outputs.append(ops.tanh(sequence() + ops.expand_dims(hidden, 1)))
    outputs.append(layers.Add()([sequence(), layers.Dense(features)(fresh(4))]))
    outputs.append(layers.Average()([layers.GlobalAveragePooling1D()(sequence()), fresh(features)]))
    outputs.append(layers.Maximum()([sequence(), sequence()]))
    outputs.append(ops.abs(layers.Subtract()([fresh(features), fresh(features)])))
    x = sequence()
    pairs = ops.expand_dims(x, 1) - ops.expand_dims(x, 2)
    outputs.append(layers.Dense(2)(pairs))
    query = layers.Permute((2, 1, 3))(
        layers.Reshape((steps, 2, features))(layers.Dense(2 * features)(sequence()))
    )
    scores = ops.matmul(query, ops.transpose(query, (0, 1, 3, 2)))
    outputs.append(ops.softmax(scores + ops.expand_dims(ops.expand_dims(fresh(steps), 1), 1)))
    outputs.append(ops.softmax(scores + np.triu(np.full((steps, steps), -1e9, "float32"), 1)))
    outputs.append(ops.softmax(scores + np.ones((2, steps, steps), "float32")))
    outputs.append(ops.matmul(ops.softmax(scores), query))
    image = layers.BatchNormalization(axis=1)(fresh(features, steps, steps))
    outputs.append(image + np.ones((features, 1, 1), "float32"))
    image = layers.Conv2D(features, 1)(fresh(steps, steps, 3))
    outputs.append(layers.Add()([image, layers.GlobalAveragePooling2D(keepdims=True)(image)]))
    outputs.append(layers.Add()([image, layers.Dense(features)(layers.GlobalAveragePooling2D()(image))]))
    flat = layers.Reshape((steps * steps, features))(image)
    outputs.append(layers.Dot(axes=1)([flat, flat]))
    outputs.append(ops.einsum("bhwc,bhwd->bcd", image, image))
    outputs.append(layers.Concatenate()([image, layers.Conv2D(2, 1)(image)]))
    token = layers.Reshape((1, features))(layers.Dense(features)(fresh(4)))
    outputs.append(layers.Concatenate(axis=1)([token, sequence()]))
    code = layers.Dense(features)(fresh(4))
    outputs.append(ops.matmul(code, ops.transpose(layers.Dense(features)(fresh(4)))))
    outputs.append(ops.matmul(sequence(), ops.transpose(layers.Dense(features)(fresh(4)))))
    outputs.append(ops.logsumexp(sequence() - fresh(1, 1), axis=-1))
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize("sizes", [(5, 7), (6, 6), (4, 4)])
def test_legal_sums_contractions_and_joins_are_left_alone(sizes, tmp_path):
    keras.backend.clear_session()
    model = legal(*sizes)
    model.save(tmp_path / "m.keras")
    for batch in (2, sizes[0]):  # it is legal: it runs
        support.run(model, support.random_inputs(model, batch))
    report = rewriter.check(tmp_path / "m.keras", ops="all")
    assert [(f.node, str(f.kind), f.message) for f in report.findings] == []
    rewriter.repair(tmp_path / "m.keras", tmp_path / "copy.keras", ops="all")
    assert (tmp_path / "copy.keras").read_bytes() == (tmp_path / "m.keras").read_bytes()


@pytest.mark.parametrize("origin", ["softmax", "own mean"])
def test_a_turned_branch_is_not_turned_back_behind_factors_for_another_axis(origin, tmp_path):
    """Before the factors it would be right, behind them the factors stay with the width. Known factors tell."""
    image = keras.Input((6, 6, 3))
    first, second = (keras.layers.Conv2D(6, 3, padding="same")(image) for _ in range(2))
    turned = keras.ops.transpose(second, (0, 3, 1, 2))
    if origin == "softmax":
        factors = keras.layers.Softmax()(keras.layers.Dense(6)(keras.layers.GlobalAveragePooling2D()(first)))
        gate = keras.layers.Reshape((1, 1, 6))(factors)
    else:
        gate = keras.ops.mean(turned, axis=(2, 3), keepdims=True)
    total = keras.layers.Add(name="total")([first, turned * gate])
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(total)))
    model.save(tmp_path / "model.keras")
    (finding,) = rewriter.check(tmp_path / "model.keras", ops="all").findings
    assert finding.node == "total"
    if origin == "softmax":
        assert finding.choice is None
        assert "before" in finding.why
    else:
        assert finding.choice.equation == "b h w c, b c h w -> b h w c"
