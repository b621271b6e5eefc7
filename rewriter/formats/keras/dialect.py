"""How older versions of Keras 3 write inserted operations: a changed file must load in the version that wrote it.

Seen in Keras 3.0.5, 3.1.1, 3.2.1, 3.3.3, 3.8.0, 3.10.0 and 3.11.0: before 3.11 Reshape, Transpose, ExpandDims, Squeeze,
Tile, Repeat and Any take no name, and Slice takes its shape in the call; 3.0 takes one axis each. When Keras loads an
operation without a name in its configuration, it names it by its class and a counter. A second operation of that name
in the model is an error. A Reshape is therefore written as a layer if possible.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from ...errors import UnsupportedError, shown
from ...ir.graph import Graph
from .layer_order import snake_case

Json = dict[str, Any]
Dialect = Callable[[Json], list[Json]]

_NAMED = (3, 11)
_SEVERAL_AXES = (3, 1)
_NAMELESS = frozenset({"Any", "ExpandDims", "Repeat", "Reshape", "Squeeze", "Tile", "Transpose"})


def newest(entry: Json) -> list[Json]:
    """The entry of an inserted operation, unchanged: the form of the newest Keras."""
    return [entry]


def dialect_of(version: Any, graph: Graph) -> Dialect:
    """The entries that this version of Keras writes for an inserted one; the newest form without a version."""
    number = version_number(version)
    if number is None or number >= _NAMED:
        return newest
    operations = [node.operation for _, _, node in graph.walk()]
    taken = {
        op.name for op in operations if op.kind != "op" or "name" in op.config and "class_name" in op.raw
    }

    def spelled(entry: Json) -> list[Json]:
        if entry["class_name"] == "Slice":
            config = {key: value for key, value in entry["config"].items() if key != "shape"}
            calls = [
                {**call, "args": [*call["args"], entry["config"]["shape"]]} for call in entry["inbound_nodes"]
            ]
            return [{**entry, "config": config, "inbound_nodes": calls}]
        if entry["class_name"] not in _NAMELESS:
            return [entry]
        if (layer := _as_layer(entry)) is not None:
            return [layer]
        stem = snake_case(entry["class_name"])
        if any(re.fullmatch(rf"{stem}(_\d+)?", name) for name in taken):
            raise UnsupportedError(
                f"saved by Keras {shown(version)}, which would give the inserted {entry['class_name']} "
                f"{shown(entry['name'])!r} the name of another layer: save it with Keras 3.11"
            )
        nameless = {
            **entry,
            "config": {key: value for key, value in entry["config"].items() if key != "name"},
        }
        return _per_axis(nameless, graph) if number < _SEVERAL_AXES else [nameless]

    return spelled


def version_number(version: Any) -> tuple[int, int] | None:
    """(3, 11) for "3.11.0"; None if it is not a version."""
    found = re.match(r"(\d{1,6})\.(\d{1,6})", version) if isinstance(version, str) else None
    return (int(found[1]), int(found[2])) if found is not None else None


def _per_axis(entry: Json, graph: Graph) -> list[Json]:
    """An ExpandDims or Squeeze of several axes as one for each axis; another operation alone."""
    axes = entry["config"].get("axis")
    if entry["class_name"] not in ("ExpandDims", "Squeeze") or not isinstance(axes, list):
        return [entry]
    removes = entry["class_name"] == "Squeeze"
    (tensor,) = entry["inbound_nodes"][0]["args"]
    entries = []
    for number, axis in enumerate(sorted(axes, reverse=removes)):
        last = number == len(axes) - 1
        name = entry["name"] if last else graph.fresh_name(f"{entry['name']}_axis_{axis}")
        call = {**entry["inbound_nodes"][0], "args": [tensor]}
        entries.append({**entry, "name": name, "config": {"axis": axis}, "inbound_nodes": [call]})
        given = tensor["config"]["shape"]
        shape = [*given[:axis], *([] if removes else [1]), *given[axis + 1 if removes else axis :]]
        tensor = {**tensor, "config": {**tensor["config"], "shape": shape, "keras_history": [name, 0, 0]}}
    return entries


def _as_layer(entry: Json) -> Json | None:
    """A Reshape that keeps the first axis, as a layer of the same name; None for any other operation.

    The layer computes in its operand's dtype, so it casts nothing.
    """
    source = entry["inbound_nodes"][0]["args"][0]["config"]
    shape, target = source["shape"], entry["config"].get("newshape")
    if entry["class_name"] != "Reshape" or not shape or not target or not _keeps_the_first(shape, target):
        return None
    dtype = source["dtype"] if "float" in source["dtype"] else "float32"  # a layer does not cast integers
    config = {"name": entry["name"], "trainable": True, "dtype": dtype, "target_shape": target[1:]}
    return {**entry, "module": "keras.layers", "config": config, "registered_name": None}


def _keeps_the_first(shape: list[int | None], target: list[int]) -> bool:
    rest = [size for size in shape[1:] if size is not None]
    same = shape[0] == (None if target[0] == -1 else target[0])
    return (
        same
        and len(rest) == len(shape) - 1
        and -1 not in target[1:]
        and math.prod(rest) == math.prod(target[1:])
    )
