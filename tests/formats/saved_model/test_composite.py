"""Parts of ragged and sparse tensors do not count as a batch: TensorFlow runs these models on three samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import rewriter
from rewriter.formats.registry import open_model

RAGGED = tf.RaggedTensorSpec([None, None], tf.float32)
SPARSE = tf.SparseTensorSpec([None, 5], tf.float32)
DEEP = tf.RaggedTensorSpec([None, None, None], tf.float32)


def lengths(x: Any, r: Any) -> Any:
    return x * tf.cast(r.row_lengths(), tf.float32)


def means(x: Any, r: Any) -> Any:
    return x[:, None] * tf.cast(r.row_lengths(), tf.float32)[:, None]


def entries(x: Any, s: Any) -> Any:
    return tf.gather(x, s.indices[:, 0]) * s.values


def deep(x: Any, r: Any) -> Any:
    return (
        x * tf.cast(r.row_lengths(), tf.float32) * tf.reduce_sum(tf.cast(r.values.row_lengths(), tf.float32))
    )


def called(x: Any, r: Any) -> Any:
    return tf.function(lengths)(x, r)


def ragged() -> Any:
    return tf.ragged.constant([[1.0], [2.0, 3.0], []])


MODELS: dict[str, tuple[Callable[..., Any], Any, Callable[[], Any]]] = {
    "lengths": (lengths, RAGGED, ragged),
    "means": (means, RAGGED, ragged),
    "entries": (entries, SPARSE, lambda: tf.sparse.from_dense(tf.eye(3, 5))),
    "deep": (deep, DEEP, lambda: tf.ragged.constant([[[1.0]], [[2.0], [3.0]], []])),
    "called": (called, RAGGED, ragged),
}


def saved(name: str, path: Path, signature: bool) -> str:
    function, spec, given = MODELS[name]
    module = tf.Module()
    specs = [tf.TensorSpec([None], tf.float32), spec]
    module.f = tf.function(function, input_signature=specs)
    tf.saved_model.save(module, str(path), signatures=module.f if signature else None)
    assert tf.saved_model.load(str(path)).f(tf.ones([3]), given()).shape[0] == 3
    return str(path)


@pytest.mark.parametrize("signature", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_nothing_is_wrong_with_them(name: str, signature: bool, tmp_path: Path):
    report = rewriter.check(saved(name, tmp_path / "model", signature), ops="all")
    assert {finding.kind.name for finding in report.findings} <= {"UNPROVEN"}, report.findings


@pytest.mark.parametrize("name", ["lengths", "means", "called"])
def test_where_the_file_does_not_say_it_the_use_does(name: str, tmp_path: Path):
    path = saved(name, tmp_path / "model", True)
    change(Path(path), lambda graph: [f.ClearField("canonicalized_input_signature") for f in graph])
    report = rewriter.check(path, ops="all")
    assert {finding.kind.name for finding in report.findings} <= {"UNPROVEN"}, report.findings


def test_what_an_older_tensorflow_does_not_count(tmp_path: Path):
    """Before 2.8 the file does not state how many tensors a ragged one has."""
    path = saved("deep", tmp_path / "model", False)

    def forget(functions: Any) -> None:
        for each in functions:
            for value in each.canonicalized_input_signature.tuple_value.values[0].tuple_value.values:
                value.type_spec_value.ClearField("num_flat_components")

    change(Path(path), forget)
    assert parts(path)["deep"] == {"r", "r_1", "r_2"}


@pytest.mark.parametrize("name", MODELS)
def test_the_file_says_what_they_are(name: str, tmp_path: Path):
    """TensorFlow numbers their names. The function of the signature has them as separate arguments."""
    given = "s" if name == "entries" else "r"
    count = {"entries": 3, "deep": 3}.get(name, 2)
    names = {given, *(f"{given}_{number}" for number in range(1, count))}
    found = parts(saved(name, tmp_path / "model", True))
    assert found[name] == names
    assert found.keys() > {name}
    assert all(each == names for each in found.values()), found


def test_a_fault_beside_a_ragged_tensor_is_found(tmp_path: Path):
    def function(r: Any, x: Any, n: Any) -> Any:
        return x * n, r.row_lengths()

    module = tf.Module()
    specs = [RAGGED, tf.TensorSpec([None, 7], tf.float32), tf.TensorSpec([None], tf.float32)]
    module.f = tf.function(function, input_signature=specs)
    tf.saved_model.save(module, str(tmp_path / "model"))
    report = rewriter.check(str(tmp_path / "model"))
    assert {finding.kind.name for finding in report.findings} == {"BATCH_MISALIGNED"}


def parts(path: str) -> dict[str, set[str]]:
    """The arguments that are read as parts of ragged and sparse tensors, by the name of the function in Python."""
    found: dict[str, set[str]] = {}
    with open_model(path) as model:
        for name, node in model.graph.nodes.items():
            if node.operation.config.get("part"):
                function, _, argument = name.partition(":")
                found.setdefault(function.removeprefix("__inference_").rpartition("_")[0], set()).add(
                    argument
                )
    return found


def change(folder: Path, edit: Callable[[Any], Any]) -> None:
    """Write a model's message with its functions' descriptions changed."""
    message = saved_model_pb2.SavedModel()
    message.ParseFromString((folder / "saved_model.pb").read_bytes())
    edit(message.meta_graphs[0].object_graph_def.concrete_functions.values())
    (folder / "saved_model.pb").write_bytes(message.SerializeToString())
