"""The trainable variables of a model, in the order of ``model.trainable_variables``.

That order is the order of the layers, including those of nested models; within a layer it never changes. Source:
``Layer.variables`` in ``keras/src/layers/layer.py``, Keras 3.15.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ...files.hdf5 import Hdf5Index
from ...ir.graph import Graph, Operation
from ...shapes.keras_facts import facts_of
from .layer_order import layers_in_order
from .weight_groups import saved_groups

Shape = tuple[int, ...]

# Random seeds are variables of a layer, but not trained (keras/src/random/seed_generator.py).
_SEEDS = "seed_generator"


class Unit(NamedTuple):
    """Trainable variables of one layer, which stay together. ``key`` is the path of names to it."""

    key: tuple[str, ...]
    shapes: tuple[Shape, ...]


def trainable_units(index: Hdf5Index, saved: Graph, graph: Graph) -> list[Unit]:
    """The units of ``graph`` that have trainable variables, in Keras's order.

    Args:
        saved: the graph as the file has it, whose order named the groups of the weights file.
        graph: the same model, perhaps with nodes inserted.
    """
    if graph.raw.get("trainable") is False and graph.kind == "Functional":
        return []
    return [unit for unit in _model(index, (), "layers", saved, graph) if unit.shapes]


def _model(index: Hdf5Index, key: tuple[str, ...], path: str, saved: Graph, graph: Graph) -> Iterator[Unit]:
    groups = saved_groups(index, path, saved)
    for operation in layers_in_order(graph):
        if operation.name in groups and operation.name in saved.operations:
            group = f"{path}/{groups[operation.name]}"
            yield from _layer(
                index, (*key, operation.name), group, saved.operations[operation.name], operation
            )


def _layer(
    index: Hdf5Index, key: tuple[str, ...], path: str, saved: Operation, operation: Operation
) -> Iterator[Unit]:
    """The units of a layer: its own variables, and those of the layers and models inside it."""
    if saved.graph is not None and operation.graph is not None:
        yield from _model(index, key, f"{path}/layers", saved.graph, operation.graph)
        return
    own = list(_own(index, path, saved))
    for name in index.groups(path):
        child, other = saved.children.get(name), operation.children.get(name)
        if isinstance(child, Operation) and isinstance(other, Operation) and child.graph is not None:
            yield Unit(key, tuple(own))
            own = []
            yield from _layer(index, (*key, name), f"{path}/{name}", child, other)
        elif name != "vars" and not name.startswith(_SEEDS):
            own += _below(index, f"{path}/{name}", child)
    yield Unit((*key, ""), tuple(own))


def _own(index: Hdf5Index, path: str, operation: Operation | None) -> list[Shape]:
    """Shapes of a layer's own trained variables."""
    if f"{path}/vars" not in index:
        return []
    datasets = index.datasets(f"{path}/vars")
    shapes = [datasets[name].shape for name in sorted(datasets, key=lambda n: (len(n), n))]
    if operation is None:
        return shapes
    if operation.config.get("trainable") is False:
        return []
    count = facts_of(operation.class_name).trained
    return shapes if count is None else shapes[: count(operation.config)]


def _below(index: Hdf5Index, path: str, child: Any) -> list[Shape]:
    """Shapes of all trained variables of a layer inside a layer."""
    operation = child if isinstance(child, Operation) else None
    shapes = _own(index, path, operation)
    for name in index.groups(path):
        if name != "vars" and not name.startswith(_SEEDS):
            shapes += _below(
                index, f"{path}/{name}", operation.children.get(name) if operation is not None else None
            )
    return shapes
