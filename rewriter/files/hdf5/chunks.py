"""Chunk indexes: where the chunks of a dataset are stored (spec III.A.1, IV.A.2.i and VII)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from ...errors import BadFileError, UnsupportedError
from . import checksum
from .filters import Filter
from .view import UNDEFINED, View

_MAX_LEVEL = 16
_SINGLE, _IMPLICIT, _FIXED_ARRAY = 1, 2, 3
_OTHERS = {4: "an extensible array", 5: "a B-tree of version 2"}
_WHOLE_EDGES, _SINGLE_FILTERED = 1, 2


class Chunk(NamedTuple):
    """The indices of a chunk's first element in the dataset, and its place in the file in bytes.

    A set bit of `mask` marks a filter that was not applied.
    """

    corner: tuple[int, ...]
    address: int
    size: int
    mask: int


class Chunks(NamedTuple):
    """A dataset in chunks.

    Attributes:
        shape: the shape of one chunk.
        filters: the filters of all chunks.
        stored: the chunks that were written.
    """

    shape: tuple[int, ...]
    filters: tuple[Filter, ...]
    stored: tuple[Chunk, ...]


class Space(NamedTuple):
    """A dataset's shape, its maximum shape, and the bytes of an element."""

    shape: tuple[int, ...]
    limits: tuple[int, ...]
    itemsize: int


def read_chunks(view: View, layout: int, space: Space, filters: tuple[Filter, ...]) -> Chunks:
    """The chunks of a layout message of version 3 or 4.

    Raises:
        BadFileError: damaged, a chunk stored twice, or a chunk outside the dataset or the file.
        UnsupportedError: an index for datasets that can grow, or edge chunks without filters.
    """
    if view.unpack("<B", layout)[0] == 3:
        dimensions, tree = view.unpack("<BQ", layout + 2)
        shape = _chunk_shape(view.unpack(f"<{dimensions}L", layout + 11), space)
        found = () if tree == UNDEFINED else tuple(_tree(view, tree, shape))
    else:
        flags, dimensions, width = view.unpack("<3B", layout + 2)
        if flags & _WHOLE_EDGES:
            raise UnsupportedError("the HDF5 data has a dataset whose chunks at the edges are not filtered")
        if not 1 <= width <= 8:
            raise BadFileError("the HDF5 data has a dataset with damaged chunks")
        places = range(layout + 5, layout + 5 + dimensions * width, width)
        shape = _chunk_shape(tuple(view.number(at, width) for at in places), space)
        found = tuple(_version_4(view, layout + 5 + dimensions * width, flags, shape, space, bool(filters)))
    for chunk in found:
        view.check(chunk.address, chunk.size)
        if any(
            at % step or at >= size for at, step, size in zip(chunk.corner, shape, space.shape, strict=True)
        ):
            raise BadFileError("the HDF5 data has a chunk outside of its dataset")
    return Chunks(shape, filters, found)


def _chunk_shape(sizes: tuple[int, ...], space: Space) -> tuple[int, ...]:
    *shape, itemsize = sizes or (0,)
    if len(shape) != len(space.shape) or not shape:
        raise BadFileError("the HDF5 data has a dataset whose chunks have another rank")
    if 0 in shape:
        raise BadFileError("the HDF5 data has a dataset with empty chunks")
    if itemsize != space.itemsize:
        raise BadFileError("the HDF5 data has a dataset whose chunks have elements of another size")
    return tuple(shape)


def _tree(view: View, tree: int, shape: tuple[int, ...]) -> Iterator[Chunk]:
    """The chunks of a B-tree of version 1 (spec III.A.1, node type 1)."""
    dimensions = len(shape) + 1
    key = 8 + 8 * dimensions
    last: tuple[int, ...] = ()
    waiting: list[tuple[int, int | None]] = [(tree, None)]
    while waiting:
        node, expected = waiting.pop()
        view.visit("B-tree node", node)
        magic, kind, level, used = view.unpack("<4sBBH", node)
        if magic != b"TREE" or kind != 1 or level > _MAX_LEVEL or expected not in (None, level):
            raise BadFileError(f"the HDF5 data has no B-tree node of chunks at byte {node}")
        children = []
        for at in range(node + 24, node + 24 + used * (key + 8), key + 8):
            size, mask, *corner, element, child = view.unpack(f"<LL{dimensions + 1}Q", at)
            children.append((child, level - 1))
            if level == 0:
                if element or tuple(corner) <= last:
                    raise BadFileError("the HDF5 data has a dataset with a chunk stored twice")
                last = tuple(corner)
                yield Chunk(last, child, size, mask)
        if level:
            waiting.extend(reversed(children))


def _version_4(
    view: View, at: int, flags: int, shape: tuple[int, ...], space: Space, filtered: bool
) -> Iterator[Chunk]:
    (kind,) = view.unpack("<B", at)
    if kind in _OTHERS:
        raise UnsupportedError(
            f"the HDF5 data has a dataset that can grow, its chunks in {_OTHERS[kind]}: not handled"
        )
    size = math.prod(shape) * space.itemsize
    grid = tuple(-(-limit // step) for limit, step in zip(space.limits, shape, strict=True))
    first = (0,) * len(shape)
    found: Iterator[tuple[int, int, int, int]]
    if kind == _SINGLE:
        mask = 0
        if flags & _SINGLE_FILTERED:
            size, mask = view.unpack("<QL", at + 1)
            at += 12
        (address,) = view.unpack("<Q", at + 1)
        if address != UNDEFINED and 0 not in space.shape:
            yield Chunk(first, address, size, mask)
        return
    if kind == _IMPLICIT:
        (address,) = view.unpack("<Q", at + 1)
        if address == UNDEFINED:
            return
        count = math.prod(grid)
        view.check(address, count * size)
        found = _in_a_row(address, count, size)
    elif kind == _FIXED_ARRAY:
        (address,) = view.unpack("<Q", at + 2)
        if address == UNDEFINED:
            return
        found = _fixed_array(view, address, math.prod(grid), size if not filtered else None)
    else:
        raise BadFileError(f"the HDF5 data has a dataset with chunks of unknown kind {kind}")
    for number, address, extent, mask in found:
        place = []
        for count in reversed(grid):
            number, index = divmod(number, count)
            place.append(index)
        corner = tuple(index * step for index, step in zip(reversed(place), shape, strict=True))
        if all(a < b for a, b in zip(corner, space.shape, strict=True)):
            yield Chunk(corner, address, extent, mask)


def _in_a_row(address: int, count: int, size: int) -> Iterator[tuple[int, int, int, int]]:
    for number in range(count):
        yield number, address + number * size, size, 0


def _fixed_array(
    view: View, address: int, count: int, size: int | None
) -> Iterator[tuple[int, int, int, int]]:
    """(number, address, bytes, mask) of the stored chunks of a fixed array (spec VII.C).

    Args:
        count: the required number of entries.
        size: the bytes of each chunk, or None if chunks are filtered.
    """
    view.visit("array of chunks", address)
    magic, version, client, entry, bits, room, block = view.unpack("<4s4BQQ", address)
    if (magic, version, client) != (b"FAHD", 0, int(size is None)) or bits > 32 or room != count:
        raise BadFileError(f"the HDF5 data has a damaged array of chunks at byte {address}")
    if entry not in ((8,) if size is not None else range(13, 21)):
        raise BadFileError(f"the HDF5 data has a damaged array of chunks at byte {address}")
    checksum.check(view, address, 24, "array of chunks")
    if block == UNDEFINED:
        return
    magic, version, found, header = view.unpack("<4sBBQ", block)
    if (magic, version, found, header) != (b"FADB", 0, client, address):
        raise BadFileError(f"the HDF5 data has a damaged array of chunks at byte {block}")
    for start, places in _pages(view, block, count, 1 << bits, entry):
        for number, at in enumerate(places, start):
            (chunk,) = view.unpack("<Q", at)
            if chunk == UNDEFINED:
                continue
            if size is not None:
                yield number, chunk, size, 0
            else:
                yield number, chunk, view.number(at + 8, entry - 12), view.unpack("<L", at + entry - 4)[0]


def _pages(view: View, block: int, count: int, page: int, entry: int) -> Iterator[tuple[int, range]]:
    """(number of the first entry, offsets of the entries): all at once, or page by page where the array is paged.

    Pages that were never written are skipped.
    """
    at = block + 14
    if count <= page:
        checksum.check(view, block, 14 + count * entry, "array of chunks")
        yield 0, range(at, at + count * entry, entry)
        return
    pages = -(-count // page)
    written = view.read(at, (pages + 7) // 8)
    checksum.check(view, block, 14 + len(written), "array of chunks")
    at += len(written) + 4
    for number in range(pages):
        inside = min(page, count - number * page)
        if written[number // 8] & 0x80 >> number % 8:
            checksum.check(view, at, inside * entry, "array of chunks")
            yield number * page, range(at, at + inside * entry, entry)
        at += inside * entry + 4
