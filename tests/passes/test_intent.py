"""Intended products are left alone, placements that only fit are a tie, and lost statements are found."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras.src.ops import numpy as kernels

import rewriter
from tests import support
from tests.mutation.edits import Recipe, mutate, read_config, references, write_config
from tools.architectures.tokens import slot_attention
from tools.mutations import mutations

N = 6


def vectors(*sizes: int) -> list[Any]:
    return [keras.Input((size,)) for size in sizes]


def towers(width: int = 8) -> tuple[list[Any], Any, Any]:
    """Two towers of one width: ``u[B, D], v[B, D]``."""
    inputs = vectors(7, 5)
    return inputs, *(layers.Dense(width)(x) for x in inputs)


def image(size: tuple[int, int] = (5, 5), channels: int = 7) -> tuple[Any, Any]:
    x = keras.Input((*size, 3))
    return x, layers.Conv2D(channels, 3, padding="same")(x)


def numbers() -> tuple[Any, Any]:
    """One number for each sample: ``s[B]``."""
    x = keras.Input((5,))
    return x, layers.Dense(1)(x)[:, 0]


# -- pairs of samples -----------------------------
def logits(lift: Callable[[Any], Any]) -> keras.Model:
    inputs, u, v = towers()
    return keras.Model(inputs, ops.sum(lift(u) * v, axis=-1))


def logits_of_three() -> keras.Model:
    inputs, u, v = towers()
    u, v = (layers.Reshape((2, 4))(t) for t in (u, v))
    return keras.Model(inputs, ops.sum(ops.expand_dims(u, 1) * v, axis=(-1, -2)))


def rank_net(right: bool) -> keras.Model:
    x, s = numbers()
    return keras.Model(x, ops.sigmoid(s[:, None] - s if right else s - s[:, None]))


def scores_by_a_layer(turned: bool = False) -> keras.Model:
    """The layer treats axis 0 as the batch, ``s[B], s[1, B] -> [B, B]``: the unit axis states its purpose."""
    x, s = numbers()
    row = ops.transpose(layers.Dense(1)(x)) if turned else ops.expand_dims(s, 0)
    return keras.Model(x, layers.Subtract()([s, row]))


def distances() -> keras.Model:
    inputs, u, v = towers()
    squares = ops.sum(u * u, axis=1, keepdims=True) + ops.sum(v * v, axis=1)
    return keras.Model(inputs, squares - 2.0 * ops.matmul(u, ops.transpose(v)))


def gram(op: Callable[[Any, Any], Any]) -> keras.Model:
    x, w = keras.Input((7,)), keras.Input((), name="w")
    u = layers.Dense(7)(x)
    return keras.Model([x, w], op(ops.matmul(u, ops.transpose(u)), w))


def gram_of_a_nested_model() -> keras.Model:
    inputs, u, v = towers()
    a, b = vectors(8, 8)
    inner = keras.Model([a, b], ops.sum(a[:, None, :] * b, axis=-1), name="inner")
    return keras.Model(inputs, inner([u, v]))


# -- crossed on purpose -----------------------------
def crossed(op: Callable[[Any, Any], Any], turn: Callable[[Any], Any], axis: int = 2) -> keras.Model:
    x, y = image()
    return keras.Model(x, op(y, turn(ops.mean(y, axis=axis, keepdims=True))))


def crossed_then_residual() -> keras.Model:
    """``max(x[B, T, D], mean(x)[B, 1, T])``, and a sum of ``x`` with gated Dense features of ``x``."""
    tokens = keras.Input((N,), dtype="int32")
    x = layers.Embedding(9, N)(tokens)
    peak = ops.maximum(x, ops.swapaxes(ops.mean(x, axis=2, keepdims=True), 1, 2))
    y = layers.Dense(N)(x)
    gated = y * layers.Reshape((1, N))(layers.Dense(N)(layers.GlobalMaxPooling1D()(y)))
    return keras.Model(tokens, [peak, layers.Add()([x, gated])])


def product_of_turned(turn: Callable[[Any], Any], channels: int = 7) -> keras.Model:
    x, y = image(channels=channels)
    z = layers.Conv2D(channels, 3, padding="same")(y)
    return keras.Model(x, y * turn(z))


def own_transpose(through: Callable[[Any], Any]) -> keras.Model:
    x = keras.Input((N, N))
    return keras.Model(x, x * through(ops.transpose(layers.Dense(N)(x), (0, 2, 1))))


def mixer(join: Callable[[Any, Any], Any], back: bool = True) -> keras.Model:
    """``x[B, N, N]`` and Dense layers over its steps, with or without the Permute back."""
    x = keras.Input((N, N))
    y = layers.Dense(N)(layers.Dense(16, "gelu")(layers.Permute((2, 1))(x)))
    return keras.Model(x, layers.Dense(3)(join(x, layers.Permute((2, 1))(y) if back else y)))


def with_itself(join: Callable[[Any, Any], Any], left: bool) -> keras.Model:
    """``x[B, N, N]`` and its Gram matrix, of columns or of rows."""
    x = keras.Input((N, N))
    turned = ops.transpose(x, (0, 2, 1))
    return keras.Model(x, join(x, ops.matmul(turned, x) if left else ops.matmul(x, turned)))


def attention_of_all_sizes_equal() -> keras.Model:
    x = keras.Input((N, N))
    q, k, v = (layers.Dense(N)(x) for _ in range(3))
    scores = ops.matmul(q, ops.transpose(k, (0, 2, 1)))
    return keras.Model(x, x + ops.matmul(ops.softmax(scores + x), v))


def turned_in_a_nested_model() -> keras.Model:
    x, y = image()
    inner = keras.Input((5, 5, 7))
    turned = keras.Model(inner, layers.Permute((2, 1, 3))(inner), name="inner")
    return keras.Model(x, layers.Multiply()([y, turned(y)]))


# -- a batch of one -----------------------------
def of_one(*shapes: tuple[int, ...], layer: bool = False) -> keras.Model:
    inputs = [keras.Input(shape, batch_size=1) for shape in shapes]
    x, y = inputs
    return keras.Model(inputs, layers.Multiply()([x, y]) if layer else x * y)


def of_one_squeezed() -> keras.Model:
    x = keras.Input((5, 5, 3), batch_size=1)
    y = layers.Conv2D(7, 3, padding="same")(x)
    return keras.Model(x, y * ops.squeeze(ops.mean(y, axis=(1, 2), keepdims=True), (1, 2)))


swap, to_first = layers.Permute((2, 1, 3)), layers.Permute((3, 1, 2))
MEANT: dict[str, Callable[[], keras.Model]] = {
    "logits, expand_dims": lambda: logits(lambda u: ops.expand_dims(u, 1)),
    "logits, a None index": lambda: logits(lambda u: u[:, None, :]),
    "logits, a Reshape layer": lambda: logits(layers.Reshape((1, 8))),
    "logits, a RepeatVector of one": lambda: logits(layers.RepeatVector(1)),
    "logits, through Dropout": lambda: logits(lambda u: layers.Dropout(0.1)(ops.expand_dims(u, 1))),
    "logits of rank 3": logits_of_three,
    "logits in a nested model": gram_of_a_nested_model,
    "differences of scores": lambda: rank_net(True),
    "differences of scores, the other way": lambda: rank_net(False),
    "differences of scores, a layer": scores_by_a_layer,
    "differences of scores, a layer and a Transpose": lambda: scores_by_a_layer(True),
    "squared distances": distances,
    "weights on a Gram matrix": lambda: gram(lambda g, w: g * w),
    "weights on a Gram matrix, first": lambda: gram(lambda g, w: w * g),
    "a bias on a Gram matrix": lambda: gram(lambda g, w: g - w),
    "crossed means": lambda: crossed(lambda a, b: a * b, lambda m: ops.transpose(m, (0, 2, 1, 3))),
    "crossed means, a sum": lambda: crossed(lambda a, b: a + b, lambda m: ops.swapaxes(m, 1, 2)),
    "crossed means, layers": lambda: crossed(lambda a, b: layers.Multiply()([a, b]), swap),
    "crossed means, a layer's sum": lambda: crossed(lambda a, b: layers.Add()([a, b]), swap),
    "crossed means, and a residual branch": crossed_then_residual,
    "crossed means of columns": lambda: crossed(lambda a, b: a * b, swap, axis=1),
    "crossed means, a function of them": lambda: crossed(lambda a, b: a * b, lambda m: ops.sigmoid(swap(m))),
    "rows and columns swapped": lambda: product_of_turned(swap),
    "rotated": lambda: product_of_turned(lambda y: ops.rot90(y, axes=(1, 2))),
    "two layouts": lambda: product_of_turned(to_first, channels=5),
    "two layouts, moveaxis": lambda: product_of_turned(lambda y: ops.moveaxis(y, -1, 1), channels=5),
    "two layouts, and a layer that says where the channels of the data are": lambda: product_of_turned(
        lambda y: layers.BatchNormalization(axis=-1)(to_first(y)), channels=5
    ),
    "swapped in a nested model": turned_in_a_nested_model,
    "its own transpose": lambda: own_transpose(lambda y: y),
    "its own transpose, a softmax of it": lambda: own_transpose(ops.softmax),
    "its own transpose, through Dropout": lambda: own_transpose(layers.Dropout(0.1)),
    "a mixer with its Permute back": lambda: mixer(lambda a, b: layers.Add()([a, b])),
    "a mixer with its Permute back, a product": lambda: mixer(lambda a, b: a * b),
    "a matrix and its Gram matrix": lambda: with_itself(lambda a, b: a + b, True),
    "a matrix and its Gram matrix of rows, a product": lambda: with_itself(lambda a, b: a * b, False),
    "attention with all sizes equal": attention_of_all_sizes_equal,
    "a batch of one, pooled": of_one_squeezed,
    "a batch of one, a vector": lambda: of_one((5, 6, 7), (7,)),
    "a batch of one, steps": lambda: of_one((5, 7), (7,)),
    "a batch of one, both ways": lambda: of_one((7,), (5, 1)),
    "a batch of one, a layer": lambda: of_one((5, 7), (7,), layer=True),
}


@pytest.mark.parametrize("name", MEANT)
def test_what_was_written_on_purpose_is_left_alone(name, tmp_path):
    MEANT[name]().save(tmp_path / "m.keras")
    for chosen in ("multiply", "all"):
        report = rewriter.check(tmp_path / "m.keras", ops=chosen)
        assert not [f for f in report.findings if f.severity == "error"], [f.message for f in report.findings]


# -- nothing was stated -----------------------------
def score_and_weight() -> keras.Model:
    """A Dense layer's one feature against one number for each sample: (B, 1) * (B,)."""
    x, w = keras.Input((5,)), keras.Input((), name="w")
    return keras.Model([x, w], layers.Dense(1)(x) * w)


