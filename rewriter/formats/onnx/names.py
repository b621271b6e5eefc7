"""Names and kinds of things in ONNX files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# TensorProto.DataType by number, under the names that NumPy and Keras use (onnx.proto).
DTYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    8: "string",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    14: "complex64",
    15: "complex128",
    16: "bfloat16",
}
NUMBERS = {name: number for number, name in DTYPES.items()}
DEFAULT_DOMAINS = ("", "ai.onnx")
_EXTERNAL = 1


def graphs(graph: Any) -> Iterator[Any]:
    """A graph and those that its nodes hold."""
    waiting = [graph]
    while waiting:
        item = waiting.pop()
        yield item
        for node in item.node:
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    waiting.append(attribute.g)
                waiting += attribute.graphs


def taken(proto: Any) -> set[str]:
    """Every name of a tensor or a node in a model, those of graphs inside nodes included."""
    found: set[str] = set()
    for graph in graphs(proto.graph):
        for group in (graph.input, graph.output, graph.value_info, graph.initializer, graph.node):
            found.update(item.name for item in group)
        for node in graph.node:
            found.update(node.input)
            found.update(node.output)
    return found


def external(proto: Any) -> set[str]:
    """The files beside the model that hold some of its tensors."""
    found: set[str] = set()
    for graph in graphs(proto.graph):
        attributes = (a for node in graph.node for a in node.attribute)
        tensors = [*graph.initializer, *(t for a in attributes for t in (*a.tensors, a.t))]
        for tensor in tensors:
            if tensor.data_location == _EXTERNAL:
                found.update(entry.value for entry in tensor.external_data if entry.key == "location")
    return found
