"""ONNX files that contradict their own definitions are refused before an axis rule sees them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from rewriter.cli import main
from rewriter.formats.onnx.names import elsewhere
from tests.hostile.onnx_files import model, outside, saved, scaled


def test_an_operator_that_the_file_defines_itself_is_not_analysed(tmp_path: Path, capsys: Any):
    """A function in the file overrides the operator of its name, also in the default domain."""
    proto = scaled()
    path = tmp_path / "model.onnx"
    path.write_bytes(saved(proto))
    assert main(["check", str(path)]) == 0
    add = helper.make_node("Add", ["a", "b"], ["c"])
    proto.functions.append(
        helper.make_function("", "Mul", ["a", "b"], ["c"], [add], [helper.make_opsetid("", 17)])
    )
    path.write_bytes(saved(proto))
    assert main(["check", str(path)]) == 1
    assert "defines this operator itself" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["link", "directory", "missing", "pipe"])
def test_weights_that_are_no_file_of_the_folder_are_not_opened(kind: str, tmp_path: Path):
    """The runtime does not load a model whose weights are in another folder."""
    folder, other = tmp_path / "model", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    (other / "secret").write_bytes(bytes(16))
    path, weights = folder / "m.onnx", folder / "w.bin"
    assert elsewhere(outside(), str(path)) == "w.bin"
    {
        "link": lambda: weights.symlink_to(other / "secret"),
        "directory": weights.mkdir,
        "missing": lambda: None,
        "pipe": lambda: os.mkfifo(weights),
    }[kind]()
    assert elsewhere(outside(), str(path)) == "w.bin"
    if kind == "directory":
        weights.rmdir()
    weights.unlink(missing_ok=True)
    weights.write_bytes(bytes(16))
    assert elsewhere(outside(), str(path)) == ""


def test_a_proof_leaves_weights_elsewhere_alone(tmp_path: Path):
    from rewriter.proof.onnx_runtime.checks import prove
    from rewriter.proof.request import Request

    proto = outside()
    (tmp_path / "secret").write_bytes(bytes(16))
    folder = tmp_path / "model"
    folder.mkdir()
    path = folder / "m.onnx"
    path.write_bytes(saved(proto))
    (folder / "w.bin").symlink_to(tmp_path / "secret")
    request = Request(str(path), str(path), "onnx", "onnx", [], [0], [1, 2], 100)
    assert "not a file in its folder" in prove(request)["skipped"]
    (folder / "w.bin").unlink()
    (folder / "w.bin").write_bytes(np.ones(4, np.float32).tobytes())
    assert "checks" in prove(request)


@pytest.mark.parametrize("numbers", [[9, 9], [0, 0], [-1, 0], [2**62, 0], [0]])
def test_a_permutation_that_is_none(numbers: list[int], tmp_path: Path, capsys: Any):
    path = tmp_path / "model.onnx"
    path.write_bytes(saved(model([helper.make_node("Transpose", ["x"], ["y"], "t", perm=numbers)])))
    assert main(["check", str(path)]) in (1, 2)
    assert "internal" not in capsys.readouterr().err
