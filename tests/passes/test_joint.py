"""Several faults together: the search finds the only choice without a contradiction, or reports two as a tie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers

import rewriter
from rewriter.passes import downstream, suppositions
from rewriter.passes.candidate import Applicability
from tests import support
from tests.mutation.edits import Recipe, mutate, read_config, references, write_config
from tests.one_answer import assert_one_answer
from tests.passes.test_downstream import forget


def broken(model: keras.Model, path: Path, at: str, drop: str = "", contract: str = "") -> Path:
    """The file of the model without the nodes that align its operands, and without recorded shapes."""
    model.save(path / "m.keras")
    recipe = Recipe(tuple(at.split()), tuple(drop.split()), contract=tuple(contract.split()))
    mutate(path / "m.keras", path / "b.keras", recipe)
    return forget(path / "b.keras", path / "f.keras")


def restate(path: Path, node: str, shape: list[None] | None) -> None:
    """Record another shape for a node's result, or for every one that has none."""
    config = read_config(path)
    for reference in references(config):
        if reference["keras_history"][0] == node or (not node and reference["shape"] is None):
            reference["shape"] = shape
    write_config(path, path.with_suffix(".new"), config)
    path.with_suffix(".new").rename(path)


def outer(x: Any, y: Any, name: str) -> Any:
    """``outer(x[B, m], y[B, n]) -> [B, m, n]``."""
    column = layers.Reshape((x.shape[-1], 1), name=f"{name}_column")(x)
    row = layers.Reshape((1, y.shape[-1]), name=f"{name}_row")(y)
    return layers.Multiply(name=name)([column, row])


def lifts(*names: str) -> str:
    return " ".join(f"{name}_column {name}_row" for name in names)


def inputs(**shapes: tuple[int, ...]) -> list[Any]:
    return [keras.Input(shape, name=name) for name, shape in shapes.items()]


def assert_same(fixed: Path, model: keras.Model) -> None:
    repaired = keras.saving.load_model(fixed)
    for batch in (1, 3, 5):
        given = support.random_inputs(model, batch)
        support.compare(support.run(repaired, given), support.run(model, given))


def test_two_products_one_on_the_other(tmp_path):
    """The operand of the second product depends on the reading of the first."""
    x, y, z = inputs(x=(5,), y=(7,), z=(3,))
    second = outer(layers.Flatten()(outer(x, y, "first")), z, "second")
    model = keras.Model([x, y, z], layers.Dense(2, name="head")(layers.Flatten()(second)))
    path = broken(model, tmp_path, "first second", lifts("first", "second"))
    result = rewriter.repair(path, tmp_path / "fixed.keras")
    assert result.output is not None, [f.why for f in result.findings]
    assert {f.node: f.choice.rule for f in result.findings} == {"first": "outer", "second": "outer"}
    assert_one_answer(path, tmp_path / "plan.toml")
    assert_same(tmp_path / "fixed.keras", model)


@pytest.mark.parametrize("convention", ["layer", "op"])
def test_a_choice_upstream_that_leaves_no_answer_downstream_is_undone(convention, tmp_path):
    """``[B, 5, 6]`` with ``[B, 5]``: the first multiply alone looks like a gate per step. Then the second one would be
    a gate too, and its result would not fit the weights after it. Only the sum over the steps fits them."""
    x, g, h = inputs(x=(5, 6), g=(5,), h=(6,))
    total = layers.Dot(1, name="first")([g, x])
    second = layers.Multiply(name="second")([total, h]) if convention == "layer" else total * h
    model = keras.Model([x, g, h], layers.Dense(2, name="head")(layers.Flatten()(second)))
    path = broken(model, tmp_path, "first", contract="first")
    restate(path, "first", None)
    result = rewriter.repair(path, tmp_path / "fixed.keras")
    assert result.output is not None, [f.why for f in result.findings]
    (finding,) = result.findings
    assert (finding.node, finding.choice.rule) == ("first", "vecmat")
    assert "trained on 6" in finding.why
    assert any(e.startswith("against: it fails downstream") for c in finding.candidates for e in c.evidence)
    restate(tmp_path / "fixed.keras", "", [None, None])
    assert_same(tmp_path / "fixed.keras", model)


def layouts(joined: bool, convolved: bool) -> keras.Model:
    """Two products, each of a channels-last and a channels-first map; nothing shows their layouts."""
    tensors = inputs(a=(4, 6, 3), b=(3, 4, 6), c=(4, 6, 3), d=(3, 4, 6))
    a, b, c, d = tensors
    left = layers.Multiply(name="left")([a, layers.Permute((2, 3, 1), name="turn_left")(b)])
    right = layers.Multiply(name="right")([c, layers.Permute((2, 3, 1), name="turn_right")(d)])
    results = [layers.Flatten()(layers.Add()([left, right]))] if joined else [left, right]
    if convolved:
        results.append(layers.Conv2D(2, 1, name="conv")(left))
    return keras.Model(tensors, results)


def test_two_symmetrical_faults_are_one_tie(tmp_path):
    path = broken(layouts(True, False), tmp_path, "left right", "turn_left turn_right")
    result = rewriter.repair(path, tmp_path / "fixed.keras")
    assert result.output is None
    assert [f.chosen for f in result.findings] == [None, None]
    for finding in result.findings:
        assert finding.why.startswith("a joint tie")
        assert "'left'" in finding.why
        assert "'right'" in finding.why


def test_best_judges_what_follows_on_what_it_took(tmp_path):
    """Nothing proves that the sum's operands have equal shapes, until each of the products has a reading."""
    path = broken(layouts(True, False), tmp_path, "left right", "turn_left turn_right")
    assert len(rewriter.check(path, ops="all").findings) == 3
    best = rewriter.check(path, ops="all", mode="best")
    assert {f.node: f.chosen for f in best.findings} == {"left": 0, "right": 0}
    assert_one_answer(path, tmp_path / "plan.toml", "all")


