"""Write a file completely or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

from ..errors import OutputError

# What the shell of `removed_if_killed` runs; its one argument is the path.
GUARD = 'read -r line || exec rm -rf -- "$1"'

# Whether an output of the run has its name, or is getting it: a signal that ended the run now would report a finished
# run as interrupted.
named = False
_open = 0  # how many files are being written that are kept, one within the other
_UNFINISHED = re.compile(r"\.rewriter-[0-9a-f]{24}")
_CANNOT_STORE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A writable, seekable file: it becomes `path` if the block succeeds, and is removed if it raises.

    The bytes go to a new file with an unpredictable name in the directory of `path`; it is then renamed to `path`.
    A symlink at `path` is replaced, not followed. Nothing is fsynced: this guards against failed runs, not power cuts.

    Raises:
        OutputError: `path` is a directory or device, its directory is missing or read-only, or the disk is full.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    with _beside(path, ".tmp") as (target, temporary):
        with _creating(target):
            descriptor = os.open(temporary, flags, 0o666)
        try:
            with os.fdopen(descriptor, "w+b") as stream:
                yield stream
            with _naming(target):
                os.replace(temporary, target)
        except OSError as error:
            if error.errno in _CANNOT_STORE or error.filename == temporary:
                raise OutputError(f"cannot be written: {_reason(error)}", target) from error
            raise


@contextlib.contextmanager
def provisional(path: str | os.PathLike[str], suffix: str, keep: bool = True) -> Iterator[str]:
    """A free name beside `path`: the file or folder made there becomes `path` if the block succeeds, else is removed.

    Args:
        suffix: the end of the name, for readers that check it.
        keep: False to remove the file or folder in any case.

    Raises:
        OutputError: as `atomic_write`.
    """
    with _beside(path, suffix, keep) as (target, temporary):
        try:
            yield temporary
            if keep:
                with _renaming(target), _naming(target):
                    os.replace(temporary, target)
        except OutputError as error:
            if error.about == temporary:  # a temporary name
                error.about = target
            raise


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[str]:
    """A new folder: it becomes `path` if the block succeeds, and is removed with its contents if it raises.

    Raises:
        OutputError: as `atomic_write`; a folder at `path` is not replaced.
    """
    with _beside(path) as (target, temporary):
        if os.path.lexists(target):
            raise OutputError(
                "a file with this name already exists: choose another name for the folder", target
            )
        with _creating(target):
            os.mkdir(temporary)
        try:
            yield temporary
        except OSError as error:
            raise OutputError(f"cannot be written: {_reason(error)}", target) from error
        with _renaming(target), _naming(target):
            os.rename(temporary, target)


@contextlib.contextmanager
def staged(path: str | os.PathLike[str]) -> Iterator[str]:
    """A path with the same name in a new folder beside `path`, for writing a file together with its side files.

    If the block succeeds, all files of the folder move to the directory of `path`, the one named like `path` last. The
    folder is always removed.

    Raises:
        OutputError: as `atomic_write`.
    """
    with _beside(path) as (target, folder):
        directory, name = os.path.split(target)
        with _creating(target):
            os.mkdir(folder)
        try:
            yield os.path.join(folder, name)
            places = {
                os.path.join(folder, made): os.path.join(directory, made)
                for made in sorted(os.listdir(folder), key=lambda made: (made == name, made))
            }
            for place in places.values():
                _check_target(place, os.path.basename(place))
            with _naming(target):
                for made, place in places.items():
                    with _renaming(place):
                        os.replace(made, place)
        except OutputError as error:
            if error.about is not None and os.path.dirname(error.about) == folder:  # a temporary name
                error.about = os.path.join(directory, os.path.basename(error.about))
            raise


@contextlib.contextmanager
def _beside(path: str | os.PathLike[str], suffix: str = "", keep: bool = True) -> Iterator[tuple[str, str]]:
    """The path as a string, and a name in its directory that nobody can guess. What is left there is removed.

    Raises:
        OutputError: the path names no file, or something that no file can replace.
    """
    target = os.fspath(path)
    directory, name = os.path.split(target)
    _check_target(target, name)
    temporary = os.path.join(directory, f".rewriter-{secrets.token_hex(12)}{suffix}")
    global _open
    with removed_if_killed(temporary):
        _open += keep
        try:
            yield target, temporary
        finally:
            _open -= keep
            _remove(temporary)


@contextlib.contextmanager
def _naming(target: str) -> Iterator[None]:
    """A block that gives a file its name. A temporary file, or one that is made for another file, is no output."""
    global named
    if _open > 1 or _is_temporary(target):
        yield
        return
    named = True
    try:
        yield
    except BaseException:
        named = False
        raise


def _is_temporary(path: str) -> bool:
    """Whether a path is in a temporary folder, or has the name of an unfinished file."""
    place = tempfile.tempdir  # None until this process makes a temporary file
    inside = place is not None and os.path.abspath(path).startswith(os.path.join(place, "rewriter-"))
    return inside or any(map(_UNFINISHED.match, path.split(os.sep)))


@contextlib.contextmanager
def removed_if_killed(path: str) -> Iterator[None]:
    """Let a shell remove the file or folder if this process is killed in the block; nothing where there is no shell.

    The shell waits for a line, or for the end of the pipe that only this process holds.
    """
    import subprocess

    words = ["/bin/sh", "-c", GUARD, "sh", os.path.abspath(path)]
    quiet = subprocess.DEVNULL
    try:
        guard = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, cwd="/", start_new_session=True
        )
    except (OSError, ValueError):
        yield
        return
    try:
        yield
    finally:
        guard.communicate(b"\n")


def _remove(path: str) -> None:
    """Remove a file, or a folder with its contents, if it exists."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


@contextlib.contextmanager
def _creating(target: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise OutputError("the directory to write to does not exist", target) from error
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot write there: {_reason(error)}", target) from error


@contextlib.contextmanager
def _renaming(target: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot be written: {_reason(error)}", target) from error


def _check_target(target: str, name: str) -> None:
    if name in ("", ".", ".."):
        raise OutputError("the path to write to names no file", target)
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot write there: {_reason(error)}", target) from error
    if stat.S_ISDIR(mode):
        raise OutputError("the path to write to is a directory", target)
    if not stat.S_ISREG(mode):
        raise OutputError("the path to write to is not a regular file", target)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
