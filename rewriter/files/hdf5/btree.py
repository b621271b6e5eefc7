"""The records of a B-tree of version 2 (spec III.A.2)."""

from __future__ import annotations

from collections.abc import Iterator

from ...errors import BadFileError
from . import checksum
from .view import UNDEFINED, View

LINKS_BY_NAME = 5
ATTRIBUTES_BY_NAME = 8
HUGE_OBJECTS = 1

_OVERHEAD = 10  # signature, version, type and checksum of a node
_MAX_DEPTH = 16


def records(view: View, address: int, kind: int, size: int) -> Iterator[int]:
    """The offsets of the records of a tree, in the order of their keys.

    Args:
        kind: the required type of the tree.
        size: the bytes of one record.

    Raises:
        BadFileError: damaged, or a tree of another type.
    """
    view.visit("B-tree", address)
    magic, version, found, node_size, record, depth = view.unpack("<4sBBLHH", address)
    if (magic, version, found, record) != (b"BTHD", 0, kind, size) or depth > _MAX_DEPTH:
        raise BadFileError(f"the HDF5 data has no B-tree of version 2 and type {kind} at byte {address}")
    checksum.check(view, address, 34, "B-tree")
    root, used, total = view.unpack("<QHQ", address + 16)
    if root == UNDEFINED:
        return
    widths = _widths(node_size, size, depth, address)
    count = 0
    for at in _node(view, (root, used, depth), kind, size, widths):
        count += 1
        yield at
    if count != total:
        raise BadFileError(f"the HDF5 B-tree at byte {address} declares {total} records, has {count}")


def _widths(node_size: int, size: int, depth: int, address: int) -> tuple[int, list[int]]:
    """The sizes in bytes of two counts: the records of a child, and, by the child's depth, all records below it."""
    largest = all_below = (node_size - _OVERHEAD) // size
    if largest < 1:
        raise BadFileError(f"the HDF5 data has a B-tree of too small nodes at byte {address}")
    width = _bytes_for(largest)
    totals = [0]
    for _ in range(1, depth + 1):
        pointer = 8 + width + totals[-1]
        here = (node_size - _OVERHEAD - pointer) // (size + pointer)
        if here < 1:
            raise BadFileError(f"the HDF5 data has a B-tree of too small nodes at byte {address}")
        all_below = (here + 1) * all_below + here
        totals.append(_bytes_for(all_below))
    return width, totals


def _bytes_for(limit: int) -> int:
    return (limit.bit_length() - 1) // 8 + 1


def _node(
    view: View, node: tuple[int, int, int], kind: int, size: int, widths: tuple[int, list[int]]
) -> Iterator[int]:
    address, used, depth = node
    view.visit("B-tree node", address)
    magic, version, found = view.unpack("<4sBB", address)
    if (magic, version, found) != (b"BTIN" if depth else b"BTLF", 0, kind):
        raise BadFileError(f"the HDF5 data has no B-tree node of type {kind} at byte {address}")
    first = address + 6
    if not depth:
        checksum.check(view, address, 6 + used * size, "B-tree node")
        yield from range(first, first + used * size, size)
        return
    width, totals = widths
    total = totals[depth - 1]
    pointer = 8 + width + total
    children = first + used * size
    checksum.check(view, address, children + (used + 1) * pointer - address, "B-tree node")
    for number in range(used + 1):
        at = children + number * pointer
        child = (view.number(at, 8), view.number(at + 8, width), depth - 1)
        yield from _node(view, child, kind, size, widths)
        if number < used:
            yield first + number * size