def score_minus_score() -> keras.Model:
    x = keras.Input((5,))
    s = layers.Dense(1)(x)
    return keras.Model(x, s - s[:, 0])


def label(rank: bool) -> keras.Model:
    x, y = keras.Input((7,)), keras.Input((1,), dtype="int32")
    e = layers.Embedding(9, 7)(y)
    return keras.Model([x, y], layers.Dense(4)(e * x if rank else x * e))


def stated_layout(axis: int) -> keras.Model:
    x, y = image(channels=5)
    return keras.Model(x, y * layers.BatchNormalization(axis=axis)(to_first(y)))


def two_normalised() -> keras.Model:
    a, b = keras.Input((N, N, N)), keras.Input((N, N, N))
    x, y = layers.BatchNormalization(axis=-1)(a), layers.BatchNormalization(axis=1)(b)
    return keras.Model([a, b], layers.Multiply()([x, y]))


FOUND: dict[str, Callable[[], keras.Model]] = {
    "a score against numbers": score_and_weight,
    "a score less scores": score_minus_score,
    "a label's embedding": lambda: label(False),
    "a label's embedding first": lambda: label(True),
    "a layout that a layer confirms": lambda: stated_layout(1),
    "two layouts that layers state": two_normalised,
}


@pytest.mark.parametrize("name", FOUND)
def test_what_nobody_stated_is_found_whatever_may_be_changed(name, tmp_path):
    FOUND[name]().save(tmp_path / "m.keras")
    report = rewriter.check(tmp_path / "m.keras")
    assert [f.severity for f in report.findings] == ["error"], [f.message for f in report.findings]


