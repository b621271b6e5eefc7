"""Read the files of a folder that nobody vouches for, and copy it with a few of them changed, as `zip` does."""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..errors import BadFileError, UnsupportedError, shown
from .members import changed, write_folder
from .regular import FLAGS

_MAX_ENTRIES = 100_000
_MAX_DEPTH = 64
_BLOCK = 1 << 20
_MAX_SIZE = 64 << 30
# Nothing is opened through a link; where a platform cannot say so, the entry is looked at before and after.
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


@dataclass(frozen=True, slots=True)
class _Identity:
    """By which a file is known again."""

    device: int
    inode: int
    size: int
    time: int


def _identity(state: os.stat_result) -> _Identity:
    return _Identity(state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)


class Folder:
    """A folder and all that is in it, as ``zip.Archive`` has members: "/" separates names, those of folders end in it.

    What is in it is listed once. Links and special files are refused, and so is a file that has changed since.

    Raises:
        BadFileError: no folder, it may not be read, or it holds what is not a file.
        UnsupportedError: it holds more than 100,000 files, or is nested more than 64 deep.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._files: dict[str, _Identity | None] = {}
        for name, found in _listed(self.path):
            self._files[name] = found
            if len(self._files) > _MAX_ENTRIES:
                raise UnsupportedError(f"the folder holds more than {_MAX_ENTRIES:,} files")
        if len({name.casefold() for name in self._files}) != len(self._files):
            raise BadFileError("the folder has two files of one name, but for upper and lower case")

    def close(self) -> None:
        """Nothing is kept open."""

    def names(self) -> list[str]:
        """Everything in it, sorted, folders in front of what they hold."""
        return list(self._files)

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def size(self, name: str) -> int:
        """Bytes of a file. KeyError without such a file."""
        return self._file(name).size

    def read(self, name: str, limit: int) -> bytes:
        """The content of a file of at most ``limit`` bytes.

        Raises:
            BadFileError: it is longer than that, changed, or cannot be read.
            KeyError: there is no such file.
        """
        return b"".join(self.content(name, limit))

    def content(self, name: str, limit: int = _MAX_SIZE) -> Iterator[bytes]:
        """The content in blocks. Raises as ``read``."""
        size = self._size(name, limit)
        with os.fdopen(self._opened(name), "rb") as file:
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
        """A read-only view of a file, mapped where it lies. Raises as ``read``.

        A file that another process truncates while it is mapped kills the process (SIGBUS): POSIX, mmap().
        """
        size = self._size(name, limit)
        if not size:
            return memoryview(b"")
        descriptor = self._opened(name)
        try:
            return memoryview(mmap.mmap(descriptor, size, access=mmap.ACCESS_READ))
        except OSError as error:
            raise BadFileError(f"{shown(name)} cannot be read: {error.strerror}") from None
        finally:
            os.close(descriptor)

    def check_unchanged(self) -> None:
        """Raises BadFileError if something was added, removed or changed since it was opened."""
        if dict(_listed(self.path)) != self._files:
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
        """A descriptor of the very file that was listed, reached through folders alone."""
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
    """Every name in a folder with its file, None for a folder; sorted, folders in front of what they hold."""
    waiting = [(path, "", 0)]
    while waiting:
        here, prefix, depth = waiting.pop()
        if depth > _MAX_DEPTH:
            raise UnsupportedError(f"the folder is nested more than {_MAX_DEPTH} deep")
        try:
            with os.scandir(here) as entries:
                found = sorted((entry.name, entry.stat(follow_symlinks=False)) for entry in entries)
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
    """Write a folder to ``target``, which is not there yet, with some files replaced, patched, renamed or left out.

    Args:
        replace, patch, rename: as in ``zip.rewrite``.
        leave: files that are not copied.

    Raises:
        BadFileError: a file changed or cannot be read. Nothing is left behind.
        OutputError: see ``atomic_folder``.
        ValueError: a patch lies outside its file.
    """
    members = changed(source, replace, patch, rename)
    write_folder(target, (member for member in members if member[0] not in leave))
