"""Which findings are reported: codes, kinds, a baseline; and when the command fails."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.cli.common import model, run


def codes(capsys, *words):
    done = run(capsys, "check", "-q", *words)
    return [line.rsplit(" ", 1)[1] for line in done.out.splitlines()], done.status


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ([], ["RW002", "RW001"]),
        (["--select", "RW001"], ["RW001"]),
        (["--select", "batch-misaligned"], ["RW002"]),
        (["--select", "RW00"], ["RW002", "RW001"]),
        (["--select", "RW001,RW002", "--ignore", "RW002"], ["RW001"]),
        (["--ignore", "RW001", "--ignore", "RW002"], []),
        (["--select", "RW008"], []),
    ],
)
def test_codes(options, left, capsys):
    assert codes(capsys, model("chained"), *options) == (left, 1 if left else 0)


def test_an_unknown_code_is_refused(capsys):
    done = run(capsys, "check", model("chained"), "--select", "RW001,layuot")
    assert done.status == 2
    assert "--select 'layuot': there is no such code or kind: did you mean 'layout'?" in done.err


def test_findings_do_not_fail_where_that_is_asked_for(capsys):
    done = run(capsys, "check", model("chained"), "--exit-zero")
    assert done.status == 0
    assert "RW001" in done.out
    assert run(capsys, "check", "missing.keras", "--exit-zero").status == 2


# -- a baseline -----------------------------
@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    shutil.copy(model("chained"), "models/a.keras")
    return tmp_path


def test_a_baseline_leaves_out_what_it_lists_and_nothing_else(folder, capsys):
    done = run(capsys, "check", "models", "--baseline", "b.json", "--update-baseline")
    assert done.status == 0
    listed = json.loads((folder / "b.json").read_text())
    assert listed["findings"] == [
        {"model": "models/a.keras", "node": "scale_channels", "code": "RW002"},
        {"model": "models/a.keras", "node": "scale_map", "code": "RW001"},
    ]
    done = run(capsys, "check", "models", "--baseline", "b.json")
    assert done.status == 0
    assert " ".join(done.out.split()).startswith(
        "No findings in models/a.keras; 2 findings of the baseline not listed."
    )
    shutil.copy(model("layout"), "models/new.keras")
    done = run(capsys, "check", "models", "--baseline", "b.json")
    assert done.status == 1
    assert "models/new.keras: scale: RW004" in done.out
    assert "RW001" not in done.out


def test_a_baseline_holds_from_any_folder(folder, capsys, monkeypatch):
    assert run(capsys, "check", "models", "--baseline", "b.json", "--update-baseline").status == 0
    monkeypatch.chdir(folder / "models")
    assert run(capsys, "check", "a.keras", "--baseline", "../b.json").status == 0


def test_an_updated_baseline_forgets_what_is_repaired(folder, capsys):
    run(capsys, "check", "models", "--baseline", "b.json", "--update-baseline")
    shutil.copy(model("valid"), "models/a.keras")
    run(capsys, "check", "models", "--baseline", "b.json", "--update-baseline")
    assert json.loads((folder / "b.json").read_text())["findings"] == []


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"schema": "rewriter-baseline/1"}',
        b'{"schema": "other", "findings": []}',
        b'{"schema": "rewriter-baseline/1", "findings": [1]}',
        b'{"schema": "rewriter-baseline/1", "findings": [{"model": 1, "node": "x", "code": "RW001"}]}',
        b'{"schema": "rewriter-baseline/1", "findings": [' + b"[" * 9999,
    ],
)
def test_a_file_that_is_no_baseline_is_refused(text, folder, capsys):
    (folder / "b.json").write_bytes(text)
    done = run(capsys, "check", "models", "--baseline", "b.json")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("error: baseline b.json: ")
    assert done.err.count("\n") == 1


def test_a_baseline_is_named(folder, capsys):
    assert "needs --baseline" in run(capsys, "check", "models", "--update-baseline").err
    assert run(capsys, "check", "models", "--baseline", "none.json").status == 2


def test_findings_that_are_not_selected_are_counted(folder, capsys):
    done = run(capsys, "check", "models/a.keras", "--ignore", "RW001,RW002")
    assert "No findings in models/a.keras; 2 findings not selected." in " ".join(done.out.split())


def test_an_updated_baseline_keeps_other_models(folder, capsys):
    shutil.copy(model("layout"), "models/b.keras")
    run(capsys, "check", "models", "--baseline", "b.json", "--update-baseline")
    shutil.copy(model("valid"), "models/a.keras")
    run(capsys, "check", "models/a.keras", "--baseline", "b.json", "--update-baseline")
    found = json.loads((folder / "b.json").read_text())["findings"]
    assert [(f["model"], f["code"]) for f in found] == [("models/b.keras", "RW004")]
