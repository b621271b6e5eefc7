"""Which axis of an ONNX file is the batch, and which sizes are equal: only as the file shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import rewriter
from rewriter.formats.onnx.reader import read
from rewriter.shapes import onnx as rules  # noqa: F401 - importing it fills the table
from rewriter.shapes.infer import infer

Shape = list[int | str | None]
MUL = [helper.make_node("Mul", ["x", "y"], ["z"], "scale")]


def model(
    nodes: list[Any],
    inputs: dict[str, Shape],
    constants: dict[str, Any] | None = None,
    stated: dict[str, Shape] | None = None,
    rank: int | None = 2,
) -> onnx.ModelProto:
    def infos(shapes: dict[str, Shape] | dict[str, None]) -> list[Any]:
        types = {"target": TensorProto.INT64}
        return [
            helper.make_tensor_value_info(n, types.get(n, TensorProto.FLOAT), s) for n, s in shapes.items()
        ]

    arrays = [numpy_helper.from_array(np.asarray(a), n) for n, a in (constants or {}).items()]
    result = infos({"z": None}) if rank is None else infos({"z": [None] * rank})
    graph = helper.make_graph(nodes, "graph", infos(inputs), result, arrays, value_info=infos(stated or {}))
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    )


def axes(proto: onnx.ModelProto) -> dict[str, str]:
    found = infer(read(proto).graph)
    assert not found.faults
    return {name: values[0].text() for name, values in found.values.items()}


def errors(proto: onnx.ModelProto, tmp_path: Any) -> list[str]:
    onnx.save(proto, tmp_path / "m.onnx")
    return [f.message for f in rewriter.check(tmp_path / "m.onnx").findings if f.severity.value == "error"]


def right(proto: onnx.ModelProto, tmp_path: Any) -> bool:
    onnx.save(proto, tmp_path / "m.onnx")
    return rewriter.check(tmp_path / "m.onnx").findings == []


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (["N", 8], ["N", 8], "[batch=N, 8]"),
        (["N", 8], [8], "[N, 8]"),
        (["N", 8], ["M", 8], "[N, 8]"),
        ([None, 8], [None, 8], "[B, 8]"),
        ([7, 7], [7, 7], "[7, 7]"),
        (["T", "N", 3], ["N", 3], "[T, N, 3]"),
        (["N", 8, "N"], ["N", 8, 1], "[N, 8, N]"),
    ],
)
def test_inputs_that_agree_on_their_first_axis(x, y, expected):
    nodes = [helper.make_node("Identity", ["x"], ["z"]), helper.make_node("Identity", ["y"], ["w"])]
    assert axes(model(nodes, {"x": x, "y": y}))["x"] == expected.replace("B", "N0")


SHOWN: dict[str, tuple[Any, Shape, dict[str, Any], str]] = {
    "Conv": (
        helper.make_node("Conv", ["x", "w"], ["z"]),
        ["a", 4, "b"],
        {"w": np.zeros((5, 4, 1), "f")},
        "[batch=a, channel=4, time=b]",
    ),
    "pool": (
        helper.make_node("GlobalAveragePool", ["x"], ["z"]),
        ["a", 4, 9],
        {},
        "[batch=a, channel=4, time=9]",
    ),
    "fixed": (helper.make_node("GlobalMaxPool", ["x"], ["z"]), [7, 4, 9], {}, "[batch=7, channel=4, time=9]"),
    "normalisation": (
        helper.make_node("BatchNormalization", ["x", "w", "w", "w", "w"], ["z"]),
        ["a", 4],
        {"w": np.ones(4, "f")},
        "[batch=a, channel=4]",
    ),
    "recurrent": (
        helper.make_node("GRU", ["x", "w", "r"], ["z"], hidden_size=5),
        ["t", "a", 3],
        {"w": np.zeros((1, 15, 3), "f"), "r": np.zeros((1, 15, 5), "f")},
        "[time=t, batch=a, 3]",
    ),
    "recurrent, batch first": (
        helper.make_node("GRU", ["x", "w", "r"], ["z"], hidden_size=5, layout=1),
        ["a", "t", 3],
        {"w": np.zeros((1, 15, 3), "f"), "r": np.zeros((1, 15, 5), "f")},
        "[batch=a, time=t, 3]",
    ),
    "none": (helper.make_node("Gemm", ["x", "w"], ["z"]), ["a", 4], {"w": np.zeros((4, 5), "f")}, "[a, 4]"),
}


@pytest.mark.parametrize("name", SHOWN)
def test_an_operator_shows_it(name):
    node, shape, constants, expected = SHOWN[name]
    assert axes(model([node], {"x": shape}, constants))["x"] == expected


def test_what_an_operator_shows_of_one_input_holds_for_the_name(tmp_path):
    """The pool shows that N is the batch: a gate of shape ``[N, 8]`` has one sample in each row."""
    nodes = [
        helper.make_node("MaxPool", ["x"], ["pooled"], kernel_shape=[1, 1]),
        helper.make_node("Mul", ["pooled", "y"], ["z"], "scale"),
    ]
    shapes: dict[str, Shape] = {"x": ["N", 8, 5, 6], "y": ["N", 8]}
    first = [nodes[0], helper.make_node("Identity", ["y"], ["z"])]
    assert axes(model(first, shapes))["y"] == "[batch=N, 8]"
    assert axes(model(first, {**shapes, "y": ["M", 8]}))["y"] == "[M, 8]"
    assert errors(model(nodes, shapes, rank=4), tmp_path)


@pytest.mark.parametrize(
    ("x", "y"), [(["N", 8], ["M", 8]), ([None, 8], [None, 8]), (["B", 8], [None, 8]), (["N0", 8], [None, 8])]
)
def test_what_has_not_one_name_is_not_proven_equal(x, y, tmp_path):
    proto = model(MUL, {"x": x, "y": y})
    assert errors(proto, tmp_path) == []
    assert not right(proto, tmp_path)


def test_a_batch_against_another_name_is_not_proven(tmp_path):
    """``[N, 8]``, pooled from images, times ``[M, 8]``: N and M may be equal."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Mul", ["flat", "y"], ["z"], "scale"),
    ]
    for y in (["M", 8], [None, 8], ["N", 8]):
        proto = model(nodes, {"x": ["N", 8, 5, 6], "y": y})
        assert errors(proto, tmp_path) == []
        assert right(proto, tmp_path) is (y[0] == "N")


