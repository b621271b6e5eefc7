"""The axis rules of ONNX Runtime's own operators (domain ``com.microsoft``) against its results."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from rewriter.formats.onnx.reader import read
from rewriter.shapes.infer import infer

MS = "com.microsoft"
F, U, L = np.float32, np.uint8, np.int64
SCALE, ZERO = F(0.1), U(3)


def floats(*shape: int) -> np.ndarray[Any, Any]:
    return np.linspace(-1, 1, int(np.prod(shape)), dtype=F).reshape(shape)


def bytes_(*shape: int) -> np.ndarray[Any, Any]:
    return (np.arange(int(np.prod(shape))) % 200).astype(U).reshape(shape)


# Operator: the model inputs (arrays of example numbers), the initializers, the order of all inputs, the attributes, and
# the number of results to check. A name that is left out is "".
Case = tuple[dict[str, Any], dict[str, Any], list[str], dict[str, Any], int]
Q = {"s": SCALE, "z": ZERO}
CASES: dict[str, Case] = {
    "Gelu": ({"x": floats(2, 3)}, {}, ["x"], {}, 1),
    "BiasGelu": ({"x": floats(2, 3, 4)}, {"b": floats(4)}, ["x", "b"], {}, 1),
    "FastGelu": ({"x": floats(2, 3, 4)}, {"b": floats(4)}, ["x", "b"], {}, 1),
    "FusedConv": (
        {"x": floats(2, 3, 7, 6)},
        {"w": floats(5, 3, 3, 3)},
        ["x", "w"],
        {"activation": "Relu", "strides": [2, 1], "pads": [1, 1, 1, 1]},
        1,
    ),
    "FusedMatMul": ({"x": floats(2, 4, 3), "y": floats(2, 5, 4)}, {}, ["x", "y"], {"transA": 1, "transB": 1}, 1),
    "FusedGemm": ({"x": floats(4, 3)}, {"y": floats(5, 3)}, ["x", "y"], {"transB": 1, "activation": "Relu"}, 1),
    "SkipLayerNormalization": (
        {"x": floats(2, 3, 4), "y": floats(2, 3, 4)},
        {"g": floats(4), "b": floats(4)},
        ["x", "y", "g", "b"],
        {},
        1,
    ),
    "EmbedLayerNormalization": (
        {"x": np.ones((2, 3), np.int32)},
        {"w": floats(9, 4), "p": floats(5, 4), "g": floats(4), "b": floats(4)},
        ["x", "", "w", "p", "", "g", "b"],
        {},
        2,
    ),
    "Attention": (
        {"x": floats(2, 5, 6)},
        {"w": floats(6, 24), "b": floats(24)},
        ["x", "w", "b"],
        {"num_heads": 2},
        1,
    ),
    "MultiHeadAttention": (
        {"q": floats(2, 5, 8), "k": floats(2, 7, 8), "v": floats(2, 7, 12)},
        {},
        ["q", "k", "v"],
        {"num_heads": 4},
        1,
    ),
    "QAttention": (
        {"x": bytes_(2, 5, 6)},
        {"w": bytes_(6, 24), "b": floats(24), "n": np.zeros((0,), np.int32), **Q},
        ["x", "w", "b", "s", "s", "", "z", "z"],
        {"num_heads": 2},
        1,
    ),
    "QLinearAdd": (
        {"x": bytes_(2, 3, 4), "y": bytes_(3, 1)},
        Q,
        ["x", "s", "z", "y", "s", "z", "s", "z"],
        {},
        1,
    ),
    "QLinearMul": ({"x": bytes_(2, 3), "y": bytes_(3)}, Q, ["x", "s", "z", "y", "s", "z", "s", "z"], {}, 1),
    "QLinearConcat": (
        {"x": bytes_(2, 3), "y": bytes_(2, 4)},
        Q,
        ["s", "z", "x", "s", "z", "y", "s", "z"],
        {"axis": 1},
        1,
    ),
    "QLinearGlobalAveragePool": ({"x": bytes_(2, 3, 5, 4)}, Q, ["x", "s", "z", "s", "z"], {}, 1),
    "QLinearGlobalAveragePool, last": (
        {"x": bytes_(2, 5, 4, 3)},
        Q,
        ["x", "s", "z", "s", "z"],
        {"channels_last": 1},
        1,
    ),
    "QLinearAveragePool": (
        {"x": bytes_(2, 3, 6, 9)},
        Q,
        ["x", "s", "z", "s", "z"],
        {"kernel_shape": [2, 3], "strides": [2, 3]},
        1,
    ),
    "QLinearAveragePool, last": (
        {"x": bytes_(2, 6, 9, 3)},
        Q,
        ["x", "s", "z", "s", "z"],
        {"kernel_shape": [2, 3], "strides": [2, 3], "channels_last": 1},
        1,
    ),
    "QLinearSigmoid": ({"x": bytes_(2, 3)}, Q, ["x", "s", "z", "s", "z"], {}, 1),
    "QLinearLeakyRelu": ({"x": bytes_(2, 3)}, Q, ["x", "s", "z", "s", "z"], {"alpha": 0.1}, 1),
    "QGemm": (
        {"x": bytes_(4, 3)},
        {"w": bytes_(3, 5), "c": np.zeros(5, np.int32), **Q},
        ["x", "s", "z", "w", "s", "z", "c", "s", "z"],
        {},
        1,
    ),
    "MatMulIntegerToFloat": (
        {"x": bytes_(2, 4, 3)},
        {"w": bytes_(3, 5), **Q},
        ["x", "w", "s", "s", "z", "z"],
        {},
        1,
    ),
    "DynamicQuantizeLSTM": (
        {"x": floats(7, 2, 3)},
        {
            "w": bytes_(1, 3, 20),
            "r": bytes_(1, 5, 20),
            "one": np.full(1, 0.1, F),
            "none": np.full(1, 3, U),
        },
        ["x", "w", "r", "", "", "", "", "", "one", "none", "one", "none"],
        {"hidden_size": 5},
        3,
    ),
    "DynamicQuantizeMatMul": ({"x": floats(2, 4, 3)}, {"w": bytes_(3, 5), **Q}, ["x", "w", "s", "z"], {}, 1),
}  # fmt: skip


def built(name: str, named: bool) -> onnx.ModelProto:
    inputs, constants, order, attributes, count = CASES[name]
    outputs = [f"o{i}" for i in range(count)]
    node = helper.make_node(name.partition(",")[0], order, outputs, "here", domain=MS, **attributes)
    infos = [
        helper.make_tensor_value_info(
            key,
            helper.np_dtype_to_tensor_dtype(array.dtype),
            [f"{key}{i}" for i in range(array.ndim)] if named else array.shape,
        )
        for key, array in inputs.items()
    ]
    results = [onnx.ValueInfoProto(name=o) for o in outputs]
    held = [numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items() if n in order]
    graph = helper.make_graph([node], "graph", infos, results, held)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MS, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.mark.parametrize("name", CASES)
def test_it_gives_what_onnx_runtime_computes(name):
    inputs = CASES[name][0]
    session = onnxruntime.InferenceSession(
        built(name, False).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    real = [list(array.shape) for array in session.run(None, dict(inputs))]
    found = infer(read(built(name, False)).graph)
    assert not found.faults
    assert not found.opaque
    assert [value.shape for value in found.outputs()] == real
    opened = infer(read(built(name, True)).graph)
    assert not opened.faults
    for value, shape in zip(opened.outputs(), real, strict=True):
        assert value.shape is not None
        assert len(value.shape) == len(shape)
        assert all(a in (None, b) for a, b in zip(value.shape, shape, strict=True))


def test_an_operator_of_which_nothing_is_known_is_named():
    node = helper.make_node("NhwcMystery", ["x"], ["y"], "here", domain=MS)
    info = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])
    graph = helper.make_graph([node], "graph", [info], [onnx.ValueInfoProto(name="y")])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(MS, 1)])
    assert infer(read(proto).graph).opaque == {
        "here": "an operator of the domain 'com.microsoft', which is not known"
    }
