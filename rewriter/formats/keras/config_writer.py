"""A changed graph as a Keras 3 configuration. Unchanged parts are the same objects that were read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...ir.graph import Graph, Literal, Node, Operation, TensorRef, leaves, map_leaves
from ...shapes.infer import infer
from ...shapes.keras_facts import facts_of
from .dialect import Dialect, dialect_of, newest


def model_entry(entry: dict[str, Any], graph: Graph, version: Any = None) -> dict[str, Any]:
    """The top-level entry of ``config.json`` with the configuration of a changed graph, for a version of Keras."""
    config = graph_config(graph, dialect_of(version, graph))
    return entry if config is graph.raw else {**entry, "config": config}


def graph_config(graph: Graph, spelled: Dialect = newest) -> dict[str, Any]:
    """The configuration of a model; ``graph.raw`` itself if nothing in it has changed.

    Args:
        spelled: how the Keras that loads the file writes an inserted operation.
    """
    numbers = _call_numbers(graph)
    shifted = {name for name, number in numbers.items() if graph.nodes[name].call != number}
    stale = _below_changes(graph)
    calls = _calls(graph)
    entries = {
        name: _entry(operation, calls.get(name, []), graph, numbers, shifted, name in stale, spelled)
        for name, operation in graph.operations.items()
        if graph.kind != "Sequential" or operation.raw  # a Sequential model's input may not be in the file
    }
    if all(entry is graph.operations[name].raw for name, entry in entries.items()):
        return graph.raw
    if graph.kind == "Sequential":
        layers = [entries[_name_of(raw)] for raw in graph.raw["layers"]]
        return {**graph.raw, "layers": layers}
    layers = []
    for name in _file_order(graph):
        inserted = "class_name" not in graph.operations[name].raw
        layers += spelled(entries[name]) if inserted else [entries[name]]

    def end(ref: TensorRef) -> list[Any]:
        operation = graph.nodes[ref.node].operation
        # A functional model starts with a node of its own, which Keras counts (functional.py, get_tensor).
        own = operation.graph is not None and operation.graph.kind == "Functional"
        return [operation.name, numbers[ref.node] + own, ref.index]

    return {
        **graph.raw,
        "layers": layers,
        "input_layers": map_leaves(end, graph.inputs),
        "output_layers": map_leaves(end, graph.outputs),
    }


def _below_changes(graph: Graph) -> set[str]:
    """Operations with a changed call, and those downstream of one."""
    waiting = [node.name for node in graph.nodes.values() if node.changed]
    below = set(waiting)
    while waiting:
        new = set(graph.nx.successors(waiting.pop())) - below
        below |= new
        waiting += new
    return {graph.nodes[name].operation.name for name in below}


def _calls(graph: Graph) -> dict[str, list[Node]]:
    """The remaining calls of each operation, in order."""
    calls: dict[str, list[Node]] = {}
    for node in sorted(graph.nodes.values(), key=lambda node: node.call):
        calls.setdefault(node.operation.name, []).append(node)
    return calls


def _call_numbers(graph: Graph) -> dict[str, int]:
    """Each call's number among the remaining calls of its operation."""
    return {node.name: number for nodes in _calls(graph).values() for number, node in enumerate(nodes)}


def _entry(
    operation: Operation,
    nodes: list[Node],
    graph: Graph,
    numbers: dict[str, int],
    shifted: set[str],
    stale: bool,
    spelled: Dialect,
) -> dict[str, Any]:
    """An operation's entry in its model; the original entry if nothing has changed."""
    nodes = nodes if graph.kind != "Sequential" else []

    def argument(leaf: Any) -> Any:
        if isinstance(leaf, Literal):
            return {"class_name": "__numpy__", "config": {"value": leaf.value, "dtype": leaf.dtype}}
        return _tensor(leaf, graph, numbers) if isinstance(leaf, TensorRef) else leaf

    if "class_name" not in operation.raw:
        calls = [{"args": map_leaves(argument, list(node.args)), "kwargs": {}} for node in nodes]
        return {
            "module": operation.module,
            "class_name": operation.class_name,
            "config": operation.config,
            "registered_name": operation.class_name,
            "name": operation.name,
            "inbound_nodes": calls,
            **operation.raw,
        }
    entry = operation.raw
    if stale and facts_of(operation.class_name).built_by_call:
        shapes = shapes_to_build_on(graph, nodes)
        if shapes or "build_config" in entry:
            entry = {key: value for key, value in entry.items() if key != "build_config"}
        if shapes:
            entry = {**entry, "build_config": {"input_shape": shapes}}
    config = _inner_config(operation, spelled)
    if config is not operation.config:
        entry = {**entry, "config": config}
    changed = {n.name for n in nodes if n.changed or any(ref.node in shifted for ref in n.refs())}
    inbound = entry.get("inbound_nodes", [])
    if changed or (operation.kind != "input" and graph.kind != "Sequential" and len(nodes) != len(inbound)):
        calls = [
            _patched(inbound[node.call], node, graph, numbers) if node.name in changed else inbound[node.call]
            for node in nodes
        ]
        entry = {**entry, "inbound_nodes": calls}
    return entry


