"""Fractal heaps: the places of the links and attributes of an object that has many (spec III.G)."""

from __future__ import annotations

from ...errors import BadFileError, UnsupportedError
from . import btree, checksum
from .view import UNDEFINED, View

_MANAGED, _HUGE, _TINY = 0, 1, 2
_CHECKED_BLOCKS = 1 << 1
_HUGE_RECORD = 24
_MAX_ROWS = 64


class FractalHeap:
    """A heap, opened by its header.

    Raises:
        BadFileError: damaged.
        UnsupportedError: its blocks are compressed.
    """

    def __init__(self, view: View, address: int) -> None:
        magic, version, self.id_size, filters, flags, largest = view.unpack("<4sBHHBL", address)
        if magic != b"FRHP" or version != 0:
            raise BadFileError(f"the HDF5 data has no fractal heap at byte {address}")
        if filters:
            raise UnsupportedError("the HDF5 data has a compressed heap of links or attributes")
        checksum.check(view, address, 142, "fractal heap")
        self._view = view
        self._address = address
        self._checked = bool(flags & _CHECKED_BLOCKS)
        (self._huge_tree,) = view.unpack("<Q", address + 22)
        self._width, self._start, self._max_direct, bits, _, root, self._rows = view.unpack(
            "<HQQHHQH", address + 110
        )
        if not (
            0 < self._width <= 1024 and _power(self._start) and _power(self._max_direct) and 0 < bits <= 64
            and self._start <= self._max_direct and self._rows <= _MAX_ROWS
        ):  # fmt: skip
            raise BadFileError(f"the HDF5 data has a damaged fractal heap at byte {address}")
        self._offset_size = (bits + 7) // 8
        self._length_size = (min(self._max_direct, largest).bit_length() - 1) // 8 + 1
        self._direct_rows = self._max_direct.bit_length() - self._start.bit_length() + 2
        self._blocks: list[tuple[int, int, int]] = []  # (offset in the heap, address, size), by offset
        if root != UNDEFINED:
            if self._rows:
                self._indirect(root, 0, self._rows)
            else:
                self._direct(root, 0, self._start)
        self._huge: dict[int, tuple[int, int]] | None = None

    def place(self, at: int) -> tuple[int, int]:
        """(offset, size) in the file of the object whose heap id is at offset `at`."""
        view = self._view
        (first,) = view.unpack("<B", at)
        kind = first >> 4 & 3
        if first >> 6 or kind > _TINY:
            raise self._damaged()
        if kind == _TINY:
            size = (first & 15) + 1
            if size + 1 > self.id_size:
                raise self._damaged()
            return at + 1, size
        if kind == _HUGE:
            return self._huge_place(at)
        offset = view.number(at + 1, self._offset_size)
        size = view.number(at + 1 + self._offset_size, self._length_size)
        return self._managed_place(offset, size)

    def _managed_place(self, offset: int, size: int) -> tuple[int, int]:
        low, high = 0, len(self._blocks)
        while low < high:
            middle = (low + high) // 2
            if self._blocks[middle][0] <= offset:
                low = middle + 1
            else:
                high = middle
        if not low:
            raise self._damaged()
        start, address, extent = self._blocks[low - 1]
        if offset + size > start + extent:
            raise self._damaged()
        return address + offset - start, size

    def _huge_place(self, at: int) -> tuple[int, int]:
        """The place of a huge object: its id holds the place if it fits, else a key in a B-tree (spec III.G)."""
        if self.id_size >= 17:
            offset, size = (self._view.number(place, 8) for place in (at + 1, at + 9))
        else:
            if self._huge is None:
                found = btree.records(self._view, self._huge_tree, btree.HUGE_OBJECTS, _HUGE_RECORD)
                rows = (self._view.unpack("<QQQ", record) for record in found)
                self._huge = {key: (address, length) for address, length, key in rows}
            key = self._view.number(at + 1, min(8, self.id_size - 1))
            if key not in self._huge:
                raise self._damaged()
            offset, size = self._huge[key]
        self._view.check(offset, size)
        return offset, size

    def _direct(self, address: int, offset: int, size: int) -> None:
        view = self._view
        view.visit("heap block", address)
        self._check_block(b"FHDB", address, offset)
        view.check(address, size)
        if self._checked:
            at = 13 + self._offset_size
            content = bytearray(view.read(address, size))
            stored = int.from_bytes(content[at : at + 4], "little")
            content[at : at + 4] = bytes(4)
            if checksum.lookup3(bytes(content)) != stored:
                raise BadFileError(
                    f"the HDF5 data has a damaged heap block at byte {address}: wrong checksum"
                )
        self._blocks.append((offset, address, size))

    def _indirect(self, address: int, offset: int, rows: int) -> None:
        """Read an indirect block: rows of blocks, where the first two rows have the starting size and each later row
        has twice the size of the row before.
        """
        view = self._view
        view.visit("heap block", address)
        self._check_block(b"FHIB", address, offset)
        at = address + 13 + self._offset_size
        direct = min(rows, self._direct_rows) * self._width
        count = rows * self._width
        checksum.check(view, address, at + 8 * count - address, "heap block")
        for number, child in enumerate(view.unpack(f"<{count}Q", at)):
            row = number // self._width
            size = self._start << max(row - 1, 0)
            if child != UNDEFINED:
                if number < direct:
                    self._direct(child, offset, size)
                else:
                    self._indirect(child, offset, self._rows_of(size))
            offset += size

    def _rows_of(self, size: int) -> int:
        """The rows of an indirect block that covers `size` bytes."""
        rows: int = size.bit_length() - (self._start * self._width).bit_length() + 1
        if not 0 < rows <= _MAX_ROWS:
            raise self._damaged()
        return rows

    def _check_block(self, signature: bytes, address: int, offset: int) -> None:
        magic, version, heap = self._view.unpack("<4sBQ", address)
        if (magic, version, heap) != (signature, 0, self._address):
            raise BadFileError(f"the HDF5 data has no block of a fractal heap at byte {address}")
        if self._view.number(address + 13, self._offset_size) != offset:
            raise self._damaged()

    def _damaged(self) -> BadFileError:
        return BadFileError(f"the HDF5 data has a damaged fractal heap at byte {self._address}")


def _power(number: int) -> bool:
    return number > 0 and number & (number - 1) == 0
