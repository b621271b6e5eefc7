"""Nodes that exporters add are not the author's: faults behind them are still found."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import rewriter

RNG = np.random.default_rng(0)


def weights(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(RNG.normal(size=shape).astype("float32"), name)


def save(path, nodes, inputs, output, constants):
    made = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()]
    ends = [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "g", made, ends, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)
    return path


def codes(path):
    return [finding.code for finding in rewriter.check(path).findings]


@pytest.mark.parametrize("swapped", [False, True])
def test_a_bias_of_one_feature_is_no_axis_of_the_author(swapped, tmp_path):
    """``score[B, 1] * weight[B]`` is ``[B, B]``, with or without a bias."""
    added = ["bias", "product"] if swapped else ["product", "bias"]
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"], "matmul"),
        helper.make_node("Add", added, ["score"], "add"),
        helper.make_node("Mul", ["score", "weight"], ["y"], "scale"),
    ]
    constants = [weights("w", 6, 1), weights("bias", 1)]
    path = save(tmp_path / "m.onnx", nodes, {"x": ["N", 6], "weight": ["N"]}, "y", constants)
    assert codes(path) == ["RW006"]
    without = [nodes[0], helper.make_node("Mul", ["product", "weight"], ["y"], "scale")]
    path = save(tmp_path / "n.onnx", without, {"x": ["N", 6], "weight": ["N"]}, "y", constants)
    assert codes(path) == ["RW006"]


def test_a_unit_axis_of_the_author_is_one(tmp_path):
    """``score[B, 1] * (weight[B] as [1, B])`` states every pair of samples."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"], "matmul"),
        helper.make_node("Unsqueeze", ["weight", "zero"], ["row"], "unsqueeze"),
        helper.make_node("Mul", ["product", "row"], ["y"], "scale"),
    ]
    constants = [weights("w", 6, 1), numpy_helper.from_array(np.array([0]), "zero")]
    assert codes(save(tmp_path / "m.onnx", nodes, {"x": ["N", 6], "weight": ["N"]}, "y", constants)) == []


def layouts(path, turned: bool):
    """A convolution's image, turned back to channels last as exporters do, times a channels-first one."""
    order = [0, 2, 3, 1] if turned else [0, 1, 2, 3]
    nodes = [
        helper.make_node("Transpose", ["a"], ["a_first"], "in", perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["a_first", "w"], ["conv"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Transpose", ["conv"], ["features"], "out", perm=[0, 2, 3, 1]),
        helper.make_node("Conv", ["b", "v"], ["first"], "other", pads=[1, 1, 1, 1]),
        helper.make_node("Transpose", ["first"], ["other_last"], "turn", perm=order),
        helper.make_node("Mul", ["features", "other_last"], ["scaled"], "scale"),
        helper.make_node("Transpose", ["scaled"], ["again"], "again", perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["again", "u"], ["y"], "after"),
    ]
    constants = [weights("w", 8, 3, 3, 3), weights("v", 8, 3, 3, 3), weights("u", 2, 8, 1, 1)]
    return save(path, nodes, {"a": ["N", 8, 8, 3], "b": ["N", 3, 8, 8]}, "y", constants)


def test_the_layout_of_an_exporter_is_no_statement_of_the_author(tmp_path):
    import onnxruntime

    broken, right = layouts(tmp_path / "m.onnx", False), layouts(tmp_path / "r.onnx", True)
    assert codes(right) == []
    assert codes(broken) == ["RW004"]
    result = rewriter.repair(broken, tmp_path / "o.onnx", verify=False)
    assert result.output is not None
    given = {"a": RNG.normal(size=(5, 8, 8, 3)).astype("f"), "b": RNG.normal(size=(5, 3, 8, 8)).astype("f")}
    model = onnx.load(tmp_path / "o.onnx")
    truth = onnx.load(right)
    for name in ("w", "v", "u"):  # the two models have different random numbers
        taken = next(t for t in model.graph.initializer if t.name == name)
        next(t for t in truth.graph.initializer if t.name == name).CopyFrom(taken)
    runs = [
        onnxruntime.InferenceSession(m.SerializeToString(), providers=["CPUExecutionProvider"]).run(
            None, given
        )
        for m in (model, truth)
    ]
    np.testing.assert_allclose(runs[0][0], runs[1][0], rtol=1e-5, atol=1e-5)


def scores(path, unfolded: bool, bank: bool = False):
    """Attention scores, with the Dense of the queries as TensorFlow exports it: on rows of all samples.

    ``unfolded`` has the Reshape after the projection; ``bank`` has a constant in place of the keys.
    """
    nodes = [
        helper.make_node("Reshape", ["x", "rows"], ["flat"], "fold"),
        helper.make_node("MatMul", ["flat", "w"], ["product"], "project"),
        helper.make_node("Reshape", ["product", "steps"], ["queries"], "unfold"),
        helper.make_node("Transpose", ["z"], ["keys"], "turn", perm=[0, 2, 1]),
        helper.make_node(
            "MatMul", ["queries" if unfolded else "product", "k" if bank else "keys"], ["y"], "scores"
        ),
    ]
    constants = [
        numpy_helper.from_array(np.array([-1, 4]), "rows"),
        numpy_helper.from_array(np.array([-1, 9, 4]), "steps"),
        weights("w", 4, 4),
        weights("k", 3, 4, 7),
    ]
    return save(path, nodes, {"x": ["B", 9, 4], "z": ["B", 9, 4]}, "y", constants)


def test_rows_of_all_samples_in_a_product_of_each_sample(tmp_path):
    """``(9*B, 4) @ (B, 4, 9) -> (B, 9*B, 9)`` runs at every batch, on every pair of samples."""

    def found(path):
        return [(f.code, f.node, str(f.severity)) for f in rewriter.check(path, ops="all").findings]

    assert found(scores(tmp_path / "m.onnx", False)) == [("RW006", "scores", "error")]
    assert found(scores(tmp_path / "r.onnx", True)) == []
    assert found(scores(tmp_path / "b.onnx", False, bank=True)) == []


def test_a_row_without_its_unit_axis_in_a_product(tmp_path):
    """``v[N, 4] @ m[N, 4, 7] -> [N, N, 7]``, as in a file of Keras."""
    inputs = {"v": ["N", 4], "m": ["N", 4, 7]}
    nodes = [helper.make_node("MatMul", ["v", "m"], ["y"], "product")]
    path = save(tmp_path / "m.onnx", nodes, inputs, "y", [])
    (finding,) = rewriter.check(path, ops="all").findings
    assert finding.code == "RW006"
    result = rewriter.repair(path, tmp_path / "o.onnx", ops="all", at={"product": "row-vecmat"}, verify=False)
    assert [change.rule for change in result.inserted] == ["row-vecmat"] * 2  # and the unit axis goes
