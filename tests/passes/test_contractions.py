"""Contractions with operands in the wrong orientation or of the wrong rank: repaired if evidence demands one reading.

Keras is the judge: the repaired file computes the same as the valid model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import pytest
from keras import layers, ops
from keras.src.ops.numpy import Einsum, Matmul

import rewriter
from tests import support
from tests.mutation.edits import locate, read_config, write_config
from tests.passes.test_downstream import forget
from tests.passes.test_family import assert_computes, broken
from tests.passes.test_intent import remove
from tests.zoo.common import randomise


def _sequences(first: tuple[int, int], second: tuple[int, int]) -> tuple:
    x, y = keras.Input((first[0], 3), name="x"), keras.Input((second[0], 3), name="y")
    return [x, y], layers.Dense(first[1], name="q")(x), layers.Dense(second[1], name="k")(y)


def scores() -> keras.Model:
    """``b m k, b n k -> b m n`` with the operator and an explicit transpose."""
    inputs, q, k = _sequences((5, 7), (6, 7))
    turned = layers.Permute((2, 1), name="turn")(k)
    return keras.Model(inputs, layers.Dense(2, name="head")(Matmul(name="matmul")(q, turned)))


def moments() -> keras.Model:
    """``b k m, b k n -> b m n``."""
    inputs, q, k = _sequences((5, 7), (5, 6))
    turned = layers.Permute((2, 1), name="turn")(q)
    return keras.Model(inputs, layers.Dense(2, name="head")(Matmul(name="matmul")(turned, k)))


def heads() -> keras.Model:
    """``b r m k, b r n k -> b r m n``."""
    inputs, q, k = _sequences((5, 14), (6, 14))
    q = layers.Permute((2, 1, 3), name="split_q")(layers.Reshape((5, 2, 7), name="heads_q")(q))
    k = layers.Permute((2, 1, 3), name="split_k")(layers.Reshape((6, 2, 7), name="heads_k")(k))
    turned = layers.Permute((1, 3, 2), name="turn")(k)
    return keras.Model(inputs, layers.Dense(2, name="head")(Matmul(name="matmul")(q, turned)))


def layer() -> keras.Model:
    """The Dot layer over the last axes, one of them moved there."""
    inputs, q, k = _sequences((5, 7), (7, 6))
    turned = layers.Permute((2, 1), name="turn")(k)
    dot = layers.Dot(axes=2, name="matmul")([q, turned])
    return keras.Model(inputs, layers.Dense(2, name="head")(dot))


def subscripts() -> keras.Model:
    """An einsum whose second operand comes in another order."""
    inputs, q, k = _sequences((5, 7), (7, 6))
    turned = layers.Permute((2, 1), name="turn")(k)
    y = Einsum("bqd,bkd->bqk", name="matmul")(q, turned)
    return keras.Model(inputs, layers.Dense(2, name="head")(y))


def subscripts_of_heads() -> keras.Model:
    """An einsum of four axes."""
    inputs, q, k = _sequences((5, 14), (6, 14))
    q = layers.Reshape((5, 2, 7), name="heads_q")(q)
    k = layers.Permute((2, 3, 1), name="split_k")(layers.Reshape((6, 2, 7), name="heads_k")(k))
    turned = layers.Permute((3, 1, 2), name="turn")(k)
    y = Einsum("bqhd,bkhd->bhqk", name="matmul")(q, turned)
    return keras.Model(inputs, layers.Dense(2, name="head")(y))


def vector_matrix() -> keras.Model:
    """``b k, b k n -> b 1 n``: without the unit axis it runs, on every pair of samples."""
    v, m = keras.Input((3,), name="v"), keras.Input((7, 5), name="m")
    row = layers.Reshape((1, 7), name="turn")(layers.Dense(7, name="weights")(v))
    return keras.Model([v, m], layers.Dense(2, name="head")(Matmul(name="matmul")(row, m)))


def matrix_vector() -> keras.Model:
    """``b m k, b k -> b m 1``: without the unit axis it sums over the batch."""
    v, m = keras.Input((3,), name="v"), keras.Input((5, 7), name="m")
    column = layers.Reshape((7, 1), name="turn")(layers.Dense(7, name="weights")(v))
    return keras.Model([v, m], layers.Dense(2, name="head")(Matmul(name="matmul")(m, column)))


def vectors() -> keras.Model:
    """``b k, b k -> b 1 1``."""
    u, v = keras.Input((3,), name="u"), keras.Input((7,), name="v")
    row = layers.Reshape((1, 7), name="turn")(layers.Dense(7, name="weights")(u))
    column = layers.Reshape((7, 1), name="turn_too")(v)
    return keras.Model([u, v], layers.Dense(2, name="head")(Matmul(name="matmul")(row, column)))


@dataclass(frozen=True)
class Case:
    """A model, the removed node, and the expected reading."""

    build: Callable[[], keras.Model]
    rule: str
    kind: str = "incompatible"
    drop: tuple[str, ...] = ("turn",)
    by_weights: bool = True


CASES = [
    Case(scores, "matmul-nt"),
    Case(moments, "matmul-tn"),
    Case(heads, "stacked-matmul"),
    Case(layer, "matmul"),
    Case(subscripts, "einsum"),
    Case(subscripts_of_heads, "einsum"),
    Case(vector_matrix, "row-vecmat", "grown", by_weights=False),
    Case(matrix_vector, "matvec", "batch-misaligned", by_weights=False),
    Case(vectors, "column-dot", "batch-misaligned", ("turn", "turn_too"), by_weights=False),
]
IDS = [c.build.__name__ for c in CASES]


def make(case: Case, folder):
    keras.backend.clear_session()
    model = randomise(case.build())
    return model, broken(model, folder, *case.drop, at="matmul")


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_recorded_shape_asks_for_one_reading(case, tmp_path):
    model, path = make(case, tmp_path)
    report = rewriter.check(path, ops="all")
    assert [(f.node, str(f.kind)) for f in report.findings] == [("matmul", case.kind)]
    result = rewriter.repair(path, tmp_path / "fixed.keras", ops="all", verify=False)
    (finding,) = result.findings
    assert result.output is not None, (finding.why, [(c.rule, c.equation) for c in finding.candidates])
    assert finding.choice.rule == case.rule
    assert_computes(tmp_path / "fixed.keras", model, 5, 6, 7)
    again = rewriter.repair(tmp_path / "fixed.keras", tmp_path / "again.keras", ops="all", verify=False)
    assert (again.findings, again.inserted) == ([], [])


@pytest.mark.parametrize("case", [c for c in CASES if c.by_weights], ids=lambda c: c.build.__name__)
def test_the_weights_behind_it_ask_for_one_reading(case, tmp_path):
    model, path = make(case, tmp_path)
    result = rewriter.repair(
        forget(path, tmp_path / "f.keras"), tmp_path / "fixed.keras", ops="all", verify=False
    )
    (finding,) = result.findings
    assert result.output is not None, (finding.why, [(c.rule, c.equation) for c in finding.candidates])
    assert_computes(tmp_path / "fixed.keras", model, 5)


def test_by_default_the_readings_are_shown_and_nothing_is_inserted(tmp_path):
    _, path = make(CASES[0], tmp_path)
    result = rewriter.repair(path, tmp_path / "fixed.keras")
    assert result.output is None
    (finding,) = result.findings
    assert "matmul-nt" in {c.rule for c in finding.candidates}
    assert {str(c.applicability) for c in finding.candidates} == {"display"}
    assert "--ops all" in finding.why


def test_without_anything_that_asks_nothing_is_chosen(tmp_path):
    inputs, q, k = _sequences((5, 7), (6, 7))
    turned = layers.Permute((2, 1), name="turn")(k)
    model = keras.Model(inputs, Matmul(name="matmul")(q, turned))
    path = broken(model, tmp_path, "turn", at="matmul")
    result = rewriter.repair(path, tmp_path / "fixed.keras", ops="all")
    assert result.output is None
    (finding,) = result.findings
    assert "matmul-nt" in {c.rule for c in finding.candidates}
    told = rewriter.repair(path, tmp_path / "fixed.keras", ops="all", at={"matmul": "b m k, b n k -> b m n"})
    assert told.output is not None
    assert_computes(tmp_path / "fixed.keras", model)


def test_two_transposes_or_two_operands_exchanged_is_a_tie(tmp_path):
    """``x^T y^T`` and ``y x`` have one shape if the result is square."""
    inputs, q, k = _sequences((5, 7), (7, 5))
    both = layers.Permute((2, 1), name="turn_q")(q), layers.Permute((2, 1), name="turn_k")(k)
    model = keras.Model(inputs, layers.Dense(2, name="head")(Matmul(name="matmul")(*both)))
    path = broken(model, tmp_path, "turn_q", "turn_k", at="matmul")
    result = rewriter.repair(path, tmp_path / "fixed.keras", ops="all")
    assert result.output is None
    (finding,) = result.findings
    assert str(finding.kind) == "axis-misaligned"
    assert {c.rule for c in finding.candidates[:2]} == {"matmul", "matmul-tt"}
    assert "tie" in finding.why


@pytest.mark.parametrize("by", ["recorded", "weights"])
def test_what_follows_asks_for_another_product_than_the_one_that_runs(by, tmp_path):
    """``Dot(axes=2)`` changed to ``axes=1``: it runs, and gives another shape."""
    inputs, q, k = _sequences((5, 7), (5, 7))
    dot = layers.Dot(axes=2, name="matmul")([q, k])
    model = randomise(keras.Model(inputs, layers.Dense(2, name="head")(dot)))
    path = broken(model, tmp_path, at="matmul")
    config = read_config(path)
    locate(config, "matmul")[1]["config"]["axes"] = 1
    write_config(path, tmp_path / "edited.keras", config)
    path = (
        tmp_path / "edited.keras"
        if by == "recorded"
        else forget(tmp_path / "edited.keras", tmp_path / "f.keras")
    )
    result = rewriter.repair(path, tmp_path / "fixed.keras", ops="all", verify=False)
    (finding,) = result.findings
    assert (finding.node, str(finding.kind)) == ("matmul", "axis-misaligned")
    assert result.output is not None, finding.why
    assert finding.choice.rule == "matmul-nt"
    assert_computes(tmp_path / "fixed.keras", model, 5, 7)


def test_two_products_that_what_follows_could_ask_for_are_a_tie(tmp_path):
    """``x^T y^T`` and ``y x`` where ``x y`` runs: the fault is reported at the later node."""
    inputs, q, k = _sequences((5, 7), (7, 5))
    turned = layers.Permute((2, 1), name="turn")(q), layers.Permute((2, 1), name="turn_too")(k)
    model = keras.Model(inputs, layers.Dense(2, name="head")(Matmul(name="matmul")(*turned)))
    path = forget(broken(model, tmp_path, "turn", "turn_too", at="matmul"), tmp_path / "f.keras")
    result = rewriter.repair(path, tmp_path / "fixed.keras", ops="all")
    assert result.output is None
    assert [f.node for f in result.findings] == ["head"]


def test_what_runs_as_it_stands_is_left_alone(tmp_path):
    """Scores between all samples of a batch, with equal sizes: nothing contradicts that this is on purpose."""
    x, y = keras.Input((6, 6), name="x"), keras.Input((6,), name="y")
    a, b = layers.Dense(6, name="a")(x), layers.Dense(6, name="b")(y)
    pairs = ops.matmul(b, ops.transpose(b))
    every = ops.matmul(a, ops.transpose(b))
    model = keras.Model([x, y], [ops.matmul(a, a), pairs, every, layers.Dot(axes=(2, 1))([a, b])])
    model.save(tmp_path / "m.keras")
    assert rewriter.check(tmp_path / "m.keras", ops="all").findings == []


def test_a_dot_layer_that_normalises_is_not_written_as_a_product(tmp_path):
    inputs, q, k = _sequences((5, 7), (7, 6))
    turned = layers.Permute((2, 1), name="turn")(k)
    dot = layers.Dot(axes=2, normalize=True, name="matmul")([q, turned])
    path = broken(keras.Model(inputs, layers.Dense(2)(dot)), tmp_path, "turn", at="matmul")
    result = rewriter.repair(path, tmp_path / "fixed.keras", ops="all", mode="best")
    assert result.output is None
    assert result.findings[0].candidates == []


def similarities(turned: bool) -> keras.Model:
    """Logits of every pair of samples, of two towers: ``u[B, K] @ v[B, K].T -> [B, B]``."""
    a, b = keras.Input((6,)), keras.Input((9,))
    u, v = layers.UnitNormalization()(layers.Dense(5)(a)), layers.UnitNormalization()(layers.Dense(5)(b))
    return keras.Model([a, b], ops.softmax(Matmul(name="matmul")(u, ops.transpose(v) if turned else v)))


def test_the_product_of_all_pairs_of_samples_is_listed_and_never_taken(tmp_path):
    similarities(True).save(tmp_path / "meant.keras")
    assert not rewriter.check(tmp_path / "meant.keras", ops="all").findings
    similarities(False).save(tmp_path / "m.keras")
    (finding,) = rewriter.check(tmp_path / "m.keras", ops="all").findings
    assert finding.choice is None
    (pairs,) = [c for c in finding.candidates if c.equation == "b k, n k -> b n"]
    assert [(s.op, s.operand) for s in pairs.plan.steps] == [("Transpose", 1), ("MatMul", -1)]
    (best,) = rewriter.check(tmp_path / "m.keras", ops="all", mode="best").findings
    assert best.choice is not None
    assert best.choice.equation != pairs.equation


def attention(heads: int = 4, size: int = 4, steps: int = 6) -> keras.Model:
    """Attention written out, its heads joined by a Reshape before the last Dense."""
    x = keras.Input((steps, heads * size))

    def split(name: str) -> keras.KerasTensor:
        y = layers.Reshape((steps, heads, size))(layers.Dense(heads * size, name=name)(x))
        return layers.Permute((2, 1, 3), name=f"turn_{name}")(y)

    query, key, value = map(split, ("query", "key", "value"))
    weights = ops.softmax(ops.matmul(query, layers.Permute((1, 3, 2))(key)))
    y = layers.Permute((2, 1, 3))(ops.matmul(weights, value))
    return keras.Model(x, layers.Dense(3, name="last")(layers.Reshape((steps, heads * size), name="join")(y)))


@pytest.mark.parametrize("recorded", [True, False])
def test_the_product_as_it_stands_is_no_repair_of_a_later_fault(recorded, tmp_path):
    """The reading that a matmul already has cannot mend what follows it."""
    attention().save(tmp_path / "valid.keras")
    config = read_config(tmp_path / "valid.keras")
    rows = config["config"]["layers"]
    join = next(e for e in rows if e["config"]["name"] == "join")
    remove(config, join)
    if not recorded:
        for entry in rows:
            entry.pop("build_config", None)
    write_config(tmp_path / "valid.keras", tmp_path / "broken.keras", config)
    assert [f.node for f in rewriter.check(tmp_path / "broken.keras", ops="all").findings] == ["last"]


@pytest.mark.parametrize("heads", [2, 4])
@pytest.mark.parametrize("name", ["turn_query", "turn_key", "turn_value"])
def test_attention_that_lost_the_permute_of_its_heads(name, heads, tmp_path):
    """The product with the heads behind the steps on one side; that of the keys has readings that nothing separates."""
    model = attention(heads=heads)
    model.save(tmp_path / "valid.keras")
    config = read_config(tmp_path / "valid.keras")
    remove(config, locate(config, name)[1])
    write_config(tmp_path / "valid.keras", tmp_path / "broken.keras", config)
    result = rewriter.repair(tmp_path / "broken.keras", tmp_path / "fixed.keras", ops="all", verify=False)
    if name == "turn_key":
        assert result.output is None
        return
    assert [change.rule for change in result.inserted] == ["turned-stack"] * 2
    inputs = support.random_inputs(model, 3)
    support.compare(support.run(support.load(tmp_path / "fixed.keras"), inputs), support.run(model, inputs))


@pytest.mark.parametrize(("steps", "heads", "decided"), [(5, 2, True), (4, 4, False)])
def test_heads_that_share_their_keys_and_lost_their_permute(steps, heads, decided, tmp_path):
    """Where heads and steps are as many, the product also fits as it is written, with the steps apart."""
    x = keras.Input((steps, 7))
    queries = layers.Reshape((steps, heads, 4))(layers.Dense(heads * 4)(x))
    keys = layers.Permute((2, 1))(layers.Dense(4)(x))
    lifted = layers.Reshape((1, 4, steps), name="lift")(keys)
    scores = ops.matmul(layers.Permute((2, 1, 3), name="front")(queries), lifted)
    model = keras.Model(x, layers.Dense(2)(ops.sum(layers.Softmax()(scores), axis=1)))
    model.save(tmp_path / "valid.keras")
    config = read_config(tmp_path / "valid.keras")
    for lost in ("front", "lift"):
        remove(config, next(e for e in config["config"]["layers"] if e["config"].get("name") == lost))
    write_config(tmp_path / "valid.keras", tmp_path / "broken.keras", config)
    result = rewriter.repair(tmp_path / "broken.keras", tmp_path / "out.keras", ops="all", verify=False)
    assert "b m r k, b k n -> b r m n" in [c.equation for c in result.findings[0].candidates]
    assert (result.output is not None) == decided
    if decided:
        inputs = support.random_inputs(model, 3)
        support.compare(support.run(support.load(tmp_path / "out.keras"), inputs), support.run(model, inputs))


@pytest.mark.parametrize("dims", [(3, 1, 2), (2, 3, 1), (2, 1, 3), (3, 2, 1)], ids=str)
@pytest.mark.parametrize("shared", [False, True])
def test_turned_weights_of_attention_are_turned_back_or_left(shared, dims, tmp_path):
    """Queries and keys are as many, so two readings fit each order: nothing is written, or what was meant."""
    x = keras.Input((5, 7))

    def heads(size):
        split = layers.Reshape((5, 2, size))(layers.Dense(2 * size)(x))
        return layers.Permute((2, 1, 3))(split)

    scores = ops.matmul(heads(3), layers.Permute((1, 3, 2))(heads(3)))
    weights = layers.Permute((1, 2, 3), name="turn")(layers.Softmax()(scores))
    values = layers.Reshape((1, 5, 4))(layers.Dense(4)(x)) if shared else heads(4)
    model = keras.Model(x, layers.Dense(2)(ops.matmul(weights, values)))
    model.save(tmp_path / "valid.keras")
    config = read_config(tmp_path / "valid.keras")
    turn = next(e for e in config["config"]["layers"] if e["config"].get("name") == "turn")
    turn["config"]["dims"] = list(dims)
    (shape,) = (a["config"]["shape"] for a in turn["inbound_nodes"][0]["args"])
    for entry in config["config"]["layers"]:
        for argument in (a for call in entry["inbound_nodes"] for a in call["args"] if isinstance(a, dict)):
            if argument["config"]["keras_history"][0] == "turn":
                argument["config"]["shape"] = [shape[0], *(shape[d] for d in dims)]
    write_config(tmp_path / "valid.keras", tmp_path / "broken.keras", config)
    result = rewriter.repair(tmp_path / "broken.keras", tmp_path / "out.keras", ops="all", verify=False)
    assert result.findings
    inputs = support.random_inputs(model, 3)
    if result.output is not None:
        support.compare(support.run(support.load(tmp_path / "out.keras"), inputs), support.run(model, inputs))


def without(name: str, model: keras.Model, folder: Path) -> rewriter.Result:
    """The repair of a model that lost one node."""
    randomise(model)
    model.save(folder / "valid.keras")
    config = read_config(folder / "valid.keras")
    remove(config, next(e for e in config["config"]["layers"] if e["config"].get("name") == name))
    write_config(folder / "valid.keras", folder / "broken.keras", config)
    return rewriter.repair(folder / "broken.keras", folder / "out.keras", ops="all", verify=False)


def assert_repaired(name: str, model: keras.Model, folder: Path, rule: str) -> None:
    assert {change.rule for change in without(name, model, folder).inserted} == {rule}
    inputs = support.random_inputs(model, 3)
    support.compare(support.run(support.load(folder / "out.keras"), inputs), support.run(model, inputs))


@pytest.mark.parametrize("sizes", [(4, 5, 3), (4, 4, 16), (3, 3, 9)], ids=str)
@pytest.mark.parametrize("lost", ["flat_first", "flat_values"])
def test_a_non_local_block_that_lost_a_flattening(lost, sizes, tmp_path):
    """Where height x width is the number of channels, the places also fit the channels."""
    height, width, channels = sizes
    x = keras.Input(sizes)

    def flat(name: str) -> keras.KerasTensor:
        return layers.Reshape((height * width, channels), name=f"flat_{name}")(layers.Conv2D(channels, 1)(x))

    scores = ops.matmul(flat("first"), layers.Permute((2, 1))(flat("second")))
    y = layers.Reshape(sizes)(ops.matmul(layers.Softmax()(scores), flat("values")))
    model = keras.Model(x, layers.Conv2D(3, 1)(layers.Add()([layers.Conv2D(channels, 1)(y), x])))
    assert_repaired(lost, model, tmp_path, "flat-matmul")


@pytest.mark.parametrize("heads", [2, 3])
def test_an_einsum_sums_over_the_letter_that_it_names(heads, tmp_path):
    """As many steps as features of a head: the sum over the steps fits too, with other letters."""
    x = keras.Input((4, heads * 4))
    queries = layers.Permute((2, 1, 3), name="turn")(
        layers.Reshape((4, heads, 4))(layers.Dense(heads * 4)(x))
    )
    keys, values = layers.Dense(4)(x), layers.Dense(4)(x)
    weights = layers.Softmax()(ops.einsum("bhqd,bkd->bhqk", queries, keys))
    y = layers.Permute((2, 1, 3))(ops.einsum("bhqk,bkd->bhqd", weights, values))
    model = keras.Model(x, layers.Dense(3)(layers.Reshape((4, heads * 4))(y)))
    assert_repaired("turn", model, tmp_path, "einsum")


@pytest.mark.parametrize("steps", [5, 6])
def test_a_sum_over_the_batch_and_an_axis_of_one_is_a_fault(steps, tmp_path):
    x = keras.Input((steps, 5))
    mean = layers.Reshape((1, 5), name="row")(layers.GlobalAveragePooling1D()(x))
    model = keras.Model(x, layers.Dense(3)(ops.matmul(layers.Dense(1)(x), mean)))
    assert_repaired("row", model, tmp_path, "outer")
    (finding,) = rewriter.check(tmp_path / "broken.keras", ops="all").findings
    assert (finding.code, finding.severity) == ("RW002", "error")
