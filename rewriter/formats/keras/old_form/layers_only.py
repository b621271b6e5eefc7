"""A changed model in an HDF5 file of Keras 3: its form is that of an archive, but Keras loads only layers from it.

Source: ``keras/src/legacy/saving/legacy_h5_format.py`` and ``serialization.py`` of Keras 3.15: an operation of
``keras.ops`` in such a file is an unknown layer.
"""

from __future__ import annotations

from typing import Any

from ....ir.axis import Value
from ....ir.graph import Graph, Node
from ....shapes.infer import infer
from ..config_writer import graph_config
from ..upgrade.model import layer_name
from .spelling import form_of, spelled

Json = dict[str, Any]


def in_layers(original: Json, entry: Json, graph: Graph, version: str) -> Json:
    """The entry of a model with the changes of its graph, every inserted operation as a layer.

    Args:
        original: the entry as it is in the file, without modules; ``entry`` has them (``modules.py``).

    Raises:
        UnsupportedError: no layer does what an inserted operation does.
    """
    form = form_of(original, version)._replace(functions=False, modules="")
    # Keyed by the id of the operation's configuration, which the entry shares.
    found: dict[int, tuple[Node, dict[str, list[Value]]]] = {}
    for _, inference in infer(graph).walk():
        values = dict(inference.values)
        for node in inference.graph.nodes.values():
            found.setdefault(id(node.operation.config), (node, values))

    def as_layer(inserted: Json) -> list[Json]:
        node, values = found[id(inserted["config"])]
        operands = [_value(values, ref.node, ref.index) for ref in node.refs()]
        (part,) = spelled(node, operands, _value(values, node.name, 0), form)
        dtype = {"dtype": form.dtype} if form.dtype else {}
        config = {"name": inserted["name"], "trainable": True, **dtype, **part.config}
        tensors = inserted["inbound_nodes"][0]["args"][: len(operands)]
        args = [tensors] if len(tensors) > 1 else tensors
        entry = {
            "class_name": part.class_name,
            "config": config,
            "name": inserted["name"],
            "inbound_nodes": [{"args": args, "kwargs": {}}],
        }
        return [entry]

    config = _without_modules(graph_config(graph, as_layer), original["config"])
    return {**original, "config": config}


def _without_modules(new: Any, old: Any) -> Any:
    """A changed configuration without the modules that the file does not state."""
    if isinstance(new, dict) and isinstance(old, dict):
        added = {"module", "registered_name"} - old.keys()
        return {key: _without_modules(value, old.get(key)) for key, value in new.items() if key not in added}
    if isinstance(new, list) and isinstance(old, list):
        if all(isinstance(item, dict) and "class_name" in item for item in new):
            by_name = {layer_name(item): item for item in old if isinstance(item, dict)}
            return [_without_modules(item, by_name.get(layer_name(item))) for item in new]
        if len(new) == len(old):
            return [_without_modules(*pair) for pair in zip(new, old, strict=True)]
    return new


def _value(values: dict[str, list[Value]], node: str, index: int) -> Value:
    found = values.get(node, [])
    return found[index] if index < len(found) else Value(None)
