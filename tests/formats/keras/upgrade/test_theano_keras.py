"""Files of Keras 1.2.2 and 2.2.4 that ran on Theano: converted and exported, they compute what that Keras computed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest

import rewriter
from rewriter.errors import UnsupportedError

# tools/theano_keras.py names the folder of the files that it has just made.
FOLDER = Path(os.environ.get("THEANO_KERAS", Path(__file__).resolve().parents[3] / "data" / "theano_keras"))
PATHS = {f"{path.parent.name}-{path.stem}": path for path in sorted(FOLDER.glob("*/*.h5"))}
REFUSED = {
    "local": "Keras 3 has no such layer",
    "cosine": r"Merge\(mode='cos'\)",
    "normalized_by_the_batch": r"mode=2.*batch at hand",
    "padded_on_other_sides": "pads other sides than TensorFlow",
}
TOLERANCE = 1e-5  # of the largest value
# TensorFlow computes no channels-first convolution on a processor.
ON_ONNX_RUNTIME_ONLY = ("channels_first", "volumes")


def recorded(path: Path, letter: str) -> list[np.ndarray[Any, Any]]:
    arrays = np.load(path.with_suffix(".npz"))
    return [arrays[f"{letter}{k}"] for k in range(sum(name.startswith(letter) for name in arrays))]


def compare(found: list[Any], wanted: list[np.ndarray[Any, Any]]) -> None:
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE * np.abs(b).max())


@pytest.mark.parametrize("name", [name for name in PATHS if name.partition("-")[2] not in REFUSED])
def test_it_computes_what_it_did_there(name: str, tmp_path: Path):
    path = PATHS[name]
    given, wanted = recorded(path, "i"), recorded(path, "o")
    rewriter.export_onnx(path, tmp_path / "new.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "new.onnx")
    feeds = {item.name: array for item, array in zip(session.get_inputs(), given, strict=True)}
    compare(session.run(None, feeds), wanted)
    rewriter.convert(path, tmp_path / "new.keras", verify=False)
    model = keras.saving.load_model(tmp_path / "new.keras")
    if path.stem not in ON_ONNX_RUNTIME_ONLY:
        found = model(given if len(given) > 1 else given[0])
        compare(found if isinstance(found, list) else [found], wanted)


@pytest.mark.parametrize("name", [name for name in PATHS if name.partition("-")[2] in REFUSED])
def test_what_keras_3_computes_otherwise_is_refused(name: str, tmp_path: Path):
    with pytest.raises(UnsupportedError, match=REFUSED[PATHS[name].stem]):
        rewriter.convert(PATHS[name], tmp_path / "new.keras", verify=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", PATHS)
def test_nothing_is_found_in_it(name: str):
    assert [
        finding for finding in rewriter.check(PATHS[name], ops="all").findings if finding.code != "RW008"
    ] == []


def test_every_version_has_its_files():
    assert {path.parent.name for path in PATHS.values()} >= {"1.2.2", "2.2.4"}
    assert len(PATHS) >= 40
