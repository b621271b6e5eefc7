"""Read the files of an untrusted folder, and copy it with a few files changed, as `zip` does for archives."""

from __future__ import annotations

import itertools
import mmap
import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..errors import BadFileError, UnsupportedError, shown
from .arriving import Source, arriving_at, need
from .members import changed, write_folder
from .regular import FLAGS

_MAX_ENTRIES = 100_000
_MAX_DEPTH = 64
_BLOCK = 1 << 20
_MAX_SIZE = 64 << 30
# Links are not followed. Where a platform lacks the flag, the entry is compared before and after opening.
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


@dataclass(frozen=True, slots=True)
class _Identity:
    """Identifies a file, to detect a change."""

    device: int
    inode: int
    size: int
    time: int


def _identity(state: os.stat_result) -> _Identity:
    return _Identity(state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)


class Folder:
    """A folder with its files, read like ``zip.Archive``: "/" separates names, and the name of a folder ends in "/".

    The contents are listed once. Links, special files and files that change later are refused.

    Raises:
        BadFileError: not a readable folder, or it contains a link or a special file.
        UnsupportedError: more than 100,000 entries, or nested more than 64 deep.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._files: dict[str, _Identity | None] = {}
        for name, found in _listed(self.path):
            self._files[name] = found
            if len(self._files) > _MAX_ENTRIES:
                raise UnsupportedError(f"the folder holds more than {_MAX_ENTRIES:,} files")
        if len({name.removesuffix("/").casefold() for name in self._files}) != len(self._files):
            raise BadFileError("the folder has two entries whose names differ only in upper and lower case")

    def close(self) -> None:
        """Nothing is kept open."""

    def names(self) -> list[str]:
        """Every file and folder in it, in a fixed order, each folder before its contents."""
        return list(self._files)

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def size(self, name: str) -> int:
        """The number of bytes of a file. Raises KeyError without such a file."""
        return self._file(name).size

    def read(self, name: str, limit: int) -> bytes:
        """The content of a file of at most ``limit`` bytes.

        Raises:
            BadFileError: it is longer, changed, or cannot be read.
            KeyError: there is no such file.
        """
        return b"".join(self.content(name, limit))

    def content(self, name: str, limit: int = _MAX_SIZE) -> Iterator[bytes]:
        """The content in blocks. Raises as ``read``."""
        size = self._size(name, limit)
        with os.fdopen(self._opened(name), "rb") as file:
            need(file.fileno(), 0, size)
            while size:
                try:
                    piece = file.read(min(size, _BLOCK))
                except OSError as error:
                    raise BadFileError(f"{shown(name)} cannot be read: {error.strerror}") from None
                if not piece:
                    raise BadFileError(f"{shown(name)} was cut short while it was read")
                size -= len(piece)
                yield piece

    def open_raw(self, name: str, limit: int = _MAX_SIZE) -> memoryview:
        """A read-only memory map of a file, all of it there. Raises as ``read``."""
        return self.source(name, limit).whole()

    def source(self, name: str, limit: int = _MAX_SIZE) -> Source:
        """A file, memory-mapped to be read in parts. Raises as ``read``.

        A file that another process truncates while it is mapped kills the process (SIGBUS): POSIX, mmap().
        """
        size = self._size(name, limit)
        if not size:
            return Source(memoryview(b""))
        descriptor = self._opened(name)
        try:
            view = memoryview(mmap.mmap(descriptor, size, access=mmap.ACCESS_READ))
            return Source(view, arriving_at(descriptor))
        except OSError as error:
            raise BadFileError(f"{shown(name)} cannot be read: {error.strerror}") from None
        finally:
            os.close(descriptor)

    def check_unchanged(self) -> None:
        """Raises BadFileError if something was added, removed or changed since the folder was opened."""
        # One entry more than before shows a change: a folder that grew without end is not listed to its end.
        if dict(itertools.islice(_listed(self.path), len(self._files) + 1)) != self._files:
            raise BadFileError("the folder changed while it was read")

    def _file(self, name: str) -> _Identity:
        found = self._files[name]
        if found is None:
            raise KeyError(name)
        return found

    def _size(self, name: str, limit: int) -> int:
        size = self._file(name).size
        if size > limit:
            raise BadFileError(f"{shown(name)} takes {size} bytes, more than the limit of {limit}")
        return size

    def _opened(self, name: str) -> int:
        """A descriptor of the file that was listed, or BadFileError if another file has its name now."""
        path = os.path.join(self.path, *name.split("/"))
        try:
            descriptor = os.open(path, FLAGS | _NO_LINK)
        except (OSError, ValueError) as error:
            raise BadFileError(
                f"{shown(name)} cannot be opened: {getattr(error, 'strerror', error)}"
            ) from None
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode) or _identity(state) != self._files[name]:
            os.close(descriptor)
            raise BadFileError(f"{shown(name)} changed while it was read")
        return descriptor


def _listed(path: str) -> Iterator[tuple[str, _Identity | None]]:
    """(name, identity of the file or None for a folder) of every entry, in a fixed order, folders before contents.

    Of each directory, one entry more than the limit is listed at most: the caller refuses so many.
    """
    waiting = [(path, "", 0)]
    while waiting:
        here, prefix, depth = waiting.pop()
        if depth > _MAX_DEPTH:
            raise UnsupportedError(f"the folder is nested more than {_MAX_DEPTH} deep")
        try:
            with os.scandir(here) as entries:
                first = itertools.islice(entries, _MAX_ENTRIES + 1)
                found = sorted((entry.name, entry.stat(follow_symlinks=False)) for entry in first)
        except (OSError, ValueError) as error:
            raise BadFileError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
        for entry, state in found:
            name = prefix + entry
            if not name.isprintable() or "\\" in name:
                raise BadFileError(f"the folder has a file with an unsafe name: {shown(name)}")
            if stat.S_ISLNK(state.st_mode):
                raise BadFileError(
                    f"{shown(name)} is a link, which is not followed: copy the folder with its files (cp -rL)"
                )
            if stat.S_ISDIR(state.st_mode):
                yield f"{name}/", None
                waiting.append((os.path.join(here, entry), f"{name}/", depth + 1))
            elif stat.S_ISREG(state.st_mode):
                yield name, _identity(state)
            else:
                raise BadFileError(f"{shown(name)} is not a regular file (a pipe, a socket or a device)")


def copy_folder(
    source: Folder,
    target: str | os.PathLike[str],
    replace: Mapping[str, bytes] | None = None,
    patch: Mapping[str, Sequence[tuple[int, bytes]]] | None = None,
    rename: Mapping[str, str] | None = None,
    leave: Collection[str] = (),
) -> None:
    """Write a folder to a new path ``target``, with some files replaced, patched, renamed or left out.

    Args:
        replace, patch, rename: as in ``zip.rewrite``.
        leave: files to leave out, by their names after ``rename``.

    Raises:
        BadFileError: a file changed or cannot be read. No partial copy remains.
        OutputError: see ``atomic_folder``.
        ValueError: a patch lies outside its file.
    """
    members = changed(source, replace, patch, rename)
    write_folder(target, (member for member in members if member[0] not in leave))
