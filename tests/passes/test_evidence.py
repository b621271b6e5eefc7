"""Cases that evidence must not decide: choices that fit at the multiply and are wrong downstream."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers, ops
from keras.src.ops import numpy as kernels

import rewriter
from tests import support
from tests.mutation.edits import Recipe, mutate
from tests.passes.test_downstream import forget

N = 6


def turned(pool: bool) -> keras.Model:
    """A channel gate on a map turned to channels first directly before; later layers take channels last."""
    x = keras.Input((N, N, 4))
    y = layers.Conv2D(N, 3, padding="same")(x)
    gate = layers.Dense(N)(layers.GlobalAveragePooling2D()(y))
    scaled = layers.Multiply(name="scale")([layers.Permute((3, 1, 2))(y), layers.Reshape((1, 1, N))(gate)])
    out = layers.GlobalMaxPooling2D()(scaled) if pool else layers.Add()([scaled, y])
    return keras.Model(x, layers.Dense(2)(layers.Flatten()(out)))


def both_turned() -> keras.Model:
    """Weights from a softmax, and data directly from a Permute: either can be the operand to transpose."""
    x = keras.Input((N, 4))
    h = layers.LSTM(N, return_sequences=True)(x)
    weights = layers.Softmax(axis=1)(layers.Dense(N)(h))
    across = layers.Permute((2, 1))(h)
    return keras.Model(
        x, ops.sum(layers.Multiply(name="scale")([across, layers.Identity()(weights)]), axis=1)
    )


def square() -> keras.Model:
    """A matrix and a vector of one size: rows or columns can be summed, in either operand order."""
    a, v = keras.Input((N, N), name="a"), keras.Input((N,), name="v")
    return keras.Model([a, v], layers.Dense(2)(layers.Dot(1, name="scale")([a, v])))


OPEN: dict[str, Callable[[], keras.Model]] = {
    "a turned map, pooled": lambda: turned(True),
    "a turned map, added to itself": lambda: turned(False),
    "turned data and turned weights": both_turned,
}


@pytest.mark.parametrize("name", OPEN)
def test_what_follows_takes_the_axes_in_another_order(name, tmp_path):
    OPEN[name]().save(tmp_path / "m.keras")
    result = rewriter.repair(tmp_path / "m.keras", tmp_path / "fixed.keras")
    assert all(f.choice is None for f in result.findings), [f.why for f in result.findings]
    assert not result.inserted


def test_the_order_of_a_matrix_and_a_vector_decides_nothing(tmp_path):
    square().save(tmp_path / "m.keras")
    broken = mutate(tmp_path / "m.keras", tmp_path / "b.keras", Recipe(("scale",), contract=("scale",))).path
    result = rewriter.repair(broken, tmp_path / "fixed.keras")
    assert result.output is None


def weighted(axis: int, softmax: bool = True, twice: bool = False) -> tuple[keras.Model, keras.Model]:
    """``sum(x[B, N, N] * w[B, N], axis)`` without the unit axis of the weights, and with it."""
    x, code = keras.Input((N, N)), keras.Input((5,))
    w = layers.Dense(N, "softmax" if softmax else "sigmoid")(code)

    def model(factors: object) -> keras.Model:
        product = x * factors
        sums = [ops.sum(product, axis=axis), *([ops.sum(product, axis=3 - axis)] if twice else [])]
        return keras.Model([x, code], sums)

    return model(w), model(ops.expand_dims(w, 3 - axis % 3))


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_weights_of_a_softmax_stand_on_the_axis_that_is_summed_next(axis, tmp_path):
    broken, meant = weighted(axis)
    broken.save(tmp_path / "m.keras")
    meant.save(tmp_path / "meant.keras")
    assert not rewriter.check(tmp_path / "meant.keras").findings
    result = rewriter.repair(tmp_path / "m.keras", tmp_path / "fixed.keras")
    assert result.output is not None, [f.why for f in result.findings]
    fixed = support.load(tmp_path / "fixed.keras")
    for batch in (1, 3, N):
        inputs = support.random_inputs(meant, batch)
        support.compare(support.run(fixed, inputs), support.run(meant, inputs))


@pytest.mark.parametrize("given", [{"softmax": False}, {"twice": True}])
def test_a_sum_says_nothing_of_other_factors_or_where_both_axes_are_summed(given, tmp_path):
    weighted(1, **given)[0].save(tmp_path / "m.keras")
    result = rewriter.repair(tmp_path / "m.keras", tmp_path / "fixed.keras")
    assert result.output is None
    assert "tie" in result.findings[0].why


@pytest.mark.parametrize("axis", [1, 2])
def test_the_axis_that_a_mean_of_a_square_leaves_is_named_in_the_tie(axis, tmp_path):
    """Of a pooling layer's mean, roles tell the two axes apart."""
    x = keras.Input((N, N), name="x")
    mean = ops.mean(x, axis=axis)
    keras.Model(x, x * mean).save(tmp_path / "m.keras")
    (finding,) = rewriter.check(tmp_path / "m.keras").findings
    assert finding.chosen is None
    assert re.search(r"'mean\w*' has one of several axes of 'x' that have one size and role", finding.why)


def by_layer(x: Any, mean: Any) -> Any:
    return layers.Subtract()([x, mean])


def centred(rank: int, axes: tuple[int, ...], join: Callable[[Any, Any], Any], keepdims: bool) -> keras.Model:
    x = keras.Input((N,) * rank)
    return keras.Model(x, 2.0 * join(x, ops.mean(x, axis=axes, keepdims=keepdims)))


@pytest.mark.parametrize(
    ("rank", "axes", "join"),
    [
        (3, (2, 3), ops.subtract),
        (3, (1, 3), ops.subtract),
        (3, (1, 2), ops.subtract),
        (2, (1,), ops.subtract),
        (2, (2,), ops.subtract),
        (2, (2,), by_layer),
        (3, (2,), by_layer),
        (3, (2, 3), lambda x, m: ops.subtract(m, x)),
    ],
)
def test_what_is_left_of_a_mean_is_the_axis_that_it_was(rank, axes, join, tmp_path):
    centred(rank, axes, join, False).save(tmp_path / "m.keras")
    meant = centred(rank, axes, join, True)
    meant.save(tmp_path / "meant.keras")
    assert not rewriter.check(tmp_path / "meant.keras", ops="all").findings
    result = rewriter.repair(tmp_path / "m.keras", tmp_path / "fixed.keras", ops="all")
    assert result.output is not None, [f.why for f in result.findings]
    fixed = support.load(tmp_path / "fixed.keras")
    for batch in (1, 3, N):
        inputs = support.random_inputs(meant, batch)
        support.compare(support.run(fixed, inputs), support.run(meant, inputs))


@pytest.mark.parametrize("join", [ops.multiply, ops.add, lambda x, m: ops.subtract(x, ops.relu(m))])
def test_a_mean_that_is_not_taken_off_can_be_of_rows_or_columns(join, tmp_path):
    centred(2, (2,), join, False).save(tmp_path / "m.keras")
    assert rewriter.repair(tmp_path / "m.keras", tmp_path / "fixed.keras", ops="all").output is None


def hyper(subscripts: str, shape: tuple[int, int]) -> keras.Model:
    """A matrix for each sample from a Dense layer, times a vector."""
    x, code = keras.Input((6,)), keras.Input((3,))
    matrix = layers.Reshape(shape, name="fix")(layers.Dense(24)(code))
    operands = (x, matrix) if subscripts.index(",") == 2 else (matrix, x)
    return keras.Model([x, code], layers.Dense(2)(kernels.Einsum(subscripts, name="join")(*operands)))


@pytest.mark.parametrize(
    ("subscripts", "shape"),
    [("bi,bij->bj", (6, 4)), ("bi,bji->bj", (4, 6)), ("nfg,nf->ng", (6, 4)), ("ngf,nf->ng", (4, 6))],
)
def test_the_letters_of_an_einsum_say_how_flattened_axes_follow(subscripts, shape, tmp_path):
    meant = hyper(subscripts, shape)
    meant.save(tmp_path / "m.keras")
    assert not rewriter.check(tmp_path / "m.keras", ops="all").findings
    broken = mutate(tmp_path / "m.keras", tmp_path / "b.keras", Recipe(("join",), ("fix",))).path
    result = rewriter.repair(broken, tmp_path / "fixed.keras", ops="all")
    assert result.output is not None, [f.why for f in result.findings]
    fixed = support.load(tmp_path / "fixed.keras")
    for batch in (1, 3, N):
        inputs = support.random_inputs(meant, batch)
        support.compare(support.run(fixed, inputs), support.run(meant, inputs))


def pairs(sizes: tuple[int, int], path: Path, forgotten: bool) -> Path:
    """Every pair of rows, of which the file keeps only the product, now of one rank less."""
    n, d = sizes
    x, y = keras.Input((n, d), name="x"), keras.Input((n, d), name="y")
    product = layers.Multiply(name="scale")(
        [layers.Reshape((n, 1, d), name="left")(x), layers.Reshape((1, n, d), name="right")(y)]
    )
    keras.Model([x, y], layers.Dense(2)(ops.sum(product, axis=1))).save(path / "m.keras")
    broken = mutate(path / "m.keras", path / "b.keras", Recipe(("scale",), ("left", "right"))).path
    return forget(broken, path / "f.keras") if forgotten else broken


@pytest.mark.parametrize("sizes", [(5, 7), (6, 6)])
@pytest.mark.parametrize("forgotten", [False, True])
def test_a_product_of_another_rank_than_the_recorded_one_is_a_fault(sizes, forgotten, tmp_path):
    result = rewriter.repair(pairs(sizes, tmp_path, forgotten), tmp_path / "fixed.keras")
    assert result.output is None
    (finding,) = [f for f in result.findings if f.node == "scale"]
    assert finding.severity.value == "error"
    assert "the rest of the model was built for" in finding.message
