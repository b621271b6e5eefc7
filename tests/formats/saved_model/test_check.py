"""SavedModels are read without TensorFlow, valid ones have no finding, and broken ones are found."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf

import rewriter
from rewriter.formats.registry import open_model
from rewriter.shapes.infer import infer
from tests.formats.saved_model.made import VALID, gate_k2, gate_k3, plain, version_1


@pytest.mark.parametrize("name", VALID)
def test_nothing_is_found_in_a_valid_model(name: str, valid: Callable[[str], str]):
    report = rewriter.check(valid(name), ops="all")
    assert [(f.node, f.message) for f in report.findings] == []
    assert report.format == "savedmodel"


@pytest.mark.parametrize("name", VALID)
def test_the_shapes_are_those_that_tensorflow_recorded(name: str, valid: Callable[[str], str]):
    """TensorFlow's own inference is the oracle: the same rank, and the same size wherever both know one."""
    compared = 0
    with open_model(valid(name)) as model:
        inference = infer(model.graph)
        inner = {name: found for subs in inference.inner.values() for name, found in subs}
        for unit in model.source.units.values():
            values = inner[unit.name].values
            for node in unit.nodes.values():
                for shape, value in zip(node.shapes, values.get(node.name, ()), strict=False):
                    if shape is None or value.dtype in ("resource", "variant") or value.claimed == node.name:
                        continue
                    if node.op in ("While", "VarHandleOp", "StatelessWhile") or value.axes is None:
                        continue  # here a handle has the shape of its variable
                    assert len(shape) == len(value.axes), (unit.name, node.name)
                    sizes = [axis.size for axis in value.axes]
                    pairs = list(zip(shape, sizes, strict=True))
                    assert all(r is None or r == s for r, s in pairs if isinstance(s, int)), (
                        node.name,
                        pairs,
                    )
                    assert all(r is None or isinstance(s, int) for r, s in pairs), (node.name, pairs)
                    compared += 1
    assert compared > 3


@pytest.mark.parametrize("make", [gate_k3, gate_k2])
def test_a_gate_without_its_reshape_is_found_in_every_function(make: Callable[[Path], str], tmp_path: Path):
    report = rewriter.check(make(tmp_path / "model"))
    assert {finding.kind.name for finding in report.findings} == {"BATCH_MISALIGNED"}
    assert {finding.candidates[finding.chosen].rule for finding in report.findings} == {"channel-gate"}
    assert all("/" in finding.node for finding in report.findings)
    assert len(report.findings) == (1 if make is gate_k3 else 3)  # the signature, inference and training


def test_a_plain_function_that_traces_without_a_word_is_found(tmp_path: Path):
    """No operator shows the batch: it is the only open axis."""
    path = plain(tmp_path / "m", lambda a, b: a * b, (None, 28, 28, 64), (None, 64))
    (finding,) = rewriter.check(path).findings
    assert finding.kind.name == "BATCH_MISALIGNED"
    assert finding.node.endswith("/mul")


def test_a_graph_of_tensorflow_1_is_looked_at(tmp_path: Path):
    path = version_1(tmp_path / "m", lambda a, b: a * b, (None, 9, 9, 5), (None, 5))
    (finding,) = rewriter.check(path).findings
    assert finding.node == "graph/mul"
    assert finding.kind.name == "BATCH_MISALIGNED"


def test_an_operator_shows_which_axis_is_the_batch(tmp_path: Path):
    """With other open sizes, a convolution shows which axis is the batch."""

    def function(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        return tf.nn.conv2d(a, tf.ones((3, 3, 5, 7)), 1, "SAME") * b

    report = rewriter.check(plain(tmp_path / "m", function, (None, None, 7, 5), (None, 7)))
    assert [finding.kind.name for finding in report.findings] == ["BATCH_MISALIGNED"]


def test_an_unknown_operator_is_named_and_not_guessed(tmp_path: Path):
    path = plain(tmp_path / "m", lambda a: tf.raw_ops.Betainc(a=a, b=a, x=a) * a, (None, 5))
    report = rewriter.check(path)
    assert [f.op for f in report.findings if f.kind.name == "NOT_ANALYSED"] == ["Betainc"]
    assert all(f.severity.name == "INFO" for f in report.findings if f.op != "Betainc")


def test_reading_and_repairing_import_no_tensorflow(tmp_path: Path):
    path = gate_k2(tmp_path / "model")
    program = (
        "import sys, rewriter\n"
        f"assert rewriter.check({path!r}).findings\n"
        f"assert rewriter.repair({path!r}, {str(tmp_path / 'out')!r}, verify=False).output\n"
        "heavy = {'tensorflow', 'keras', 'tf_keras', 'google.protobuf', 'onnx', 'h5py'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
