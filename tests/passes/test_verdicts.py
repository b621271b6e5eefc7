"""Every multiply has one of four verdicts."""

from __future__ import annotations

import dataclasses
import json

import pytest

import rewriter
from tests.cli.common import MODELS, run
from tests.cli.hostile import layer, product, tensor, write_model


def counts(path) -> dict[str, int]:
    return {k: n for k, n in dataclasses.asdict(rewriter.check(path).verdicts).items() if n}


@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_they_are_all_the_multiplies(path, capsys):
    data = json.loads(run(capsys, "check", path, "--format", "json").out)
    assert set(data["verdicts"]) == {"right", "wrong", "ambiguous", "not_analysed"}
    assert sum(data["verdicts"].values()) == data["multiplies"]
    wrong = {f["node"] for f in data["findings"] if f["severity"] == "error" and f["convention"] != "none"}
    assert data["verdicts"]["wrong"] == len(wrong)
    text = " ".join(run(capsys, "check", path).out.split())
    said = text.rpartition(" multipl")[2]
    for verdict, number in data["verdicts"].items():
        words = f"{'proven ' * (verdict in ('right', 'wrong'))}{verdict.replace('_', ' ')}"
        assert f" {number} {words}" in said


@pytest.mark.parametrize(
    ("shapes", "verdict"),
    [
        ([[None, 3, 5], [None, 3, 5]], "right"),
        ([[None, 3, 5], [None, 4, 5]], "wrong"),
        ([[None, None, 5], [None, None, 5]], "ambiguous"),
    ],
)
def test_by_the_operands(shapes, verdict, tmp_path):
    assert counts(product(tmp_path / "m.keras", shapes)) == {verdict: 1}


@pytest.mark.parametrize("recorded", [[None, 5, 7], None])
def test_what_comes_out_of_code_is_not_analysed(recorded, tmp_path):
    """A shape that only the file states proves nothing, whether it fits or is missing."""
    layers = [
        layer("a", "InputLayer", {"batch_shape": [None, 5, 7], "dtype": "float32"}),
        layer("mystery", "Lambda", {"function": {}}, tensor("a", [None, 5, 7])),
        layer("scale", "Multiply", {}, tensor("mystery", recorded), tensor("a", [None, 5, 7])),
    ]
    assert counts(write_model(tmp_path / "m.keras", layers, ["a"], "scale")) == {"not_analysed": 1}
