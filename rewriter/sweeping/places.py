"""Where models are: local folders and files, and through fsspec what has an address (``s3://``, ``hf://``, ``memory://``).

Folders are listed one at a time, in a fixed order. Of a remote file only the parts that are read are fetched.
"""

from __future__ import annotations

import fnmatch
import glob
import hashlib
import os
import posixpath
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from ..errors import BadFileError, OutputError, UsageError, shown
from ..files.arriving import Arriving, Fetch, arriving
from ..formats.registry import format_for, is_named_as_model
from ..requests import same_file
from .task import Found

# Files up to this size are fetched in one request; of others the end, where an archive has its directory.
_WHOLE = 1 << 18
_END = 1 << 16
_TRIES = 5
_PAUSE = 0.2  # seconds before the second try; each further pause is twice as long
_LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(?:::|://)")
_T = TypeVar("_T")
# The names of formats in filters: suffixes, and two kinds of folders.
FORMATS = ("keras", "h5", "hdf5", "onnx", "savedmodel", "keras-folder")


class UnreachableError(BadFileError):
    """A remote file cannot be read now; another time it may be."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which files a sweep looks at. Raises UsageError for a format that is none.

    Attributes:
        include, exclude: patterns of paths or names; without ``include`` all.
        smallest, largest: sizes in bytes.
        newer, older: the age of a file in seconds: at most, at least.
        formats: the suffixes of names without the dot (``keras``, ``h5``, ``onnx``), or ``savedmodel``.
    """

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    smallest: int = 0
    largest: int | None = None
    newer: float | None = None
    older: float | None = None
    formats: Sequence[str] = ()

    def __post_init__(self) -> None:
        wrong = next((name for name in self.formats if name not in FORMATS), None)
        if wrong is not None:
            raise UsageError(f"format {shown(wrong)!r}: must be one of {', '.join(FORMATS)}")

    def take(self, found: Found) -> bool:
        """Whether the sweep looks at a file."""
        name = found.inside
        if self.include and not _fits(name, self.include):
            return False
        if _fits(name, self.exclude) or found.size < self.smallest:
            return False
        if self.largest is not None and found.size > self.largest:
            return False
        if found.age is not None and not (
            (self.newer is None or found.age <= self.newer)
            and (self.older is None or found.age >= self.older)
        ):
            return False
        return not self.formats or _kind(found) in self.formats


def _fits(path: str, patterns: Sequence[str]) -> bool:
    name = posixpath.basename(path)
    return any(fnmatch.fnmatch(path, p) or fnmatch.fnmatch(name, p) for p in patterns)


def _kind(found: Found) -> str:
    if found.folder is not None:
        names = {name for name, _ in found.folder}
        return "savedmodel" if names & _SAVED_MODEL else "keras-folder"
    return posixpath.splitext(found.inside)[1].lstrip(".").lower()


_SAVED_MODEL = {"saved_model.pb", "saved_model.pbtxt"}
_KERAS_FOLDER = {"config.json", "metadata.json", "model.weights.h5"}


class _Entry(NamedTuple):
    """An entry of a listing: its name, and for a file the size, what changes with it, and when it changed."""

    name: str
    size: int = 0
    stamp: str = ""
    changed: float | None = None


class _Listed(NamedTuple):
    """A folder: its path, its subfolders and its files, sorted by name."""

    path: str
    folders: list[str]
    files: list[_Entry]


class _Local:
    """The file system of the machine."""

    separator = os.sep

    def listed(self, path: str) -> _Listed:
        folders, files = [], []
        with os.scandir(path) as entries:
            for entry in entries:
                try:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
                    elif entry.is_file():
                        files.append(_local_entry(entry.name, entry.stat()))
                except OSError:  # such as a link to itself: what is wrong is said when it is opened
                    files.append(_Entry(entry.name))
        return _Listed(path, sorted(folders), sorted(files))

    def join(self, path: str, name: str) -> str:
        return os.path.join(path, name)

    def file(self, path: str) -> _Entry | None:
        """The entry of a file; None for a folder. Raises OSError."""
        return None if os.path.isdir(path) else _local_entry(os.path.basename(path), os.stat(path))

    def exists(self, path: str) -> bool:
        return os.path.lexists(path)

    def matching(self, pattern: str) -> Iterator[str]:
        return iter(sorted(glob.iglob(pattern, recursive=True)))

    def address(self, path: str) -> str:
        return path


def _local_entry(name: str, state: os.stat_result) -> _Entry:
    return _Entry(name, state.st_size, str(state.st_mtime_ns), state.st_mtime)


class _Remote:
    """A file system of fsspec."""

    separator = "/"

    def __init__(self, system: Any) -> None:
        self.system = system

    def listed(self, path: str) -> _Listed:
        folders, files = [], []
        for info in _again(lambda: self.system.ls(path, detail=True, refresh=True)):
            name = info["name"].rstrip("/")
            if name == path.rstrip("/"):
                continue  # some stores list the folder itself
            if info["type"] == "directory":
                folders.append(posixpath.basename(name))
            else:
                files.append(_remote_entry(info))
        self.system.invalidate_cache(path)
        return _Listed(path, sorted(folders), sorted(files))

    def join(self, path: str, name: str) -> str:
        return f"{path.rstrip('/')}/{name}"

    def file(self, path: str) -> _Entry | None:
        info = _again(lambda: self.system.info(path))
        return None if info["type"] == "directory" else _remote_entry(info)

    def exists(self, path: str) -> bool:
        return bool(_again(lambda: self.system.exists(path)))

    def matching(self, pattern: str) -> Iterator[str]:
        return iter(sorted(_again(lambda: self.system.glob(pattern))))

    def address(self, path: str) -> str:
        found: str = self.system.unstrip_protocol(path)
        return found


def _remote_entry(info: dict[str, Any]) -> _Entry:
    changed = next(
        (info[k] for k in ("LastModified", "last_modified", "mtime", "updated", "created") if k in info), None
    )
    seconds = _seconds(changed)
    etag = next((str(info[k]) for k in ("ETag", "etag", "oid", "blob_id", "md5Hash") if info.get(k)), "")
    return _Entry(posixpath.basename(info["name"]), int(info["size"] or 0), etag or repr(seconds), seconds)


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


def _system(url: str) -> tuple[_Local | _Remote, str]:
    """The file system of an address or a path, and the path in it."""
    if not is_remote(url):
        return _Local(), url
    try:
        import fsspec
        from fsspec.implementations.local import LocalFileSystem
    except ImportError:
        raise UsageError("an address needs fsspec: pip install 'rewriter[sweep]'", url) from None
    try:
        system, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise UsageError(f"cannot be reached: {error}", url) from None
    except OSError as error:
        raise UsageError(f"cannot be reached: {_reason(error)}", url) from None
    return (_Local(), path) if isinstance(system, LocalFileSystem) else (_Remote(system), path)


def normal(root: str) -> str:
    """A root as it is stored: an absolute path, also of an address of this machine, or an address.

    Raises:
        UsageError: its file system cannot be used.
    """
    system, path = _system(root)
    if not isinstance(system, _Local):
        return root
    if os.path.lexists(path) or not glob.has_magic(path) or os.path.isabs(path):
        return os.path.abspath(path)
    return os.path.join(glob.escape(os.getcwd()), path)


def _again(work: Callable[[], _T]) -> _T:
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


# -- finding -----------------------------
def models(root: str, filters: Filters = Filters()) -> Iterator[Found]:
    """The models of a folder, a file, a pattern or an address. Names that start with a dot are left out.

    Raises:
        UsageError: there is nothing, or it cannot be listed.
    """
    system, path = _system(root)
    try:
        starts, above = [path], ""
        if glob.has_magic(path) and not system.exists(path):
            starts, above = list(system.matching(path)), _fixed(path, system.separator)
            if not starts:
                raise UsageError("no file matches this pattern", root)
        now = time.time()
        for start in starts:
            below = start.removeprefix(above) if above else ""
            for found in _below(system, start, below.replace(system.separator, "/"), now):
                if filters.take(found):
                    yield found
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"cannot be listed: {_reason(error)}", root) from None


