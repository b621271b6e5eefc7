"""The messages if the Keras of a file does not load it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tf_keras

from rewriter.proof.converted import _compared


def answer(path: Path, before: Path | None) -> dict[str, Any]:
    request = {"model": str(path), "format": "h5", "weights": "", "old": True, "made": "", "form": "keras-v3"}
    return _compared(request if before is None else {**request, "before": str(before)}, lambda _: None)


def test_which_file_does_not_load(tmp_path: Path):
    bad, good = tmp_path / "bad.h5", tmp_path / "good.h5"
    bad.write_bytes(b"no model")
    tf_keras.Sequential([tf_keras.layers.Dense(2, input_shape=(3,))]).save(good)
    assert answer(bad, None)["skipped"].startswith("the original does not load: ")
    assert answer(bad, bad)["skipped"].startswith(
        "tf_keras does not load the repaired file, nor the original: "
    )
    assert answer(bad, good)["failed"].startswith("tf_keras loads the original, but not this file: ")
