"""SARIF 2.1.0, checked against the schema rules of the parts in use."""

from __future__ import annotations

import json
import shutil
import urllib.parse
from pathlib import Path

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
    "properties": {
        "uri": {"type": "string", "pattern": "^[A-Za-z0-9%/~._:-]*$"},
        "uriBaseId": {"const": "%SRCROOT%"},
    },
    # An absolute URI has no base (section 3.4.4).
    "if": {"properties": {"uri": {"pattern": "^file:"}}},
    "then": {"not": {"required": ["uriBaseId"]}},
}
PAGE = {
    "type": "object",
    "required": ["text", "markdown"],
    "additionalProperties": False,
    "properties": {name: {"type": "string", "minLength": 1} for name in ("text", "markdown")},
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
    "required": ["id", "shortDescription", "fullDescription", "help", "helpUri", "defaultConfiguration"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string"},
        "name": {"type": "string", "pattern": "^[A-Za-z]+$"},
        "shortDescription": MESSAGE,
        "fullDescription": MESSAGE,
        "help": PAGE,
        "helpUri": {"type": "string", "pattern": "^https://[a-z0-9./#-]+$"},
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
                                    "informationUri": {"type": "string", "pattern": "^https://"},
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
                    "originalUriBaseIds": {
                        "type": "object",
                        "required": ["%SRCROOT%"],
                        "additionalProperties": {"properties": {"description": MESSAGE}},
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
    """Parse a log, and check that it is valid."""
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
    prints = [r["partialFingerprints"]["primaryLocationLineHash"] for r in item["results"]]
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
    assert result["message"]["text"].endswith(
        "nested.repaired.keras`: Reshape block/excite to (B, 1, 1, 16)."
    )
    assert "fixes" not in result  # a fix replaces bytes in a region, but a repair writes a whole model


def test_every_rule_has_its_page(capsys):
    rules = load(run(capsys, "check", model("valid"), "--format", "sarif").out)["tool"]["driver"]["rules"]
    for rule, kind in zip(rules, Kind, strict=True):
        assert rule["helpUri"].endswith(f"#{kind.code.lower()}")
        assert rule["help"]["markdown"].startswith(f"## {kind.code} {kind}: ")
        assert kind.text in rule["help"]["markdown"]


def repository(folder: Path) -> Path:
    """A Git repository with a model below it."""
    (folder / ".git").mkdir(parents=True)
    (folder / "models").mkdir()
    return Path(shutil.copy(model("nested"), folder / "models" / "m.keras"))


def test_places_and_fingerprints_are_those_in_the_repository(tmp_path, capsys, monkeypatch):
    """Equal from every folder and clone, and with every spelling of the path; different for a copy of the model."""
    first, second = repository(tmp_path / "a"), repository(tmp_path / "b" / "c")
    monkeypatch.chdir(tmp_path / "a")
    found = []
    for path in (first, second, "models/m.keras", "./models/../models/m.keras"):
        (result,) = load(run(capsys, "check", path, "--format", "sarif").out)["results"]
        (place,) = result["locations"]
        assert place["physicalLocation"]["artifactLocation"] == {
            "uri": "models/m.keras",
            "uriBaseId": "%SRCROOT%",
        }
        found.append(result["partialFingerprints"])
    assert found == [found[0]] * 4
    other = shutil.copy(first, first.with_name("other.keras"))
    (result,) = load(run(capsys, "check", other, "--format", "sarif").out)["results"]
    assert result["partialFingerprints"] != found[0]


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
        ("s3://models/a b#1 ä.keras", "s3://models/a%20b%231%20%C3%A4.keras"),
        ("hf://team/model@main/a%.keras", "hf://team/model@main/a%25.keras"),
    ],
)
def test_paths_are_uris(path, uri):
    assert sarif.uri(path) == uri
    assert urllib.parse.unquote(uri.removeprefix("file://")) == path
