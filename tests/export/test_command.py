"""``rewriter export`` and ``repair --onnx`` from the command line."""

from __future__ import annotations

import json

import onnx
import pytest

from rewriter.cli import main
from tests.cli.common import model
from tests.cli.hostile import layer, tensor


def test_export_writes_a_valid_file(tmp_path, capsys):
    target = tmp_path / "out.onnx"
    assert main(["export", str(model("valid")), str(target), "--opset", "18", "--batch", "2"]) == 0
    written = onnx.load(target)
    onnx.checker.check_model(written, full_check=True)
    assert [o.version for o in written.opset_import] == [18]
    assert f"{target.name}: " in capsys.readouterr().out


def test_what_cannot_be_exported_is_status_2_and_one_line(tmp_path, capsys):
    target = tmp_path / "out.onnx"
    for name, words, reason in (
        ("valid", ["--opset", "16"], "opset 16: must be 17 to"),
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


def test_a_sequential_model_is_verified(tmp_path, capsys):
    import keras

    path = tmp_path / "m.keras"
    keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, activation="relu"), keras.layers.Dense(2)]
    ).save(path)
    assert main(["export", str(path), str(tmp_path / "out.onnx"), "--verify"]) == 0
    assert "verified agrees with Keras at batches 2 and 3" in capsys.readouterr().out


def test_a_name_that_is_no_unicode_text_is_refused(tmp_path, capsys):
    path = tmp_path / "m.json"
    rows = [layer("x", "InputLayer", {"batch_shape": [None, 4], "dtype": "float32"})]
    rows.append(layer("re\ud800lu", "ReLU", {}, tensor("x", [None, 4])))
    config = {
        "name": "m",
        "layers": rows,
        "input_layers": [["x", 0, 0]],
        "output_layers": [["re\ud800lu", 0, 0]],
    }
    path.write_text(json.dumps({"module": "keras", "class_name": "Functional", "config": config}))
    assert main(["export", str(path), str(tmp_path / "out.onnx")]) == 2
    done = capsys.readouterr()
    assert done.err.count("\n") == 1
    assert "half a surrogate pair" in done.err
    assert [p.name for p in tmp_path.iterdir()] == ["m.json"]


ODD_NUMBERS = [
    ("LayerNormalization", {"axis": -1, "epsilon": "x"}, "epsilon"),
    ("LayerNormalization", {"axis": -1, "epsilon": 10**400}, "epsilon"),
    ("LeakyReLU", {"negative_slope": {"a": 1}}, "negative_slope"),
    ("Discretization", {"bin_boundaries": ["x"]}, "bin_boundaries"),
    ("Discretization", {"bin_boundaries": [1.0, [2.0, 3.0]]}, "bin_boundaries"),
    ("Normalization", {"mean": [1.0, "x", 2.0, 3.0], "variance": 1.0}, "mean"),
    ("Rescaling", {"scale": 10**400}, "scale"),
    ("Masking", {"mask_value": "x"}, "float32"),
    ("IntegerLookup", {"vocabulary": [[1], 2], "vocabulary_size": 3}, "vocabulary"),
    ("IntegerLookup", {"vocabulary": [1, 2], "vocabulary_size": 3, "mask_token": [1]}, "mask_token"),
]


@pytest.mark.parametrize(
    ("class_name", "config", "word"), ODD_NUMBERS, ids=[f"{c}-{w}" for c, _, w in ODD_NUMBERS]
)
def test_a_configured_value_that_is_no_number(class_name, config, word, tmp_path, capsys):
    dtype = "int64" if class_name == "IntegerLookup" else "float32"
    path = tmp_path / "m.json"
    rows = [layer("x", "InputLayer", {"batch_shape": [None, 3, 4], "dtype": dtype})]
    rows.append(layer("y", class_name, config, tensor("x", [None, 3, 4])))
    content = {"name": "m", "layers": rows, "input_layers": [["x", 0, 0]], "output_layers": [["y", 0, 0]]}
    path.write_text(json.dumps({"module": "keras", "class_name": "Functional", "config": content}))
    assert main(["export", str(path), str(tmp_path / "out.onnx")]) == 2
    done = capsys.readouterr()
    assert done.err.count("\n") == 1
    assert "internal:" not in done.err
    assert word in done.err
    assert [p.name for p in tmp_path.iterdir()] == ["m.json"]


def test_an_input_layer_that_is_no_input_of_the_model(tmp_path, capsys):
    path = tmp_path / "m.json"
    rows = [layer("x", "InputLayer", {"batch_shape": [None, 4], "dtype": "float32"})]
    rows.append(layer("y", "ReLU", {}, tensor("x", [None, 4])))
    config = {"name": "m", "layers": rows, "input_layers": [], "output_layers": [["y", 0, 0]]}
    path.write_text(json.dumps({"module": "keras", "class_name": "Functional", "config": config}))
    assert main(["export", str(path), str(tmp_path / "out.onnx")]) == 2
    done = capsys.readouterr()
    assert "x is an input layer, but no input of its model" in done.err
    assert "internal:" not in done.err
    assert [p.name for p in tmp_path.iterdir()] == ["m.json"]
