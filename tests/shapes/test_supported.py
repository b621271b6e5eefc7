"""The list of supported classes: every class has a row, every row a proof or a reason, and Keras has no others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rewriter.cli import main
from rewriter.export.onnx.supported import NONE, reasons
from rewriter.shapes import layers, ops  # noqa: F401 - fills the tables of rules
from rewriter.shapes.call import LAYERS, OPS
from rewriter.shapes.supported import NOTES, support

TABLE = support(reasons())
UPDATE = "run python tools/update_supported.py, then tools/update_docs.py"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "supported.md"


def listed() -> set[str]:
    """Every name of a layer in the table."""
    return {name for entry in TABLE.layers for name in (entry.name, *entry.aliases)}


def test_every_rule_has_a_row() -> None:
    assert set(LAYERS) - listed() == set()
    assert {f"{family}.{name}" for family, name in OPS} == {entry.name for entry in TABLE.ops}


def test_every_row_is_proven_or_says_why_not() -> None:
    rows = [*TABLE.layers, *TABLE.ops]
    assert [e.name for e in rows if not (e.proven or e.remark)] == [], UPDATE
    assert [e.name for e in rows if e.proven and not e.supported] == []
    assert len([e for e in TABLE.layers if not e.supported]) < 10


def test_every_class_has_an_onnx_form_or_says_why_not() -> None:
    assert [key for key, reason in reasons().items() if reason == NONE] == []
    classes = {(kind, e.name) for kind, rows in (("layer", TABLE.layers), ("op", TABLE.ops)) for e in rows}
    assert set(reasons()) <= classes


def test_notes_are_of_what_is_not_counted() -> None:
    rows = {(e.kind, e.name): e for e in (*TABLE.layers, *TABLE.ops)}
    assert [key for key in NOTES if key not in rows or rows[key].proven] == []


def test_keras_exports_nothing_else() -> None:
    pytest.importorskip("keras")
    from tests.shapes.ops_classes import CLASSES
    from tests.shapes.test_layers import exported

    # InputSpec describes the input of a layer; it is not a layer.
    assert {*exported(), *exported().values()} - {"InputSpec"} - listed() == set()
    assert set(CLASSES) - {entry.name for entry in TABLE.ops} == set()


def test_an_alias_stands_with_its_class() -> None:
    (entry,) = [entry for entry in TABLE.layers if "Convolution2D" in (entry.name, *entry.aliases)]
    assert entry.name == "Conv2D"


def test_the_page_names_every_class_and_the_version() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert f"Keras {TABLE.keras}" in text
    assert [e.name for e in (*TABLE.layers, *TABLE.ops) if f"`{e.name}`" not in text] == []


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shapes", "--supported", "--format", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["schema"], data["keras"]) == ("rewriter/1", TABLE.keras)
    assert [row["name"] for row in data["ops"]] == [entry.name for entry in TABLE.ops]
    assert {row["name"] for row in data["layers"] if not row["supported"]} >= {"Lambda", "TFSMLayer"}
    exported = {row["name"]: row for row in (*data["layers"], *data["ops"])}
    assert exported["Conv2D"]["onnx"] and not exported["Conv2D"]["no_onnx"]
    assert not exported["linalg.Eig"]["onnx"] and "complex" in exported["linalg.Eig"]["no_onnx"]


@pytest.mark.parametrize("width", [40, 80, 100])
def test_text(width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["shapes", "--supported"]) == 0
    out = capsys.readouterr().out
    assert "Conv2D" in out
    assert "also Convolution2D" in out
    assert width < 80 or max(map(len, out.splitlines())) <= width


@pytest.mark.parametrize(
    "words",
    [["shapes"], ["shapes", "--supported", "m.keras"], ["shapes", "m.keras", "--format", "markdown"]],
)
def test_arguments_that_cannot_be_used(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err.startswith("error: ")
