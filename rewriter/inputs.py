"""Which models a command line names: files, folders to search, patterns, and standard input."""

from __future__ import annotations

import fnmatch
import glob
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import mkstemp

from .errors import UsageError
from .formats.registry import is_folder_of_model, is_named_as_model

STDIN = "-"
_CHUNK = 1 << 20


def models(given: Sequence[str], exclude: Sequence[str] = ()) -> list[str]:
    """The models that paths, folders and patterns name, each once, in the order given; within a folder, sorted by name.

    A folder that is not a model is searched, with its subfolders, for files with the suffix of a format and for folders
    that are models. JSON files are left out, because few of them are models. Links to folders are not followed.

    Args:
        exclude: patterns of paths or names, such as ``old_*.h5`` or ``build/*``. Matching models are left out, but not
            files that are named.

    Raises:
        UsageError: a pattern matches nothing, a folder has no model in it, or standard input is given twice.
    """
    if given.count(STDIN) > 1:
        raise UsageError("given twice: standard input is one model", STDIN)
    found: dict[str, str] = {}
    for path in given:
        here = [path] if path == STDIN or os.path.lexists(path) else _fitting(path)
        for one in here:
            if one != STDIN and os.path.isdir(one) and not is_folder_of_model(one):
                inside = [p for p in _below(one) if not _excluded(p, exclude)]
                if not inside:
                    raise UsageError("it is a directory without a model", one)
            else:
                inside = [] if here != [path] and _excluded(one, exclude) else [one]
            for model in inside:
                found.setdefault(model if model == STDIN else os.path.abspath(model), model)
    return list(found.values())


def _fitting(pattern: str) -> list[str]:
    """The paths that match a pattern; the text itself if it is not a pattern."""
    if not glob.has_magic(pattern):
        return [pattern]
    found = sorted(glob.glob(pattern, recursive=True))
    if not found:
        raise UsageError("no file matches this pattern", pattern)
    return found


def _below(folder: str) -> Iterator[str]:
    for here, folders, files in os.walk(folder):
        folders.sort()
        yield from sorted(
            os.path.join(here, name) for name in files if is_named_as_model(name) and not name.startswith(".")
        )
        for name in list(folders):
            path = os.path.join(here, name)
            if name.startswith(".") or is_folder_of_model(path):
                folders.remove(name)
                if not name.startswith("."):
                    yield path


def _excluded(path: str, patterns: Sequence[str]) -> bool:
    name = os.path.basename(path)
    whole = os.path.normpath(path).replace(os.sep, "/")
    return any(fnmatch.fnmatch(whole, p) or fnmatch.fnmatch(name, p) for p in patterns)


@contextmanager
def readable(path: str) -> Iterator[str]:
    """The path itself; for ``-`` the path of a temporary copy of standard input, which the end of the block removes.

    Raises:
        UsageError: standard input is empty, or a terminal.
    """
    if path != STDIN:
        yield path
        return
    stream = sys.stdin.buffer if sys.stdin is not None else None
    if stream is None or stream.isatty():
        raise UsageError("standard input is a terminal: pipe a model into it", STDIN)
    descriptor, name = mkstemp(prefix="rewriter-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            while block := stream.read(_CHUNK):
                file.write(block)
        if os.path.getsize(name) == 0:
            raise UsageError("standard input is empty", STDIN)
        yield name
    finally:
        os.unlink(name)
