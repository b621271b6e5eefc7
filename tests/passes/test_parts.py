"""Axes joined and sliced again: the joined axis is neither rows nor columns, and a slice at their border is one."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers, ops

import rewriter
from rewriter.formats.registry import open_model
from rewriter.ir.axis import Role
from rewriter.passes.codes import Kind
from rewriter.shapes.infer import infer
from tests import support
from tests.mutation.edits import read_config, references, write_config

C = 4


def by_slices(joined: Any, h: int) -> tuple[Any, Any]:
    return joined[:, :h], joined[:, h:]


def by_split(joined: Any, h: int) -> tuple[Any, Any]:
    rows, columns = ops.split(joined, [h], axis=1)
    return rows, columns


def coordinates(size: tuple[int, int], lost: str = "", cut: Any = by_slices) -> keras.Model:
    """Coordinate attention: rows and columns through one convolution; either gate can lose its unit axis."""
    h, w = size
    image = keras.Input((h, w, 3))
    x = layers.Conv2D(C, 3, padding="same")(image)
    rows = ops.mean(x, axis=2, keepdims=True)
    columns = layers.Permute((2, 1, 3))(ops.mean(x, axis=1, keepdims=True))
    both = layers.Conv2D(3, 1, activation="relu", name="both")(
        layers.Concatenate(axis=1, name="joined")([rows, columns])
    )
    rows, columns = cut(both, h)
    columns = layers.Permute((2, 1, 3))(columns)
    rows, columns = (layers.Conv2D(C, 1, activation="sigmoid")(y) for y in (rows, columns))
    if lost == "rows":
        rows = ops.squeeze(rows, 2)
    if lost == "columns":
        columns = ops.squeeze(columns, 1)
    return keras.Model(image, x * rows * columns)


@pytest.mark.parametrize("cut", [by_slices, by_split])
@pytest.mark.parametrize("lost", ["rows", "columns"])
def test_rows_and_columns_that_were_joined_are_told_apart(lost, cut, tmp_path):
    right, wrong = coordinates((6, 6), cut=cut), coordinates((6, 6), lost, cut)
    wrong.set_weights(right.get_weights())
    wrong.save(tmp_path / "m.keras")
    result = rewriter.repair(tmp_path / "m.keras", tmp_path / "out.keras", verify=False)
    assert result.output is not None, [f.why for f in result.findings]
    inputs = support.random_inputs(right, 3)
    fixed = support.load(tmp_path / "out.keras")
    support.compare(support.run(fixed, inputs), support.run(right, inputs))
    right.save(tmp_path / "m.keras")
    assert rewriter.check(tmp_path / "m.keras", ops="all").findings == []


def test_no_layer_makes_rows_and_columns_in_one_axis_rows(tmp_path):
    coordinates((5, 7)).save(tmp_path / "m.keras")
    with open_model(tmp_path / "m.keras") as source:
        inference = infer(source.graph)
    for name in ("joined", "both"):
        (value,) = inference.values[name]
        assert value.axes[1].size == 12 and value.axes[1].role is Role.UNKNOWN


def without_turn(model: keras.Model, folder: Path, stated: bool) -> Path:
    """The file of coordinate attention whose columns are not transposed before they are joined to the rows."""
    model.save(folder / "valid.keras")
    config = read_config(folder / "valid.keras")
    entries = config["config"]["layers"]
    turn = next(entry for entry in entries if entry["class_name"] == "Permute")
    (source,) = references(turn["inbound_nodes"])
    for entry in entries:
        for reference in references(entry.get("inbound_nodes", [])):
            if reference["keras_history"][0] == turn["config"]["name"]:
                reference.update(copy.deepcopy(source))
            if reference["keras_history"][0] == "joined" and not stated:
                reference["shape"] = None
        if entry["config"]["name"] == "joined":
            entry.pop("build_config")
    entries.remove(turn)
    write_config(folder / "valid.keras", folder / "m.keras", config)
    return folder / "m.keras"


@pytest.mark.parametrize("stated", [True, False])
def test_columns_that_are_joined_to_rows_are_turned_where_the_file_records_the_result(stated, tmp_path):
    model = coordinates((5, 7))
    path = without_turn(model, tmp_path, stated)
    result = rewriter.repair(path, tmp_path / "out.keras", ops="all", verify=False)
    assert "b c 1 w, b 1 d w -> b (c+d) 1 w" in [c.equation for c in result.findings[0].candidates]
    assert (result.output is not None) is stated, [f.why for f in result.findings]
    if stated:
        inputs = support.random_inputs(model, 3)
        fixed = support.load(tmp_path / "out.keras")
        support.compare(support.run(fixed, inputs), support.run(model, inputs))


# -- layouts -----------------------------
def two_layouts(join: Any, turned: bool, n: int = 5) -> keras.Model:
    """Channels last joined with channels first, of equal sizes; with ``turned``, transposed before, as is right."""
    a, b = keras.Input((n, n, n)), keras.Input((n, n, n))
    x, y = layers.BatchNormalization(axis=-1)(a), layers.BatchNormalization(axis=1)(b)
    return keras.Model([a, b], join([x, layers.Permute((2, 3, 1))(y) if turned else y]))


JOINS = {
    "Add": lambda pair: layers.Add()(pair),
    "Subtract": lambda pair: layers.Subtract()(pair),
    "an operator": lambda pair: pair[0] + pair[1],
    "Concatenate": lambda pair: layers.Concatenate()(pair),
    "Concatenate of rows": lambda pair: layers.Concatenate(axis=1)(pair),
}


@pytest.mark.parametrize("name", JOINS)
def test_two_layouts_that_meet_are_found_and_a_turned_one_is_left_alone(name, tmp_path):
    two_layouts(JOINS[name], turned=False).save(tmp_path / "m.keras")
    findings = rewriter.check(tmp_path / "m.keras", ops="all").findings
    assert [f.kind for f in findings] == [Kind.LAYOUT]
    turns = {s.axes for c in findings[0].candidates for s in c.plan.steps if s.op == "Transpose"}
    assert ((0, 3, 1, 2) if name == "Concatenate of rows" else (0, 2, 3, 1)) in turns
    two_layouts(JOINS[name], turned=True).save(tmp_path / "m.keras")
    assert rewriter.check(tmp_path / "m.keras", ops="all").findings == []


def test_what_follows_two_layouts_decides(tmp_path):
    def model(turned: bool) -> keras.Model:
        wrong = two_layouts(JOINS["Add"], turned)
        return keras.Model(wrong.inputs, layers.BatchNormalization(axis=-1)(wrong.outputs[0]))

    right, wrong = model(True), model(False)
    wrong.save(tmp_path / "m.keras")
    result = rewriter.repair(tmp_path / "m.keras", tmp_path / "out.keras", ops="all", verify=False)
    assert result.output is not None, [f.why for f in result.findings]
    inputs = support.random_inputs(right, 3)
    support.compare(support.run(support.load(tmp_path / "out.keras"), inputs), support.run(right, inputs))
