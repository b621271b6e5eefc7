"""The contents of an HDF5 file: groups, datasets, attributes."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import BadFileError, UnsupportedError, shown
from ..arriving import Source
from .attribute import Attribute, Place, attribute_places, read_attribute, string_values
from .dataset import Dataset, read_dataset
from .filters import RATIO
from .group import is_group, read_links, table_address
from .header import DRIVER, Header, read_header
from .link import Link
from .superblock import open_view, read_superblock
from .symbol_table import check_cached, link_at, places_of_links
from .view import Buffer, View

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAX_OBJECTS = 1_000_000
_MAX_DEPTH = 1000
# Bytes of an object header, and of the parts of a group's table, that are fetched before they are read.
_HEADER, _TABLE = 512, 1024
_UNWRITTEN = 1 << 20  # bytes that all datasets together may declare even in a tiny file


@dataclasses.dataclass(slots=True)
class _Node:
    header: Header
    attributes: dict[str, Place] | None = None
    dataset: Dataset | None = None
    links: dict[str, Link] = dataclasses.field(default_factory=dict)
    children: dict[str, _Node] = dataclasses.field(default_factory=dict)


class Hdf5Index:
    """Every group and dataset of an HDF5 file, checked in full on opening.

    A path is "layers/dense/vars"; "" and "/" are the root. Names are in the order of their bytes, as in h5py.

    Raises:
        BadFileError: damaged or hostile: links other than hard links, cycles, content outside the file, content that
            is declared but not stored.
        UnsupportedError: a valid file in a form that is not read.
    """

    def __init__(self, buffer: Buffer | Source) -> None:
        self._view = open_view(buffer)
        self._root = _read_tree(self._view)

    @property
    def start(self) -> int:
        """The bytes of the user block before the data; addresses count from its end."""
        return self._view.base

    def __contains__(self, path: str) -> bool:
        return self._find(path) is not None

    def is_group(self, path: str) -> bool:
        """Whether the path is a group."""
        node = self._find(path)
        return node is not None and node.dataset is None

    def groups(self, path: str = "") -> list[str]:
        """The names of the groups directly in a group. Raises KeyError without such a group."""
        return [name for name, node in self._group(path).children.items() if node.dataset is None]

    def datasets(self, path: str = "") -> dict[str, Dataset]:
        """The datasets directly in a group, by name. Raises KeyError without such a group."""
        children = self._group(path).children.items()
        return {name: node.dataset for name, node in children if node.dataset is not None}

    def dataset(self, path: str) -> Dataset:
        """The dataset at a path. Raises KeyError without one."""
        dataset = self._there(path).dataset
        if dataset is None:
            raise KeyError(path)
        return dataset

    def links(self, path: str = "") -> dict[str, Link]:
        """The links in a group, by name. Raises KeyError without such a group."""
        return dict(self._group(path).links)

    def walk(self) -> Iterator[tuple[str, Dataset | None]]:
        """(path, its dataset or None for a group) of everything below the root, parents first."""
        waiting = [("", self._root)]
        while waiting:
            path, node = waiting.pop()
            if path:
                yield path, node.dataset
            prefix = f"{path}/" if path else ""
            waiting.extend((prefix + name, child) for name, child in reversed(node.children.items()))

    def attribute(self, path: str, name: str) -> str | list[str] | None:
        """A string attribute of a group or dataset: a string, or a list for one dimension; None if missing.

        Raises:
            UnsupportedError: it holds no strings, or has more dimensions.
            KeyError: nothing exists at `path`.
        """
        found = self.find_attribute(path, name)
        if found is None or found.shape is None:
            return None
        if not found.elements and len(found.shape) == 1:
            return []  # NumPy gives an empty list a number type, so its type means nothing
        values = string_values(self._view, found)
        if len(found.shape) > 1:
            raise UnsupportedError(f"the HDF5 attribute {shown(name)} has {len(found.shape)} dimensions")
        return values if found.shape else values[0]

    def attributes(self, path: str = "") -> list[str]:
        """The sorted names of the attributes of a group or dataset. Raises KeyError if nothing exists at `path`."""
        return list(self._attributes(path))

    def find_attribute(self, path: str, name: str) -> Attribute | None:
        """Type and shape of an attribute, or None if it is missing. Raises KeyError if nothing exists at `path`."""
        place = self._attributes(path).get(name)
        return None if place is None else read_attribute(self._view, place)

    def attribute_values(self, path: str, name: str) -> NDArray[Any] | None:
        """The numbers or strings (`bytes`) of an attribute in the byte order of the file; None if it has no shape.

        Raises:
            UnsupportedError: neither numbers nor strings.
            KeyError: no such attribute.
        """
        from .values import attribute_values

        found = self.find_attribute(path, name)
        if found is None:
            raise KeyError(name)
        return None if found.shape is None else attribute_values(self._view, found)

    def values(self, path: str, as_stored: bool = False) -> NDArray[Any]:
        """The numbers or strings of a dataset: mapped if they are contiguous, else read.

        Variable-length strings are `bytes` in an array of objects.

        Args:
            as_stored: keep the byte order of the file, and bfloat16 as the two opaque bytes that Keras writes.

        Raises:
            BadFileError: a chunk is damaged.
            UnsupportedError: neither numbers nor strings.
            KeyError: no such dataset.
        """
        from .values import dataset_values

        return dataset_values(self._view, self.dataset(path), as_stored)

    def attr_name(self, path: str) -> str | None:
        """The attribute `name`, or None: newer Keras stores the layer's name there, at `layers/dense/vars`."""
        value = self.attribute(path, "name")
        if isinstance(value, list):
            raise BadFileError(f"the HDF5 attribute name of {shown(path)} is a list")
        return value

    def _find(self, path: str) -> _Node | None:
        node: _Node | None = self._root
        for name in path.strip("/").split("/") if path.strip("/") else ():
            node = node.children.get(name) if node is not None else None
        return node

    def _attributes(self, path: str) -> dict[str, Place]:
        return _places(self._view, self._there(path))

    def _there(self, path: str) -> _Node:
        node = self._find(path)
        if node is None:
            raise KeyError(path)
        return node

    def _group(self, path: str) -> _Node:
        node = self._find(path)
        if node is None or node.dataset is not None:
            raise KeyError(path)
        return node


