"""Finds models: in folders of any file system, by patterns, through filters.

Folders are listed one at a time, in a fixed order.
"""

from __future__ import annotations

import fnmatch
import glob
import hashlib
import posixpath
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ..errors import UsageError, shown
from ..formats.registry import is_named_as_model
from .systems import Entry, Listed, Local, Remote, reason, system_of
from .task import Found

# The names of formats in filters: suffixes, and two kinds of folders.
FORMATS = ("keras", "h5", "hdf5", "onnx", "savedmodel", "keras-folder")
# Why something is left out.
LINKS, HIDDEN, FILTERED = "links", "hidden", "filtered"
_SAVED_MODEL = {"saved_model.pb", "saved_model.pbtxt"}
_KERAS_FOLDER = {"config.json", "metadata.json", "model.weights.h5"}


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


def models(root: str, filters: Filters = Filters(), left_out: Counter[str] | None = None) -> Iterator[Found]:
    """The models of a folder, a file, a pattern or an address. Names that start with a dot are left out.

    Args:
        left_out: counts what is left out, as in ``Summary``.

    Raises:
        UsageError: there is nothing, or it cannot be listed.
    """
    system, path = system_of(root)
    left_out = Counter() if left_out is None else left_out
    with _listing(root):
        starts, above = [path], ""
        if _is_pattern(system, path):
            starts, above = list(system.matching(path)), _fixed(path, system.separator)
            if not starts:
                raise UsageError("no file matches this pattern", root)
        now = time.time()
        for start in starts:
            below = start.removeprefix(above) if above else ""
            for found in _below(system, start, below.replace(system.separator, "/"), now, left_out):
                if filters.take(found):
                    yield found
                else:
                    left_out[FILTERED] += 1


def start_of(root: str) -> str:
    """The folder in front of a pattern; another root itself.

    Raises:
        UsageError: its file system cannot be used.
    """
    system, path = system_of(root)
    with _listing(root):
        return _fixed(root, system.separator) if _is_pattern(system, path) else root


@contextmanager
def _listing(root: str) -> Iterator[None]:
    """A block in which a failure of a file system is a UsageError about the root."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"cannot be listed: {reason(error)}", root) from None


def _is_pattern(system: Local | Remote, path: str) -> bool:
    return glob.has_magic(path) and not system.exists(path)


def _fixed(pattern: str, separator: str) -> str:
    """The folders in front of a pattern that are no pattern, with the separator behind them."""
    parts = pattern.split(separator)
    count = next(n for n, part in enumerate(parts) if glob.has_magic(part))
    return separator.join([*parts[:count], ""])


def _below(
    system: Local | Remote, start: str, matched: str, now: float, left_out: Counter[str]
) -> Iterator[Found]:
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
            name = inside or posixpath.basename(path.rstrip("/"))
            try:
                yield _folder(system, listed, name, now)
            except OSError:  # of a folder in it
                yield Found(system.address(path), 0, "", name, folder=())
            continue
        left_out[LINKS] += listed.links
        left_out[HIDDEN] += sum(name.startswith(".") for name in listed.folders)
        for entry in listed.files:
            if not is_named_as_model(entry.name):
                continue
            if entry.name.startswith("."):
                left_out[HIDDEN] += 1
            else:
                place = f"{inside}/{entry.name}" if inside else entry.name
                yield _found(system, system.join(path, entry.name), entry, place, now)
        for name in reversed(listed.folders):
            if not name.startswith("."):
                waiting.append((system.join(path, name), f"{inside}/{name}" if inside else name))


def _found(system: Local | Remote, path: str, entry: Entry, inside: str, now: float) -> Found:
    age = None if entry.changed is None else max(0.0, now - entry.changed)
    return Found(system.address(path), entry.size, entry.stamp, inside, age)


def _folder(system: Local | Remote, top: Listed, inside: str, now: float) -> Found:
    """A folder that is one model."""
    files: list[tuple[str, Entry]] = []
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