@pytest.mark.parametrize("join", [lambda a, b: layers.Add()([a, b]), lambda a, b: a * b, lambda a, b: b - a])
def test_a_branch_that_lost_its_permute_back_is_found(join, tmp_path):
    """Axis 1 of the branch is axis 2 of the data, and axis 2 is new: they fit only in the other order."""
    mixer(join, back=False).save(tmp_path / "m.keras")
    (finding,) = rewriter.check(tmp_path / "m.keras", ops="all").findings
    assert finding.severity == "error"
    turned = {step.operand for c in finding.candidates for step in c.plan.steps if step.op == "Transpose"}
    assert turned == {0, 1}, [c.equation for c in finding.candidates]
    assert rewriter.repair(tmp_path / "m.keras", tmp_path / "out.keras", ops="all").output is None


# -- ties -----------------------------
def gate(shape: tuple[int, ...], size: int, pooled: bool) -> keras.Model:
    """A map times factors from a Dense layer, over the map's own channels or over another input."""
    x, code = keras.Input((*shape[:-1], 3)), keras.Input((4,))
    conv = {2: layers.Conv1D, 3: layers.Conv2D, 4: layers.Conv3D}[len(shape)]
    y = conv(shape[-1], 1)(x)
    source = ops.mean(y, axis=tuple(range(1, len(shape)))) if pooled else code
    factors = layers.Dense(size, "sigmoid")(source)
    return keras.Model([x, code], y * factors)


TIES: dict[str, tuple[Callable[[], keras.Model], list[str]]] = {
    "H = C": (lambda: gate((6, 5, 6), 6, True), ["b h w c, b c -> b h w c", "b n r1 r2, b n -> b n r1 r2"]),
    "W = C": (lambda: gate((5, 6, 6), 6, True), ["b h w c, b c -> b h w c", "b m n r, b n -> b m n r"]),
    "T = C": (lambda: gate((6, 6), 6, True), ["b s c, b c -> b s c", "b s c, b s -> b s c"]),
    "all of them": (lambda: gate((6, 6, 6, 6), 6, False), ["b z h w c, b c -> b z h w c"]),
    "H * W = C": (
        lambda: gate((2, 3, 6), 6, False),
        ["b h w c, b c -> b h w c", "b h w c, b (h w) -> b h w c"],
    ),
    "H * W = C, pooled": (lambda: gate((3, 5, 15), 15, True), ["b h w c, b (h w) -> b h w c"]),
    "a label's embedding": (lambda: label(False), ["b r, b r -> b r", "b d, b t d -> b t d"]),
}


