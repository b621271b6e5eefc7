"""What is in an HDF5 file: groups, datasets, names."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from ...errors import BadFileError, UnsupportedError, shown
from .attribute import find_attribute, string_values
from .dataset import Dataset, read_dataset
from .group import Link, check_cached, is_group, link_at, read_links, table_address
from .header import Header, read_header, root_entry
from .view import Buffer, View

_MAX_OBJECTS = 1_000_000
_MAX_DEPTH = 1000


@dataclasses.dataclass(slots=True)
class _Node:
    header: Header
    dataset: Dataset | None = None
    links: dict[str, Link] = dataclasses.field(default_factory=dict)
    children: dict[str, _Node] = dataclasses.field(default_factory=dict)


class Hdf5Index:
    """Every group and dataset of an HDF5 file, all of it checked before anything is believed.

    Paths are written "layers/dense/vars"; "" and "/" are the root. Names come in the order of their bytes, as in h5py.

    Raises:
        BadFileError: damaged or hostile: links that are not plain, cycles, content outside the file, sizes not stored.
        UnsupportedError: an honest file that h5py does not write by default (see `root_entry`, `read_header`).
    """

    def __init__(self, buffer: Buffer) -> None:
        self._view = View(buffer)
        self._root = _read_tree(self._view)

    def __contains__(self, path: str) -> bool:
        return self._find(path) is not None

    def groups(self, path: str = "") -> list[str]:
        """The names of the groups directly in a group. KeyError without such a group."""
        return [name for name, node in self._group(path).children.items() if node.dataset is None]

    def datasets(self, path: str = "") -> dict[str, Dataset]:
        """The datasets directly in a group. KeyError without such a group."""
        children = self._group(path).children.items()
        return {name: node.dataset for name, node in children if node.dataset is not None}

    def links(self, path: str = "") -> dict[str, Link]:
        """What the names in a group are linked to. KeyError without such a group."""
        return dict(self._group(path).links)

    def walk(self) -> Iterator[tuple[str, Dataset | None]]:
        """(path, dataset, or None for a group) of everything below the root, parents first."""
        waiting = [("", self._root)]
        while waiting:
            path, node = waiting.pop()
            if path:
                yield path, node.dataset
            prefix = f"{path}/" if path else ""
            waiting.extend((prefix + name, child) for name, child in reversed(node.children.items()))

    def attribute(self, path: str, name: str) -> str | list[str] | None:
        """A text attribute of a group or dataset: one string, or the list of a one-dimensional one; None if missing.

        Raises:
            UnsupportedError: it is not text, or has more dimensions.
            KeyError: there is nothing at `path`.
        """
        node = self._find(path)
        if node is None:
            raise KeyError(path)
        found = find_attribute(self._view, node.header, name)
        if found is None:
            return None
        shape, values = string_values(self._view, found)
        if len(shape) > 1:
            raise UnsupportedError(f"the HDF5 attribute {shown(name)} has {len(shape)} dimensions")
        return values if shape else values[0]

    def attr_name(self, path: str) -> str | None:
        """The attribute `name`: in newer files Keras gives `layers/dense/vars` the name of the layer."""
        value = self.attribute(path, "name")
        if isinstance(value, list):
            raise BadFileError(f"the HDF5 attribute name of {shown(path)} is a list")
        return value

    def _find(self, path: str) -> _Node | None:
        node: _Node | None = self._root
        for name in path.strip("/").split("/") if path.strip("/") else ():
            node = node.children.get(name) if node is not None else None
        return node

    def _group(self, path: str) -> _Node:
        node = self._find(path)
        if node is None or node.dataset is not None:
            raise KeyError(path)
        return node


def _read_tree(view: View) -> _Node:
    entry = link_at(view, root_entry(view))
    root = _Node(read_header(view, entry.target))
    if not is_group(root.header):
        raise BadFileError("the HDF5 data has a root that is no group")
    table = table_address(view, root.header)
    check_cached(view, entry, table)
    waiting = [(root, table, 0)]
    count = contiguous = 0
    while waiting:
        group, table, depth = waiting.pop()
        group.links = read_links(view, *table)
        count += len(group.links)
        if count > _MAX_OBJECTS or depth > _MAX_DEPTH:
            raise UnsupportedError(
                f"the HDF5 data has over {_MAX_OBJECTS} objects, or groups over {_MAX_DEPTH} deep"
            )
        for name, link in group.links.items():
            node = group.children[name] = _Node(read_header(view, link.target))
            inner = table_address(view, node.header) if is_group(node.header) else None
            check_cached(view, link, inner)
            if inner is not None:
                waiting.append((node, inner, depth + 1))
                continue
            node.dataset = read_dataset(view, node.header)
            contiguous += node.dataset.nbytes if node.dataset.offset is not None else 0
            if contiguous > view.size:
                raise BadFileError("the HDF5 data declares more content than the file has bytes")
    return root
