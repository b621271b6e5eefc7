"""Element types, graphs, tensors and names in ONNX files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

# TensorProto.DataType by number, with the names of NumPy and Keras (onnx.proto).
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
# The domain of the operators of the package onnxruntime-extensions.
CONTRIB = "ai.onnx.contrib"
_EXTERNAL = 1


def everywhere(proto: Any) -> Iterator[Any]:
    """Every graph of a model: the main graph, functions, training graphs, and the graphs inside their nodes."""
    training = [graph for info in proto.training_info for graph in (info.initialization, info.algorithm)]
    for graph in (proto.graph, *proto.functions, *training):
        yield from graphs(graph)


def graphs(graph: Any) -> Iterator[Any]:
    """A graph and the graphs inside its nodes, at any depth."""
    waiting = [graph]
    while waiting:
        item = waiting.pop()
        yield item
        for node in item.node:
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    waiting.append(attribute.g)
                waiting += attribute.graphs


def tensors(proto: Any) -> Iterator[Any]:
    """Every tensor stored in a model: initializers, attributes, and the parts of sparse tensors."""
    for graph in everywhere(proto):
        yield from getattr(graph, "initializer", ())
        sparse = list(getattr(graph, "sparse_initializer", ()))
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors
                if attribute.HasField("sparse_tensor"):
                    sparse.append(attribute.sparse_tensor)
                sparse += attribute.sparse_tensors
        for item in sparse:
            yield item.values
            yield item.indices


def taken(proto: Any) -> set[str]:
    """Every name of a tensor or a node in a model, including the graphs inside nodes."""
    found: set[str] = set()
    for graph in graphs(proto.graph):
        for group in (graph.input, graph.output, graph.value_info, graph.initializer, graph.node):
            found.update(item.name for item in group)
        for node in graph.node:
            found.update(node.input)
            found.update(node.output)
    return found


def external(proto: Any) -> set[str]:
    """The paths of the files that hold external tensors, relative to the model's folder."""
    found: set[str] = set()
    for tensor in tensors(proto):
        if tensor.data_location == _EXTERNAL:
            found.update(entry.value for entry in tensor.external_data if entry.key == "location")
    return found


def elsewhere(proto: Any, path: str) -> str:
    """An external file that is not a regular file in the model's folder or below it; "" if there is none.

    Links are followed: their target must be in the folder too.
    """
    folder = os.path.realpath(os.path.dirname(path) or ".")
    for name in sorted(external(proto)):
        found = os.path.realpath(os.path.join(folder, name))
        if not os.path.isfile(found) or os.path.commonpath((folder, found)) != folder:
            return name
    return ""
