"""The output of ``--format json`` matches the schema."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from tests.cli.common import DATA, MODELS, model, run

SCHEMA = json.loads((DATA / "contract.schema.json").read_text())


def validate(data: Any, name: str) -> None:
    """Raise an error unless the data matches ``#/$defs/<name>``."""
    validator = jsonschema.Draft202012Validator({**SCHEMA, "$ref": f"#/$defs/{name}"})
    validator.validate(data)


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_check_of_the_check():
    with pytest.raises(jsonschema.ValidationError):
        validate({"schema": "rewriter/1"}, "check")


@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_check(path, capsys):
    done = run(capsys, "check", path, "--format", "json")
    data = json.loads(done.out)
    validate(data, "check")
    assert data["model"] == str(path)
    assert done.status == (1 if data["findings"] else 0)
    assert done.err == ""


@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
@pytest.mark.parametrize("mode", ["safe", "best"])
def test_repair(path, mode, tmp_path, capsys):
    target = tmp_path / "fixed.keras"
    done = run(capsys, "repair", path, "-o", target, "--mode", mode, "--format", "json")
    data = json.loads(done.out)
    validate(data, "repair")
    assert target.exists() == (done.status == 0) == (data["output"] is not None)
    assert data["output"] in (None, str(target))
    assert data["onnx"] is None


def test_repair_counts_the_nodes_of_the_model_that_it_was_given(tmp_path, capsys):
    before = json.loads(run(capsys, "check", model("chained"), "--format", "json").out)
    done = run(capsys, "repair", model("chained"), "-o", tmp_path / "o.keras", "--format", "json")
    after = json.loads(done.out)
    assert (after["nodes"], after["multiplies"]) == (before["nodes"], before["multiplies"])


@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_shapes(path, capsys):
    done = run(capsys, "shapes", path, "--format", "json")
    data = json.loads(done.out)
    validate(data, "shapes")
    for node in data["nodes"]:
        for shape, axes in zip(node["outputs"], node["axes"], strict=True):
            assert shape is None or len(shape) == len(axes)
    assert done.status == 0


@pytest.mark.parametrize("op", ["Multiply", "multiply", "Add", "add", "matmul", "Dot", "Concatenate"])
@pytest.mark.parametrize(
    ("lhs", "rhs"),
    [
        ("None,28,28,64", "None,64"),
        ("32,50176", "32,128"),
        ("4,10", "4"),
        ("None,None,None", "None,None"),
        ("()", "3"),
    ],
)
def test_suggest(op, lhs, rhs, capsys):
    done = run(capsys, "suggest", lhs, rhs, "--op", op, "--format", "json")
    assert done.status == 0, done.err
    validate(json.loads(done.out), "suggest")


def test_several_models_are_one_object_a_line_in_order(tmp_path, capsys):
    bad = tmp_path / "bad.keras"
    bad.write_bytes(b"nothing")
    paths = [model("valid"), bad, model("layout")]
    for command in ("check", "shapes"):
        done = run(capsys, command, *paths, "--format", "json")
        lines = [json.loads(line) for line in done.out.splitlines()]
        assert [line["model"] for line in lines] == list(map(str, paths))
        validate(lines[0], command)
        validate(lines[1], "unusable")
        validate(lines[2], command)
        assert done.status == 2
        assert done.err.count("\n") == 1


def test_json_is_ascii_whatever_the_names_are(tmp_path, capsys):
    from tests.cli.hostile import product

    path = product(tmp_path / "m.keras", [[None, 3], [None, 5]], node="\ue000\x1b[31m\x7f\u202e")
    done = run(capsys, "check", path, "--format", "json")
    assert all(" " <= c <= "~" for c in done.out.rstrip("\n"))
    validate(json.loads(done.out), "check")


def test_rules_are_json(capsys):
    data = json.loads(run(capsys, "rules", "--format", "json").out)
    assert data["schema"] == "rewriter/1"
    assert {"name", "summary", "equations", "effect", "source"} <= set(data["rules"][0])