def shapes_to_build_on(graph: Graph, nodes: Sequence[Node]) -> list[list[int | None]]:
    """The shapes of a later call of a merge layer with operands of several ranks, if those of the first have one rank.

    Keras builds such a layer on its first call, and a layer built on operands of one rank inserts no axes in any call.
    """
    if len(nodes) < 2 or not facts_of(nodes[0].operation.class_name).inserts_axes:
        return []
    inference = infer(graph)
    first, *others = [
        [value.shape for ref in node.refs() if (value := inference.value(ref)).shape is not None]
        for node in nodes
    ]
    if len({len(shape) for shape in first}) > 1:
        return []
    return next((shapes for shapes in others if len({len(shape) for shape in shapes}) > 1), [])


def _inner_config(operation: Operation, spelled: Dialect) -> dict[str, Any]:
    """The configuration of an operation, including the models that it is or contains."""
    if operation.graph is not None:
        return graph_config(operation.graph, spelled)
    config = operation.config
    for key, children in operation.children.items():
        several = isinstance(children, list)
        operations = children if isinstance(children, list) else [children]
        entries = [_child(child, spelled) for child in operations]
        if any(entry is not child.raw for entry, child in zip(entries, operations, strict=True)):
            config = {**config, key: entries if several else entries[0]}
    return config


def _child(operation: Operation, spelled: Dialect) -> dict[str, Any]:
    config = _inner_config(operation, spelled)
    return operation.raw if config is operation.config else {**operation.raw, "config": config}


def _patched(call: dict[str, Any], node: Node, graph: Graph, numbers: dict[str, int]) -> Any:
    """A serialised call with its tensors replaced, in order, by the node's current operands."""
    given = iter(
        [leaf for leaf in leaves((node.args, node.kwargs)) if isinstance(leaf, (TensorRef, Literal))]
    )

    def patch(value: Any) -> Any:
        if isinstance(value, list):
            return [patch(item) for item in value]
        if not isinstance(value, dict):
            return value
        if value.get("class_name") in ("__keras_tensor__", "__tensor__", "__numpy__"):
            leaf = next(given)
            return _tensor(leaf, graph, numbers) if isinstance(leaf, TensorRef) else _literal(value, leaf)
        if value.get("class_name") in ("__slice__", "__ellipsis__"):
            return value
        return {key: patch(item) for key, item in value.items()}

    # The keyword arguments are patched one by one: one of them may be named ``class_name``.
    kwargs = {key: patch(value) for key, value in call.get("kwargs", {}).items()}
    return {**call, "args": patch(call.get("args", [])), "kwargs": kwargs}


def _literal(value: dict[str, Any], leaf: Literal) -> dict[str, Any]:
    return {**value, "config": {**value["config"], "value": leaf.value}}


def _tensor(ref: TensorRef, graph: Graph, numbers: dict[str, int]) -> dict[str, Any]:
    return {
        "class_name": "__keras_tensor__",
        "config": {
            "shape": None if ref.shape is None else list(ref.shape),
            "dtype": ref.dtype or "float32",
            "keras_history": [graph.nodes[ref.node].operation.name, numbers[ref.node], ref.index],
        },
    }


def _file_order(graph: Graph) -> list[str]:
    """Operations in file order, each new one before the first that uses it."""
    new = {name for name, operation in graph.operations.items() if "class_name" not in operation.raw}
    needed: dict[str, dict[str, None]] = {name: {} for name in graph.operations}
    for node in graph.nodes.values():
        sources = (graph.nodes[ref.node].operation.name for ref in node.refs())
        needed[node.operation.name].update(dict.fromkeys(name for name in sources if name in new))
    order: list[str] = []
    entered: set[str] = set()
    for start in sorted(graph.operations, key=new.__contains__):
        stack = [(start, iter(needed[start]))] if start not in entered else []
        while stack:
            name, rest = stack[-1]
            entered.add(name)
            source = next((n for n in rest if n not in entered), None)
            if source is not None:
                stack.append((source, iter(needed[source])))
                continue
            stack.pop()
            order.append(name)
    return order


def _name_of(raw: dict[str, Any]) -> str:
    name = raw.get("name", raw.get("config", {}).get("name"))
    return name if isinstance(name, str) else str(raw["class_name"]).lower()
