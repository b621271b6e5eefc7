"""Write a model's variables, from any source, as the weights file of Keras 3.

Source of the layout: ``keras/src/saving/saving_lib.py`` (``_save_state``, ``H5IOStore``), Keras 3.15.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...ir.graph import Graph, Operation
from ..variables import Variable, Variables
from .layer_order import group_names
from .new_hdf5 import new_hdf5

_LAYERS = "layers"


def write_weights(
    path: str,
    saved: Graph,
    graph: Graph,
    variables: Variables,
    others: Mapping[str, Sequence[Variable]] | None = None,
) -> None:
    """Write all variables of ``graph`` to a new HDF5 file, with one variable in memory at a time.

    Args:
        saved: the graph as its file has it; it gives the places of the variables.
        graph: the same model, perhaps with nodes inserted; it gives their new names.
        others: variables of no layer, by the path of their group (``optimizer``).

    Raises:
        UnsupportedError: the type of a variable is not supported, or h5py is not installed.
        BadFileError: the variables are damaged.
        OSError: the file cannot be written.
    """
    with open(path, "x+b") as stream, new_hdf5(stream) as (file, check):
        file.create_group(_LAYERS)
        for target, name, source, held in _groups(_LAYERS, _LAYERS, saved, graph, variables):
            group = file.require_group(f"{target}/vars")
            group.attrs["name"] = name
            for inner in held:
                _write(file, f"{target}/{inner}", variables.variable(source, inner))
            check()
        for target, state in (others or {}).items():
            for number, variable in enumerate(state):
                _write(file, f"{target}/vars/{number}", variable)
                check()


def moved_groups(saved: Graph, graph: Graph, variables: Variables) -> dict[str, str]:
    """The group of every layer in the output of ``write_weights``, by its group in the source."""
    groups = _groups(_LAYERS, _LAYERS, saved, graph, variables)
    return {source: target for target, _, source, _ in groups}


def _write(file: Any, path: str, variable: Variable) -> None:
    if variable.dtype == "bfloat16":
        import numpy as np

        made = file.create_dataset(path, data=variable.load().view(np.dtype("V2")))
        made.attrs["dtype"] = "bfloat16"
        return
    file.create_dataset(path, data=variable.load())


def _groups(
    source: str, target: str, saved: Graph, graph: Graph, variables: Variables
) -> Iterator[tuple[str, str, str, list[str]]]:
    """For every layer: its new group, its name, its old group, and the paths of its variables in that group."""
    places, names = variables.places(source, saved), group_names(graph)
    for name, operation in saved.operations.items():
        if name not in names or name not in places:
            continue
        new = graph.operations[name]
        yield from _layer(f"{source}/{places[name]}", f"{target}/{names[name]}", operation, new, variables)


def _layer(
    source: str, target: str, saved: Operation, new: Operation, variables: Variables
) -> Iterator[tuple[str, str, str, list[str]]]:
    """The rows of a layer; models inside it have rows of their own."""
    inner = list(_models(saved, new))
    prefixes = tuple(f"{key}{_LAYERS}/" for key, _, _ in inner)
    yield target, new.name, source, [p for p in variables.paths(source) if not p.startswith(prefixes)]
    for key, before, after in inner:
        yield from _groups(f"{source}/{key}{_LAYERS}", f"{target}/{key}{_LAYERS}", before, after, variables)


def _models(saved: Operation, new: Operation, prefix: str = "") -> Iterator[tuple[str, Graph, Graph]]:
    """The models that an operation is or contains: the path below the operation, the saved and the current graph."""
    if saved.graph is not None and new.graph is not None:
        yield prefix, saved.graph, new.graph
    for key, child in saved.children.items():
        other = new.children.get(key)
        if isinstance(child, Operation) and isinstance(other, Operation):
            yield from _models(child, other, f"{prefix}{key}/")
