"""The order of ``model.layers`` in Keras 2, which matches the layers of a model with the weights in a file.

Keras 2 sorts by depth and first visit, as Keras 3 does (``layer_order.py``). But a function of TensorFlow is a layer in
Keras 2, and several operations or none in Keras 3: the order is therefore computed from the old calls. Source:
``_map_graph_network`` and ``_build_map`` of ``tf_keras/src/engine/functional.py`` 2.21, the same in Keras 2.2.
"""

from __future__ import annotations

from typing import Any

from ....ir.graph import Graph, Node, Operation, TensorRef, node_name
from ..config import read_model
from ..layer_order import operations_in_order
from ..upgrade.model import has_new_calls, layer_name
from ..upgrade.tensors import Old, first_calls, read_call, read_ends

Json = dict[str, Any]


def layers_of(config: Any) -> list[Json]:
    """The entries of the layers of a model."""
    return config if isinstance(config, list) else config["layers"]


def model_order(config: Any) -> list[str]:
    """The names of a model's layers that lead to an output, in the order of Keras 2."""
    if isinstance(config, list) or "input_layers" not in config:
        return [layer_name(entry) for entry in layers_of(config)]
    if has_new_calls(config):  # an HDF5 file of Keras 3
        graph = read_model({"class_name": "Functional", "config": config})
        return [operation.name for operation in operations_in_order(graph)]
    return [operation.name for operation in operations_in_order(_graph(config))]


def _graph(config: Json) -> Graph:
    first = first_calls(config)
    graph = Graph("")
    for entry in config["layers"]:
        name = layer_name(entry)
        operation = Operation(name, "layer", str(entry.get("class_name")), {})
        inbound = entry.get("inbound_nodes") or []
        if not inbound:
            graph.add(Node(name, operation, 0, (), {}))
        for number, node in enumerate(inbound):
            call = read_call(node, name, first)
            # Keras takes the arguments in their order, and the items of an object in the order of its keys.
            arguments = _references([call.first, *call.kwargs.values()])
            graph.add(Node(node_name(name, number), operation, number, tuple(arguments), {}))
    graph.inputs = _references(read_ends(config["input_layers"], first, "input_layers"))
    graph.outputs = _references(read_ends(config["output_layers"], first, "output_layers"))
    graph.link()
    return graph


def _references(value: Any) -> Any:
    """An argument with its tensors as references to nodes."""
    if isinstance(value, Old):
        return TensorRef(node_name(value.layer, value.call), value.output)
    if isinstance(value, dict):
        return {key: _references(item) for key, item in value.items()}
    return [_references(item) for item in value] if isinstance(value, (list, tuple)) else value
