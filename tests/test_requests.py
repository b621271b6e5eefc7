"""Output names: the name decides the format, and no output is a file that the run also reads or writes otherwise."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import rewriter
from rewriter import cli
from tests.cli.common import ROOT

MODELS = ROOT / "models"
RULES = '[[tool.rewriter.rules]]\nname = "mine"\nequations = ["b h w c, b h -> b h w c"]\nsummary = "rows"\n'


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a broken model, its plan, rules and an ONNX form; its files must not change."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(MODELS / "chained.keras", "m.keras")
    Path("r.toml").write_text(RULES, encoding="utf-8")
    rewriter.check("m.keras", plan="p.toml")
    os.symlink("m.keras", "link.keras")
    os.link("m.keras", "hard.keras")
    os.symlink("p.toml", "plan.keras")
    shutil.copy(MODELS / "valid.keras", "e.onnx.data")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


REFUSED = {
    "the input": ("repair m.keras -o m.keras", "m.keras", "the output is the input itself"),
    "another spelling": (
        "repair m.keras -o ./../{here}/m.keras",
        "m.keras",
        "the output is the input itself",
    ),
    "a link to it": ("repair m.keras -o link.keras", "link.keras", "the output is the input itself"),
    "a hard link": ("repair m.keras -o hard.keras", "hard.keras", "the output is the input itself"),
    "the plan": ("repair m.keras -o plan.keras --plan p.toml", "plan.keras", "the output is the plan itself"),
    "the rules": (
        "repair m.keras -o r.toml --rules r.toml",
        "r.toml",
        "its name has no known suffix",
    ),
    "one file twice": ("repair m.keras -o x.onnx --onnx ./x.onnx", "", "both outputs are ONNX files"),
    "the input as ONNX": ("export e.onnx.data e.onnx --external-data", "e.onnx.data", "is the input itself"),
    "a plan of the model": ("check m.keras --plan hard.keras", "hard.keras", "the plan is the input itself"),
    "no format": ("repair m.keras -o out", "out", "must end in .keras, .h5, .hdf5 or .onnx"),
    "operations in .h5": (
        "repair m.keras -o out.h5",
        "m.keras",
        "which Keras 3 does not load from an .h5 file",
    ),
    "a configuration alone": (
        "repair m.keras -o out.json",
        "out.json",
        "a Keras model as JSON holds no weights",
    ),
    "a suffix alone": (
        "repair m.keras -o .keras",
        ".keras",
        "its name has no known suffix",
    ),
    "an export by another name": ("export m.keras out.keras", "out.keras", "must end in .onnx"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_output_that_is_refused(name, here, capsys):
    words, about, text = REFUSED[name]
    before = contents(here)
    assert cli.main(words.format(here=here.name).split()) == cli.UNUSABLE
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("error: ")
    assert about in error
    assert text in error
    assert contents(here) == before


def test_external_data_of_the_input_is_not_overwritten(tmp_path, monkeypatch, capsys):
    """The weights of an ONNX model can be in a file with the name of a model."""
    import onnx

    monkeypatch.chdir(tmp_path)
    rewriter.export_onnx(MODELS / "valid.keras", "a.onnx")
    proto = onnx.load("a.onnx")
    onnx.save(proto, "m.onnx", save_as_external_data=True, location="w.onnx", size_threshold=0)
    before = contents(tmp_path)
    assert cli.main(["repair", "m.onnx", "-o", "w.onnx", "--no-verify"]) == cli.UNUSABLE
    assert "a file of the input's weights" in capsys.readouterr().err
    assert contents(tmp_path) == before


@pytest.mark.parametrize("words", ["-o out.onnx", "--onnx out.onnx"])
def test_an_onnx_name_is_an_export(words, here):
    result = cli.main(["repair", "m.keras", *words.split(), "--no-verify"])
    assert result == cli.OK
    assert rewriter.check("out.onnx").clean
    assert not list(here.glob(".rewriter-*"))
    assert not Path("out.keras").exists()


def test_a_model_in_memory_is_written_by_its_name(here):
    import keras

    model = keras.saving.load_model(MODELS / "batch_misaligned.keras")
    for name in ("out.keras", "out.onnx"):
        assert rewriter.repair(model, name, verify=False).model is not None
        assert rewriter.check(name).clean
    with pytest.raises(rewriter.UsageError, match="must end in"):
        rewriter.repair(model, "out.txt", verify=False)


def test_what_was_to_be_verified_and_cannot_be_is_not_written(here, capsys, monkeypatch):
    monkeypatch.setattr("rewriter.proof.in_child", lambda request: {"skipped": "nothing runs it here"})
    before = contents(here)
    assert cli.main(["repair", "m.keras", "-o", "out.keras", "--verify"]) == cli.UNUSABLE
    assert "nothing runs it here" in capsys.readouterr().err
    assert contents(here) == before
    assert cli.main(["repair", "m.keras", "-o", "out.keras"]) == cli.OK
    assert "Not run: nothing runs it here." in capsys.readouterr().out


@pytest.mark.parametrize(
    "options", [{"dry_run": True, "onnx": "x.onnx"}, {"dry_run": True, "verify": True}, {"mode": "some"}]
)
def test_what_cannot_be_asked_for_together(options, here):
    with pytest.raises(rewriter.UsageError):
        rewriter.repair("m.keras", "out.keras", **options)
