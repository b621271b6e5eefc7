"""Read the members of an untrusted archive."""

from __future__ import annotations

import mmap
import os
import tempfile
import types
import typing
import zlib
from collections.abc import Iterator

from ...errors import BadFileError, OutputError, shown
from ..arriving import Source, arriving_at
from ..regular import open_regular, read_at
from .records import STORED, Directory, Member, inflated, read_directory

BLOCK = 1 << 18
_IN_MEMORY = 64 << 20
_MAX_UNPACKED = 64 << 30


class Archive:
    """A zip archive opened for reading; nothing is extracted to disk.

    Opening checks the whole directory. Reading a member in full checks its size and CRC.

    Raises:
        BadFileError: not a readable regular file, or the archive is damaged, ambiguous or hostile.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._descriptor, self._state = open_regular(self.path)
        try:
            self.directory: Directory = read_directory(self.read_at, self.file_size)
        except BaseException:
            self.close()
            raise
        self._members = {member.name: member for member in self.directory.members}

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Views from `open_raw` stay valid."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @property
    def file_size(self) -> int:
        """The size of the whole file in bytes."""
        return self._state.st_size

    def names(self) -> list[str]:
        """Member names in the order of the directory; a directory's name ends in "/"."""
        return list(self._members)

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def size(self, name: str) -> int:
        """Uncompressed bytes of a member, as declared; reading enforces them. Raises KeyError without such a member."""
        return self._members[name].size

    def member(self, name: str) -> Member:
        """The directory's record of a member. Raises KeyError without such a member."""
        return self._members[name]

    def read(self, name: str, limit: int) -> bytes:
        """The content of a member of at most `limit` bytes, its CRC checked.

        Raises:
            BadFileError: it is longer than `limit`, or its size, CRC or compression is wrong.
            KeyError: no such member.
        """
        member = self._members[name]
        if member.size > limit:
            raise BadFileError(f"{shown(name)} takes {member.size} bytes, more than the limit of {limit}")
        return b"".join(self.content(member.name))

    def open_raw(self, name: str, limit: int = _MAX_UNPACKED) -> memoryview:
        """A read-only view of a member's content, all of it there. Raises as `source`."""
        return self.source(name, limit).whole()

    def source(self, name: str, limit: int = _MAX_UNPACKED) -> Source:
        """A member's content to be read in parts.

        A stored member is memory-mapped, not read, so its CRC is not checked here. A deflated member is inflated with
        all checks, in memory up to 64 MiB, else into an unnamed temporary file.
        A file that another process truncates while it is mapped kills the process (SIGBUS): POSIX, mmap().

        Raises:
            BadFileError: as `read`.
            OutputError: the temporary file cannot be written.
            KeyError: no such member.
        """
        member = self._members[name]
        if member.size > limit:
            raise BadFileError(f"{shown(name)} takes {member.size} bytes, more than the limit of {limit}")
        if member.size == 0:
            return Source(memoryview(self.read(name, 0)))
        if member.method == STORED:
            window = mmap.mmap(self._descriptor, self.file_size, access=mmap.ACCESS_READ)
            view = memoryview(window)[member.data : member.data + member.stored]
            return Source(view, arriving_at(self._descriptor), member.data)
        if member.size <= _IN_MEMORY:
            return Source(memoryview(self.read(name, limit)))
        return Source(self._unpacked(member))

    def _unpacked(self, member: Member) -> memoryview:
        try:
            with tempfile.TemporaryFile() as stream:
                for piece in self.content(member.name):
                    stream.write(piece)
                stream.flush()
                return memoryview(mmap.mmap(stream.fileno(), member.size, access=mmap.ACCESS_READ))
        except OSError as error:
            raise OutputError(f"cannot unpack {shown(member.name)}: {error.strerror}") from error

    def content(self, name: str) -> Iterator[bytes]:
        """The uncompressed content in blocks. Size and CRC are checked after the last block."""
        member = self._members[name]
        blocks = self.blocks(member.data, member.stored)
        if member.method != STORED:
            blocks = inflated(blocks, member.name, BLOCK)
        crc = size = 0
        for piece in blocks:
            crc = zlib.crc32(piece, crc)
            size += len(piece)
            if size > member.size:
                break
            yield piece
        if size != member.size:
            raise BadFileError(f"{shown(member.name)} does not hold the {member.size} bytes it declares")
        if crc != member.crc:
            raise BadFileError(f"{shown(member.name)} is damaged: wrong CRC")

    def blocks(self, offset: int, size: int) -> Iterator[bytes]:
        """The file's bytes from `offset`, in blocks."""
        while size:
            piece = self.read_at(offset, min(size, BLOCK))
            yield piece
            offset += len(piece)
            size -= len(piece)

    def read_at(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes of the file from `offset`. Raises BadFileError."""
        if offset < 0 or offset + size > self.file_size:
            raise BadFileError("the archive points outside the file: it is cut short or damaged")
        try:
            piece = read_at(self._descriptor, size, offset)
            while len(piece) < size:
                more = read_at(self._descriptor, size - len(piece), offset + len(piece))
                if not more:
                    raise BadFileError("the file was cut short while it was read")
                piece += more
        except OSError as error:
            raise BadFileError(f"cannot be read: {error.strerror}") from error
        return piece

    def check_unchanged(self) -> None:
        """Raises BadFileError if the file was changed or replaced since it was opened."""
        try:
            now = os.stat(self.path)
        except OSError as error:
            raise BadFileError("the file vanished while it was read") from error
        if _identity(now) != _identity(self._state):
            raise BadFileError("the file changed while it was read")


def _identity(state: os.stat_result) -> tuple[int, int, int, int]:
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns
