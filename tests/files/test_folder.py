"""Folders: names that clash, and the number of their entries."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rewriter.errors import BadFileError, UnsupportedError
from rewriter.files import folder
from rewriter.files.folder import Folder


def made(path: Path, *names: str) -> Path:
    """A folder of empty files, and of empty folders for names that end in "/"."""
    for name in names:
        place = path / name
        (place if name.endswith("/") else place.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            place.touch()
    return path


@pytest.mark.parametrize("names", [("a", "A"), ("a/", "A/"), ("a", "A/"), ("A", "a/"), ("c/", "c/a", "c/A/")])
def test_names_that_differ_in_case_only(names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch):
    """Listed by hand: not every file system holds such names."""
    monkeypatch.setattr(folder, "_listed", lambda path: iter([(name, None) for name in names]))
    with pytest.raises(BadFileError, match="differ only in upper and lower case"):
        Folder("model")


def test_names_that_differ_are_read(tmp_path: Path):
    assert Folder(made(tmp_path / "model", "a", "B/a", "B/b")).names() == ["B/", "a", "B/a", "B/b"]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The entries that are taken from directories, where a folder may hold five."""
    names: list[str] = []
    scandir = os.scandir

    class Counted:
        def __init__(self, path: Any) -> None:
            self.entries = scandir(path)

        def __enter__(self) -> Counted:
            return self

        def __exit__(self, *_: object) -> None:
            self.entries.close()

        def __iter__(self) -> Iterator[os.DirEntry[str]]:
            for entry in self.entries:
                names.append(entry.name)
                yield entry

    monkeypatch.setattr(folder, "_MAX_ENTRIES", 5)
    monkeypatch.setattr(os, "scandir", Counted)
    return names


def test_a_directory_is_not_listed_past_the_limit(taken: list[str], tmp_path: Path):
    names = [f"file_{number}" for number in range(50)]
    assert len(Folder(made(tmp_path / "few", *names[:5])).names()) == 5
    taken.clear()
    with pytest.raises(UnsupportedError, match="more than 5 files"):
        Folder(made(tmp_path / "many", *names))
    assert len(taken) == 6


def test_a_directory_that_grew_is_not_listed_past_the_limit(taken: list[str], tmp_path: Path):
    source = Folder(made(tmp_path / "model", "a", "b/"))
    source.check_unchanged()
    made(tmp_path / "model", *(f"b/{number}" for number in range(50)))
    taken.clear()
    with pytest.raises(BadFileError, match="changed while it was read"):
        source.check_unchanged()
    assert len(taken) == 8  # a, b, and six entries of b
