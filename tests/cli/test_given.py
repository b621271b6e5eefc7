"""Command-line arguments: invalid shapes, and models that are named twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rewriter.cli import main
from rewriter.passes.suggest import parse_shape

MODELS = Path(__file__).parents[2] / "models"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["None,99999999999999999999", "None,2"], "99999999999999999999 is too large for a size"),
        (["-1,4", "4"], "'-1' is neither a whole number nor an open size"),
        (["--", "-1,4", "4"], "'-1' is neither a whole number nor an open size"),
        (["4", "-1,4", "--op", "add"], "'-1' is neither a whole number nor an open size"),
        (["4"], "the following arguments are required: RHS"),
        (["4", "4", "-x"], "unrecognized argument"),
    ],
)
def test_a_shape_that_is_none(words, said, capsys):
    assert main(["suggest", *words]) == 2
    assert said in capsys.readouterr().err


def test_zeros_in_front_make_no_size_large():
    assert parse_shape("None,00000000000000000000000004") == (None, 4)


@pytest.mark.parametrize(
    ("words", "said", "mark"),
    [
        (["None,None,4", "None,None"], "fit only where N11 is 4 or 1.", "may differ"),
        (
            ["None,None,4", "None,None,4", "--op", "add"],
            "N01 and N11 are equal, or one of them is 1.",
            "may differ",
        ),
        (["None,5,None", "None,4,6", "--op", "matmul"], "fit only where N02 is 4.", ""),
        (
            ["None,None,4", "None,None,3", "--op", "Concatenate"],
            "runs only where N01 and N11 are equal, and",
            "",
        ),
        (["None,None,4", "None,7,3", "--op", "Concatenate"], "runs only where N01 is 7, and gives", ""),
        (["None,5,4", "None,5,3", "--op", "Concatenate"], "It runs and gives (None, 5, 7).", ""),
        (["None,5,4", "None,3"], "The shapes do not fit.", "does not fit"),
        (["None,None,4", "4,None", "--op", "multiply"], "The shapes do not fit.", "does not fit"),
        (["None,5,3", "None,4,3", "--op", "matmul"], "The shapes do not fit.", ""),
    ],
)
def test_shapes_that_fit_at_some_sizes(words, said, mark, capsys):
    assert main(["suggest", *words]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert said in text
    assert mark in text
    assert ("do not fit" in text) == ("do not fit" in said)


def checked(capsys, *words: str) -> int:
    assert main(["check", "--format", "json", *words]) == 0
    return len(capsys.readouterr().out.splitlines())


def test_a_model_is_checked_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copy(MODELS / "valid.keras", "a.keras")
    shutil.copy(MODELS / "valid.keras", "b.keras")
    assert checked(capsys, "a.keras", "a.keras") == 1
    assert checked(capsys, "a.keras", "./a.keras", str(tmp_path / "a.keras")) == 1
    assert checked(capsys, ".", "a.keras", "*.keras") == 2
    assert checked(capsys, "a.keras", ".", "--exclude", "a.keras") == 2
    assert checked(capsys, ".", "--exclude", "a.keras") == 1


def test_standard_input_is_one_model(capsys):
    assert main(["check", "-", "-"]) == 2
    assert "-: given twice: standard input is one model" in capsys.readouterr().err
