"""Honest weights in a form that Keras does not write: accepted, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from rewriter.cli import main
from tests.hostile.archives import ODD_WEIGHTS, whole
from tests.hostile.table import commands

# Forms that store the numbers of a kernel: always accepted.
TAKEN = ("float16", "float64", "big-endian", "gzip")


@pytest.mark.parametrize("name", ODD_WEIGHTS)
def test_odd_weights(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "model.keras"
    path.write_bytes(ODD_WEIGHTS[name]())
    for words in commands(path, tmp_path):
        status = main(words)
        error = capsys.readouterr().err
        assert "internal" not in error
        assert error.count("\n") == (status == 2)
        assert status == 0 or name not in TAKEN, (words, error)


def test_big_endian_and_compressed_weights_are_exported_alike(tmp_path: Path):
    import numpy as np
    import onnx

    found = {}
    for name, data in {"": whole, **{each: ODD_WEIGHTS[each] for each in ("big-endian", "gzip")}}.items():
        path, out = tmp_path / "model.keras", tmp_path / "out.onnx"
        path.write_bytes(data())
        assert main(["export", str(path), str(out)]) == 0
        model = onnx.load(out)
        found[name] = [onnx.numpy_helper.to_array(each) for each in model.graph.initializer]
    assert len(found[""]) > 1
    for arrays in found.values():
        for mine, wanted in zip(arrays, found[""], strict=True):
            np.testing.assert_array_equal(mine, wanted)