@pytest.mark.parametrize("name", TIES)
def test_what_fits_in_two_ways_is_refused_with_both(name, tmp_path):
    build, equations = TIES[name]
    build().save(tmp_path / "m.keras")
    result = rewriter.repair(tmp_path / "m.keras", tmp_path / "out.keras")
    assert result.output is None
    (finding,) = result.findings
    assert "tie" in finding.why
    assert set(equations) <= {c.equation for c in finding.candidates}


@pytest.mark.parametrize("shape", [(5, 7, 6), (7, 6), (2, 4, 6), (2, 3, 5, 11)])
@pytest.mark.parametrize("pooled", [True, False])
def test_a_gate_that_fits_in_one_way_is_decided(shape, pooled, tmp_path):
    gate(shape, shape[-1], pooled).save(tmp_path / "m.keras")
    result = rewriter.repair(tmp_path / "m.keras", tmp_path / "out.keras", verify=False)
    (finding,) = result.findings
    assert finding.choice is not None
    assert finding.choice.rule in ("channel-gate", "step-gate")


# -- the author's unit axes -----------------------------
def mask(units: int, op: Callable[[Any, Any], Any]) -> keras.Model:
    """Attention with a mask over the keys; ``units`` axes of size 1 are inserted before it, and a Reshape removes all
    but one."""
    x, m = keras.Input((N, 8)), keras.Input((N,))
    q, k, v = (layers.Dense(8)(x) for _ in range(3))
    scores = ops.matmul(q, ops.transpose(k, (0, 2, 1)))
    lifted = m
    for _ in range(units):
        lifted = ops.expand_dims(lifted, 1)
    lifted = layers.Reshape((1, N), name="fix")(lifted)
    weights = ops.softmax(op(scores, lifted))
    return keras.Model([x, m], layers.Dense(3)(ops.matmul(weights, v)))


MASKS = {
    "added": lambda s, m: kernels.Add(name="join")(s, m),
    "a product": lambda s, m: kernels.Multiply(name="join")(s, m),
    "subtracted": lambda s, m: kernels.Subtract(name="join")(s, m),
    "the largest": lambda s, m: kernels.Maximum(name="join")(m, s),
    "divided": lambda s, m: kernels.Divide(name="join")(s, m),
}


def unmasked(name: str, units: int, folder: Path) -> tuple[keras.Model, Path]:
    """The model and its file without the Reshape."""
    keras.backend.clear_session()
    model = mask(units, MASKS[name])
    model.save(folder / "m.keras")
    return model, mutate(folder / "m.keras", folder / "b.keras", Recipe(("join",), ("fix",))).path


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_with_one_unit_axis_too_many_keeps_its_order(name, tmp_path):
    """(B, T, T) with (B, 1, 1, T) is meant as (B, 1, T): a mask of the keys."""
    meant, broken = unmasked(name, 2, tmp_path)
    assert [f.node for f in rewriter.check(broken).findings if f.severity == "error"] == ["join"]
    result = rewriter.repair(broken, tmp_path / "out.keras", ops="all", verify=False)
    assert result.output is not None, [f.why for f in result.findings]
    fixed = support.load(tmp_path / "out.keras")
    for batch in (1, 3, N):
        inputs = support.random_inputs(meant, batch)
        support.compare(support.run(fixed, inputs), support.run(meant, inputs))


@pytest.mark.parametrize("name", MASKS)
def test_of_a_mask_without_unit_axes_the_keys_come_first(name, tmp_path):
    _, broken = unmasked(name, 0, tmp_path)
    assert rewriter.repair(broken, tmp_path / "out.keras", ops="all").output is None
    report = rewriter.check(broken, ops="all", mode="best")
    (finding,) = [f for f in report.findings if f.choice is not None]
    assert finding.choice.equation in ("b t d, b d -> b t d", "b d, b t d -> b t d")


def slots(sizes: tuple[int, int, int]) -> keras.Model:
    """Every position's features, weighted for every slot: ``b n 1 d, b n k 1 -> b n k d``."""
    n, d, k = sizes
    x = keras.Input((n, 4))
    u = ops.expand_dims(layers.Dense(d)(x), 2)
    w = layers.Reshape((n, k, 1), name="lift")(layers.Dense(k, "softmax")(x))
    return keras.Model(x, layers.Dense(3)(ops.sum(kernels.Multiply(name="join")(u, w), axis=1)))


@pytest.mark.parametrize("sizes", [(6, 5, 7), (7, 11, 3), (6, 6, 6), (6, 6, 5), (6, 5, 6)])
def test_a_unit_axis_waits_for_something(sizes, tmp_path):
    meant = slots(sizes)
    meant.save(tmp_path / "m.keras")
    broken = mutate(tmp_path / "m.keras", tmp_path / "b.keras", Recipe(("join",), ("lift",))).path
    result = rewriter.repair(broken, tmp_path / "out.keras", verify=False)
    finding = result.findings[0]
    assert "b m 1 k, b m n -> b m n k" in {c.equation for c in finding.candidates}
    if result.output is not None:
        inputs = support.random_inputs(meant, 2)
        support.compare(support.run(support.load(tmp_path / "out.keras"), inputs), support.run(meant, inputs))
    else:
        assert len(set(sizes)) < 3


