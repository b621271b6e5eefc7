"""Configurations written by hand in Keras's form, with contents that Keras never writes."""

from __future__ import annotations

import itertools
import json
from typing import Any

from tests.cli.hostile import layer, tensor

Json = dict[str, Any]
SHAPE: list[int | None] = [None, 4, 3]


def source(name: str = "x", shape: Any = (None, 4, 3), **config: Any) -> Json:
    return layer(name, "InputLayer", {"batch_shape": list(shape), "dtype": "float32", **config})


def ref(name: str, call: int = 0, index: int = 0) -> Json:
    return {
        "class_name": "__keras_tensor__",
        "config": {"shape": None, "dtype": "float32", "keras_history": [name, call, index]},
    }


def op(name: str, class_name: str, *arguments: Any, **config: Any) -> Json:
    entry = layer(name, class_name, config)
    return entry | {
        "module": "keras.src.ops.numpy",
        "inbound_nodes": [{"args": list(arguments), "kwargs": {}}],
    }


def functional(layers: list[Any], outputs: Any, inputs: tuple[str, ...] = ("x",), **more: Any) -> Json:
    config = {"name": "model", "layers": layers, "input_layers": [[n, 0, 0] for n in inputs], **more}
    config["output_layers"] = outputs
    return {"module": "keras", "class_name": "Functional", "config": config, "registered_name": "Functional"}


def one(class_name: str = "Dense", config: Any = None, shape: Any = (None, 4, 3), **entry: Any) -> Json:
    """An input and one layer."""
    config = {"units": 3} if config is None else config
    made = layer("d", class_name, config, tensor("x", list(shape)))
    return functional([source(shape=shape), made | entry], [["d", 0, 0]])


def calls(*nodes: Any, class_name: str = "Dense") -> Json:
    """One layer with these inbound_nodes."""
    return one(class_name, inbound_nodes=list(nodes))


def argument(value: Any) -> Json:
    return {"args": [value], "kwargs": {}}


def sequential(*layers: Any, **config: Any) -> Json:
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "s", "layers": list(layers), **config},
    }


def nested(depth: int) -> bytes:
    """Nested models, as text: no recursion here."""
    first = json.dumps(source())
    begin = '{"class_name":"Functional","module":"keras","config":{"name":"m%d","layers":[%s,'
    end = '],"input_layers":[["x",0,0]],"output_layers":[["m%d",1,0]]},"name":"m%d","inbound_nodes":[%s]}'
    inner = json.dumps(one() | {"name": "m0", "inbound_nodes": [argument(ref("x"))]})
    before = "".join(begin % (k, first) for k in range(depth, 0, -1))
    after = "".join(end % (k - 1, k, json.dumps(argument(ref("x")))) for k in range(1, depth + 1))
    return (before + inner + after).encode()


def doubling(levels: int, padded: bool) -> Json:
    """Each model calls the next one twice; if padded, every call has its own sizes."""
    model = functional(
        [source(shape=(None, None, 3)), layer("d", "Dense", {"units": 3}, ref("x"))], [["d", 0, 0]]
    )
    for k in range(levels):
        second = "p" if padded else "x"
        inner = model | {"name": f"m{k}", "inbound_nodes": [argument(ref("x")), argument(ref(second))]}
        pad = [layer("p", "ZeroPadding1D", {"padding": [0, 2**k]}, ref("x"))] if padded else []
        merge = layer("c", "Concatenate", {"axis": 1}, ref(f"m{k}"), ref(f"m{k}", 1))
        model = functional([source(shape=(None, None, 3)), *pad, inner, merge], [["c", 0, 0]])
    return model


def chain(length: int, class_name: str = "Dense", **config: Any) -> Json:
    names = ["x", *(f"d{k}" for k in range(length))]
    rows = [
        layer(new, class_name, config or {"units": 3}, tensor(old, SHAPE))
        for old, new in itertools.pairwise(names)
    ]
    return functional([source(), *rows], [[names[-1], 0, 0]])


def literal(value: Any, dtype: Any = "float32") -> Json:
    tensors = tensor("x", SHAPE), {"class_name": "__numpy__", "config": {"value": value, "dtype": dtype}}
    return functional([source(), op("m", "Multiply", *tensors)], [["m", 0, 0]])


def products(calls: int) -> Json:
    """One ``ops.multiply`` called many times on operands that do not fit."""
    operands = [tensor("x", [None, 10, 12, 16]), tensor("g", [None, 16])]
    node = op("s", "Multiply") | {"inbound_nodes": [{"args": operands, "kwargs": {}}] * calls}
    inputs = [source("x", (None, 10, 12, 16)), source("g", (None, 16))]
    return functional([*inputs, node], [["s", k, 0] for k in range(calls)], ("x", "g"))
