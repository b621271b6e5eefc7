"""The axis rules of ONNX operators against the results that come with ONNX's own test of each operator."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from rewriter.formats.onnx.reader import read
from rewriter.shapes import onnx as rules  # noqa: F401 - importing it fills the table
from rewriter.shapes.infer import infer
from rewriter.shapes.inference import Inference
from tools import onnx_operator_models


def inferred(proto: onnx.ModelProto) -> Inference:
    return infer(read(proto).graph)


@pytest.mark.slow
def test_the_operators_own_tests():
    """With known, open and named input sizes: no output is wrong, and most are known."""
    models = list(onnx_operator_models.cases())
    for form, constants in onnx_operator_models.FORMS:
        tally = onnx_operator_models.Tally()
        for case in models:
            onnx_operator_models.compare(case, form, constants, tally)
        assert tally.wrong == []
        assert tally.counts["right"] > 1000, tally.counts
        assert tally.counts["unknown"] < 400, tally.counts


def test_a_wrong_rule_is_noticed():
    """Test the comparison itself, on a model that states a wrong result."""
    proto = model([helper.make_node("Transpose", ["x"], ["y"], perm=[1, 0])], {"x": [3, 4]})
    given = [np.zeros((3, 4), np.float32)]
    for shape, wrong in (((4, 3), 0), ((3, 4), 1), ((4, 3, 1), 1)):
        case = onnx_operator_models.Case("transpose", proto, given, [np.zeros(shape)])
        for form in ("static", "open", "named", "alike"):
            tally = onnx_operator_models.Tally()
            onnx_operator_models.compare(case, form, True, tally)
            assert len(tally.wrong) == wrong


def model(nodes: list[Any], inputs: dict[str, list[Any]], **constants: Any) -> onnx.ModelProto:
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    arrays = [numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items()]
    graph = helper.make_graph(nodes, "graph", infos, [output], arrays)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def text(proto: onnx.ModelProto) -> str:
    found = inferred(proto)
    assert not found.faults
    return found.outputs()[0].text()


def test_sizes_of_one_name_are_one():
    nodes = [helper.make_node("Mul", ["a", "b"], ["y"])]
    assert text(model(nodes, {"a": ["N", "len", 3], "b": ["N", "len", 1]})) == "[batch=N, len, 3]"


def test_sizes_are_followed_through_arithmetic():
    """``reshape(x, (shape(x)[0], shape(x)[1] * shape(x)[2], 2))``."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Split", ["s", "ones"], ["b", "h", "w", "c"], axis=0),
        helper.make_node("Mul", ["h", "w"], ["hw"]),
        helper.make_node("Concat", ["b", "hw", "two"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
    ]
    proto = model(nodes, {"x": ["N", "h", 5, 2]}, ones=[1, 1, 1, 1], two=[2])
    assert text(proto) == "[N, 5*h, 2]"


def test_roles_and_features():
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["c"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "w"], ["y"], transB=1),
    ]
    weights = {"k": np.zeros((8, 3, 3, 3), np.float32), "w": np.zeros((5, 8), np.float32)}
    proto = model(nodes, {"x": ["N", 3, "h", 20]}, **weights)
    assert text(proto) == "[batch=N, feature=5]"
    found = inferred(proto)
    first = next(iter(found.values.values()))[0].text()
    assert first == "[batch=N, channel=3, height=h, width=20]"


def test_weights_that_do_not_fit_are_a_fault():
    nodes = [helper.make_node("Conv", ["x", "k"], ["y"])]
    found = inferred(model(nodes, {"x": ["N", 4, 9, 9]}, k=np.zeros((8, 3, 3, 3), np.float32)))
    assert "trained on channels of 3" in next(iter(found.faults.values()))


def test_pads_that_cancel_move_the_numbers():
    """A negative pad cuts: ``[0, x0, x1]`` of ``[x0, x1, x2]`` is another axis of the same size."""
    for pads, kept in (([0, 1, 0, -1], False), ([0, 0, 0, 0], True)):
        found = inferred(model([helper.make_node("Pad", ["x", "pads"], ["y"])], {"x": [2, 3]}, pads=pads))
        (before,), (after,) = found.values["x"], found.outputs()
        assert after.sizes == (2, 3)
        assert after.axes[1].is_same(before.axes[1]) is kept


def test_sizes_that_can_be_zero_are_divided():
    """``x[:, :(n - 1) // 2]``; ONNX rounds towards zero, which is down from 0 on."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"], start=1, end=2),
        helper.make_node("Sub", ["s", "one"], ["less"]),
        helper.make_node("Div", ["less", "two"], ["half"]),
        helper.make_node("Slice", ["x", "zero", "half", "one"], ["y"]),
    ]
    assert text(model(nodes, {"x": [2, "n"]}, zero=[0], one=[1], two=[2])) == "[2, ceil(n/2)-1]"


# What the end of ``x[n][:end]`` is computed from (``n``, and ``t`` of another input), and the size.
ENDS = {
    "twice the axis": ([("Mul", "n", "two")], "n"),
    "one more than the axis": ([("Add", "n", "one")], "n"),
    "the axis and another": ([("Add", "n", "t")], "n"),
    "one less than the axis": ([("Sub", "n", "one")], "n-1"),
    "half of the axis": ([("Div", "n", "two")], "floor(n/2)"),
    "a number from the end": ([("Sub", "zero", "t")], "n-t"),
    "another size": ([("Mul", "t", "one")], "t"),
    "a sum of other sizes": ([("Add", "t", "one")], "t+1"),
    "a multiple of another size": ([("Mul", "t", "two")], "?"),
    "possibly from the end": ([("Sub", "t", "two")], "?"),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_slice_up_to_a_symbolic_end(name):
    (((op_type, *inputs),), size) = ENDS[name]
    nodes = [
        helper.make_node("Shape", ["x"], ["n"], start=0, end=1),
        helper.make_node("Shape", ["z"], ["t"], start=0, end=1),
        helper.make_node(op_type, inputs, ["end"]),
        helper.make_node("Slice", ["x", "zero", "end"], ["y"]),
    ]
    proto = model(nodes, {"x": ["n"], "z": ["t"]}, zero=[0], one=[1], two=[2])
    found = text(proto)
    assert found == f"[{size}]" or (size == "?" and found.startswith("[?"))
    if size != "?":
        for n, t in ((7, 2), (8, 5)):
            feeds = {"x": np.zeros(n, np.float32), "z": np.zeros(t, np.float32)}
            (y,) = ReferenceEvaluator(proto).run(None, feeds)
            assert y.shape == (eval(size, {"n": n, "t": t, "floor": math.floor}),)


REFUSED = {
    "GatherND": (
        [helper.make_node("GatherND", ["x", "i"], ["y"])],
        {"i": np.zeros((4, 3), int)},
        "along 3 axes",
    ),
    "GlobalAveragePool": ([helper.make_node("GlobalAveragePool", ["x"], ["y"])], {}, "rank 3 or more"),
    "Conv": (
        [helper.make_node("Conv", ["x", "k"], ["y"])],
        {"k": np.zeros((4, 3), np.float32)},
        "rank 3 or more",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_nodes_that_cannot_run(name):
    nodes, constants, message = REFUSED[name]
    proto = model(nodes, {"x": [2, 3]}, **constants)
    found = inferred(proto)
    assert message in " ".join(found.faults.values())
    assert not found.opaque
    with pytest.raises(Exception, match=r"ONNXRuntimeError"):
        onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"x": np.zeros((2, 3), np.float32)})
