"""Repaired SavedModels: TensorFlow loads them, and at batch 5 they equal the originals sample by sample."""

from __future__ import annotations

import filecmp
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tensorflow.core.protobuf import saved_model_pb2
from tf_keras.protobuf import saved_metadata_pb2

import rewriter
from rewriter.formats.saved_model.messages import FunctionDef
from rewriter.formats.saved_model.model import SavedModel
from tests.formats.saved_model.made import arrays, gate_k2, gate_k3, one_by_one, plain, run, version_1

BATCH = 5


def _inputs(path: str) -> dict[str, Any]:
    return arrays(tf.saved_model.load(path).signatures["serving_default"], BATCH)


def _repaired(path: str, **options: Any) -> str:
    result = rewriter.repair(path, f"{path}-repaired", verify=False, **options)
    assert result.output, [finding.why for finding in result.findings]
    assert not rewriter.check(result.output, ops=options.get("ops", "multiply")).findings
    return result.output


@pytest.mark.parametrize("make", [gate_k3, gate_k2])
def test_a_batch_is_what_its_samples_are(make: Callable[[Path], str], tmp_path: Path):
    path = make(tmp_path / "model")
    given = _inputs(path)
    for found, wanted in zip(run(_repaired(path), given), one_by_one(path, given), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


Case = tuple[Callable[..., Any], Sequence[Sequence[int | None]], dict[str, Any]]
ALIGNED: dict[str, Case] = {
    "gate": (lambda a, b: a * b, [(None, 28, 28, 7), (None, 7)], {}),
    "sample-weight": (lambda a, b: a * b, [(None, 5, 3), (None,)], {}),
    "sum": (lambda a, b: a + b, [(None, 11, 11, 7), (None, 7)], {"ops": "all"}),
    "difference": (lambda a, b: a - b, [(None, 11, 11, 7), (None, 7)], {"ops": "all"}),
    "quotient": (lambda a, b: a / b, [(None, 11, 11, 7), (None, 7)], {"ops": "all"}),
    "double": (lambda a, b: a * b, [(None, 11, 11, 7), (None, 7)], {"dtype": tf.float64}),
    "half": (lambda a, b: a * b, [(None, 11, 11, 7), (None, 7)], {"dtype": tf.float16}),
    "open-image": (lambda a: tf.nn.relu(a) * tf.reduce_mean(a, [1, 2]), [(None, None, None, 7)], {}),
    "twice": (lambda a, b: tf.nn.relu(a * b) * b, [(None, 11, 11, 7), (None, 7)], {}),
    "shared": (lambda a, b: tf.stack([a * b, b * a], 1), [(None, 11, 11, 7), (None, 7)], {}),
}


@pytest.mark.parametrize("name", ALIGNED)
def test_plain_functions(name: str, tmp_path: Path):
    function, shapes, options = ALIGNED[name]
    dtype = options.pop("dtype", tf.float32)
    path = plain(tmp_path / "m", function, *shapes, dtype=dtype)
    given = _inputs(path)
    tolerance = 1e-2 if dtype is tf.float16 else 1e-6
    for found, wanted in zip(run(_repaired(path, **options), given), one_by_one(path, given), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


CHOSEN = {
    "b m k, b k n -> b m n": ((None, 6, 6), (None, 6, 6), "bmk,bkn->bmn"),
    "b m k, b n k -> b m n": ((None, 6, 6), (None, 6, 6), "bmk,bnk->bmn"),
    "b f, b g -> b f g": ((None, 6), (None, 6), "bf,bg->bfg"),
    "b h w c, b c h w -> b h w c": ((None, 4, 4, 4), (None, 4, 4, 4), "bhwc,bchw->bhwc"),
    "b t d, b t -> b t d": ((None, 6, 6), (None, 6), "btd,bt->btd"),
}


@pytest.mark.parametrize("equation", CHOSEN)
def test_what_the_user_says_is_computed(equation: str, tmp_path: Path):
    """NumPy's einsum is the oracle; the node that replaces a multiply takes over its consumers and results."""
    first, second, subscripts = CHOSEN[equation]
    path = plain(tmp_path / "m", lambda a, b: (tf.nn.relu(a * b), a * b), first, second)
    (node, *others) = _multiplies(path)
    assert len(others) == 1
    result = rewriter.repair(
        path, tmp_path / "out", at=dict.fromkeys((node, *others), equation), verify=False
    )
    given = _inputs(path)
    wanted = np.einsum(subscripts, given["a"], given["b"])
    relu, plainly = run(str(result.output), given)
    np.testing.assert_allclose(plainly, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(relu, np.maximum(wanted, 0), rtol=1e-5, atol=1e-6)


def _multiplies(path: str) -> list[str]:
    model = SavedModel(path)
    return [
        f"{u.name}/{n.name}" for u in model.source.units.values() for n in u.nodes.values() if n.op == "Mul"
    ]


def test_a_graph_of_tensorflow_1(tmp_path: Path):
    path = version_1(tmp_path / "m", lambda a, b: tf.nn.relu(a * b), (None, 9, 9, 5), (None, 5))
    given = {
        "a": np.ones((BATCH, 9, 9, 5), "float32"),
        "b": np.arange(5.0 * BATCH, dtype="float32").reshape(BATCH, 5),
    }
    for found, wanted in zip(run(_repaired(path), given), one_by_one(path, given), strict=True):
        np.testing.assert_allclose(found, wanted)


def _as_tensorflow_2_4(path: str) -> str:
    """The same model with the Keras metadata of its layers in the object graph."""
    binary, metadata = Path(path, "saved_model.pb"), Path(path, "keras_metadata.pb")
    message = saved_model_pb2.SavedModel.FromString(binary.read_bytes())
    nodes = message.meta_graphs[0].object_graph_def.nodes
    for said in saved_metadata_pb2.SavedMetadata.FromString(metadata.read_bytes()).nodes:
        nodes[said.node_id].user_object.metadata = said.metadata
    binary.write_bytes(message.SerializeToString())
    metadata.unlink()
    return path


@pytest.mark.parametrize("old", [False, True], ids=["file", "objects"])
def test_keras_2_computes_what_was_repaired(old: bool, tmp_path: Path):
    """Keras 2 would build the model from its configuration, which is still the broken one."""
    path = gate_k2(tmp_path / "model")
    path = _as_tensorflow_2_4(path) if old else path
    repaired = tf_keras.models.load_model(_repaired(path))
    original = tf_keras.models.load_model(path)
    x = np.random.default_rng(0).normal(size=(BATCH, 11, 11, 3)).astype("float32")
    wanted = np.concatenate([original.predict(x[k : k + 1], verbose=0) for k in range(BATCH)])
    np.testing.assert_allclose(repaired.predict(x, verbose=0), wanted, rtol=1e-5, atol=1e-6)
    assert len(repaired.weights) == len(original.weights)


def test_a_valid_model_is_copied_as_it_is(valid: Callable[[str], str], tmp_path: Path):
    path = valid("gate-k2")
    result = rewriter.repair(path, tmp_path / "copy", verify=False)
    compared = filecmp.dircmp(path, str(result.output))
    assert not compared.left_only and not compared.right_only and not compared.diff_files
    assert filecmp.cmpfiles(path, str(result.output), ["saved_model.pb", "fingerprint.pb"], shallow=False)[0]


def test_all_else_keeps_its_bytes(tmp_path: Path):
    """Unchanged functions, variables, and unknown fields."""
    path = gate_k3(tmp_path / "model")
    before, after = SavedModel(path), SavedModel(_repaired(path))
    changed = [
        name
        for name, unit in before.source.units.items()
        if _bytes(unit.function) != _bytes(after.source.units[name].function)
    ]
    assert len(changed) == 1
    names = [
        name for name in before.folder.names() if name.startswith("variables/") and not name.endswith("/")
    ]
    assert len(names) == 2
    assert filecmp.cmpfiles(path, after.path, names, shallow=False)[0] == names
    assert "fingerprint.pb" in before.folder and "fingerprint.pb" not in after.folder


def _bytes(function: FunctionDef | None) -> bytes:
    assert function is not None
    return bytes(function.message.data)


def test_what_is_inserted_says_its_rule_and_shape(tmp_path: Path):
    path = _repaired(plain(tmp_path / "m", lambda a, b: a * b, (None, 28, 28, 7), (None, 7)))
    nodes = {n.name: n for u in SavedModel(path).source.units.values() for n in u.nodes.values()}
    inserted = nodes["mul_channel_gate_reshape"]
    assert inserted.attribute("_rewriter") == "channel-gate: b h w c, b c -> b h w c"
    assert inserted.shapes == [(None, 1, 1, 7)]
    assert inserted.attribute("T") == "float32"


def test_a_result_of_another_shape_is_stated_so_everywhere(tmp_path: Path):
    """The recorded shapes of later nodes, of calls of the function, and of the signature."""
    path = plain(tmp_path / "m", lambda a, b: tf.nn.relu(a * b), (None, 6), (None, 6))
    (node,) = _multiplies(path)
    out = rewriter.repair(path, tmp_path / "out", at={node: "b f, b g -> b f g"}, verify=False).output
    source = SavedModel(str(out)).source
    shapes = {n.op: n.shapes for u in source.units.values() for n in u.nodes.values()}
    assert shapes["Relu"] == shapes["PartitionedCall"] == shapes["Identity"] == [(None, 6, 6)]
    ((_, shape),) = source.signatures["serving_default"].outputs.values()
    assert shape == (None, 6, 6)


def test_a_second_repair_changes_nothing(tmp_path: Path):
    first = _repaired(gate_k3(tmp_path / "model"))
    second = rewriter.repair(first, tmp_path / "again", verify=False)
    assert not second.inserted
    assert filecmp.cmp(Path(first) / "saved_model.pb", tmp_path / "again" / "saved_model.pb", shallow=False)