def _reason(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file or folder"
    return " ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split())


def _fixed(pattern: str, separator: str) -> str:
    """The folders in front of a pattern that are no pattern, with the separator behind them."""
    parts = pattern.split(separator)
    count = next(n for n, part in enumerate(parts) if glob.has_magic(part))
    return separator.join([*parts[:count], ""])


def _below(system: _Local | _Remote, start: str, matched: str, now: float) -> Iterator[Found]:
    """The models of a file or a folder.

    Args:
        matched: its path below the fixed part of a pattern that it matches; "" if it is named itself.
    """
    entry = system.file(start)
    if entry is not None:
        if not matched or is_named_as_model(entry.name):
            yield _found(system, start, entry, matched or entry.name, now)
        return
    waiting = [(start, matched)]
    while waiting:
        path, inside = waiting.pop()
        try:
            listed = system.listed(path)
        except OSError:
            if path == start:
                raise
            yield Found(system.address(path), 0, "", inside)  # what is wrong is said when it is opened
            continue
        names = {entry.name for entry in listed.files}
        if names & _SAVED_MODEL or names >= _KERAS_FOLDER:
            yield _folder(system, listed, inside or posixpath.basename(path.rstrip("/")), now)
            continue
        for entry in listed.files:
            if is_named_as_model(entry.name) and not entry.name.startswith("."):
                place = f"{inside}/{entry.name}" if inside else entry.name
                yield _found(system, system.join(path, entry.name), entry, place, now)
        for name in reversed(listed.folders):
            if not name.startswith("."):
                waiting.append((system.join(path, name), f"{inside}/{name}" if inside else name))


def _found(system: _Local | _Remote, path: str, entry: _Entry, inside: str, now: float) -> Found:
    age = None if entry.changed is None else max(0.0, now - entry.changed)
    return Found(system.address(path), entry.size, entry.stamp, inside, age)


def _folder(system: _Local | _Remote, top: _Listed, inside: str, now: float) -> Found:
    """A folder that is one model."""
    files: list[tuple[str, _Entry]] = []
    waiting = [(top, "")]
    while waiting:
        listed, prefix = waiting.pop()
        files += [(prefix + entry.name, entry) for entry in listed.files]
        for name in listed.folders:
            waiting.append((system.listed(system.join(listed.path, name)), f"{prefix}{name}/"))
    files.sort()
    stamp = hashlib.sha256(repr([(name, e.size, e.stamp) for name, e in files]).encode()).hexdigest()
    changed = [entry.changed for _, entry in files if entry.changed is not None]
    return Found(
        system.address(top.path),
        sum(entry.size for _, entry in files),
        stamp,
        inside,
        max(0.0, now - max(changed)) if changed else None,
        tuple((name, entry.size) for name, entry in files),
    )


# -- opening and writing -----------------------------
@dataclass(slots=True)
class Opened:
    """A model that can be read at a local path, and the files that arrive there."""

    path: str
    arrivals: list[Arriving] = field(default_factory=list)

    @property
    def moved(self) -> int:
        return sum(file.bytes for file in self.arrivals)

    @property
    def requests(self) -> int:
        return sum(file.requests for file in self.arrivals)


@contextmanager
def opened(found: Found) -> Iterator[Opened]:
    """A model at a local path: its own, or one in a temporary folder where its bytes arrive when they are read.

    Raises:
        BadFileError: the file cannot be read.
        UsageError: its file system cannot be used.
    """
    system, path = _system(found.url)
    if isinstance(system, _Local):
        yield Opened(path)
        return
    with tempfile.TemporaryDirectory(prefix="rewriter-") as folder, ExitStack() as stack:
        made = Opened(os.path.join(folder, posixpath.basename(path.rstrip("/"))))
        for name, size in ((None, found.size),) if found.folder is None else found.folder:
            here = made.path if name is None else os.path.join(made.path, *_safe(name))
            there = path if name is None else system.join(path, name)
            os.makedirs(os.path.dirname(here), exist_ok=True)
            file = stack.enter_context(arriving(here, size, _fetch(system.system, there)))
            made.arrivals.append(file)
            if name is None:
                file.need((0, size) if size <= _WHOLE else (size - _END, _END))
        yield made


def _safe(name: str) -> list[str]:
    parts = name.split("/")
    if any(part in ("", ".", "..") or os.sep in part for part in parts):
        raise BadFileError(f"the folder has a file with the name {name!r}")
    return parts


def _fetch(system: Any, path: str) -> Fetch:
    def fetch(ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        paths, starts, ends = [path] * len(ranges), [s for s, _ in ranges], [e for _, e in ranges]
        try:
            data: list[bytes] = _again(lambda: system.cat_ranges(paths, starts, ends, on_error="raise"))
        except Exception as error:
            raise UnreachableError(f"cannot be read: {_reason(error)}") from None
        return data

    return fetch


def exists(url: str) -> bool:
    """Whether there is a file or folder at an address."""
    system, path = _system(url)
    return system.exists(path)


@contextmanager
def written(root: str, inside: str) -> Iterator[tuple[str, str]]:
    """A local path to write to, and the address below a root that it gets if the block succeeds.

    Raises:
        OutputError: it cannot be written there.
    """
    system, path = _system(root)
    target = system.join(path, inside.replace("/", system.separator))
    if isinstance(system, _Local):
        try:
            os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot be made: {error.strerror}", os.path.dirname(target)) from None
        yield target, target
        return
    with tempfile.TemporaryDirectory(prefix="rewriter-") as folder:
        made = os.path.join(folder, posixpath.basename(target))
        yield made, system.address(target)
        if os.path.lexists(made):
            try:
                _again(lambda: system.system.put(made, target, recursive=os.path.isdir(made)))
            except Exception as error:
                raise OutputError(f"cannot be written: {_reason(error)}", system.address(target)) from None


def suffix_of(found: Found) -> str:
    """The suffix of a model's name, with the dot; "" for a folder or another name."""
    form = None if found.folder is not None else format_for(found.inside)
    return form.suffix if form is not None else ""


def same_place(one: str, other: str) -> bool:
    """Whether two addresses are one file."""
    if is_remote(one) or is_remote(other):
        return one.rstrip("/") == other.rstrip("/")
    return same_file(one, other)


def overlap(one: str, other: str) -> bool:
    """Whether an address is another, or below it, or the other way round."""
    if is_remote(one) or is_remote(other):
        pair = [f"{each.rstrip('/')}/" for each in (one, other)]
    else:
        pair = [os.path.join(os.path.realpath(each), "") for each in (one, other)]
    return pair[0].startswith(pair[1]) or pair[1].startswith(pair[0])
