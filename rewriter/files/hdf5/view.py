"""Bounded reads from a file in memory."""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterable
from typing import Any

from ...errors import BadFileError, UnsupportedError
from ..arriving import Source

UNDEFINED = (1 << 64) - 1
"""The address of something that was never stored (spec III, "undefined address")."""

Buffer = bytes | bytearray | memoryview
"""Any buffer; pass an `mmap` as `memoryview(mapping)`."""

_MAX_READS = 20_000_000
_MAX_NAME = 4096


class View:
    """A buffer with bounds-checked reads and a limit on their number, so no cycle in a file is endless.

    Offsets are the addresses in the file: they count from `base`, the end of a user block. A source is asked for each
    part before it is read. `heaps` caches the objects of the collections of the global heap, which many strings share.
    """

    def __init__(self, buffer: Buffer | Source, base: int = 0) -> None:
        source = buffer if isinstance(buffer, Source) else Source(memoryview(buffer))
        self._data = source.view.cast("B")[base:]
        self._source = source._replace(start=source.start + base) if source.file is not None else None
        self.base = base
        self.size = len(self._data)
        self._reads = 0
        self._visited: set[tuple[str, int]] = set()
        self.heaps: dict[int, dict[int, tuple[int, int]]] = {}

    def unpack(self, form: str, offset: int) -> tuple[Any, ...]:
        """`struct.unpack` at an offset. Raises as `check`."""
        layout = _struct(form)
        self._reads += 1
        if self._reads > _MAX_READS or offset < 0 or offset + layout.size > self.size:
            self.check(offset, layout.size)
        if self._source is not None:
            self._source.need((offset, layout.size))
        return layout.unpack_from(self._data, offset)

    def read(self, offset: int, size: int) -> bytes:
        """A copy of `size` bytes."""
        return self.window(offset, size).tobytes()

    def window(self, offset: int, size: int) -> memoryview:
        """`size` bytes, not copied."""
        self.check(offset, size)
        if self._source is not None:
            self._source.need((offset, size))
        return self._data[offset : offset + size]

    @property
    def arrives(self) -> bool:
        """Whether bytes are fetched when they are read."""
        return self._source is not None

    def expect(self, offsets: Iterable[int], size: int) -> None:
        """Fetch at once what is going to be read: about so many bytes from each offset, if the file arrives."""
        if self._source is not None:
            self._source.need(*((offset, size) for offset in offsets if 0 <= offset < self.size))

    def number(self, offset: int, size: int) -> int:
        """An unsigned integer of any number of bytes."""
        return int.from_bytes(self.read(offset, size), "little")

    def text(self, offset: int, end: int) -> bytes:
        """The bytes up to the first NUL. Raises BadFileError without a NUL before `end`."""
        for length in (64, _MAX_NAME):
            piece, nul, _ = self.read(offset, max(0, min(length, end - offset))).partition(b"\0")
            if nul:
                return piece
        raise BadFileError(
            f"the HDF5 data has a name at byte {offset} without an end, or longer than {_MAX_NAME} bytes"
        )

    def check(self, offset: int, size: int) -> None:
        """Raises BadFileError if the range is not inside the file, UnsupportedError after too many reads."""
        self._reads += 1
        if self._reads > _MAX_READS:
            raise UnsupportedError("the HDF5 data needs too many steps to read")
        if offset < 0 or size < 0 or offset + size > self.size:
            raise BadFileError("the HDF5 data points outside the file: it is cut short or damaged")

    def visit(self, kind: str, offset: int) -> None:
        """Raises BadFileError if a block of this kind was already read here: valid files never share a block."""
        if (kind, offset) in self._visited:
            raise BadFileError(
                f"the HDF5 data leads twice to the {kind} at byte {offset}: a cycle, or an overlap"
            )
        self._visited.add((kind, offset))


@functools.lru_cache(maxsize=256)
def _struct(form: str) -> struct.Struct:
    return struct.Struct(form)