def test_what_decides_one_of_them_decides_the_other(tmp_path):
    model = layouts(True, True)
    path = broken(model, tmp_path, "left right", "turn_left turn_right")
    result = rewriter.repair(path, tmp_path / "fixed.keras")
    assert result.output is not None, [f.why for f in result.findings]
    assert_same(tmp_path / "fixed.keras", model)


def test_ties_that_do_not_touch_each_other_stay_apart(tmp_path):
    path = broken(layouts(False, False), tmp_path, "left right", "turn_left turn_right")
    result = rewriter.repair(path, tmp_path / "fixed.keras")
    assert result.output is None
    assert not any("joint" in f.why for f in result.findings)
    assert not any("left" in f.why for f in result.findings if f.node == "right")


def test_one_that_is_decided_beside_one_that_is_not(tmp_path):
    path = broken(layouts(False, True), tmp_path, "left right", "turn_left turn_right")
    result = rewriter.repair(path, tmp_path / "fixed.keras")
    assert {f.node: f.chosen is not None for f in result.findings} == {"left": True, "right": False}


def row_of_products(count: int) -> keras.Model:
    """A chain of outer products, each flattened before a Dense layer of 15 rows."""
    x = keras.Input((3,), name="x")
    y = x
    for number in range(count):
        gate = layers.Dense(5, name=f"gate{number}")(y)
        product = layers.Flatten(name=f"flat{number}")(outer(y, gate, f"scale{number}"))
        y = layers.Dense(3, name=f"back{number}")(product)
    return keras.Model(x, y)


def spent(path: Path, monkeypatch) -> tuple[rewriter.Report, int]:
    """The report, and the number of nodes that were inferred again for it."""
    made = []

    class Watched(downstream.Trials):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            made.append(self)

    monkeypatch.setattr("rewriter.passes.analysis.Trials", Watched)
    report = rewriter.check(path)
    return report, made[0].model.limit - made[0].model.budget


def test_independent_faults_do_not_multiply(tmp_path, monkeypatch):
    costs = []
    for count in (10, 100):
        names = [f"scale{number}" for number in range(count)]
        (tmp_path / str(count)).mkdir()
        path = broken(row_of_products(count), tmp_path / str(count), " ".join(names), lifts(*names))
        report, cost = spent(path, monkeypatch)
        assert {f.node: f.choice and f.choice.rule for f in report.findings} == dict.fromkeys(names, "outer")
        costs.append(cost)
    assert costs[1] <= 12 * costs[0]


def test_a_search_that_is_cut_short_says_so_and_chooses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(suppositions, "_MIN_NODES", 4)
    monkeypatch.setattr(suppositions, "_MAX_MODELS", 0)
    x, y = inputs(x=(5,), y=(7,))
    model = keras.Model([x, y], layers.Dense(2)(layers.Flatten()(outer(x, y, "scale"))))
    result = rewriter.repair(broken(model, tmp_path, "scale", lifts("scale")), tmp_path / "fixed.keras")
    assert result.output is None
    assert "the search downstream stopped early" in result.findings[0].why


def lookup(path: Path) -> tuple[keras.Model, Path]:
    """Scores for slots, and their weighted sum, both written as multiplies of sizes that are all 6."""
    slots, query = inputs(slots=(6, 6), query=(6,))
    scores = layers.Dot(axes=(2, 1), name="scores")([slots, query])
    read = layers.Dot(axes=(1, 1), name="read")([layers.Softmax()(scores), slots])
    model = keras.Model([slots, query], layers.Dense(3)(read))
    model.save(path / "m.keras")
    return model, mutate(path / "m.keras", path / "b.keras", Recipe((), contract=("scores", "read"))).path


def test_what_follows_an_open_one_is_listed_on_the_result_that_it_has_in_any_case(tmp_path):
    _, path = lookup(tmp_path)
    report = rewriter.check(path)
    found = {f.node: f for f in report.findings}
    assert found.keys() == {"scores", "read"}
    assert found["scores"].chosen is found["read"].chosen is None
    assert "'scores' above it is not decided" in found["read"].why
    assert [c.rule for c in found["read"].candidates[:2]] == ["vecmat", "matvec"]
    assert {c.applicability for c in found["read"].candidates} == {Applicability.UNSAFE}


def test_what_waits_is_taken_and_planned_in_best_mode_as_repair_does_it(tmp_path):
    _, path = lookup(tmp_path)
    assert_one_answer(path, tmp_path / "plan.toml", "multiply")
    assert {f.chosen for f in rewriter.check(path, mode="best").findings} == {0}


@pytest.mark.parametrize("stated", [{"scores": "matvec"}, {"scores": "matvec", "read": "vecmat"}])
def test_one_that_waits_for_another_is_decided_once_that_is_stated(stated, tmp_path):
    model, path = lookup(tmp_path)
    result = rewriter.repair(path, tmp_path / "fixed.keras", at=stated)
    assert result.output is not None, [f.why for f in result.undecided]
    assert [(f.node, f.choice.rule) for f in result.findings] == [("scores", "matvec"), ("read", "vecmat")]
    assert_same(tmp_path / "fixed.keras", model)


def test_the_first_ranked_readings_of_both_are_taken_together(tmp_path):
    _, path = lookup(tmp_path)
    result = rewriter.repair(path, tmp_path / "fixed.keras", mode="best")
    assert [f.node for f in result.findings] == ["scores", "read"]
    assert all(f.choice for f in result.findings)