@pytest.mark.parametrize("y", [["h", "w"], ["w"], ["N", 6, 1, 1], [1, 6, 1, 1], [6, "h", "w"]])
def test_what_stands_on_axes_of_its_names_is_right(y, tmp_path):
    """``[N, 6, h, w]`` times ``[h, w]``: a convolution shows the batch, and that the other axes are not batches."""
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Mul", ["c", "y"], ["z"], "scale"),
    ]
    kernel = {"k": np.zeros((6, 3, 3, 3), "f")}
    assert right(model(nodes, {"x": ["N", 3, "h", "w"], "y": y}, kernel, rank=4), tmp_path)


def test_a_batch_against_a_number_is_a_fault(tmp_path):
    nodes = [
        helper.make_node("MaxPool", ["x"], ["pooled"], kernel_shape=[1, 1]),
        helper.make_node("Mul", ["pooled", "y"], ["z"], "scale"),
    ]
    proto = model(nodes, {"x": ["N", 8, 5, 6], "y": [3, 8, 5, 6]}, rank=4)
    assert "silently wrong at batch 3" in errors(proto, tmp_path)[0]


def test_a_name_that_is_no_word_is_one_size(tmp_path):
    for name, equal in (("2*len + 1", True), ("?", False), ("", False)):
        proto = model(MUL, {"x": ["N", name], "y": ["N", name]})
        assert right(proto, tmp_path) is equal


