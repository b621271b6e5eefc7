"""A ``.keras`` archive: its graph, and a copy with a changed graph in which every layer keeps its own weights."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

from ..errors import BadFileError, UnsupportedError, shown
from ..ir.graph import Graph, Operation
from .archive import Archive, Patch, rewrite
from .hdf5 import Hdf5Index, relink
from .keras_config import parse_json, read_model
from .keras_optimizer import relink_optimizer
from .keras_order import group_names
from .keras_write import model_entry

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_MAX_CONFIG = 256 << 20
_MAX_METADATA = 1 << 20


class KerasArchive:
    """A ``.keras`` file opened for reading. ``graph`` is the model; changes to it are written by ``write``.

    Raises:
        BadFileError: not such an archive, damaged, or hostile.
        UnsupportedError: a subclassed model without a graph, or a form of another Keras.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.archive = Archive(path)
        try:
            if _CONFIG not in self.archive:
                raise BadFileError(f"the archive has no {_CONFIG}: it is not a saved Keras model")
            self.metadata = self._metadata()
            self.entry = parse_json(self.archive.read(_CONFIG, _MAX_CONFIG), _CONFIG)
            self.graph = read_model(self.entry)
        except BaseException:
            self.archive.close()
            raise

    @property
    def format(self) -> str:
        return "keras-v2" if str(self.metadata.get("keras_version", "3")).startswith("2.") else "keras-v3"

    def _metadata(self) -> dict[str, Any]:
        if _METADATA not in self.archive:
            return {}
        data = parse_json(self.archive.read(_METADATA, _MAX_METADATA), _METADATA)
        return data if isinstance(data, dict) else {}

    def close(self) -> None:
        self.archive.close()

    def write(self, target: str | os.PathLike[str]) -> None:
        """Write the model with its graph as it is now.

        The configuration is replaced, the weights file is copied with its groups relinked where Keras numbers the
        layers anew, all else is copied as it is. An unchanged graph gives an identical copy.

        Raises:
            BadFileError: the weights are damaged, or do not belong to this model.
            UnsupportedError: a form that cannot be rewritten without loss.
            OutputError: the target cannot be written.
        """
        entry = model_entry(self.entry, self.graph)
        if entry is self.entry:
            rewrite(self.archive, target)
            return
        if self.format == "keras-v2":
            raise UnsupportedError("saved by Keras 2, which cannot load the inserted operations; save it with Keras 3")
        if _WEIGHTS not in self.archive:
            raise BadFileError(f"the archive has no {_WEIGHTS}: its weights cannot be carried over")
        replace = {_CONFIG: json.dumps(entry).encode()}
        rewrite(self.archive, target, replace, {_WEIGHTS: self._weight_patches()})

    def _weight_patches(self) -> list[Patch]:
        """The byte patches that give every layer its own weights under the names of the new order."""
        buffer = self.archive.open_raw(_WEIGHTS)
        index = Hdf5Index(buffer)
        patches: list[Patch] = []
        original = read_model(self.entry)
        for path, before, after in _model_pairs("", original, self.graph, index):
            old, new = saved_groups(index, path, before), group_names(after)
            mapping = _permutation({old[name]: new[name] for name in old if name in new}, set(index.groups(path)))
            if mapping:
                patches += relink(buffer, path, mapping, index)
        patches += relink_optimizer(buffer, index, self.entry, original, self.graph)
        return patches


def _permutation(wanted: dict[str, str], present: set[str]) -> dict[str, str]:
    """Wanted new names of groups as a permutation of the groups there are.

    A file can hold groups of layers that its model no longer has: one that is in the way takes a name that came free.

    Raises:
        BadFileError: a layer's weights would need a group that the file does not have.
    """
    moved = {old: new for old, new in wanted.items() if old != new}
    missing = sorted(set(moved.values()) - present)
    if missing:
        raise BadFileError(f"the weights file has no group {shown(missing[0])!r}: it belongs to another model")
    in_the_way = sorted(set(moved.values()) - set(moved))
    free = sorted(set(moved) - set(moved.values()))
    return moved | dict(zip(in_the_way, free, strict=True))


def saved_groups(index: Hdf5Index, path: str, graph: Graph) -> dict[str, str]:
    """The group of each layer that has one in the weights file: ``{"my_gru": "gru_1"}``.

    Newer files state the layer's name in the attribute ``name`` of its ``vars`` group. Older ones do not: there the
    group is the one that Keras gives the layer in the order of the graph as it was saved.

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
    by_order = {name: group for name, group in group_names(graph).items() if group in present}
    if not stated:
        return by_order
    return {name: stated[name] for name in by_order if name in stated}


def _model_pairs(prefix: str, before: Graph, after: Graph, index: Hdf5Index) -> Iterator[tuple[str, Graph, Graph]]:
    """Every model of the file as it was and as it is, with the path of its layers' groups in the file as it is read."""
    path = f"{prefix}layers"
    yield path, before, after
    groups = saved_groups(index, path, before)
    for name, group in groups.items():
        yield from _inside(f"{path}/{group}/", before.operations[name], after.operations.get(name), index)


def _inside(
    prefix: str, before: Operation, after: Operation | None, index: Hdf5Index
) -> Iterator[tuple[str, Graph, Graph]]:
    if after is None:
        return
    if before.graph is not None and after.graph is not None:
        yield from _model_pairs(prefix, before.graph, after.graph, index)
    for key, child in before.children.items():
        other = after.children.get(key)
        if isinstance(child, Operation) and isinstance(other, Operation):
            yield from _inside(f"{prefix}{key}/", child, other, index)
