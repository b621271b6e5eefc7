"""The axis rules of ONNX operators against the results that come with ONNX's own test of each operator."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from rewriter.errors import RewriterError
from rewriter.formats.onnx_model.reader import read
from rewriter.ir.graph import TensorRef
from rewriter.shapes import onnx as rules  # noqa: F401 - importing it fills the table
from rewriter.shapes.infer import Inference, infer

_LARGEST_CONSTANT = 64


def inferred(proto: onnx.ModelProto) -> Inference:
    return infer(read(proto).graph)


def cases() -> Iterator[tuple[str, onnx.ModelProto, list[Any]]]:
    """Every model of one operator, its small whole numbers as constants, and what it gives."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in collect_testcases(None):
            if case.model is None or not case.data_sets:
                continue
            proto = onnx.ModelProto()
            proto.CopyFrom(case.model)
            given, expected = case.data_sets[0]
            for info, array in zip(proto.graph.input, given, strict=False):
                if (
                    isinstance(array, np.ndarray)
                    and array.dtype.kind in "iu"
                    and array.size < _LARGEST_CONSTANT
                ):
                    proto.graph.initializer.append(numpy_helper.from_array(array, info.name))
            yield case.name, proto, list(expected)


@pytest.mark.slow
def test_the_operators_own_tests():
    counts: Counter[str] = Counter()
    wrong = []
    for name, proto, expected in cases():
        try:
            found = inferred(proto)
        except RewriterError:
            counts["refused"] += 1
            continue
        wrong += [(name, fault) for fault in found.faults.items()]
        for ref, array in zip(found.graph.outputs, expected, strict=False):
            if not isinstance(array, (np.ndarray, np.generic)) or not isinstance(ref, TensorRef):
                continue
            value = found.value(ref)
            if value.shape is None or value.claimed:
                counts["unknown"] += 1
                continue
            real = list(np.shape(array))
            if len(value.shape) != len(real) or any(
                a not in (None, b) for a, b in zip(value.shape, real, strict=True)
            ):
                wrong.append((name, value.shape, real))
            counts["right"] += 1
    assert wrong == []
    assert counts["right"] > 1300, counts


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
