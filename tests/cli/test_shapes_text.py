"""``rewriter shapes`` as a summary: inputs and outputs, wrappers, long names, faults and unknown shapes."""

from __future__ import annotations

from pathlib import Path

import pytest

from rewriter.report.layout import columns
from tests.cli.common import model, run
from tests.cli.hostile import layer, tensor, write_model
from tests.cli.test_text import assert_readable, opaque_model


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def shapes(capsys: pytest.CaptureFixture[str], path: Path) -> str:
    done = run(capsys, "shapes", path)
    assert done.status == 0
    assert_readable(done.out.partition("\n")[2])
    return done.out


def row_of(layers: int, path: Path, words: str = "block_of_several_words") -> Path:
    """Write a chain of convolutions on an image of any size."""
    rows = [layer("image", "InputLayer", {"batch_shape": [None, None, None, 3], "dtype": "float32"})]
    last = "image"
    for number in range(layers):
        name = f"{words}_{number}_convolution"
        config = {"filters": 1024, "kernel_size": [3, 3], "strides": [2, 2], "padding": "same"}
        rows.append(layer(name, "SeparableConv2D", config, tensor(last, [None, None, None, 3])))
        last = name
    return write_model(path, rows, ["image"], last)


def test_inputs_and_outputs_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shapes(capsys, model("nested")).splitlines()
    assert lines[1:4] == ["  inputs   image (B, 10, 12, 3)", "  outputs  block (B, 10, 12, 16)", ""]


def test_a_wrapper_names_what_it_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inner = {"module": "keras.layers", "class_name": "Dense", "config": {"name": "d", "units": 4}}
    rows = [
        layer("x", "InputLayer", {"batch_shape": [None, 5, 3], "dtype": "float32"}),
        layer("each", "TimeDistributed", {"layer": inner}, tensor("x", [None, 5, 3])),
    ]
    assert "each  TimeDistributed(Dense)  (B, 5, 4)" in shapes(
        capsys, write_model(tmp_path / "m.keras", rows, ["x"], "each")
    )


def test_what_is_not_known_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = shapes(capsys, opaque_model(tmp_path / "m.keras"))
    assert "~ mystery: its computation is Python code, which is not run" in out
    assert "\n! scale: " in out


@pytest.mark.parametrize("width", ["60", "80", "100"])
def test_long_names_and_shapes_go_on_below(
    width: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = row_of(9, tmp_path / "m.keras")
    monkeypatch.setenv("COLUMNS", width)
    table = run(capsys, "shapes", path).out.partition("\n\n")[2]
    assert max(map(columns, table.splitlines())) <= int(width)
    # No part of a name is lost.
    cells = [line[: table.index("class")].strip() for line in table.splitlines()]
    assert "block_of_several_words_8_convolution" in "".join(cells)


def test_a_model_in_a_wrapper_shows_its_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keras = pytest.importorskip("keras")
    inner = keras.Sequential([keras.layers.Dense(3, name="inside")], name="small")
    x = keras.Input((20, 6), name="x")
    keras.Model(x, keras.layers.TimeDistributed(inner, name="each")(x)).save(tmp_path / "m.keras")
    lines = shapes(capsys, tmp_path / "m.keras").splitlines()
    assert lines[0].endswith("21 weights")
    assert [line.split()[-1] for line in lines[3:] if " each " in line or " inside " in line] == ["21", "21"]