def test_a_step_that_both_readings_keep_is_no_pair_of_steps(tmp_path):
    """(B, T, 1) from ``keepdims`` with (B, T): every step times its own factor, or every pair of steps."""
    x, m = keras.Input((N, 4)), keras.Input((N,))
    keras.Model([x, m], ops.mean(layers.Dense(3)(x), -1, keepdims=True) * m).save(tmp_path / "m.keras")
    result = rewriter.repair(tmp_path / "m.keras", tmp_path / "out.keras")
    assert result.output is None
    listed = {c.equation for c in result.findings[0].candidates}
    assert {"b r, b r -> b r", "b m 1, b n -> b m n"} <= listed


# -- recorded shapes of operands -----------------------------
def normalised(norm: Callable[[Any, Any], Any], shape: tuple[int, ...]) -> keras.Model:
    x = keras.Input(shape)
    statistic = ops.sum(ops.square(x), axis=-1, keepdims=True)
    return keras.Model(x, layers.Dense(3)(norm(x, ops.rsqrt(statistic + 1e-6))))


def lose_keepdims(model: keras.Model, folder: Path) -> Path:
    model.save(folder / "valid.keras")
    config = read_config(folder / "valid.keras")
    for layer in config["config"]["layers"]:
        if layer["class_name"] == "Sum":
            layer["config"]["keepdims"] = False
    write_config(folder / "valid.keras", folder / "broken.keras", config)
    return folder / "broken.keras"


NORMS: dict[str, Callable[[Any, Any], Any]] = {
    "a layer": lambda x, s: layers.Multiply()([x, s]),
    "a layer, the statistic first": lambda x, s: layers.Multiply()([s, x]),
    "an op": lambda x, s: x * s,
}


@pytest.mark.parametrize("shape", [(6, 6), (6, 6, 6), (7, 5)])
@pytest.mark.parametrize("name", NORMS)
def test_an_operand_that_lost_an_axis_gets_it_back(name, shape, tmp_path):
    model = normalised(NORMS[name], shape)
    path = lose_keepdims(model, tmp_path)
    result = rewriter.repair(path, tmp_path / "out.keras", verify=False)
    assert result.output is not None, [f.why for f in result.findings]
    fixed = support.load(tmp_path / "out.keras")
    for batch in (1, 3, 6):
        inputs = support.random_inputs(model, batch)
        support.compare(support.run(fixed, inputs), support.run(model, inputs))


def without(class_name: str, model: keras.Model, folder: Path, stale: bool = False) -> Path:
    """The file of a model without its one node of a class; the recorded shapes of results stay.

    Args:
        stale: whether its users keep the recorded shape of the removed node.
    """
    model.save(folder / "valid.keras")
    config = read_config(folder / "valid.keras")
    remove(config, next(e for e in config["config"]["layers"] if e["class_name"] == class_name), stale)
    write_config(folder / "valid.keras", folder / "broken.keras", config)
    return folder / "broken.keras"


def remove(config: dict[str, Any], gone: dict[str, Any], stale: bool = False) -> None:
    """Take a node of one input out of a configuration; its users get that input."""
    entries = config["config"]["layers"]
    (source,) = references(gone["inbound_nodes"])
    for entry in entries:
        for reference in references(entry.get("inbound_nodes", [])):
            if reference["keras_history"][0] == gone["config"]["name"]:
                kept = {"shape": reference["shape"]} if stale else {}
                reference.update({**copy.deepcopy(source), **kept})
    entries.remove(gone)


def ranked(open_steps: bool = False) -> keras.Model:
    """Differences of all scores, or of all steps: (B, B), recorded as (None, None)."""
    x = keras.Input((None, 5) if open_steps else (5,))
    s = layers.Dense(1)(ops.mean(x, axis=1) if open_steps else x)
    return keras.Model(x, ops.sigmoid(s - ops.transpose(s)))


@pytest.mark.parametrize("open_steps", [False, True])
def test_pairs_of_samples_that_lost_their_transpose_are_found(open_steps, tmp_path):
    """(B, 1) - (B, 1) runs and gives zeros; two numbers in one place give no open size."""
    model = ranked(open_steps)
    path = without("Transpose", model, tmp_path)
    (finding,) = rewriter.check(path, ops="all").findings
    assert finding.severity == "error" and "(None, None)" in finding.message
    assert rewriter.repair(path, tmp_path / "out.keras", ops="all").output is None
    support.load(path).save(tmp_path / "anew.keras")
    assert rewriter.check(tmp_path / "anew.keras", ops="all").findings == []


def test_what_is_stated_of_a_turned_operand_that_lost_an_axis(tmp_path):
    """Its supposed result has other axes than the transposed ones."""
    x = keras.Input((4, 6))
    y = ops.squeeze(ops.expand_dims(ops.transpose(x, (0, 2, 1)), 3), 3)
    path = without("ExpandDims", keras.Model(x, y * layers.Dense(4)(y)), tmp_path, stale=True)
    findings = rewriter.check(path, ops="all").findings
    assert [f.op for f in findings] == ["Squeeze"]


