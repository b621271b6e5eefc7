"""The doors of CONTRIBUTING.md: the test adds one of each, in the one place that the page names."""

from __future__ import annotations

import json
import re
from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime
import pytest

import rewriter
from rewriter import cli
from rewriter.export.onnx import passes as fusions
from rewriter.export.onnx import registry as lowerings
from rewriter.formats import registry as formats
from rewriter.formats.keras.json_file import KerasJson
from rewriter.ir.axis import Value
from rewriter.rules import table as rules
from rewriter.shapes import call, keras_facts

ROOT = Path(__file__).resolve().parent.parent
ARRAY = np.linspace(-2, 2, 12, dtype="float32").reshape(3, 4)


def saved(path: Path, output, was: str = "", now: str = "") -> Path:
    """A model as JSON; a class name in it may be replaced by one that Keras does not have."""
    x = keras.Input((4,), name="x")
    text = keras.Model(x, output(x)).to_json()
    assert not was or f'"{was}"' in text
    path.write_text(text.replace(f'"{was}"', f'"{now}"') if was else text, encoding="utf-8")
    return path


def kinds(path: Path) -> list[str]:
    return [str(finding.kind) for finding in rewriter.check(path).findings]


def run(path: Path) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: ARRAY})[0]


def test_every_door_is_named():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for name in re.findall(r"`((?:rewriter|tests|docs|tools)/[\w./-]*)`", text):
        assert (ROOT / name).exists(), name


def test_a_rule_is_a_row(monkeypatch, capsys):
    """A reading that no built-in rule has: listed once it is in the table."""
    row = rules._rule("corner", "one factor per place of the last two axes", "b d h w, b d w h -> b d h w")
    new = (*rules.builtin(), row)
    monkeypatch.setattr("rewriter.api.builtin", lambda: new)
    monkeypatch.setattr(rules, "builtin", lambda: new)
    assert cli.main(["explain", "corner"]) == 0
    assert "One factor per place" in capsys.readouterr().out
    found = rewriter.suggest((None, 3, 5, 7), (None, 3, 7, 5), op="multiply")
    assert "corner" in {candidate.rule for candidate in found.candidates}


def test_a_layer_is_two_functions(monkeypatch, tmp_path):
    path = saved(tmp_path / "m.json", keras.layers.Activation("relu"), "Activation", "Twice")
    assert kinds(path) == ["not-analysed"]
    monkeypatch.setitem(call.LAYERS, "Twice", lambda call: Value(call.axes, call.compute_dtype()))
    assert kinds(path) == []
    with pytest.raises(rewriter.UnsupportedError, match="Twice"):
        rewriter.export_onnx(path, tmp_path / "m.onnx")
    monkeypatch.setitem(lowerings.LAYERS, "Twice", lambda call: call.op("Add", call.x, call.x))
    rewriter.export_onnx(path, tmp_path / "m.onnx")
    np.testing.assert_array_equal(run(tmp_path / "m.onnx"), 2 * ARRAY)


def test_what_is_particular_about_a_layer_is_a_row(monkeypatch, tmp_path):
    """A layer marked as running code is not run for a proof."""
    from rewriter.proof.request import cannot_be_run

    path = saved(tmp_path / "m.json", keras.layers.Activation("relu"))
    with formats.open_model(path) as source:
        assert not cannot_be_run(source.format, source.graph)
        monkeypatch.setitem(keras_facts.FACTS, "Activation", keras_facts.LayerFacts(runs_code=True))
        assert "code" in cannot_be_run(source.format, source.graph)


def test_an_op_is_two_functions(monkeypatch, tmp_path):
    path = saved(tmp_path / "m.json", keras.ops.negative, "Negative", "Thrice")
    assert kinds(path) == ["not-analysed"]
    monkeypatch.setitem(call.OPS, ("numpy", "Thrice"), lambda call: Value(call.axes, call.x.dtype))
    assert kinds(path) == []
    three = lambda call: call.op("Mul", call.x, call.constant(3, call.x.dtype))  # noqa: E731
    monkeypatch.setitem(lowerings.OPS, ("numpy", "Thrice"), three)
    rewriter.export_onnx(path, tmp_path / "m.onnx")
    np.testing.assert_array_equal(run(tmp_path / "m.onnx"), 3 * ARRAY)


def test_a_code_is_a_row():
    """Every kind has a code of its own, in the contract and in SARIF."""
    from rewriter.passes.codes import Kind
    from rewriter.report import sarif

    codes = [kind.code for kind in Kind]
    assert codes == [f"RW{n:03d}" for n in range(1, len(codes) + 1)]
    assert [rule["id"] for rule in sarif.log([])["runs"][0]["tool"]["driver"]["rules"]] == codes
    schema = (ROOT / "tests" / "data" / "contract.schema.json").read_text(encoding="utf-8")
    assert all(f'"{kind}"' in schema for kind in Kind)


def test_a_format_is_a_row(monkeypatch, tmp_path, capsys):
    class Toy(KerasJson):
        format = "toy"

        def __init__(self, path):
            inner = tmp_path / "inner.json"
            inner.write_bytes(Path(path).read_bytes().removeprefix(b"TOY!"))
            super().__init__(inner)
            self.path = path

    json_path = saved(tmp_path / "m.json", keras.layers.Activation("relu"))
    path = tmp_path / "m.toy"
    path.write_bytes(b"TOY!" + json_path.read_bytes())
    assert cli.main(["check", str(path)]) == cli.UNUSABLE
    capsys.readouterr()
    row = formats.Format(
        "toy", "a toy model", (".toy",), lambda file: file.start.startswith(b"TOY!"), Toy, "keras"
    )
    monkeypatch.setattr(formats, "FORMATS", (row, *formats.FORMATS))
    assert cli.main(["check", str(path), "--format", "json"]) == cli.OK
    assert json.loads(capsys.readouterr().out)["format"] == "toy"
    assert cli.main(["repair", str(path), "-o", str(tmp_path / "out.keras")]) == cli.UNUSABLE
    assert "a Keras archive is not written from a toy model" in capsys.readouterr().err


def test_a_fusion_is_a_function_in_a_stage(monkeypatch, tmp_path):
    def cancel_negations(builder):
        changed = False
        for node in builder.graph.nodes:
            before = node.inputs[0].producer if node.op_type == "Neg" else None
            if before is not None and before.op_type == "Neg" and node.output not in builder.graph.outputs:
                builder.graph.replace(node.output, before.inputs[0])
                changed = True
        return changed

    path = saved(tmp_path / "m.json", lambda x: keras.ops.exp(keras.ops.negative(keras.ops.negative(x))))
    for stages, negations in ((fusions.STAGES, 2), (((cancel_negations, *fusions.STAGES[0]),), 0)):
        monkeypatch.setattr(fusions.optimise, "__defaults__", (stages,))
        rewriter.export_onnx(path, tmp_path / "m.onnx")
        nodes = onnx.load(tmp_path / "m.onnx").graph.node
        assert sum(node.op_type == "Neg" for node in nodes) == negations
        np.testing.assert_allclose(run(tmp_path / "m.onnx"), np.exp(ARRAY), rtol=1e-6)
