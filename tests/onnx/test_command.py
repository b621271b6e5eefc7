"""``rewriter export`` and ``repair --onnx`` from the command line."""

from __future__ import annotations

import onnx

from rewriter.cli import main
from tests.cli.common import model


def test_export_writes_a_valid_file(tmp_path, capsys):
    target = tmp_path / "out.onnx"
    assert main(["export", str(model("valid")), str(target), "--opset", "18", "--batch", "2"]) == 0
    written = onnx.load(target)
    onnx.checker.check_model(written, full_check=True)
    assert [o.version for o in written.opset_import] == [18]
    assert str(target) in capsys.readouterr().out


def test_what_cannot_be_exported_is_status_2_and_one_line(tmp_path, capsys):
    target = tmp_path / "out.onnx"
    for name, words, reason in (
        ("valid", ["--opset", "16"], "opset 16: it is 17 to"),
        ("valid", ["--batch", "0"], "batch 0"),
        ("incompatible", [], "cannot run"),
    ):
        assert main(["export", str(model(name)), str(target), *words]) == 2
        done = capsys.readouterr()
        assert done.out == ""
        assert done.err.count("\n") == 1
        assert reason in done.err
    assert main(["export", str(model("valid")), str(tmp_path / "no" / "out.onnx")]) == 2
    assert list(tmp_path.iterdir()) == []


def test_the_input_is_never_the_output(tmp_path, capsys):
    source = tmp_path / "m.keras"
    source.write_bytes(model("valid").read_bytes())
    assert main(["export", str(source), str(source)]) == 2
    assert source.read_bytes() == model("valid").read_bytes()
