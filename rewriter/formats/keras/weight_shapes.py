"""How many numbers each layer of a ``.keras`` archive holds, from its weights file."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ...files.hdf5 import Hdf5Index
from ...ir.graph import Graph, Operation
from ...shapes.keras_facts import facts_of
from .layer_order import numbered
from .weight_groups import saved_groups

# Random seeds are variables of a layer, but not weights (keras/src/layers/layer.py, Keras 3.15).
_NOT_WEIGHTS = "seed_generator"


def parameter_counts(graph: Graph, index: Hdf5Index) -> dict[str, int]:
    """The number of weights of each layer that has some, by its path (``inner/dense``).

    A nested model has the sum of its layers.
    """
    return dict(_model("", "layers", graph, index))


def attach_shapes(graph: Graph, index: Hdf5Index) -> None:
    """Give every operation of a graph the shapes of its variables (``Operation.weights``)."""
    _attach_model("layers", graph, index)


def _attach_model(path: str, graph: Graph, index: Hdf5Index) -> None:
    for name, group in saved_groups(index, path, graph).items():
        _attach(f"{path}/{group}", graph.operations[name], index)


def _attach(path: str, operation: Operation, index: Hdf5Index) -> None:
    if operation.graph is not None:
        if f"{path}/layers" in index:
            _attach_model(f"{path}/layers", operation.graph, index)
        return
    waiting = [""]
    while waiting:
        here = waiting.pop()
        full = f"{path}/{here}".rstrip("/")
        for name, dataset in index.datasets(full).items():
            operation.weights[f"{here}/{name}".lstrip("/")] = dataset.shape
        waiting += [f"{here}/{name}".lstrip("/") for name in index.groups(full)]
    for group, child in _held(operation):
        if f"{path}/{group}" in index:
            _attach(f"{path}/{group}", child, index)


def _held(operation: Operation) -> Iterator[tuple[str, Operation]]:
    """The layers that a layer holds, each with the group of its weights below the layer's own."""
    filed_as = facts_of(operation.class_name).children_filed_as
    for key, child in operation.children.items():
        if isinstance(child, Operation):
            yield filed_as.get(key, key), child
        else:
            groups = numbered(each.class_name for each in child)
            yield from ((f"{key}/{group}", each) for group, each in zip(groups, child, strict=True))


def _model(prefix: str, path: str, graph: Graph, index: Hdf5Index) -> Iterator[tuple[str, int]]:
    for name, group in saved_groups(index, path, graph).items():
        yield from _layer(prefix + name, f"{path}/{group}", graph.operations[name], index)


def _layer(name: str, path: str, operation: Operation, index: Hdf5Index) -> Iterator[tuple[str, int]]:
    total = _below(path, index)
    if total:
        yield name, total
    if operation.graph is not None and f"{path}/layers" in index:
        yield from _model(f"{name}/", f"{path}/layers", operation.graph, index)
    for key, child in operation.children.items():
        if isinstance(child, Operation) and child.graph is not None and f"{path}/{key}/layers" in index:
            yield from _model(f"{name}/{child.name}/", f"{path}/{key}/layers", child.graph, index)


def _below(path: str, index: Hdf5Index) -> int:
    total = 0
    waiting = [path]
    while waiting:
        here = waiting.pop()
        total += sum(math.prod(d.shape) for d in index.datasets(here).values())
        waiting += [f"{here}/{name}" for name in index.groups(here) if name != _NOT_WEIGHTS]
    return total
