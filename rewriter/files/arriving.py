"""Files that arrive while they are read: local files of the full size, whose bytes are fetched as they are needed.

The file is sparse, so that only what was fetched takes space. ``files.regular`` and the readers of archives and of
HDF5 ask for the bytes before they read them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ..errors import BadFileError

# ``fetch(start, end)`` is the bytes from ``start`` up to ``end``.
Fetch = Callable[[int, int], bytes]
# ``need(offset, size)`` makes sure that these bytes have arrived.
Need = Callable[[int, int], None]

# The smallest part that is fetched. HDF5 keeps its structure in pieces of 2 KiB between the weights.
BLOCK = 1 << 12

_here: dict[tuple[int, int], Arriving] = {}


class Source(NamedTuple):
    """A file in memory; with ``need``, its bytes have to be asked for before they are read."""

    view: memoryview
    need: Need | None = None

    def whole(self) -> memoryview:
        """All of it, fetched."""
        if self.need is not None:
            self.need(0, len(self.view))
        return self.view


class Arriving:
    """A sparse file, and which of its blocks have arrived. ``fetched`` counts bytes and requests."""

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

    def need(self, offset: int, size: int) -> None:
        """Fetch what is missing of these bytes, blocks that lie side by side in one request.

        Raises:
            BadFileError: fewer bytes came than the file has.
        """
        first, last = max(offset, 0) // BLOCK, -(-min(offset + size, self.size) // BLOCK)
        while (start := self._arrived.find(0, first, last)) >= 0:
            stop = self._arrived.find(1, start, last)
            stop = last if stop < 0 else stop
            self._get(start * BLOCK, min(stop * BLOCK, self.size))
            self._arrived[start:stop] = b"\1" * (stop - start)
            first = stop

    def _get(self, start: int, end: int) -> None:
        data = self._fetch(start, end)
        self.bytes += len(data)
        self.requests += 1
        if len(data) != end - start:
            raise BadFileError("the file was cut short while it was read")
        state = os.fstat(self._descriptor)
        os.lseek(self._descriptor, start, os.SEEK_SET)
        while data:
            data = data[os.write(self._descriptor, data) :]
        # A file that changes while it is read is refused: what arrives is no change.
        os.utime(self._descriptor, ns=(state.st_atime_ns, state.st_mtime_ns))

    def close(self) -> None:
        os.close(self._descriptor)


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


def need_of(descriptor: int) -> Need | None:
    """How to ask for the bytes of an open file; None if they are all there."""
    if not _here:
        return None
    state = os.fstat(descriptor)
    found = _here.get((state.st_dev, state.st_ino))
    return None if found is None else found.need