@pytest.mark.parametrize("same", [True, False])
def test_a_batch_that_somebody_moved_is_not_moved_back(same, tmp_path):
    """``u @ transpose(v)`` written as a product: sizes would fit with ``v`` as it was."""
    inputs, u, v = towers()
    keras.Model(inputs, u * ops.transpose(u if same else v)).save(tmp_path / "m.keras")
    result = rewriter.repair(tmp_path / "m.keras", tmp_path / "out.keras")
    assert result.output is None
    assert "pairs of samples may be meant" in result.findings[0].why


def broken_slots(kind: str, what: str, folder: Path) -> keras.Model:
    """Slot attention; in ``m.keras`` its shares (B, T, S, 1) or values (B, T, 1, D) are squeezed or transposed."""
    keras.backend.clear_session()  # reset the counters of names
    model = slot_attention(5, 5, 5)
    model.save(folder / "valid.keras")
    config = read_config(folder / "valid.keras")
    broken = [m for m in mutations(config) if (m.kind, m.what) == (kind, what) and "multiply_1" in m.at]
    broken[0].edit(config)
    write_config(folder / "valid.keras", folder / "m.keras", config)
    return model


def test_no_reading_leaves_a_unit_axis_that_another_one_fills(tmp_path):
    broken_slots("several", "squeeze, turned", tmp_path)
    result = rewriter.repair(tmp_path / "m.keras", tmp_path / "out.keras")
    assert result.findings and result.output is None


def test_an_operand_that_was_turned_is_turned_back_with_its_unit_axes(tmp_path):
    model = broken_slots("layout", "operand 1", tmp_path)
    result = rewriter.repair(tmp_path / "m.keras", tmp_path / "out.keras", verify=False)
    assert result.output is not None, [f.why for f in result.findings]
    fixed = support.load(tmp_path / "out.keras")
    inputs = support.random_inputs(model, 3)
    support.compare(support.run(fixed, inputs), support.run(model, inputs))


@pytest.mark.parametrize("layer", [True, False])
def test_of_two_ways_the_one_that_turns_an_operand_back_is_not_passed_over(layer, tmp_path):
    """A transposed sequence and a gate (B, 1, D): the gate's unit axis shows the place of the steps."""
    x = keras.Input((6, 3))
    y = layers.GRU(7, return_sequences=True)(x)
    gate = layers.Reshape((1, 7))(layers.Dense(7)(layers.GlobalAveragePooling1D()(y)))
    y = ops.transpose(ops.transpose(y, (0, 2, 1)), (0, 2, 1))
    model = keras.Model(x, layers.Multiply()([y, gate]) if layer else y * gate)
    model.save(tmp_path / "valid.keras")
    config = read_config(tmp_path / "valid.keras")
    entries = config["config"]["layers"]
    last = [entry for entry in entries if entry["class_name"] == "Transpose"][-1]
    (source,) = references(last["inbound_nodes"])
    next(references(entries[-1]["inbound_nodes"])).update(copy.deepcopy(source))
    entries[-1].pop("build_config", None)
    entries.remove(last)
    write_config(tmp_path / "valid.keras", tmp_path / "broken.keras", config)
    result = rewriter.repair(tmp_path / "broken.keras", tmp_path / "out.keras")
    assert result.output is None
    assert "b c t, b c -> b t c" in [c.equation for c in result.findings[0].candidates]


def squashed(lengths: Callable[[Any], Any], shape: tuple[int, ...]) -> keras.Model:
    """CapsNet's squash: the lengths meet each other before they meet the vectors."""
    x = keras.Input(shape)
    n = ops.sum(ops.square(x), axis=-1, keepdims=True)
    return keras.Model(x, layers.Dense(3)(lengths(n) * x))


SQUASHES: dict[str, Callable[[Any], Any]] = {
    "divided by numbers": lambda n: ops.sqrt(n + 1e-6) / 2.0,
    "divided by each other": lambda n: n / (1.0 + n) / ops.sqrt(n + 1e-6),
    "by each other, a layer": lambda n: layers.Multiply()([n, ops.rsqrt(n + 1e-6)]),
}


@pytest.mark.parametrize("shape", [(6, 6), (7, 5)])
@pytest.mark.parametrize("name", SQUASHES)
def test_what_lost_an_axis_above_is_repaired_where_it_meets_one_that_has_it(name, shape, tmp_path):
    model = squashed(SQUASHES[name], shape)
    result = rewriter.repair(lose_keepdims(model, tmp_path), tmp_path / "out.keras", ops="all", verify=False)
    assert [f.op for f in result.findings] == ["Multiply"]
    fixed = support.load(tmp_path / "out.keras")
    for batch in (1, 3, 6):
        inputs = support.random_inputs(model, batch)
        support.compare(support.run(fixed, inputs), support.run(model, inputs))


def test_a_record_that_the_convention_comes_to_anyway_is_no_fault(tmp_path):
    x, y = image()
    pooled = layers.GlobalAveragePooling2D(keepdims=True, name="pool")(y)
    model = keras.Model(x, layers.Multiply(name="scale")([y, pooled]))
    model.save(tmp_path / "valid.keras")
    config = read_config(tmp_path / "valid.keras")
    for layer in config["config"]["layers"]:
        if layer["name"] == "pool":
            layer["config"]["keepdims"] = False
        layer.pop("build_config", None)
    write_config(tmp_path / "valid.keras", tmp_path / "edited.keras", config)
    assert rewriter.check(tmp_path / "edited.keras").clean


