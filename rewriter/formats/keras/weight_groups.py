"""Which group of the weights file holds each layer, and which group has to hold it after a change of the graph.

Source: ``keras/src/saving/saving_lib.py`` (``_save_state``, ``_save_container_state``), Keras 3.15. A layer's
assets (the vocabulary of a StringLookup) have the same names in the archive's folder ``assets``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ...errors import BadFileError, shown
from ...files.hdf5 import Hdf5Index
from ...ir.graph import Graph, Operation
from .layer_order import group_names

_ASSETS = "assets"


@dataclass(frozen=True, slots=True)
class Move:
    """The groups of one model's layers: the path of the groups, and each layer's group before and after the change."""

    path: str
    before: dict[str, str]
    after: dict[str, str]


def moves(index: Hdf5Index, before: Graph, after: Graph, prefix: str = "") -> Iterator[Move]:
    """For every model of the file, outermost first, the groups of its layers before and after the change."""
    path = f"{prefix}layers"
    ordered = group_names(before)
    groups = saved_groups(index, path, before, ordered)
    yield Move(
        path,
        groups | {name: group for name, group in ordered.items() if name not in groups},
        group_names(after),
    )
    for name, group in groups.items():
        yield from _inside(f"{path}/{group}/", before.operations[name], after.operations.get(name), index)


def _inside(prefix: str, before: Operation, after: Operation | None, index: Hdf5Index) -> Iterator[Move]:
    if after is None:
        return
    if before.graph is not None and after.graph is not None:
        yield from moves(index, before.graph, after.graph, prefix)
    for key, child in before.children.items():
        other = after.children.get(key)
        if isinstance(child, Operation) and isinstance(other, Operation):
            yield from _inside(f"{prefix}{key}/", child, other, index)


def saved_groups(
    index: Hdf5Index, path: str, graph: Graph, ordered: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The group of each layer that has one in the weights file: ``{"my_gru": "gru_1"}``.

    Newer files state the layer's name in the attribute ``name`` of its ``vars`` group. Older ones do not: the
    group is the one that Keras gives the layer in the order of the graph as it was saved.

    Args:
        ordered: ``group_names(graph)``, if it is known already.

    Raises:
        BadFileError: two groups claim one layer.
    """
    if path not in index:
        return {}
    present = set(index.groups(path))
    stated: dict[str, str] = {}
    for group in sorted(present):
        name = index.attr_name(f"{path}/{group}/vars") if f"{path}/{group}/vars" in index else None
        if name is None:
            continue
        if name in stated:
            raise BadFileError(f"two groups of weights belong to the layer {shown(name)!r}")
        stated[name] = group
    names = group_names(graph) if ordered is None else ordered
    by_order = {name: group for name, group in names.items() if group in present}
    if not stated:
        return by_order
    return {name: stated[name] for name in by_order if name in stated}


def permutation(move: Move, index: Hdf5Index) -> dict[str, str]:
    """The new names of a model's groups as a permutation of the groups there are.

    A file can hold groups of layers that its model no longer has. If such a group is in the way, it gets a name that
    became free. The group of a layer without variables can be missing: Keras does not look for it.

    Raises:
        BadFileError: a layer's weights would need a group that the file does not have.
    """
    present = set(index.groups(move.path)) if move.path in index else set()
    moved = _moved(move, present)
    nowhere = {old for old, new in moved.items() if new not in present}
    lost = next((old for old in sorted(nowhere) if _holds_variables(index, f"{move.path}/{old}")), None)
    if lost is not None:
        raise BadFileError(
            f"the weights file has no group {shown(moved[lost])!r}: it belongs to another model"
        )
    moved = {old: new for old, new in moved.items() if old not in nowhere}
    return moved | _out_of_the_way(moved, present)


def _holds_variables(index: Hdf5Index, path: str) -> bool:
    waiting = [path]
    while waiting:
        here = waiting.pop()
        if index.datasets(here):
            return True
        waiting += [f"{here}/{name}" for name in index.groups(here)]
    return False


def asset_names(members: Iterable[str], found: Iterable[Move]) -> dict[str, str]:
    """The new names of the archive's members in ``assets`` that belong to layers whose groups are renamed."""
    files = [name.split("/") for name in members if name.startswith(f"{_ASSETS}/")]
    mappings: dict[str, dict[str, str]] = {}
    for move in found:
        container = [_ASSETS, *move.path.split("/")]
        here = {
            parts[len(container)]
            for parts in files
            if parts[: len(container)] == container[: len(parts)] != parts
        }
        moved = _moved(move, here)
        mappings["/".join(container)] = moved | _out_of_the_way(moved, here)
    renamed = {}
    for parts in files:
        new = [mappings.get("/".join(parts[:k]), {}).get(part, part) for k, part in enumerate(parts)]
        if new != parts:
            renamed["/".join(parts)] = "/".join(new)
    return renamed


def _moved(move: Move, present: set[str]) -> dict[str, str]:
    wanted = {
        old: move.after[name] for name, old in move.before.items() if name in move.after and old in present
    }
    return {old: new for old, new in wanted.items() if old != new}


def _out_of_the_way(moved: Mapping[str, str], present: set[str]) -> dict[str, str]:
    in_the_way = sorted((set(moved.values()) - set(moved)) & present)
    free = sorted(set(moved) - set(moved.values()))
    return dict(zip(in_the_way, free, strict=False))