def _places(view: View, node: _Node) -> dict[str, Place]:
    """The attributes of an object, read once."""
    if node.attributes is None:
        node.attributes = attribute_places(view, node.header)
    return node.attributes


def _expect_tables(view: View, groups: Sequence[_Node]) -> None:
    """Fetch the tables of several groups in two steps, if the file arrives."""
    if not view.arrives:
        return
    tables = [table for group in groups if (table := table_address(view, group.header)) is not None]
    view.expect((address for table in tables for address in table), _TABLE)
    view.expect((place for table in tables for place in places_of_links(view, *table)), _TABLE)


def _read_tree(view: View) -> _Node:
    block = read_superblock(view)
    if block.extension is not None:
        extension = read_header(view, block.extension)
        if extension.find(DRIVER) is not None:
            raise UnsupportedError("the HDF5 data is one part of a file")
    root = _Node(read_header(view, block.root))
    if not is_group(root.header):
        raise BadFileError("the HDF5 data has a root that is not a group")
    if block.entry is not None:
        check_cached(view, link_at(view, block.entry), table_address(view, root.header))
    level, depth = [root], 0
    count = stored = declared = 0
    while level:
        below: list[_Node] = []
        _expect_tables(view, level)
        for group in level:
            group.links = read_links(view, group.header)
        view.expect((link.target for group in level for link in group.links.values()), _HEADER)
        for group in level:
            count += len(group.links)
            if count > _MAX_OBJECTS or depth > _MAX_DEPTH:
                raise UnsupportedError(
                    f"the HDF5 data has over {_MAX_OBJECTS} objects, or groups over {_MAX_DEPTH} deep"
                )
            for name, link in group.links.items():
                node = group.children[name] = _Node(read_header(view, link.target))
                if is_group(node.header):
                    check_cached(view, link, table_address(view, node.header))
                    below.append(node)
                    continue
                check_cached(view, link, (0, 0))
                node.dataset = read_dataset(view, node.header, functools.partial(_places, view, node))
                stored += node.dataset.stored
                declared += node.dataset.nbytes
                if stored > view.size or declared > max(view.size * RATIO, _UNWRITTEN):
                    raise BadFileError("the HDF5 data declares more content than the file has bytes")
        level, depth = below, depth + 1
    return root
