"""Opens models of any file system at a local path, and writes files to any file system.

Of a remote file only the parts that are read are fetched.
"""

from __future__ import annotations

import os
import posixpath
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..errors import BadFileError, OutputError
from ..files.arriving import Arriving, Fetch, arriving
from ..files.digest import sha256
from ..formats.registry import format_for
from .systems import AwayError, Local, UnreachableError, again, overlap, reason, system_of
from .task import Found

# Files up to this size are fetched in one request; of others the end, where an archive has its directory.
_WHOLE = 1 << 18
_END = 1 << 16
_AT_ONCE = 16  # requests, where fsspec sends one after another
_PIECE = 16 << 20  # of a file that is fetched as a whole: what is held in memory


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
def opened(found: Found, whole: bool) -> Iterator[Opened]:
    """A model at a local path: its own, or one in a temporary folder where its bytes arrive when they are read.

    Args:
        whole: fetch all of it first, for another process to read.

    Raises:
        BadFileError: the file cannot be read.
        UsageError: its file system cannot be used.
    """
    system, path = system_of(found.url)
    if isinstance(system, Local):
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
            if whole:
                for start in range(0, size, _PIECE):
                    file.need((start, _PIECE))
            elif name is None:
                file.need((0, size) if size <= _WHOLE else (size - _END, _END))
        yield made


def _safe(name: str) -> list[str]:
    parts = name.split("/")
    if any(part in ("", ".", "..") or os.sep in part for part in parts):
        raise BadFileError(f"the folder has a file with the name {name!r}")
    return parts


def _fetch(system: Any, path: str) -> Fetch:
    def fetch(ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        try:
            return again(lambda: _ranges(system, path, ranges))
        except FileNotFoundError:
            raise BadFileError("it is gone since it was found") from None
        except PermissionError as error:
            raise UnreachableError(f"cannot be read: {reason(error)}") from None
        except Exception as error:
            raise AwayError(f"cannot be read: {reason(error)}") from None

    return fetch


def _ranges(system: Any, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    if system.async_impl:
        starts, ends = zip(*ranges, strict=True)
        data: list[bytes] = system.cat_ranges([path] * len(ranges), starts, ends, on_error="raise")
        return data
    # One after another, and each with as much behind it as a cache reads ahead, if it were left to fsspec.
    with ThreadPoolExecutor(min(len(ranges), _AT_ONCE)) as threads:
        return list(threads.map(lambda part: system.cat_file(path, *part, cache_type="none"), ranges))


@contextmanager
def written(root: str, inside: str, swept: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """A local path to write to, and the address below a root that it gets if the block succeeds.

    Args:
        swept: where nothing is written, also not through a link.

    Raises:
        OutputError: it cannot be written there.
    """
    system, path = system_of(root)
    target = system.join(path, inside.replace("/", system.separator))
    if isinstance(system, Local):
        if any(overlap(target, each) for each in swept):
            raise OutputError("a link leads from here into what is swept: choose another root", target)
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
                for here, there in _files(made, target):
                    again(partial(system.system.put_file, here, there))
            except Exception as error:
                raise OutputError(f"cannot be written: {reason(error)}", system.address(target)) from None


def _files(made: str, target: str) -> Iterator[tuple[str, str]]:
    """The files of a file or a folder, and their places."""
    if not os.path.isdir(made):
        yield made, target
    for folder, _, names in os.walk(made):
        for name in names:
            path = os.path.join(folder, name)
            yield path, posixpath.join(target, *os.path.relpath(path, made).split(os.sep))


def has_changed(found: Found) -> bool:
    """Whether a remote file is another than when it was found, as far as can be seen."""
    system, path = system_of(found.url)
    if isinstance(system, Local) or found.folder is not None:
        return False
    try:
        entry = system.file(path)
    except Exception:
        return False
    return entry is None or (entry.size, entry.stamp) != (found.size, found.stamp)


def digest(path: str) -> str:
    """The hash of a local file; "" if it cannot be read."""
    try:
        return sha256(path)
    except BadFileError:
        return ""


def suffix_of(found: Found) -> str:
    """The suffix of a model's name, with the dot; "" for a folder or another name."""
    form = None if found.folder is not None else format_for(found.inside)
    return form.suffix if form is not None else ""
