"""Models for the tests of pages, written as the JSON that Keras saves: large ones, nested ones, and hostile names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WIDTH = 8
# Each is a name that could break a page, a picture or a script.
HOSTILE = (
    "<script>alert(1)",
    "<img src=x onerror=alert(1)>",
    "]]><!--",
    "'\"onload='alert(1)' &amp; {{ 7*7 }} {% raw %}",
    "right\u202eleft\u202d\u2066\u200f",
    "control\x00\x07\x1b[31m\x7f\x85\u2028end",
    "long" * 2500,
    "\u05d0\u05d1\u05d2 \u4e2d\u6587\u5b57 e\u0301",
)
# The same with '/', which ONNX allows in a name and Keras does not.
WITH_SLASHES = (
    "</script><script>alert(1)</script>",
    "</title></style><base href=//example.org>",
    "<!--</svg>-->",
)


def _tensor(name: str, shape: list[int | None]) -> dict[str, Any]:
    history = [name, 0, 0]
    return {
        "class_name": "__keras_tensor__",
        "config": {"shape": shape, "dtype": "float32", "keras_history": history},
    }


def _layer(
    class_name: str, name: str, config: dict[str, Any], taken: list[Any], module: str = "keras.layers"
) -> Any:
    nodes = [{"args": taken, "kwargs": {}}] if taken else []
    return {
        "module": module,
        "class_name": class_name,
        "config": {"name": name, **config},
        "registered_name": None,
        "name": name,
        "inbound_nodes": nodes,
    }


def functional(layers: list[Any], inputs: list[str], output: str, name: str = "model") -> dict[str, Any]:
    config = {
        "name": name,
        "trainable": True,
        "layers": layers,
        "input_layers": [[each, 0, 0] for each in inputs],
        "output_layers": [[output, 0, 0]],
    }
    return {"module": "keras", "class_name": "Functional", "config": config, "registered_name": "Functional"}


def _input(name: str, shape: list[int | None]) -> Any:
    return _layer("InputLayer", name, {"batch_shape": shape, "dtype": "float32"}, [])


def chain(nodes: int, prefix: str = "") -> dict[str, Any]:
    """A residual network of ``nodes`` nodes: Dense, Activation, Add, repeated."""
    shape: list[int | None] = [None, WIDTH]
    layers = [_input(f"{prefix}input", shape)]
    last = kept = f"{prefix}input"
    while len(layers) < nodes:
        k = len(layers)
        name = f"{prefix}node_{k}"
        if k % 3 == 1:
            layers.append(_layer("Dense", name, {"units": WIDTH}, [_tensor(last, shape)]))
        elif k % 3 == 2:
            layers.append(_layer("Activation", name, {"activation": "relu"}, [_tensor(last, shape)]))
        else:
            layers.append(_layer("Add", name, {}, [[_tensor(last, shape), _tensor(kept, shape)]]))
            kept = name
        last = name
    return functional(layers, [f"{prefix}input"], last, f"{prefix}model")


def of_models(models: int, nodes: int) -> dict[str, Any]:
    """A model that calls ``models`` models in sequence, each of ``nodes`` nodes."""
    shape: list[int | None] = [None, WIDTH]
    layers = [_input("input", shape)]
    last = "input"
    for k in range(models):
        inner = chain(nodes, f"m{k}_")
        name = inner["config"]["name"]
        layers.append(
            {**inner, "name": name, "inbound_nodes": [{"args": [_tensor(last, shape)], "kwargs": {}}]}
        )
        last = name
    return functional(layers, ["input"], last)


def wrapped() -> dict[str, Any]:
    """A model inside a layer."""
    inner = chain(4, "inner_")
    layers = [
        _input("input", [None, 5, WIDTH]),
        _layer("TimeDistributed", "each", {"layer": inner}, [_tensor("input", [None, 5, WIDTH])]),
    ]
    return functional(layers, ["input"], "each")


def gated(data: str, pooled: str, scaled: str, before: int = 0, after: int = 0) -> dict[str, Any]:
    """A channel gate without its Reshape, with these names, and ``before`` and ``after`` activations around it."""
    image: list[int | None] = [None, 10, 12, 16]
    channels: list[int | None] = [None, 16]
    relu = {"activation": "relu"}
    layers = [_input(data, image)]
    last = data
    for k in range(before):
        layers.append(_layer("Activation", f"before_{k}", relu, [_tensor(last, image)]))
        last = f"before_{k}"
    pool = {"data_format": "channels_last"}
    product = [_tensor(last, image), _tensor(pooled, channels)]
    layers += [
        _layer("GlobalAveragePooling2D", pooled, pool, [_tensor(last, image)]),
        _layer("Multiply", scaled, {}, product, "keras.src.ops.numpy"),
    ]
    for k in range(after):
        layers.append(_layer("Activation", f"after_{k}", relu, [_tensor(scaled, image)]))
    return functional(layers, [data], f"after_{after - 1}" if after else scaled)


def grown() -> dict[str, Any]:
    """A product of (B, 7) and (B, 1, 7), which is (B, B, 7), with two layers after it."""
    flat: list[int | None] = [None, 7]
    layers = [
        _input("flat", flat),
        _input("row", [None, 1]),
        _layer("Embedding", "steps", {"input_dim": 5, "output_dim": 7}, [_tensor("row", [None, 1])]),
        _layer(
            "Multiply",
            "scaled",
            {},
            [_tensor("flat", flat), _tensor("steps", [None, 1, 7])],
            "keras.src.ops.numpy",
        ),
        _layer("Dense", "dense", {"units": 4}, [_tensor("scaled", [None, None, 7])]),
        _layer("Dense", "head", {"units": 1}, [_tensor("dense", [None, None, 4])]),
    ]
    return functional(layers, ["flat", "row"], "head")


def onnx_gated(path: Path, data: str, pooled: str, scaled: str) -> Path:
    """The same as ONNX; the names are those of tensors and nodes."""
    import onnx
    from onnx import TensorProto, helper

    inputs = [
        helper.make_tensor_value_info(data, TensorProto.FLOAT, ["n", 16, 10, 12]),
        helper.make_tensor_value_info(pooled, TensorProto.FLOAT, ["n", 16]),
    ]
    output = helper.make_tensor_value_info(scaled, TensorProto.FLOAT, None)
    node = helper.make_node("Mul", [data, pooled], [scaled], name=scaled)
    graph = helper.make_graph([node], "graph", inputs, [output])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def saved(path: Path, model: dict[str, Any]) -> Path:
    path.write_text(json.dumps(model), encoding="utf-8")
    return path
