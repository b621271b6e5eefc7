"""Which models a sweep finds: in folders, by patterns and addresses, through filters."""

from __future__ import annotations

import os
import shutil
import time

import fsspec
import pytest

import rewriter
from rewriter.errors import BadFileError, UsageError
from rewriter.sweeping import sweep as sweep_
from rewriter.sweeping import systems
from rewriter.sweeping.finding import Filters, models
from tests.sweeping.conftest import CLEAN, COUNTS, FOUND, MODELS, UNUSABLE


def inside(root, **filters):
    return [found.inside for found in models(str(root), Filters(**filters))]


def uploaded(folder, name):
    """The address of a folder's copy in memory, where nothing else is."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    system.put(str(folder), f"/{name}", recursive=True)
    return f"memory://{name}"


@pytest.fixture
def memory(tree):
    """The same tree at an address."""
    return uploaded(tree, "tree")


def test_all_models_are_found(tree, memory):
    assert sorted(inside(tree)) == sorted([*CLEAN, *FOUND, *UNUSABLE])
    assert inside(memory) == inside(tree)


def test_a_file_and_a_pattern(tree, memory):
    with rewriter.sweep(f"file://{tree}/text") as sweep:
        assert sorted(os.path.basename(outcome.url) for outcome in sweep) == [
            "chained.keras",
            "cut.keras",
            "empty.h5",
        ]
    for root in (str(tree), memory):
        assert inside(f"{root}/vision/valid.keras") == ["valid.keras"]
        assert sorted(inside(f"{root}/*/*.h5")) == ["text/empty.h5"]
        assert len(inside(f"{root}/**/*.keras")) >= 5


@pytest.mark.parametrize("root", ["nowhere", "nowhere/*.keras", "memory://nowhere", "nosuch://x", ""])
def test_what_cannot_be_listed_is_an_error(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError), rewriter.sweep(root) as sweep:
        list(sweep)


def test_a_pattern_of_a_system_that_cannot_be_asked(memory, monkeypatch):
    def refused(*_, **__):
        raise PermissionError("no credentials")

    monkeypatch.setattr(fsspec.filesystem("memory").__class__, "exists", refused)
    with pytest.raises(UsageError, match="cannot be listed: no credentials"):
        rewriter.sweep(f"{memory}/*/*.keras")


def test_filters(tree):
    assert inside(tree, include=["text/*"], exclude=["*.h5"]) == ["text/chained.keras", "text/cut.keras"]
    assert inside(tree, include=["valid.keras"]) == ["vision/valid.keras"]
    assert inside(tree, largest=5000) == ["text/cut.keras", "text/empty.h5"]
    assert inside(tree, smallest=1, formats=["h5"]) == []
    assert inside(tree, formats=["h5"]) == ["text/empty.h5"]
    old = tree / "vision" / "valid.keras"
    os.utime(old, (time.time() - 7200,) * 2)
    assert inside(tree, older=3600) == ["vision/valid.keras"]
    assert len(inside(tree, newer=3600)) == 5


def test_folders_that_are_models(tmp_path):
    """A folder of Keras is one model, whose stamp changes with each of its files."""
    root = tmp_path / "root"
    shutil.unpack_archive(MODELS / "layout.keras", root / "team" / "model", "zip")
    (root / "team" / "model" / "assets").mkdir()
    (root / "team" / "model" / "assets" / "words.txt").write_text("a")
    (first,) = models(str(root))
    assert first.inside == "team/model" and first.size == sum(size for _, size in first.folder)
    assert inside(root, formats=["keras-folder"]) == ["team/model"] and inside(root, formats=["keras"]) == []
    (root / "team" / "model" / "assets" / "words.txt").write_text("ab")
    (second,) = models(str(root))
    assert second.stamp != first.stamp
    with rewriter.sweep(uploaded(root, "root")) as sweep:
        (outcome,) = sweep
    assert outcome.outcome == "findings" and outcome.moved > 0
    assert [f["code"] for f in outcome.findings] == ["RW004"]


def test_a_failure_that_passes_is_tried_again(monkeypatch):
    monkeypatch.setattr(systems, "_PAUSE", 0.0)
    seen = []

    def work(failures, error=OSError):
        seen.append(1)
        if len(seen) <= failures:
            raise error("reset")
        return "done"

    assert systems.again(lambda: work(systems._TRIES - 1)) == "done"
    seen.clear()
    with pytest.raises(OSError, match="reset"):
        systems.again(lambda: work(9))
    assert len(seen) == systems._TRIES
    seen.clear()
    with pytest.raises(FileNotFoundError):
        systems.again(lambda: work(9, FileNotFoundError))
    assert len(seen) == 1


def test_a_service_that_is_away_is_no_fault_of_the_models(memory, tmp_path, monkeypatch):
    store = tmp_path / "store.sqlite"
    monkeypatch.setattr(systems, "_PAUSE", 0.0)
    monkeypatch.setattr(sweep_, "_GIVE_UP", 3)
    seen = []
    with monkeypatch.context() as away, rewriter.sweep(memory, store=store) as sweep:
        running = iter(sweep)
        seen.append(next(running).url)
        away.setattr(fsspec.filesystem("memory").__class__, "cat_file", _refused)
        with pytest.raises(BadFileError, match="3 models in a row: cannot be read: connection refused"):
            list(running)
    with rewriter.sweep(memory, store=store, resume=True) as sweep:
        assert [outcome.url for outcome in sweep][: len(seen)] == seen
        counts = sweep.summary().counts
    assert {name: getattr(counts, name) for name in COUNTS} == COUNTS


def test_models_that_may_not_be_read_do_not_end_a_sweep(memory, tmp_path, monkeypatch):
    def forbidden(*_, **__):
        raise PermissionError("forbidden")

    store = tmp_path / "store.sqlite"
    monkeypatch.setattr(sweep_, "_GIVE_UP", 3)
    with monkeypatch.context() as patched, rewriter.sweep(memory, store=store) as sweep:
        patched.setattr(fsspec.filesystem("memory").__class__, "cat_file", forbidden)
        found = list(sweep)
        assert {outcome.error for outcome in found if outcome.size} == {"cannot be read: forbidden"}
        assert len(found) == 6
    with rewriter.sweep(memory, store=store) as sweep:
        assert len([outcome for outcome in sweep if not outcome.remembered]) >= 5


def _refused(*_, **__):
    raise ConnectionError("connection refused")


def test_a_folder_with_brackets_is_no_pattern(tmp_path, monkeypatch):
    for name, model in (("run[1]", "layout"), ("run1", "valid")):
        (tmp_path / name).mkdir()
        shutil.copy(MODELS / f"{model}.keras", tmp_path / name)
    assert inside(tmp_path / "run[1]") == ["layout.keras"]
    fsspec.filesystem("memory").pipe("/odd/run[1]/layout.keras", b"")
    assert inside("memory://odd/run[1]") == ["layout.keras"]
    monkeypatch.chdir(tmp_path / "run[1]")
    for root in (".", "*.keras"):
        with rewriter.sweep(root, jobs=1) as sweep:
            assert [os.path.basename(outcome.url) for outcome in sweep] == ["layout.keras"]


def test_one_bad_entry_does_not_end_a_sweep(tree):
    (tree / "self.keras").symlink_to("self.keras")
    (tree / "gone.keras").symlink_to("nowhere")
    os.mkfifo(tree / "pipe.keras")
    odd = os.fsencode(tree) + b"/\xff.keras"
    shutil.copy(MODELS / "layout.keras", odd)
    (tree / "text" / "config.json").write_text("{}")
    (tree / "text" / "metadata.json").write_text("{}")  # as beside models of other libraries
    with rewriter.sweep(tree, jobs=1) as sweep:
        found = {os.path.basename(outcome.url): outcome.outcome for outcome in sweep}
        again = {os.path.basename(outcome.url) for outcome in sweep.outcomes()}
        assert sweep.summary().counts.files == 10
    assert [found[f"{name}.keras"] for name in ("self", "gone", "pipe")] == ["unusable"] * 3
    assert found["\udcff.keras"] == "findings"
    assert found["chained.keras"] == "findings" and again == set(found)


def test_a_folder_in_a_model_that_cannot_be_listed_costs_that_model(tree, monkeypatch):
    shutil.unpack_archive(MODELS / "layout.keras", tree / "folder", "zip")
    (tree / "folder" / "assets").mkdir()
    listed = systems.Local.listed

    def failing(self, path):
        if path.endswith("assets"):
            raise PermissionError(13, "Permission denied", path)
        return listed(self, path)

    monkeypatch.setattr(systems.Local, "listed", failing)
    assert "folder" in inside(tree) and len(inside(tree)) == 7


def test_a_pattern_takes_models_only(tree):
    assert inside(f"{tree}/text/*") == ["chained.keras", "cut.keras", "empty.h5"]
