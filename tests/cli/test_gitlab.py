"""GitLab's code quality report, checked against the documented format of an issue."""

from __future__ import annotations

import json

import jsonschema

from rewriter.passes.codes import Severity
from rewriter.report import gitlab
from tests.cli.common import MODELS, model, run
from tests.cli.hostile import product

REPORT = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["description", "check_name", "fingerprint", "severity", "location"],
        "additionalProperties": False,
        "properties": {
            "description": {"type": "string", "minLength": 1},
            "check_name": {"type": "string", "pattern": "^(RW[0-9]{3}|unusable-model)$"},
            "fingerprint": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
            "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
            "location": {
                "type": "object",
                "required": ["path", "lines"],
                "additionalProperties": False,
                "properties": {
                    "path": {"type": "string", "not": {"pattern": "^\\./"}},
                    "lines": {
                        "type": "object",
                        "required": ["begin"],
                        "properties": {"begin": {"type": "integer", "minimum": 1}},
                    },
                },
            },
        },
    },
}


def load(text: str) -> list[dict]:
    """Parse a report, and check that it is valid."""
    data = json.loads(text)
    jsonschema.Draft202012Validator(REPORT).validate(data)
    return data


def test_one_array_for_all_models(capsys):
    done = run(capsys, "check", *MODELS, "--format", "gitlab")
    assert done.status == 1
    issues = load(done.out)
    prints = [issue["fingerprint"] for issue in issues]
    assert len(set(prints)) == len(prints)
    assert {i["location"]["path"] for i in issues} <= {f"models/{path.name}" for path in MODELS}


def test_an_issue(capsys):
    (issue,) = load(run(capsys, "check", model("nested"), "--format", "gitlab").out)
    assert issue["check_name"] == "RW002"
    assert issue["severity"] == "critical"
    assert issue["description"].startswith("RW002 batch-misaligned: block/scale: ")
    assert issue["location"] == {"path": "models/nested.keras", "lines": {"begin": 1}}


def test_no_findings_are_an_empty_array(capsys):
    done = run(capsys, "check", model("valid"), "--format", "gitlab")
    assert (done.status, load(done.out)) == (0, [])


def test_every_severity_has_one_of_gitlab():
    assert list(gitlab._SEVERITIES) == list(Severity)
    assert len(set(gitlab._SEVERITIES.values())) == len(Severity)


def test_a_model_that_cannot_be_used_blocks(tmp_path, capsys):
    (tmp_path / "bad.keras").write_bytes(b"x")
    (tmp_path / ".git").mkdir()
    done = run(capsys, "check", tmp_path / "bad.keras", model("layout"), "--format", "gitlab")
    assert done.status == 2
    bad, good = load(done.out)
    assert (bad["severity"], bad["check_name"]) == ("blocker", "unusable-model")
    assert bad["location"]["path"] == "bad.keras"
    assert good["check_name"] == "RW004"


def test_odd_names_are_escaped(tmp_path, capsys):
    path = product(tmp_path / "m.keras", [[None, 10, 12, 16], [None, 10, 12]], ("a", "b"), "x\x1b[31m\u202e")
    out = run(capsys, "check", path, "--format", "gitlab").out
    assert out.isascii()
    (issue,) = load(out)
    assert "\x1b" not in issue["description"]
    assert "\u202e" not in issue["description"]
