"""The order that Keras gives the layers of a model, and with it the names of their groups in the weights file.

Keras sorts the operations of a functional model by depth from its outputs and, within a depth, by the order in which a
depth-first walk from the outputs first meets them; weights are then numbered per class in that order. Inserting any
node can change it. Source: ``keras/src/ops/function.py`` (``map_graph``, ``_build_map``) and ``saving_lib.py``
(``_save_container_state``), Keras 3.15.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from ...ir.graph import Graph, Node, Operation, TensorRef, flatten_outputs
from ...shapes.keras_facts import facts_of


def layers_in_order(graph: Graph) -> list[Operation]:
    """``model.layers``: the model's operations that are layers, in Keras's order."""
    if graph.kind == "Sequential":
        operations = [graph.nodes[name].operation for name in graph.order]
        return operations[1:]
    return [operation for operation in operations_in_order(graph) if operation.kind != "op"]


def group_names(graph: Graph) -> dict[str, str]:
    """The weights group of each layer by the layer's name: ``{"my_gru": "gru_1"}``."""
    operations = layers_in_order(graph)
    names = numbered(operation.class_name for operation in operations)
    return {operation.name: name for operation, name in zip(operations, names, strict=True)}


def numbered(class_names: Iterable[str]) -> list[str]:
    """The groups of the layers in a list, numbered per class: ``["gru", "dense", "gru_1"]``."""
    used: Counter[str] = Counter()
    result = []
    for class_name in class_names:
        stem = snake_case(facts_of(class_name).filed_as or class_name)
        result.append(f"{stem}_{used[stem]}" if used[stem] else stem)
        used[stem] += 1
    return result


def operations_in_order(graph: Graph) -> list[Operation]:
    """The operations of a functional model, by decreasing depth and then by first visit."""
    _, depth_of, first_visit = _depths(graph)
    for ref in flatten_outputs(graph.inputs):
        name = graph.nodes[ref.node].operation.name
        if name not in depth_of:
            depth_of[name], first_visit[name] = 0, -1
    names = sorted(depth_of, key=lambda name: (-depth_of[name], first_visit[name]))
    return [graph.operations[name] for name in names]


def calls_in_order(graph: Graph) -> list[str]:
    """The nodes that a model's outputs need, in the order in which Keras runs them."""
    if graph.kind == "Sequential":
        return graph.order
    node_depth, _, _ = _depths(graph)
    return sorted(node_depth, key=lambda name: -node_depth[name])


def _depths(graph: Graph) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """The depth of each node, in Keras's order, the depth of each operation, and its rank by first visit."""
    tensors = {name: _tensors(node) for name, node in graph.nodes.items()}
    finished, first_visit = _walk(graph, tensors)
    node_depth: dict[str, int] = {}
    depth_of: dict[str, int] = {}
    for node in reversed(finished):
        depth = max(node_depth.get(node.name, 0), depth_of.get(node.operation.name, 0))
        node_depth[node.name] = depth_of[node.operation.name] = depth
        for ref in tensors[node.name]:
            node_depth[ref.node] = max(depth + 1, node_depth.get(ref.node, 0))
    return node_depth, depth_of, first_visit


def _walk(graph: Graph, tensors: dict[str, list[TensorRef]]) -> tuple[list[Node], dict[str, int]]:
    """Nodes in depth-first post-order from the outputs, and the rank of each operation by first visit."""
    finished: list[Node] = []
    entered: set[str] = set()
    first_visit: dict[str, int] = {}
    for output in flatten_outputs(graph.outputs):
        stack: list[tuple[Node, Iterator[TensorRef]]] = []
        pending: TensorRef | None = output
        while pending is not None or stack:
            if pending is not None:
                node = graph.nodes[pending.node]
                pending = None
                if node.name not in entered:
                    entered.add(node.name)
                    first_visit.setdefault(node.operation.name, len(first_visit))
                    stack.append((node, iter(tensors[node.name])))
                    continue
            if stack:
                node, rest = stack[-1]
                pending = next(rest, None)
                if pending is None:
                    stack.pop()
                    finished.append(node)
    return finished, first_visit


def _tensors(node: Node) -> list[TensorRef]:
    """A call's tensors in the order of ``keras.tree.flatten``."""
    return [leaf for leaf in flatten_outputs((node.args, node.kwargs)) if isinstance(leaf, TensorRef)]


@functools.lru_cache(maxsize=1024)
def snake_case(name: str) -> str:
    """A class name as Keras writes it in paths (``keras/src/utils/naming.py``)."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
