"""Tables that layers learn by ``adapt()`` and keep in files of their own, beside the weights: vocabularies.

Source: ``save_assets`` of ``layers/preprocessing/index_lookup.py`` and ``text_vectorization.py`` of tf_keras 2.21 and
Keras 3.15: both write the same file, one term per line, if the configuration has no vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from ...errors import UnsupportedError, shown
from ...ir.graph import Graph, Operation
from .layer_order import group_names

_LOOKUPS = ("IntegerLookup", "StringLookup", "TextVectorization")
_FILES = ("vocabulary.txt", "_lookup_layer/vocabulary.txt")
_ASSETS = "assets"


class Table(NamedTuple):
    """A file of a layer: its group in a file of Keras 3 (``layers/string_lookup``), its name in it, its content."""

    group: str
    name: str
    read: Callable[[], bytes]


def stored_tables(names: list[str], groups: Mapping[str, str], read: Callable[[str], bytes]) -> list[Table]:
    """The tables in an archive.

    Args:
        names: its members.
        groups: the group in Keras 3 for each group of the archive.

    Raises:
        UnsupportedError: the layer of a table is not known.
    """
    found = []
    for name in names:
        group, file = next(
            ((name.removesuffix(f"/{file}"), file) for file in reversed(_FILES) if name.endswith(f"/{file}")),
            ("", ""),
        )
        if not group.startswith(f"{_ASSETS}/"):
            continue
        old = group.removeprefix(f"{_ASSETS}/")
        if old not in groups:
            raise UnsupportedError(f"the layer of the vocabulary {shown(name)} is not known")
        found.append(Table(groups[old], file, lambda name=name: read(name)))  # type: ignore[misc]
    return found


def check_tables(graph: Graph, tables: list[Table]) -> None:
    """Raises UnsupportedError if a layer has no vocabulary, or a vocabulary no layer.

    Args:
        graph: the model as its file has it.
    """
    needed = dict(learnt(graph, "layers"))
    stored = {table.group for table in tables if table.name == _FILES[0]}
    for place, name in needed.items():
        if place not in stored:
            raise UnsupportedError(
                f"the vocabulary of {shown(name)!r}, learnt by adapt(), is neither in its configuration nor in the file"
            )
    for table in tables:
        if table.group not in needed:
            raise UnsupportedError(f"the layer of the vocabulary of {shown(table.group)} is not known")


def learnt(graph: Graph, place: str = "layers") -> Iterator[tuple[str, str]]:
    """Group and name of every layer without a vocabulary in its configuration."""
    groups = group_names(graph)
    for name, operation in graph.operations.items():
        if name in groups:
            yield from _in_layer(operation, f"{place}/{groups[name]}")


def _in_layer(operation: Operation, place: str) -> Iterator[tuple[str, str]]:
    if operation.class_name in _LOOKUPS and operation.config.get("vocabulary") is None:
        yield place, operation.name
    if operation.graph is not None:
        yield from learnt(operation.graph, f"{place}/layers")
    for key, held in operation.children.items():
        for child in held if isinstance(held, list) else [held]:
            yield from _in_layer(child, f"{place}/{key}")


def asset_path(group: str, name: str) -> str:
    """The name of a layer's file in an archive."""
    return f"{_ASSETS}/{group}/{name}"
