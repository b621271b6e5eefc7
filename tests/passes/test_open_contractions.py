"""Contractions of axes whose sizes are not proven equal: reported, and an error if Keras refuses them.

Keras and ONNX Runtime are the judges: a model that they run at every size has no finding.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import keras
import numpy as np
import onnxruntime
import pytest
from keras import layers, ops
from onnx import helper

import rewriter
from tests.formats.onnx.test_read import graph_model, save
from tests.mutation.edits import locate, read_config, write_config
from tests.passes.test_intent import remove


def found(path, **options) -> list[tuple[str, str, str]]:
    return [(f.node, f.code, str(f.severity)) for f in rewriter.check(path, **options).findings]


# -- Keras -----------------------------
def _two(first: tuple[int | None, ...] = (None, 6), second: tuple[int | None, ...] = (None, 6)):
    return keras.Input(first, name="x"), keras.Input(second, name="y")


def _op(function: Callable[..., object], *shapes: tuple[int | None, ...]) -> keras.Model:
    x, y = _two(*shapes)
    return keras.Model([x, y], function(x, y))


def _attention(one_input: bool) -> keras.Model:
    x, y = _two()
    k = layers.Dense(6)(x if one_input else y)
    scores = ops.softmax(ops.matmul(layers.Dense(6)(x), ops.transpose(k, (0, 2, 1))))
    return keras.Model([x, y], [ops.matmul(scores, k), layers.Dense(2)(y)])


def _regrouped() -> keras.Model:
    x = keras.Input((None, 12), name="x")
    heads = layers.Reshape((-1, 2, 6))(x)
    turned = ops.transpose(heads, (0, 2, 1, 3))
    return keras.Model(x, ops.matmul(ops.matmul(turned, ops.transpose(turned, (0, 1, 3, 2))), turned))


BROKEN: dict[str, Callable[[], keras.Model]] = {
    "matmul": lambda: _op(ops.matmul),
    "einsum": lambda: _op(lambda x, y: ops.einsum("btd,bds->bts", x, y)),
    "tensordot": lambda: _op(lambda x, y: ops.tensordot(x, y, axes=[[2], [1]])),
    "two open sizes": lambda: _op(lambda x, y: ops.matmul(ops.transpose(x, (0, 2, 1)), y)),
    "in front": lambda: _op(ops.matmul, (None, 5, 6), (4, 6, 3)),
    "layer": lambda: _op(lambda x, y: layers.Dot(axes=(1, 1))([x, y])),
}
RIGHT: dict[str, Callable[[], keras.Model]] = {
    "matmul": lambda: _op(ops.matmul, (None, 6), (6, None)),
    "einsum": lambda: _op(lambda x, y: ops.einsum("btd,bsd->bts", x, y)),
    "tensordot": lambda: _op(lambda x, y: ops.tensordot(x, y, axes=[[2], [2]])),
    "one sequence": lambda: _attention(True),
    "two sequences": lambda: _attention(False),
    "regrouped": _regrouped,
    "in front": lambda: _op(ops.matmul, (None, 5, 6), (1, 6, 3)),
    "static": lambda: _op(ops.matmul, (5, 6), (6, 4)),
    "layer": lambda: _op(lambda x, y: layers.Dot(axes=(2, 2))([x, y])),
}


def _runs(model: keras.Model, *lengths: int) -> bool:
    arrays = [
        np.ones((3, *(n if size is None else size for size in x.shape[1:])), "float32")
        for x, n in zip(model.inputs, lengths, strict=False)
    ]
    try:
        model(arrays[0] if len(arrays) == 1 else arrays)
    except Exception:
        return False
    return True


@pytest.mark.parametrize("name", BROKEN)
def test_what_runs_at_some_sizes_only_is_said(name, tmp_path):
    model = BROKEN[name]()
    assert not _runs(model, 5, 7)
    model.save(tmp_path / "m.keras")
    assert [row[1:] for row in found(tmp_path / "m.keras")] == [("RW007", "info")]
    assert [row[1:] for row in found(tmp_path / "m.keras", ops="all")] == [("RW007", "info")]


@pytest.mark.parametrize("name", RIGHT)
def test_what_runs_at_every_size_has_no_finding(name, tmp_path):
    model = RIGHT[name]()
    assert _runs(model, 5, 7)
    model.save(tmp_path / "m.keras")
    assert found(tmp_path / "m.keras") == found(tmp_path / "m.keras", ops="all") == []


def _without_the_permute(folder, built: bool = False):
    """A Dot layer over a fixed and an open size; ``built`` keeps the shapes on which it was built."""
    x, y = _two()
    model = keras.Model([x, y], layers.Dot(axes=(2, 1), name="dot")([x, layers.Permute((2, 1), name="p")(y)]))
    model.save(folder / "right.keras")
    config = read_config(folder / "right.keras")
    rows = config["config"]["layers"]
    rows.remove(next(row for row in rows if row["name"] == "p"))
    dot = next(row for row in rows if row["name"] == "dot")
    operand = dot["inbound_nodes"][0]["args"][0][1]["config"]
    operand["keras_history"], operand["shape"] = ["y", 0, 0], [None, None, 6]
    if not built:
        del dot["build_config"]
    write_config(folder / "right.keras", folder / "m.keras", config)
    return folder / "m.keras"


def test_what_keras_refuses_to_build_is_an_error(tmp_path):
    path = _without_the_permute(tmp_path)
    with pytest.raises(ValueError, match="Incompatible input shapes"):
        keras.models.load_model(path)
    assert found(path) == [("dot", "RW001", "error")]
    assert found(tmp_path / "right.keras") == []
    equation = "b m k, b n k -> b m n"
    result = rewriter.repair(path, tmp_path / "fixed.keras", ops="all", at={"dot": equation})
    fixed, right = (keras.models.load_model(p) for p in (result.output, tmp_path / "right.keras"))
    arrays = [np.random.default_rng(k).normal(size=(3, n, 6)) for k, n in ((1, 5), (2, 7))]
    np.testing.assert_allclose(fixed(arrays), right(arrays), rtol=1e-5)


def test_what_keras_loads_from_what_it_was_built_on_is_said(tmp_path):
    path = _without_the_permute(tmp_path, built=True)
    model = keras.models.load_model(path)
    assert not _runs(model, 5, 7)
    assert found(path) == [("dot", "RW007", "info")]


def test_a_layer_in_a_model_that_was_built_on_open_sizes(tmp_path):
    a, b = keras.Input((None, 3)), keras.Input((None, 4))
    inner = keras.Model([a, b], layers.Dot(axes=(1, 1), name="dot")([a, b]), name="inner")
    x, y = _two((5, 3), (None, 4))
    keras.Model([x, y], inner([x, y])).save(tmp_path / "right.keras")
    config = read_config(tmp_path / "right.keras")
    for row in config["config"]["layers"]:
        for layer in row["config"].get("layers", ()):
            layer.pop("build_config", None)
    write_config(tmp_path / "right.keras", tmp_path / "m.keras", config)
    keras.models.load_model(tmp_path / "m.keras")
    assert found(tmp_path / "m.keras") == [("inner/dot", "RW007", "info")]


def test_a_vector_of_another_kind_of_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Shape must match"):
        _op(lambda x, y: ops.dot(x, np.ones(6, "float32")), (6, None))
    x, y = _two((6, None), (6, 5))
    model = keras.Model([x, y], ops.dot(y, np.ones(5, "float32")))
    model.save(tmp_path / "right.keras")
    assert found(tmp_path / "right.keras") == []
    config = read_config(tmp_path / "right.keras")
    text = json.dumps(config).replace('"keras_history": ["y", 0, 0]', '"keras_history": ["x", 0, 0]')
    write_config(tmp_path / "right.keras", tmp_path / "m.keras", json.loads(text))
    assert [row[1] for row in found(tmp_path / "m.keras")] == ["RW001"]


# -- ONNX -----------------------------
SEQUENCES = {"x": ["N", "seq", 4], "y": ["N", "seq2", 4]}


def _node(op: str, turned: bool = False, equation: str = "", shapes=None):
    nodes = [helper.make_node("Transpose", ["y"], ["t"], perm=[0, 2, 1])] if turned else []
    options = {"equation": equation} if equation else {}
    nodes.append(helper.make_node(op, ["x", "t" if turned else "y"], ["z"], name="mm", **options))
    return graph_model(nodes, shapes or SEQUENCES, {"z": [None, None, None]})


def _weighted(turned: bool):
    """A Dense layer over features whose axis is before the steps."""
    nodes = [helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 1])] if turned else []
    nodes.append(helper.make_node("MatMul", ["t" if turned else "x", "w"], ["z"], name="mm"))
    weights = {"w": np.ones((4, 3), np.float32)}
    return graph_model(nodes, {"x": ["N", 4, "seq"]}, {"z": [None, None, None]}, weights)


ONNX = {
    "matmul": (_node("MatMul"), _node("MatMul", turned=True)),
    "einsum": (
        _node("Einsum", equation="btd,bds->bts"),
        _node("Einsum", equation="btd,bsd->bts"),
    ),
    "weights": (_weighted(turned=False), _weighted(turned=True)),
    "one name": (
        _node("MatMul", shapes={"x": ["N", 4, "seq"], "y": ["N", "seq2", 4]}),
        _node("MatMul", shapes={"x": ["N", 4, "seq"], "y": ["N", "seq", 4]}),
    ),
}


def _session_runs(path) -> bool:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    sizes = {"N": 3, "seq": 5, "seq2": 7}
    feeds = {
        i.name: np.ones([sizes.get(size, size) for size in i.shape], np.float32) for i in session.get_inputs()
    }
    try:
        session.run(None, feeds)
    except Exception:
        return False
    return True


@pytest.mark.parametrize("name", ONNX)
def test_an_onnx_contraction_of_a_name_with_another_size(name, tmp_path):
    broken, right = ONNX[name]
    path = save(broken, tmp_path / "broken.onnx")
    assert not _session_runs(path)
    assert found(path) == [("mm", "RW007", "info")]
    path = save(right, tmp_path / "right.onnx")
    assert _session_runs(path)
    assert found(path) == found(path, ops="all") == []


# -- another reading has the recorded open sizes -----------------------------
@pytest.mark.parametrize("stale", [False, True])
def test_attention_that_lost_its_transpose_has_the_recorded_scores(stale, tmp_path):
    x = keras.Input((None, 6), name="x")
    q, k = layers.Dense(6)(x), layers.Dense(6)(x)
    y = ops.matmul(ops.softmax(ops.matmul(q, layers.Permute((2, 1), name="turn")(k))), layers.Dense(3)(x))
    right = keras.Model(x, y)
    right.save(tmp_path / "right.keras")
    config = read_config(tmp_path / "right.keras")
    remove(config, locate(config, "turn")[1], stale)
    write_config(tmp_path / "right.keras", tmp_path / "m.keras", config)
    assert not _runs(keras.models.load_model(tmp_path / "m.keras"), 5)
    assert [row[1:] for row in found(tmp_path / "m.keras", ops="all")] == [("RW003", "error")]
    result = rewriter.repair(tmp_path / "m.keras", tmp_path / "fixed.keras", ops="all", verify=False)
    given = np.random.default_rng(0).normal(size=(3, 5, 6))
    np.testing.assert_allclose(
        keras.models.load_model(result.output)(given), right(given), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("last", ["seq", "other", None, 4], ids=str)
def test_an_onnx_output_names_its_sizes(last, tmp_path):
    """An output of unknown sizes is what exporters write of any model; a name is a statement."""
    nodes = [helper.make_node("MatMul", ["x", "y"], ["z"], name="mm")]
    shapes = {"x": ["N", "seq", 4], "y": ["N", "seq", 4]}
    path = save(graph_model(nodes, shapes, {"z": ["N", "seq", last]}), tmp_path / "m.onnx")
    assert [row[1] for row in found(path, ops="all")] == ["RW001"]
    result = rewriter.repair(path, tmp_path / "fixed.onnx", ops="all", verify=False)
    assert bool(result) == (last == "seq")
    if last == "seq":
        session = onnxruntime.InferenceSession(result.output, providers=["CPUExecutionProvider"])
        x, y = (np.random.default_rng(k).normal(size=(3, 5, 4)).astype(np.float32) for k in (1, 2))
        (z,) = session.run(None, {"x": x, "y": y})
        np.testing.assert_allclose(z, x @ y.transpose(0, 2, 1), rtol=1e-4, atol=1e-5)
