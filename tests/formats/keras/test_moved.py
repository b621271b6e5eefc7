"""Arguments that older versions of Keras 3 passed in the call of an operation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import rewriter
from rewriter.formats.registry import open_model
from rewriter.ir.graph import TensorRef

X = {
    "class_name": "__keras_tensor__",
    "config": {"shape": [None, 6], "dtype": "float32", "keras_history": ["x", 0, 0]},
}


def model(path: Path, module: str, class_name: str, config: dict[str, Any], *calls: dict[str, Any]) -> Path:
    """A model of one operation."""
    image = {
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": {"batch_shape": [None, 6], "dtype": "float32", "name": "x"},
        "registered_name": None,
        "name": "x",
        "inbound_nodes": [],
    }
    operation = {
        "module": f"keras.src.ops.{module}",
        "class_name": class_name,
        "config": config,
        "registered_name": class_name,
        "name": "op",
        "inbound_nodes": list(calls),
    }
    outputs = [["op", number, 0] for number in range(len(calls))]
    inner = {"name": "m", "trainable": True, "layers": [image, operation]}
    inner |= {"input_layers": [["x", 0, 0]], "output_layers": outputs}
    entry = {"module": "keras.src.models.functional", "class_name": "Functional", "config": inner}
    path.write_text(json.dumps(entry | {"registered_name": "Functional"}))
    return path


def called(*args: Any, **kwargs: Any) -> dict[str, Any]:
    return {"args": list(args), "kwargs": kwargs}


CASES = {
    "slice": ("core", "Slice", {}, called(X, [0, 1], [4, 5]), {"shape": [4, 5]}),
    "ones": ("numpy", "OnesLike", {}, called(X, dtype="int32"), {"dtype": "int32"}),
    "no dtype": ("numpy", "ZerosLike", {}, called(X, dtype=None), {}),
    "full": ("numpy", "Full", {}, called([2, 3], X, "float16"), {"shape": [2, 3], "dtype": "float16"}),
    "threshold": (
        "nn",
        "Threshold",
        {"threshold_value": 0.5, "value": 2.0},
        called(X),
        {"threshold": 0.5, "default_value": 2.0},
    ),
    "newer": ("core", "Slice", {"shape": [4, 5]}, called(X, [0, 1]), {"shape": [4, 5]}),
}


@pytest.mark.parametrize("name", CASES)
def test_they_are_read_as_if_they_were_configured(name: str, tmp_path: Path):
    module, class_name, config, call, wanted = CASES[name]
    path = model(tmp_path / "old.json", module, class_name, config, call)
    with open_model(path) as source:
        node = source.graph.nodes["op"]
        assert node.operation.config == wanted
        assert [ref.node for ref in node.refs()] == ["x"]
        assert node.operation.raw["config"] == config
        source.write(tmp_path / "copy.json")
    assert (tmp_path / "copy.json").read_bytes() == path.read_bytes()


def test_the_shape_of_an_old_slice_is_known(tmp_path: Path):
    path = model(tmp_path / "old.json", "core", "Slice", {}, called(X, [0, 1], [4, 5]))
    (value,) = rewriter.shapes(path).inference.outputs()
    assert value.shape == [4, 5]


def test_what_holds_a_tensor_and_what_is_called_twice_stay(tmp_path: Path):
    path = model(tmp_path / "old.json", "core", "Slice", {}, called(X, [0, 1], [4, X]))
    with open_model(path) as source:
        assert source.graph.nodes["op"].args[2][0] == 4
        assert isinstance(source.graph.nodes["op"].args[2][1], TensorRef)
    twice = [called(X, [0, 1], [4, 5]), called(X, [0, 0], [1, 1])]
    with open_model(model(tmp_path / "two.json", "core", "Slice", {}, *twice)) as source:
        assert source.graph.nodes["op#1"].args[2] == [1, 1]
        assert source.graph.operations["op"].config == {}
    shapes = rewriter.shapes(tmp_path / "two.json").inference.outputs()
    assert [value.shape for value in shapes] == [[4, 5], [1, 1]]
