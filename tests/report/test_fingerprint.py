"""The place of a model in its repository, and the fingerprints of its findings."""

from __future__ import annotations

import os

import pytest

import rewriter
from rewriter.report.fingerprint import fingerprint, in_repository
from tests.cli.common import model


@pytest.mark.parametrize("mark", ["folder", "file"])
def test_a_path_is_that_from_the_root_of_the_repository(mark, tmp_path, monkeypatch):
    root = tmp_path / "repo"
    (root / "a" / "b").mkdir(parents=True)
    if mark == "folder":
        (root / ".git").mkdir()
    else:
        (root / ".git").write_text("gitdir: elsewhere\n")  # a work tree
    path = root / "a" / "b" / "m.keras"
    for folder in (tmp_path, root, root / "a"):
        monkeypatch.chdir(folder)
        assert in_repository(str(path)) == "a/b/m.keras"
    monkeypatch.chdir(root / "a")
    assert in_repository("b/m.keras") == "a/b/m.keras"
    assert in_repository("../a/b/m.keras") == "a/b/m.keras"


def test_the_nearest_repository_counts(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / "inner" / ".git").mkdir(parents=True)
    assert in_repository(str(tmp_path / "inner" / "m.keras")) == "m.keras"


def test_without_a_repository_it_is_that_from_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.setattr("rewriter.report.fingerprint._repository", lambda folder: None)
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    assert in_repository("models/m.keras") == "models/m.keras"
    assert in_repository(str(tmp_path / "models" / "m.keras")) == "models/m.keras"
    monkeypatch.chdir(tmp_path / "models")
    assert in_repository(str(tmp_path / "m.keras")) == str(tmp_path / "m.keras")


def test_findings_of_one_model_have_their_own():
    report = rewriter.check(model("chained"))
    first, second = report.findings
    own = fingerprint(report.path, first.node, first.code)
    assert own != fingerprint(report.path, second.node, second.code)
    assert own != fingerprint(str(model("layout")), first.node, first.code)
    assert own != fingerprint(report.path, "other", first.code)
    assert own != fingerprint(report.path, first.node, "RW999")
    assert own == fingerprint(os.path.relpath(report.path), first.node, first.code)
    assert len(own) == 32
