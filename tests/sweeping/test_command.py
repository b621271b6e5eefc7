"""The command `sweep`: its reports, tables and exit status."""

from __future__ import annotations

import csv
import json
import shutil

import jsonschema
import pytest
from pyarrow import parquet

from rewriter.cli import main
from rewriter.report import sweeps
from tests.cli.test_contract import validate
from tests.cli.test_sarif import LOG
from tests.sweeping.conftest import COUNTS, FOUND, MODELS


def run(capsys, *words):
    status = main(["sweep", *map(str, words), "--jobs", "2"])
    return status, *capsys.readouterr()


def test_the_summary(tree, capsys):
    status, out, err = run(capsys, tree)
    assert status == 2 and err == ""
    assert "6 models: 2 clean, 2 with findings, 2 cannot be used." in " ".join(out.split())
    assert "Findings" in out and "RW004" in out and "the HDF5 data is empty" in out
    status, out, _ = run(capsys, tree, "--format", "json")
    summary = json.loads(out)
    validate(summary, "sweep")
    assert status == 2 and {name: summary[name] for name in COUNTS} == COUNTS
    assert [code["code"] for code in summary["codes"]] == ["RW001", "RW002", "RW004"]
    assert {row["name"]: row["files"] for row in summary["teams"]} == {"text": 3, "vision": 3}


def test_the_exit_status(tree, tmp_path, capsys):
    store = tmp_path / "store.sqlite"
    only = ["--include", "vision/*", "--store", store]
    assert run(capsys, tree, *only)[0] == 1
    assert run(capsys, tree, *only, "--fail-on", "never")[0] == 0
    assert run(capsys, tree, *only, "--fail-on", "new")[0] == 0
    shutil.copy(MODELS / "nested.keras", tree / "vision" / "valid.keras")
    assert run(capsys, tree, *only, "--fail-on", "new")[0] == 1
    assert run(capsys, tree, *only, "--fail-on", "new")[0] == 0
    assert run(capsys, tree, "--include", "vision/old/*")[0] == 0


def test_sarif_has_the_findings(tree, capsys):
    _, out, _ = run(capsys, tree, "--format", "sarif")
    log = json.loads(out)
    jsonschema.Draft202012Validator(LOG).validate(log)
    results = log["runs"][0]["results"]
    assert [result["ruleId"] for result in results] == ["RW002", "RW001", "RW004"]
    assert len(log["runs"][0]["invocations"][0]["toolExecutionNotifications"]) == 2
    main(["check", *(str(tree / name) for name in FOUND), "--format", "sarif"])
    checked = json.loads(capsys.readouterr().out)["runs"][0]["results"]
    key = "partialFingerprints"
    assert [result[key] for result in results] == [result[key] for result in checked]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_tables(suffix, tree, tmp_path, capsys):
    path = tmp_path / f"table{suffix}"
    run(capsys, tree, "--export", path)
    if suffix == ".csv":
        rows = list(csv.DictReader(path.open()))
    elif suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert [len(row["findings"]) for row in rows] == [2, 0, 0, 1, 0, 0]
    else:
        rows = parquet.read_table(path).to_pylist()
    assert [row["outcome"] for row in rows] == [
        "findings",
        "unusable",
        "unusable",
        "findings",
        "clean",
        "clean",
    ]
    assert [int(row["errors"]) for row in rows] == [2, 0, 0, 1, 0, 0]
    assert rows[0]["codes"] == "RW001 RW002" and int(rows[0]["size"]) > 0


def test_pages(tree, tmp_path, capsys):
    report, pages = tmp_path / "sweep.html", tmp_path / "pages"
    status, _, err = run(capsys, tree, "--format", "html", "--output-file", report, "--pages", pages)
    assert status == 2 and err == ""
    text = report.read_text()
    assert "6 models: 2 clean, 2 with findings, 2 cannot be used" in text
    for name in FOUND:
        assert f'href="pages/{name}.html"' in text
        assert "<svg" in (pages / f"{name}.html").read_text()
    assert not (pages / "vision" / "valid.keras.html").exists()


def test_of_very_many_models_the_page_shows_the_worst(tree, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sweeps, "_MOST_MODELS", 1)
    run(capsys, tree, "--format", "html", "--output-file", tmp_path / "sweep.html")
    text = (tmp_path / "sweep.html").read_text()
    assert text.count("<details") == 1 and "chained.keras</bdi></summary>" not in text
    assert f"<bdi>{tree}/text/chained.keras</bdi>" in text and "And 3 more" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--resume"], "--resume needs --store FILE"),
        (["--action", "repair"], "--action repair needs --out ROOT"),
        (["--out", "x"], "--out is for --action"),
        (["--export", "x.txt"], "must end in .csv, .jsonl, .parquet"),
        (["--max-size", "many"], "must be a number of bytes"),
        (["--newer", "yesterday"], "must be a number of seconds"),
        (["--only", "pickle"], "must be one of"),
        (["--memory", "1k"], "must be at least 128M"),
        (["--store", "s3://bucket/store.sqlite"], "a file on this machine"),
    ],
)
def test_arguments_that_cannot_be_used(words, said, tree, capsys):
    status, out, err = run(capsys, tree, *words)
    assert (status, out) == (2, "")
    assert err.startswith("error: ") and said in err and err.count("\n") == 1


def test_a_report_never_overwrites_the_store(tree, tmp_path, capsys):
    store = tmp_path / "store.sqlite"
    run(capsys, tree, "--store", store)
    before = store.read_bytes()
    assert run(capsys, tree, "--store", store, "--output-file", store)[0] == 2
    assert run(capsys, tree, "--store", tmp_path / "new.csv", "--export", tmp_path / "new.csv")[0] == 2
    assert store.read_bytes() == before and not (tmp_path / "new.csv").exists()


@pytest.mark.parametrize("option", ["--output-file", "--export", "--store"])
def test_nothing_is_written_over_a_model(option, tree, capsys):
    shutil.unpack_archive(MODELS / "layout.keras", tree / "folder", "zip")
    (tree / "vision" / "valid.onnx.data").write_bytes(b"weights")
    before = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    for place in ("vision/valid.keras", "folder/config.json", "folder/new.csv", "vision/valid.onnx.data"):
        assert run(capsys, tree, option, tree / place)[0] == 2
    assert {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()} == before
