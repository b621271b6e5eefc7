"""SARIF 2.1.0, held against what its schema demands of the parts that are used here."""

from __future__ import annotations

import json
import urllib.parse

import jsonschema
import pytest

from rewriter.passes.codes import Kind
from rewriter.report import sarif
from tests.cli.common import MODELS, model, run

MESSAGE = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}}
ARTIFACT = {
    "type": "object",
    "required": ["uri"],
    "additionalProperties": False,
    "properties": {"uri": {"type": "string", "pattern": "^[A-Za-z0-9%/~._:-]*$"}},
}
LOCATION = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "physicalLocation": {
            "type": "object",
            "required": ["artifactLocation"],
            "additionalProperties": False,
            "properties": {
                "artifactLocation": ARTIFACT,
                "region": {"type": "object", "properties": {"startLine": {"type": "integer", "minimum": 1}}},
            },
        },
        "logicalLocations": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {k: {"type": "string"} for k in ("name", "fullyQualifiedName", "kind")},
            },
        },
    },
}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
RULE = {
    "type": "object",
    "required": ["id", "shortDescription", "fullDescription", "help", "defaultConfiguration"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string"},
        "name": {"type": "string", "pattern": "^[A-Za-z]+$"},
        "shortDescription": MESSAGE,
        "fullDescription": MESSAGE,
        "help": MESSAGE,
        "defaultConfiguration": {
            "type": "object",
            "properties": {"level": LEVEL},
            "additionalProperties": False,
        },
    },
}
RESULT = {
    "type": "object",
    "required": ["ruleId", "ruleIndex", "level", "message", "locations"],
    "additionalProperties": False,
    "properties": {
        "ruleId": {"type": "string"},
        "ruleIndex": {"type": "integer", "minimum": 0},
        "level": LEVEL,
        "message": MESSAGE,
        "locations": {"type": "array", "items": LOCATION, "minItems": 1},
        "partialFingerprints": {"type": "object", "additionalProperties": {"type": "string"}},
        "properties": {"type": "object"},
    },
}
NOTIFICATION = {
    "type": "object",
    "required": ["message"],
    "additionalProperties": False,
    "properties": {"level": LEVEL, "message": MESSAGE, "locations": {"type": "array", "items": LOCATION}},
}
LOG = {
    "type": "object",
    "required": ["version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "additionalProperties": False,
                "properties": {
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "additionalProperties": False,
                                "properties": {
                                    "name": {"type": "string"},
                                    "version": {"type": "string"},
                                    "rules": {"type": "array", "items": RULE, "uniqueItems": True},
                                },
                            }
                        },
                    },
                    "invocations": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["executionSuccessful"],
                            "additionalProperties": False,
                            "properties": {
                                "executionSuccessful": {"type": "boolean"},
                                "toolExecutionNotifications": {"type": "array", "items": NOTIFICATION},
                            },
                        },
                    },
                    "artifacts": {
                        "type": "array",
                        "items": {"type": "object", "properties": {"location": ARTIFACT}},
                        "uniqueItems": True,
                    },
                    "results": {"type": "array", "items": RESULT},
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                },
            },
        },
    },
}


def load(text: str) -> dict:
    """A valid log."""
    data = json.loads(text)
    jsonschema.Draft202012Validator(LOG).validate(data)
    return data["runs"][0]


def test_the_models(capsys):
    done = run(capsys, "check", *MODELS, "--format", "sarif")
    assert done.status == 1
    item = load(done.out)
    rules = item["tool"]["driver"]["rules"]
    assert [r["id"] for r in rules] == [f"RW00{k}" for k in range(1, len(Kind) + 1)]
    assert item["invocations"] == [{"executionSuccessful": True}]
    assert len(item["artifacts"]) == len(MODELS)
    for result in item["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    prints = [r["partialFingerprints"]["modelNode/v1"] for r in item["results"]]
    assert len(set(prints)) == len(prints)


def test_a_result_names_the_node(capsys):
    item = load(run(capsys, "check", model("nested"), "--format", "sarif").out)
    (result,) = item["results"]
    assert result["level"] == "error"
    (location,) = result["locations"]
    assert location["logicalLocations"] == [
        {"name": "scale", "fullyQualifiedName": "block/scale", "kind": "element"}
    ]
    assert "b h w c, b c -> b h w c" in result["message"]["text"]


def test_no_findings_is_an_empty_list(capsys):
    done = run(capsys, "check", model("valid"), "--format", "sarif")
    assert done.status == 0
    assert load(done.out)["results"] == []


def test_a_model_that_cannot_be_used_is_a_notification(tmp_path, capsys):
    bad = tmp_path / "bad.keras"
    bad.write_bytes(b"x")
    done = run(capsys, "check", bad, model("layout"), "--format", "sarif")
    assert done.status == 2
    item = load(done.out)
    (invocation,) = item["invocations"]
    assert not invocation["executionSuccessful"]
    assert len(invocation["toolExecutionNotifications"]) == 1
    assert len(item["results"]) == 1


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("models/a b.keras", "models/a%20b.keras"),
        ("a#b?c%.keras", "a%23b%3Fc%25.keras"),
        ("/x/ä.keras", "file:///x/%C3%A4.keras"),
        ("a:b.keras", "a%3Ab.keras"),
    ],
)
def test_paths_are_uris(path, uri):
    assert sarif.uri(path) == uri
    assert urllib.parse.unquote(uri.removeprefix("file://")) == path
