"""Open a path only if it is a regular file: reading never waits for a pipe or reads a device without end."""

from __future__ import annotations

import mmap
import os
import stat

from ..errors import BadFileError
from .arriving import Source, arriving_at, need

# A flag that the platform lacks is 0. On Windows no path is a pipe, and files open as text without O_BINARY.
FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)

_LFS = b"version https://git-lfs.github.com/spec/"


def check_pointer(start: bytes) -> None:
    """Raises BadFileError if a file starts like a Git LFS pointer, which stands for the real file in a checkout."""
    if start.startswith(_LFS):
        raise BadFileError("the file is a Git LFS pointer, not the model: fetch it with `git lfs pull`")


def open_regular(path: str | os.PathLike[str]) -> tuple[int, os.stat_result]:
    """A descriptor of a regular file, opened for reading, and its ``os.stat_result``.

    Raises:
        BadFileError: no such file, not a regular file, or not readable.
    """
    try:
        _check(os.stat(path))
        descriptor = os.open(path, FLAGS)
    except FileNotFoundError:
        raise BadFileError("no such file") from None
    except (OSError, ValueError) as error:
        raise BadFileError(f"cannot be opened: {getattr(error, 'strerror', None) or error}") from None
    try:
        state = os.fstat(descriptor)
        _check(state)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, state


def read_regular(path: str | os.PathLike[str], limit: int) -> bytes:
    """The bytes of a regular file of at most ``limit`` bytes.

    Raises:
        BadFileError: as ``open_regular``, or it is larger, changes while it is read, or is a Git LFS pointer.
    """
    descriptor, state = open_regular(path)
    with os.fdopen(descriptor, "rb") as file:
        if state.st_size > limit:
            raise BadFileError(f"is larger than {_size(limit)}")
        need(descriptor, 0, state.st_size)
        try:
            data = file.read(state.st_size + 1)
        except OSError as error:
            raise BadFileError(f"cannot be read: {error.strerror}") from None
    if len(data) != state.st_size:
        raise BadFileError("the file changed while it was read")
    check_pointer(data)
    return data


def map_regular(path: str | os.PathLike[str]) -> tuple[Source, tuple[int, int]]:
    """A regular file, memory-mapped to be read, and its `stamp`, which shows a later change.

    A file that another process truncates while it is mapped kills the process (SIGBUS): POSIX, mmap().

    Raises:
        BadFileError: as ``open_regular``, or it is a Git LFS pointer.
    """
    descriptor, state = open_regular(path)
    try:
        if not state.st_size:
            return Source(memoryview(b"")), stamp(state)
        arrival = arriving_at(descriptor)
        view = memoryview(mmap.mmap(descriptor, state.st_size, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        raise BadFileError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    finally:
        os.close(descriptor)
    source = Source(view, arrival)
    source.need((0, len(_LFS)))
    check_pointer(view[: len(_LFS)].tobytes())
    return source, stamp(state)


def stamp(state: os.stat_result) -> tuple[int, int]:
    """Size and modification time of a file: they differ after a change."""
    return state.st_size, state.st_mtime_ns


def read_at(descriptor: int, size: int, offset: int) -> bytes:
    """At most ``size`` bytes of an open file from ``offset``. Raises OSError."""
    need(descriptor, offset, size)
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, size)


def _check(state: os.stat_result) -> None:
    if stat.S_ISDIR(state.st_mode):
        raise BadFileError("is a directory, not a file")
    if not stat.S_ISREG(state.st_mode):
        raise BadFileError("is not a regular file (a pipe, a socket or a device)")


def _size(limit: int) -> str:
    return f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit} bytes"