# -- nodes that may be changed -----------------------------
def test_a_fault_of_another_family_stands_in_the_way_of_a_repair(tmp_path):
    """A gate that can be repaired, and a later silent sum that may not be changed."""
    x, s = keras.Input((5, 7, 3)), keras.Input((5,), name="s")
    y = layers.Conv2D(6, 3, padding="same")(x)
    lifted = layers.Reshape((1, 1, 6), name="lift")(layers.Dense(6)(layers.GlobalAveragePooling2D()(y)))
    score = layers.Dense(1)(layers.GlobalAveragePooling2D()(kernels.Multiply(name="scale")(y, lifted)))
    keras.Model([x, s], ops.add(score, layers.Dense(1)(s)[:, 0])).save(tmp_path / "valid.keras")
    broken = mutate(tmp_path / "valid.keras", tmp_path / "b.keras", Recipe(("scale",), ("lift",))).path
    report = rewriter.check(broken)
    assert {f.op: (str(f.kind), f.choice is not None) for f in report.findings} == {
        "Multiply": ("batch-misaligned", True),
        "Add": ("grown", False),
    }
    result = rewriter.repair(broken, tmp_path / "out.keras", verify=False)
    assert result.output is None
    assert not (tmp_path / "out.keras").exists()
    assert "--ops all" in next(f.why for f in result.findings if f.op == "Add")
    assert rewriter.repair(broken, tmp_path / "out.keras", ops="all", verify=False).output is not None


def test_sums_that_are_right_are_not_in_the_way(tmp_path):
    x, y = image()
    model = keras.Model(x, layers.Add()([y, y]) + np.ones((5, 1, 7), "float32"))
    model.save(tmp_path / "m.keras")
    assert rewriter.check(tmp_path / "m.keras").findings == []


# -- unit axes of a Reshape that cannot be intended -----------------------------
def gated_by(target: tuple[int, ...]) -> dict[str, Any]:
    """An image with as many rows as columns, times five numbers, which a Reshape gives unit axes."""
    x, data = image()
    gate = layers.Dense(5)(layers.Dense(5)(layers.GlobalAveragePooling2D()(data)))
    model = keras.Model(
        x, layers.Multiply(name="scale")([data, layers.Reshape((5, 1, 1), name="wide")(gate)])
    )
    entry = model.get_config()
    next(e for e in entry["layers"] if e["config"]["name"] == "wide")["config"]["target_shape"] = list(target)
    return {"class_name": "Functional", "module": "keras.src.models.functional", "config": entry}


def test_unit_axes_that_would_have_to_move_decide_nothing(tmp_path):
    """``(B, 1, 1, 5)`` with ``(B, 5, 5, 7)`` fits rows as well as columns: both move the author's unit axes."""
    path = tmp_path / "m.json"
    # An edit that also changes the recorded shape.
    path.write_text(json.dumps(gated_by((1, 1, 5))).replace("[null, 5, 1, 1]", "[null, 1, 1, 5]"))
    (finding,) = rewriter.check(path).findings
    assert finding.chosen is None
    targets = [step.to for c in finding.candidates for step in c.plan.steps if step.op == "Reshape"]
    assert {tuple(to[1:]) for to in targets} >= {(5, 1, 1), (1, 5, 1)}


def test_factors_for_each_entry_that_were_computed_from_the_channels(tmp_path):
    """They come from one of the axes that they align with: evidence for the placement, and against none of the axes."""
    x = keras.Input((4, 5, 3))
    factors = layers.Dense(60)(layers.GlobalAveragePooling2D()(layers.ReLU()(x)))
    model = keras.Model(x, layers.Conv2D(2, 3)(x * layers.Reshape((4, 5, 3))(factors)))
    path = without("Reshape", model, tmp_path)
    result = rewriter.repair(path, tmp_path / "out.keras", verify=False)
    assert [change.rule for change in result.inserted] == ["flat-gate"]
    inputs = support.random_inputs(model, 3)
    support.compare(support.run(support.load(tmp_path / "out.keras"), inputs), support.run(model, inputs))


# What was flattened, its order before that, and the product's order of the axes that the flat one is made of.
FLATTENED = {
    "of-a-map": (lambda x: keras.ops.mean(x, axis=-1, keepdims=True), (2, 1, 3), "b (w h)"),
    "channels-first": (keras.ops.tanh, (3, 1, 2), "b (c h w)"),
    "as-it-is": (keras.ops.tanh, (1, 2, 3), "b (h w c)"),
}


