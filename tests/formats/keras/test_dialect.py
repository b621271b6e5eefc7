"""Files of Keras 3.0 to 3.10: inserted nodes have the form of the Keras that wrote the file."""

from __future__ import annotations

import inspect
import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import rewriter
from rewriter.errors import UnsupportedError
from rewriter.formats.keras.dialect import dialect_of
from rewriter.formats.keras.spelling import spell
from rewriter.ir.graph import Graph, Node, Operation
from rewriter.ir.size import symbol
from rewriter.rules.lower import Step

L = keras.layers
B = symbol("B")
ROOT = Path(__file__).resolve().parents[3]
MODULE = "keras.src.ops.numpy"
NAMELESS = ("ExpandDims", "Repeat", "Reshape", "Squeeze", "Tile", "Transpose")


def saved(model: Any, path: Path, version: str) -> Path:
    """Save the model in a file that states another version of Keras."""
    model.save(path)
    return stamped(path, path, version)


def stamped(source: Path, path: Path, version: str) -> Path:
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["metadata.json"] = json.dumps(
        {"keras_version": version, "date_saved": "2024-01-01@00:00:00"}
    ).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def config(path: Path) -> list[dict[str, Any]]:
    with zipfile.ZipFile(path) as archive:
        return list(json.loads(archive.read("config.json"))["config"]["layers"])


def inserted(path: Path) -> list[dict[str, Any]]:
    return [entry for entry in config(path) if "rewriter" in entry]


