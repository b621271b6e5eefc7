"""Old-style groups: a B-tree of symbol table nodes, with names in a local heap (spec III.A.1, III.B to D)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ...errors import BadFileError, shown
from .link import Link, decoded
from .view import UNDEFINED, View

_FIRST = 32  # how many nodes of a B-tree are fetched at once
_ENTRY = 40
_NAME_OFFSET = 8
_PLAIN, _GROUP, _SOFT = 0, 1, 2
_MAX_LEVEL = 16
_END_OF_FREE_LIST = 1

LINK_SIZE = _ENTRY - _NAME_OFFSET
"""The bytes of a symbol table entry after its name offset: the link itself."""


class _Heap(NamedTuple):
    start: int
    end: int


def table_links(view: View, tree: int, heap: int) -> dict[str, Link]:
    """The links of a group by name, in the order of the names' bytes.

    Raises:
        BadFileError: damaged, out of order (libhdf5 then fails to find existing names), or a soft link.
    """
    magic, version, size, free, start = view.unpack("<4sB3xQQQ", heap)
    if magic != b"HEAP" or version != 0:
        raise BadFileError(f"the HDF5 data has no local heap at byte {heap}")
    view.check(start, size)
    names = _Heap(start, start + size)
    _check_free_list(view, names, free)
    links: dict[str, Link] = {}
    last = b""
    for node, low, high in _leaves(view, tree, names):
        magic, version, count = view.unpack("<4sBxH", node)
        if magic != b"SNOD" or version != 1:
            raise BadFileError(f"the HDF5 data has no symbol table node at byte {node}")
        for slot in range(node + 8, node + 8 + count * _ENTRY, _ENTRY):
            name_offset, _, cache = view.unpack("<QQL", slot)
            name = _name(view, names, name_offset)
            if not last < name or not low < name <= high:
                raise BadFileError(f"the HDF5 data has a group with names out of order, at byte {slot}")
            last = name
            text = decoded(name)
            if cache == _SOFT:
                raise BadFileError(f"the HDF5 data has a soft link: {shown(text)}")
            if cache not in (_PLAIN, _GROUP):
                raise BadFileError(f"the HDF5 data has a link of unknown kind {cache}: {shown(text)}")
            links[text] = link_at(view, slot)
    return links


def places_of_links(view: View, tree: int, heap: int) -> list[int]:
    """Where the names of a heap and the first nodes of a B-tree are. Nothing is checked: ``table_links`` does that."""
    (names,) = view.unpack("<Q", heap + 24)
    (count,) = view.unpack("<H", tree + 6)
    numbers = view.unpack(f"<{2 * min(count, _FIRST)}Q", tree + 24)
    return [names, *numbers[1::2]]


def link_at(view: View, entry: int) -> Link:
    """The link in the symbol table entry at an offset (spec III.C)."""
    _, target = view.unpack("<QQ", entry)
    return Link(target, entry + _NAME_OFFSET)


def check_cached(view: View, link: Link, table: tuple[int, int] | None) -> None:
    """Raises BadFileError if an entry's cached addresses of its target's B-tree and heap are wrong (spec III.C, cache
    type 1).

    Args:
        table: the true addresses; (0, 0) for a dataset; None for a new-style group, where libhdf5 keeps old ones.
    """
    if link.slot is None or table is None:
        return
    _, cache, tree, heap = view.unpack("<QL4xQQ", link.slot)
    if cache == _GROUP and (tree, heap) != table:
        raise BadFileError(f"the HDF5 link at byte {link.slot} contradicts the group it leads to")


def _leaves(view: View, tree: int, names: _Heap) -> Iterator[tuple[int, bytes, bytes]]:
    """(symbol table node, low, high) in order: each name in the node is greater than `low` and at most `high`."""
    waiting: list[tuple[int, int | None, bytes, bytes | None]] = [(tree, None, b"", None)]
    while waiting:
        node, expected, low, high = waiting.pop()
        view.visit("B-tree node", node)
        magic, kind, level, count = view.unpack("<4sBBH", node)
        if magic != b"TREE" or kind != 0 or level > _MAX_LEVEL or expected not in (None, level):
            raise BadFileError(f"the HDF5 data has no B-tree node of a group at byte {node}")
        numbers = view.unpack(f"<{2 * count + 1}Q", node + 24)
        keys = [_name(view, names, offset) for offset in numbers[::2]]
        children = []
        for child, left, right in zip(numbers[1::2], keys, keys[1:], strict=False):
            below = right if high is None else min(high, right)
            children.append((child, max(low, left), below))
        if level:
            waiting.extend((child, level - 1, left, right) for child, left, right in reversed(children))
            continue
        for child, left, right in children:
            view.visit("symbol table node", child)
            yield child, left, right


def _check_free_list(view: View, heap: _Heap, first: int) -> None:
    """Raises BadFileError if the free list has a cycle, where libhdf5 1.14.6 hangs (spec III.D; 1 ends the list)."""
    seen: set[int] = set()
    at = first
    while at not in (_END_OF_FREE_LIST, UNDEFINED):
        following, size = view.unpack("<QQ", heap.start + at)
        if at in seen or at + size > heap.end - heap.start:
            raise BadFileError(f"the HDF5 data has a damaged local heap at byte {heap.start}")
        seen.add(at)
        at = following


def _name(view: View, heap: _Heap, offset: int) -> bytes:
    return view.text(heap.start + offset, heap.end)
