"""Files that arrive while they are read: local files of the full size, whose bytes are fetched as they are needed.

The file is sparse, so that only what was fetched takes space. ``files.regular`` and the readers of archives and of
HDF5 ask for the bytes before they read them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from ..errors import BadFileError

# ``fetch(ranges)`` is the bytes of each range, given by its start and its end.
Fetch = Callable[[Sequence[tuple[int, int]]], Sequence[bytes]]

# The smallest part that is fetched. HDF5 keeps its structure in pieces of 2 KiB between the weights.
BLOCK = 1 << 12

_here: dict[tuple[int, int], Arriving] = {}


class Source(NamedTuple):
    """A file in memory, or a part of it from ``start``; if the file arrives, bytes have to be asked for first."""

    view: memoryview
    file: Arriving | None = None
    start: int = 0

    def need(self, *places: tuple[int, int]) -> None:
        """Make sure that bytes are there, given by their offset and size; what is outside does not count."""
        if self.file is not None:
            self.file.need(*((self.start + offset, size) for offset, size in places))

    def whole(self) -> memoryview:
        """All of it, fetched."""
        self.need((0, len(self.view)))
        return self.view


class Arriving:
    """A sparse file, and which of its blocks have arrived. Counts the bytes that came, and the requests for them."""

    def __init__(self, path: str, size: int, fetch: Fetch) -> None:
        self.size = size
        self.bytes = self.requests = 0
        self._fetch = fetch
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.truncate(self._descriptor, size)
        self._arrived = bytearray(-(-size // BLOCK))

    @property
    def identity(self) -> tuple[int, int]:
        state = os.fstat(self._descriptor)
        return state.st_dev, state.st_ino

    def need(self, *places: tuple[int, int]) -> None:
        """Fetch what is missing of these bytes, given by offset and size: all at once, each run of blocks as one range.

        Raises:
            BadFileError: fewer bytes came than the file has.
        """
        wanted: list[tuple[int, int]] = []
        for offset, size in places:
            first, last = max(offset, 0) // BLOCK, -(-min(offset + size, self.size) // BLOCK)
            while (start := self._arrived.find(0, first, last)) >= 0:
                stop = self._arrived.find(1, start, last)
                first = last if stop < 0 else stop
                self._arrived[start:first] = b"\1" * (first - start)
                wanted.append((start * BLOCK, min(first * BLOCK, self.size)))
        if wanted:
            try:
                self._get(_joined(wanted))
            except BaseException:
                for start, end in wanted:
                    count = -(-end // BLOCK) - start // BLOCK
                    self._arrived[start // BLOCK : start // BLOCK + count] = bytes(count)
                raise

    def _get(self, ranges: list[tuple[int, int]]) -> None:
        found = self._fetch(ranges)
        self.requests += len(ranges)
        state = os.fstat(self._descriptor)
        for (start, end), data in zip(ranges, found, strict=True):
            self.bytes += len(data)
            if len(data) != end - start:
                raise BadFileError("the file was cut short while it was read")
            os.lseek(self._descriptor, start, os.SEEK_SET)
            while data:
                data = data[os.write(self._descriptor, data) :]
        # A file that changes while it is read is refused: what arrives is no change.
        os.utime(self._descriptor, ns=(state.st_atime_ns, state.st_mtime_ns))

    def close(self) -> None:
        os.close(self._descriptor)


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges in their order; those that touch are one."""
    made: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if made and made[-1][1] == start:
            made[-1] = made[-1][0], end
        else:
            made.append((start, end))
    return made


@contextmanager
def arriving(path: str, size: int, fetch: Fetch) -> Iterator[Arriving]:
    """A block in which a new file at ``path`` has ``size`` bytes that come from ``fetch`` when they are read.

    Only the readers of this package may read it. The file stays; what has not arrived is zeros.
    """
    file = Arriving(path, size, fetch)
    identity = file.identity
    _here[identity] = file
    try:
        yield file
    finally:
        del _here[identity]
        file.close()


def arriving_at(descriptor: int) -> Arriving | None:
    """The arriving file of a descriptor; None for a file that is all there."""
    if not _here:
        return None
    state = os.fstat(descriptor)
    return _here.get((state.st_dev, state.st_ino))


def need(descriptor: int, offset: int, size: int) -> None:
    """Make sure that these bytes of an open file are there."""
    file = arriving_at(descriptor)
    if file is not None:
        file.need((offset, size))