def gated(reshape: bool, name: str | None = None) -> Any:
    """A gate over the channels of a map with another Reshape layer, and two GRUs whose order a repair can change."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)
    x = keras.Input((6, 4))
    first = L.GRU(4, return_sequences=True)(x)
    gate = L.Dense(4, activation="sigmoid")(L.GlobalAveragePooling1D()(first))
    gate = L.Reshape((1, 4), name=name)(gate) if reshape else gate
    second = L.GRU(4, return_sequences=True)(keras.ops.multiply(first, gate))
    return keras.Model(x, L.Dense(2)(L.Reshape((24,))(second)))


@pytest.mark.parametrize("version", ["3.0.5", "3.10.0", "3.11.0"])
def test_a_lost_reshape(version: str, tmp_path: Path):
    """Before 3.11 it is a layer with a name; the model has other layers of its class."""
    whole, broken = gated(True), gated(False)
    for a, b in zip(whole.weights, broken.weights, strict=True):
        b.assign(a)
    path = saved(broken, tmp_path / "model.keras", version)
    result = rewriter.repair(path, tmp_path / "out.keras", verify=False)
    assert result.output is not None
    (entry,) = inserted(tmp_path / "out.keras")
    old = tuple(map(int, version.split(".")[:2])) < (3, 11)
    assert (entry["module"], entry["class_name"]) == ("keras.layers" if old else MODULE, "Reshape")
    assert entry["config"]["name"] == entry["name"]
    loaded = keras.saving.load_model(tmp_path / "out.keras")
    for n in (1, 2, 6):
        given = np.random.default_rng(n).normal(0, 1, (n, 6, 4)).astype("float32")
        np.testing.assert_allclose(loaded(given), whole(given), atol=1e-6)
    again = rewriter.repair(tmp_path / "out.keras", tmp_path / "again.keras", verify=False)
    assert not again.changes or not again.findings
    assert (tmp_path / "again.keras").read_bytes() == (tmp_path / "out.keras").read_bytes()


def test_an_operation_that_is_no_layer_has_no_name(tmp_path: Path):
    path = stamped(ROOT / "models" / "layout.keras", tmp_path / "model.keras", "3.8.0")
    assert rewriter.repair(path, tmp_path / "out.keras", verify=False).output is not None
    (entry,) = inserted(tmp_path / "out.keras")
    assert (entry["class_name"], list(entry["config"])) == ("Transpose", ["axes"])
    keras.saving.load_model(tmp_path / "out.keras")


# -- entry by entry -----------------------------
def entry_of(step: Step, shape: list[int | None], dtype: str = "float32") -> dict[str, Any]:
    module, class_name, settings, arguments = spell(step)
    source = {"class_name": "__keras_tensor__", "config": {"shape": shape, "dtype": dtype}}
    return {
        "module": module,
        "class_name": class_name,
        "config": {"name": "new", **settings},
        "name": "new",
        "inbound_nodes": [{"args": [source, *arguments], "kwargs": {}}],
    }


def named(*names: str) -> Graph:
    graph = Graph("m")
    for name in names:
        operation = Operation(name, "layer", "Dense", {"name": name})
        graph.add(Node(name, operation, 0, (), {}))
    return graph


STEPS = [
    (Step("Reshape", 0, (B, 1, 4)), [None, 4]),
    (Step("Reshape", 0, (2, B, 4)), [None, 4]),
    (Step("Transpose", 0, (B, 4, 3), (0, 2, 1)), [None, 3, 4]),
    (Step("ExpandDims", 0, (B, 1), (1,)), [None]),
    (Step("Squeeze", 0, (B, 4), (1,)), [None, 1, 4]),
    (Step("Tile", 0, (B, 8), repeats=(1, 2)), [None, 4]),
    (Step("Repeat", 0, (B, 8), (1,), (2,)), [None, 4]),
]


@pytest.mark.parametrize(("step", "shape"), STEPS, ids=[f"{s.op}-{len(s.to)}" for s, _ in STEPS])
def test_every_step(step: Step, shape: list[int | None]):
    entry = entry_of(step, shape)
    (old,) = dialect_of("3.0.5", named("a"))(entry)
    assert dialect_of("3.11.0", named("a"))(entry) == [entry]
    assert dialect_of(None, named("a"))(entry) == [entry]
    if old["module"] == "keras.layers":
        assert old["config"] == {"name": "new", "trainable": True, "dtype": "float32", "target_shape": [1, 4]}
        return
    assert set(old["config"]) == set(entry["config"]) - {"name"}
    assert not isinstance(old["config"].get("axis"), list)


def test_a_layer_computes_in_the_type_of_its_operand():
    for dtype, wanted in (
        ("float16", "float16"),
        ("float64", "float64"),
        ("int32", "float32"),
        ("bool", "float32"),
    ):
        (entry,) = dialect_of("3.8.0", named())(entry_of(Step("Reshape", 0, (B, 1, 4)), [None, 4], dtype))
        assert entry["config"]["dtype"] == wanted


def test_a_name_that_keras_would_give_twice():
    entry = entry_of(Step("Transpose", 0, (B, 4, 3), (0, 2, 1)), [None, 3, 4])
    for name in ("transpose", "transpose_1"):
        with pytest.raises(UnsupportedError, match="name of another layer"):
            dialect_of("3.8.0", named("a", name))(entry)
    for name in ("transposed", "transpose_b", "conv2d_transpose"):
        (old,) = dialect_of("3.8.0", named("a", name))(entry)
        assert old["config"] == {"axes": [0, 2, 1]}


AXES = [
    (Step("ExpandDims", 0, (1, B, 1, 4, 1), (0, 2, 4)), [None, 4]),
    (Step("Squeeze", 0, (B, 4), (0, 2, 4)), [1, None, 1, 4, 1]),
]


@pytest.mark.parametrize(("step", "shape"), AXES, ids=[s.op for s, _ in AXES])
def test_several_axes_in_3_0(step: Step, shape: list[int | None]):
    """An operation for each axis; together they give the shape that one gives."""
    entry = entry_of(step, shape)
    (newer,) = dialect_of("3.1.0", named())(entry)
    assert newer["config"] == {"axis": [0, 2, 4]}
    tensor, name = keras.KerasTensor(shape), ""
    parts = dialect_of("3.0.5", named())(entry)
    assert len(parts) == 3
    for part in parts:
        (given,) = part["inbound_nodes"][0]["args"]
        assert given["config"]["shape"] == list(tensor.shape)
        if name:
            assert given["config"]["keras_history"] == [name, 0, 0]
        tensor = getattr(keras.src.ops.numpy, step.op)(**part["config"]).symbolic_call(tensor)
        name = part["name"]
    assert name == "new"
    whole = getattr(keras.src.ops.numpy, step.op)(**newer["config"]).symbolic_call(keras.KerasTensor(shape))
    assert tensor.shape == whole.shape


@pytest.mark.parametrize(("version", "nodes"), [("3.0.5", 2), ("3.8.0", 1)])
def test_a_gate_of_steps_over_an_image(version: str, nodes: int, tmp_path: Path):
    keras.utils.clear_session()
    keras.utils.set_random_seed(2)
    x, steps = keras.Input((None, 3, 4)), keras.Input((None,))
    model = keras.Model([x, steps], L.Conv2D(4, 1)(keras.ops.multiply(L.Conv2D(4, 1)(x), steps)))
    path = saved(model, tmp_path / "model.keras", version)
    result = rewriter.repair(
        path, tmp_path / "out.keras", at={"multiply": "b t h c, b t -> b t h c"}, verify=False
    )
    assert result.output is not None
    assert [entry["class_name"] for entry in inserted(tmp_path / "out.keras")] == ["ExpandDims"] * nodes
    loaded = keras.saving.load_model(tmp_path / "out.keras")
    rng = np.random.default_rng(2)
    data, gate = rng.normal(0, 1, (2, 5, 3, 4)), rng.normal(0, 1, (2, 5))
    first, last = (layer for layer in model.layers if isinstance(layer, L.Conv2D))
    wanted = last(first(data) * gate[:, :, None, None])
    np.testing.assert_allclose(loaded([data, gate]), wanted, atol=1e-6)


def test_a_slice_takes_its_shape_where_it_is_called():
    entry = entry_of(Step("Slice", 0, (B, 5)), [None, 8])
    (old,) = dialect_of("3.10.0", named())(entry)
    assert old["config"] == {"name": "new"}
    assert old["inbound_nodes"][0]["args"][1:] == [[0, 0], [-1, 5]]
    assert dialect_of("3.11.0", named())(entry) == [entry]


def test_what_keeps_its_name():
    entry = entry_of(Step("MatMul", -1, (B, 4)), [None, 4])
    assert dialect_of("3.0.5", named("matmul"))(entry) == [entry]


def test_the_newest_keras_takes_a_name_everywhere():
    for name in (*NAMELESS, "Slice"):
        family = keras.src.ops.core if name == "Slice" else keras.src.ops.numpy
        assert "name" in inspect.signature(getattr(family, name).__init__).parameters, name


@pytest.mark.parametrize("version", ["3.0.5", "3.8.0", "3.11.0"])
def test_one_sample_repeated_to_the_batch(version: str, tmp_path: Path):
    """Any accepts no name before 3.11, but always several axes; Where accepts a name in every Keras 3."""
    keras.utils.clear_session()
    x = keras.Input((5, 4))
    token = np.arange(4, dtype="float32").reshape(1, 1, 4)
    model = keras.Model(x, keras.ops.concatenate([token, L.Dense(4)(x)], axis=1))
    path = saved(model, tmp_path / "model.keras", version)
    result = rewriter.repair(path, tmp_path / "out.keras", ops="all", verify=False)
    assert result.output is not None
    any_, where = inserted(tmp_path / "out.keras")
    assert ("name" in any_["config"]) == (version == "3.11.0")
    assert (any_["config"]["axis"], "name" in where["config"]) == ([1, 2], True)
    data = np.ones((3, 5, 4), "float32")
    got = np.asarray(keras.saving.load_model(tmp_path / "out.keras")(data))
    np.testing.assert_array_equal(got[:, 0], np.repeat(token[:, 0], 3, 0))