@pytest.mark.parametrize("sizes", [(4, 5, 3), (4, 4, 4)], ids=str)
@pytest.mark.parametrize("name", FLATTENED)
def test_a_flat_gate_has_the_order_in_which_its_axes_were_flattened(name: str, sizes, tmp_path):
    """A Reshape alone puts the factors of a transposed map on other entries, and runs as well."""
    make, order, written = FLATTENED[name]
    x = keras.Input(sizes)
    image = layers.Conv2D(sizes[-1], 3, padding="same")(x)
    gate = layers.Permute(order, name="before")(make(image))
    shape, back = gate.shape[1:], tuple(order.index(axis) + 1 for axis in (1, 2, 3))
    whole = layers.Permute(back, name="after")(layers.Reshape(shape, name="shape")(layers.Flatten()(gate)))
    model = keras.Model(x, layers.Multiply(name="scale")([image, whole]))
    model.save(tmp_path / "valid.keras")
    config = read_config(tmp_path / "valid.keras")
    for lost in ("shape", "after"):
        remove(config, next(e for e in config["config"]["layers"] if e["config"]["name"] == lost))
    write_config(tmp_path / "valid.keras", tmp_path / "broken.keras", config)
    path = tmp_path / "broken.keras"
    (finding,) = rewriter.check(path).findings
    assert written in finding.choice.equation
    rewriter.repair(path, tmp_path / "out.keras", verify=False)
    inputs = support.random_inputs(model, 3)
    support.compare(support.run(support.load(tmp_path / "out.keras"), inputs), support.run(model, inputs))


@pytest.mark.parametrize("sizes", [(4, 6), (5, 5)], ids=str)
def test_a_flat_product_whose_other_operand_lost_its_order_is_not_unflattened(sizes, tmp_path):
    """Its layer was built on two flat operands: the flat one may be right, and the other one not."""
    x = keras.Input(sizes)
    flat = layers.Flatten()(layers.Permute((2, 1))(x))
    turned = layers.Permute((2, 1), name="turn")(ops.sigmoid(x))
    keras.Model(x, layers.Multiply()([flat, layers.Flatten(name="flat")(turned)])).save(
        tmp_path / "valid.keras"
    )
    config = read_config(tmp_path / "valid.keras")
    for lost in ("flat", "turn"):
        remove(config, next(e for e in config["config"]["layers"] if e["config"].get("name") == lost))
    write_config(tmp_path / "valid.keras", tmp_path / "broken.keras", config)
    result = rewriter.repair(tmp_path / "broken.keras", tmp_path / "out.keras", verify=False)
    assert result.output is None
    assert "b (n m), b m n -> b (n m)" in [c.equation for c in result.findings[0].candidates]


@pytest.mark.parametrize(
    ("equation", "flat"), [("b (n m), b m n -> b (n m)", True), ("b (n m), b m n -> b m n", False)]
)
@pytest.mark.parametrize("stale", [False, True])
def test_what_the_user_states_of_flat_operands_is_written(equation, flat, stale, tmp_path):
    """Both meanings can be stated, whatever shape the file records for the operand that lost its order."""
    x = keras.Input((4, 6), name="x")
    gate = layers.Flatten()(layers.Permute((2, 1))(ops.sigmoid(x)))
    other = layers.Flatten(name="flat")(layers.Permute((2, 1), name="turn")(x))
    model = keras.Model(x, layers.Multiply(name="scale")([gate, other]))
    model.save(tmp_path / "valid.keras")
    config = read_config(tmp_path / "valid.keras")
    for lost in ("flat", "turn"):
        gone = next(e for e in config["config"]["layers"] if e["config"].get("name") == lost)
        remove(config, gone, stale)
    write_config(tmp_path / "valid.keras", tmp_path / "broken.keras", config)
    target = tmp_path / "out.keras"
    result = rewriter.repair(tmp_path / "broken.keras", target, at={"scale": equation}, verify=False)
    assert result.output is not None, result.findings[0].why
    inputs = support.random_inputs(model, 3)
    (meant,) = support.run(model, inputs)
    if not flat:
        meant = meant.reshape(3, 6, 4).transpose(0, 2, 1)
    support.compare(support.run(support.load(target), inputs), [meant])


def test_the_first_ranked_reading_is_written_where_the_user_asks_for_it(tmp_path):
    """``--mode best`` is a statement too: the recorded shape for which nothing was decided does not count any more."""
    x = keras.Input((4, 6), name="x")
    gate = layers.Flatten()(layers.Permute((2, 1))(ops.sigmoid(x)))
    turned = layers.Permute((2, 1))(x)
    model = keras.Model(x, layers.Multiply(name="scale")([gate, layers.Flatten(name="flat")(turned)]))
    model.save(tmp_path / "valid.keras")
    config = read_config(tmp_path / "valid.keras")
    gone = next(e for e in config["config"]["layers"] if e["config"].get("name") == "flat")
    remove(config, gone, stale=True)
    write_config(tmp_path / "valid.keras", tmp_path / "broken.keras", config)
    (undecided,) = rewriter.check(tmp_path / "broken.keras").findings
    assert undecided.choice is None
    result = rewriter.repair(tmp_path / "broken.keras", tmp_path / "out.keras", mode="best", verify=False)
    (finding,) = result.findings
    assert finding.choice is finding.candidates[0]
    assert result.output is not None
    assert support.load(tmp_path / "out.keras").output_shape == (None, 6, 4)
