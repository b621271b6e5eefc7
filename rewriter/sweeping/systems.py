"""File systems: that of the machine, and through fsspec what has an address (``s3://``, ``hf://``, ``memory://``)."""

from __future__ import annotations

import glob
import os
import posixpath
import random
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from ..errors import BadFileError, UsageError
from ..requests import same_file

_TRIES = 3  # beside those of the service's own client
_PAUSE = 0.5  # seconds before the second try; each further pause is twice as long
_LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)(::|://)")
_T = TypeVar("_T")


class UnreachableError(BadFileError):
    """A remote file cannot be read now; another time it may be."""


class AwayError(UnreachableError):
    """A service does not answer as it should: no file of it can be read now."""


class Entry(NamedTuple):
    """An entry of a listing: its name, and for a file the size, what changes with it, and when it changed."""

    name: str
    size: int = 0
    stamp: str = ""
    changed: float | None = None


class Listed(NamedTuple):
    """A folder: its path, its subfolders and its files, sorted by name; and how many links to folders it has."""

    path: str
    folders: list[str]
    files: list[Entry]
    links: int = 0


class Local:
    """The file system of the machine."""

    separator = os.sep

    def listed(self, path: str) -> Listed:
        folders, files, links = [], [], 0
        with os.scandir(path) as entries:
            for entry in entries:
                try:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
                    elif entry.is_dir():
                        links += 1
                    else:  # also what is no regular file, which is said when it is opened
                        files.append(_local_entry(entry.name, entry.stat()))
                except OSError:  # such as a link to itself: what is wrong is said when it is opened
                    files.append(Entry(entry.name))
        return Listed(path, sorted(folders), sorted(files), links)

    def join(self, path: str, name: str) -> str:
        return os.path.join(path, name)

    def file(self, path: str) -> Entry | None:
        """The entry of a file; None for a folder. Raises OSError."""
        return None if os.path.isdir(path) else _local_entry(os.path.basename(path), os.stat(path))

    def exists(self, path: str) -> bool:
        return os.path.lexists(path)

    def matching(self, pattern: str) -> Iterator[str]:
        return iter(sorted(glob.iglob(pattern, recursive=True)))

    def address(self, path: str) -> str:
        return path


def _local_entry(name: str, state: os.stat_result) -> Entry:
    return Entry(name, state.st_size, str(state.st_mtime_ns), state.st_mtime)


class Remote:
    """A file system of fsspec, with the scheme by which the user calls it (``az``, not ``abfs``)."""

    separator = "/"

    def __init__(self, system: Any, scheme: str) -> None:
        self.system, self.scheme = system, scheme

    def listed(self, path: str) -> Listed:
        folders, files = [], []
        for info in again(lambda: self.system.ls(path, detail=True, refresh=True)):
            name = info["name"].rstrip("/")
            if name == path.rstrip("/"):
                continue  # some stores list the folder itself
            if info["type"] == "directory":
                folders.append(posixpath.basename(name))
            else:
                files.append(_remote_entry(info))
        self.system.invalidate_cache(path)
        return Listed(path, sorted(folders), sorted(files))

    def join(self, path: str, name: str) -> str:
        return f"{path.rstrip('/')}/{name}"

    def file(self, path: str) -> Entry | None:
        info = again(lambda: self.system.info(path))
        return None if info["type"] == "directory" else _remote_entry(info)

    def exists(self, path: str) -> bool:
        return bool(again(lambda: self.system.exists(path)))

    def matching(self, pattern: str) -> Iterator[str]:
        return iter(sorted(again(lambda: self.system.glob(pattern))))

    def address(self, path: str) -> str:
        return f"{self.scheme}://{self.system.unstrip_protocol(path).partition('://')[2]}"


def _remote_entry(info: dict[str, Any]) -> Entry:
    changed = next(
        (info[k] for k in ("LastModified", "last_modified", "mtime", "updated", "created") if k in info), None
    )
    seconds = _seconds(changed)
    etag = next((str(info[k]) for k in ("ETag", "etag", "oid", "blob_id", "md5Hash") if info.get(k)), "")
    return Entry(posixpath.basename(info["name"]), int(info["size"] or 0), etag or repr(seconds), seconds)


def _seconds(time_: object) -> float | None:
    if isinstance(time_, datetime):
        return time_.timestamp()
    if isinstance(time_, str):
        try:
            return datetime.fromisoformat(time_).timestamp()
        except ValueError:
            return None
    return float(time_) if isinstance(time_, (int, float)) else None


def is_remote(url: str) -> bool:
    """Whether a text is an address, such as ``s3://models``, and not a path."""
    return _ADDRESS.match(url) is not None


def system_of(url: str) -> tuple[Local | Remote, str]:
    """The file system of an address or a path, and the path in it."""
    address = _ADDRESS.match(url)
    if address is None:
        return Local(), url
    scheme, mark = address.groups()
    if mark == "::":
        raise UsageError("a chain of file systems (::) is not taken: name the one that holds the files", url)
    try:
        import fsspec
        from fsspec.implementations.local import LocalFileSystem
    except ImportError:
        raise UsageError("an address needs fsspec: pip install 'rewriter[sweep]'", url) from None
    try:
        kind = fsspec.get_filesystem_class(scheme)
    except ValueError:
        raise UsageError(f"cannot be reached: fsspec knows no file system {scheme}://", url) from None
    except ImportError as error:
        raise UsageError(f"cannot be reached: {error}", url) from None
    try:
        # As fsspec.core.url_to_fs, which takes "::" in a name for a chain.
        system, path = fsspec.filesystem(scheme, **kind._get_kwargs_from_urls(url)), kind._strip_protocol(url)
    except (ImportError, OSError, ValueError) as error:
        raise UsageError(f"cannot be reached: {reason(error)}", url) from None
    return (Local(), path) if isinstance(system, LocalFileSystem) else (Remote(system, scheme), path)


def normal(root: str) -> str:
    """A root as it is stored: an absolute path, also of an address of this machine, or an address.

    Raises:
        UsageError: its file system cannot be used.
    """
    system, path = system_of(root)
    if not isinstance(system, Local):
        return root
    if os.path.lexists(path) or not glob.has_magic(path) or os.path.isabs(path):
        return os.path.abspath(path)
    return os.path.join(glob.escape(os.getcwd()), path)


def again(work: Callable[[], _T]) -> _T:
    """Do something over the network; after a failure that can pass, again, with longer and longer pauses."""
    for attempt in range(_TRIES):
        try:
            return work()
        except _LASTING:
            raise
        except Exception:
            if attempt == _TRIES - 1:
                raise
        time.sleep(_PAUSE * 2**attempt * (1 + random.random() / 2))
    raise AssertionError


def reason(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file or folder"
    return " ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split())


def exists(url: str) -> bool:
    """Whether there is a file or folder at an address."""
    system, path = system_of(url)
    return system.exists(path)


def same_place(one: str, other: str) -> bool:
    """Whether two addresses are one file."""
    if is_remote(one) or is_remote(other):
        return _place(one) == _place(other)
    return same_file(one, other)


def overlap(one: str, other: str) -> bool:
    """Whether an address is another, or below it, or the other way round."""
    (system, path), (other_system, other_path) = _place(one), _place(other)
    return system == other_system and (path.startswith(other_path) or other_path.startswith(path))


def _place(url: str) -> tuple[object, str]:
    """A file system, and a path in it with a separator behind it: the same for every spelling of an address."""
    system, path = system_of(url)
    if isinstance(system, Local):
        return None, os.path.join(os.path.realpath(path), "")
    return (type(system.system), system.system.storage_options.get("host")), f"{path.strip('/')}/"