def test_sizes_that_the_file_states_keep_their_names(tmp_path):
    """An operator of another domain; its first axis is not a batch, and ``T`` is the ``T`` of the input."""
    nodes = [helper.make_node("Mystery", ["x"], ["y"], domain="own"), *MUL]
    stated: dict[str, Shape] = {"y": ["T", "N", 8]}
    proto = model(nodes, {"x": ["T", "N", 8]}, None, stated, rank=3)
    assert axes(proto)["y"] == "[T, N, 8]"
    assert errors(proto, tmp_path) == []


def test_an_unknown_size_is_what_the_file_states(tmp_path):
    """The result of a Reshape is known only in a run, except for its recorded shape."""
    nodes = [helper.make_node("Reshape", ["x", "target"], ["y"]), helper.make_node("Relu", ["y"], ["z"])]
    inputs: dict[str, Shape] = {"x": ["N", 12], "target": [3]}
    assert axes(model(nodes, inputs, None, {"y": ["N", 3, "k"]}))["z"] == "[N, 3, k]"
    assert axes(model(nodes, inputs))["z"] == "[?, ?, ?]"


SLICES: dict[str, tuple[int, int, int, str]] = {
    "tf2onnx": (0, 1_000_000_000, 1, "n"),
    "32 bits": (0, 2**31 - 1, 1, "n"),
    "64 bits": (2, 2**63 - 1, 1, "n-2"),
    "backwards": (-1, -(2**63), -1, "n"),
    "backwards, 32 bits": (2**31 - 1, -(2**31), -1, "n"),
    "from before the start": (-(2**63), 2**63 - 1, 1, "n"),
    "nothing": (0, -(2**31), 1, "0"),
}


@pytest.mark.parametrize("name", SLICES)
def test_a_slice_to_the_end(name):
    start, end, step, expected = SLICES[name]
    node = helper.make_node("Slice", ["x", "starts", "ends", "axes", "steps"], ["z"])
    numbers = {"starts": [start], "ends": [end], "axes": [0], "steps": [step]}
    constants = {key: np.array(value, np.int64) for key, value in numbers.items()}
    assert axes(model([node], {"x": ["n", 5]}, constants))["z"] == f"[{expected}, 5]"
    found = axes(model([node], {"x": [9, 5]}, constants))["z"]
    assert found == f"[{len(range(9)[slice(start, end, step)])}, 5]"


def test_a_squeeze_of_an_open_size():
    node = helper.make_node("Squeeze", ["x", "one"], ["z"])
    assert axes(model([node], {"x": ["N", "w", 4]}, {"one": np.array([1])}))["z"] == "[N, 4]"
    whole = helper.make_node("Squeeze", ["x"], ["z"])
    assert axes(model([whole], {"x": [3, 1, 4]}))["z"] == "[3, 4]"
    assert axes(model([whole], {"x": ["N", 1, 4]}, rank=None))["z"] == "[rank unknown]"


def test_a_fault_at_a_node_with_several_outputs(tmp_path):
    nodes = [
        helper.make_node("LayerNormalization", ["x", "scale"], ["y", "mean"]),
        helper.make_node("Mul", ["y", "mean"], ["z"]),
    ]
    proto = model(nodes, {"x": ["N", 4]}, {"scale": np.ones(5, "f")})
    assert len(errors(proto, tmp_path)) == 1


DAMAGED = {
    "an attribute of another operator": helper.make_node("Mul", ["x", "y"], ["z"], to=1),
    "an attribute of another type": helper.make_node("Transpose", ["x"], ["z"], perm=1.5),
    "no inputs": helper.make_node("Mul", [], ["z"]),
    "too many outputs": helper.make_node("Mul", ["x", "y"], ["z", "w"]),
    "a missing attribute": helper.make_node("Concat", ["x", "y"], ["z"]),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_node_that_its_operator_does_not_allow(name):
    node = DAMAGED[name]
    with pytest.raises(rewriter.errors.BadFileError, match=f"'z' \\({node.op_type}\\)"):
        read(model([node], {"x": ["N", 8], "y": ["N", 8]}))
