"""The shapes of a model's variables, and the number of weights of each layer."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ...ir.graph import Graph, Operation
from ...shapes.keras_facts import facts_of
from ..variables import Variables
from .layer_order import numbered

_LAYERS = "layers"
# Random seeds are variables of a layer, but not weights (keras/src/layers/layer.py, Keras 3.15).
_NOT_WEIGHTS = "seed_generator"


def parameter_counts(graph: Graph, variables: Variables) -> dict[str, int]:
    """The number of weights of each layer that has some, by its path (``inner/dense``).

    A nested model has the sum of its layers.
    """
    return dict(_model("", _LAYERS, graph, variables))


def attach_shapes(graph: Graph, variables: Variables) -> None:
    """Give every operation of a graph the shapes of its variables (``Operation.weights``)."""
    _attach_model(_LAYERS, graph, variables)


def _attach_model(path: str, graph: Graph, variables: Variables) -> None:
    for name, place in variables.places(path, graph).items():
        _attach(f"{path}/{place}", graph.operations[name], variables)


def _attach(place: str, operation: Operation, variables: Variables) -> None:
    if operation.graph is not None:
        _attach_model(f"{place}/{_LAYERS}", operation.graph, variables)
        return
    for path in variables.paths(place) if operation.kind != "op" else ():
        operation.weights[path] = variables.shape(place, path)
    for group, child in _held(operation):
        _attach(f"{place}/{group}", child, variables)


def _held(operation: Operation) -> Iterator[tuple[str, Operation]]:
    """The layers inside a layer, each with the group of its weights below the layer's group."""
    filed_as = facts_of(operation.class_name).children_filed_as
    for key, child in operation.children.items():
        if isinstance(child, Operation):
            yield filed_as.get(key, key), child
        else:
            groups = numbered(each.class_name for each in child)
            yield from ((f"{key}/{group}", each) for group, each in zip(groups, child, strict=True))


def _model(prefix: str, path: str, graph: Graph, variables: Variables) -> Iterator[tuple[str, int]]:
    for name, place in variables.places(path, graph).items():
        yield from _layer(prefix + name, f"{path}/{place}", graph.operations[name], variables)


def _layer(name: str, place: str, operation: Operation, variables: Variables) -> Iterator[tuple[str, int]]:
    paths = [p for p in variables.paths(place) if _NOT_WEIGHTS not in p.split("/")]
    if not paths:
        return
    yield name, sum(math.prod(variables.shape(place, path)) for path in paths)
    if operation.graph is not None:
        yield from _model(f"{name}/", f"{place}/{_LAYERS}", operation.graph, variables)
    for key, child in operation.children.items():
        if isinstance(child, Operation) and child.graph is not None:
            yield from _model(f"{name}/{child.name}/", f"{place}/{key}/{_LAYERS}", child.graph, variables)
