"""Files of seven versions of Keras, repaired in the form that the version accepts.

Here the installed Keras loads them and computes the truth; ``tools/keras_versions.py`` runs each version.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import rewriter
from rewriter.formats.keras.archive import KerasArchive
from rewriter.formats.keras.optimizer_layout import layout

DATA = Path(__file__).resolve().parents[2] / "data" / "keras"
SIGNATURES = json.loads((DATA / "signatures.json").read_text())
CASES = [
    pytest.param(version, case, id=f"{version}-{case['name']}")
    for version in SIGNATURES
    for case in json.loads((DATA / version / "cases.json").read_text())
]
# The configuration keys of a Reshape layer in every version.
LAYER = {"name", "trainable", "dtype", "target_shape"}


def inserted(value: Any) -> Iterator[dict[str, Any]]:
    """The entries of inserted nodes, in nested models too."""
    if isinstance(value, dict):
        if "rewriter" in value and "class_name" in value:
            yield value
        else:
            for inner in value.values():
                yield from inserted(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from inserted(inner)


@pytest.mark.parametrize(("version", "case"), CASES)
def test_a_file_of_that_version(version: str, case: dict[str, Any], tmp_path: Path):
    path, fixed = DATA / version / f"{case['name']}.keras", tmp_path / "fixed.keras"
    result = rewriter.repair(path, fixed, verify=False, **case["repair"])
    assert result.output is not None
    assert [change.op for change in result.inserted] == case["inserts"]
    with zipfile.ZipFile(fixed) as archive:
        entries = list(inserted(json.loads(archive.read("config.json"))))
    assert bool(entries) == (case["name"] != "constant")  # a constant is written in its new shape
    for entry in entries:
        takes = LAYER if entry["module"] == "keras.layers" else set(SIGNATURES[version][entry["class_name"]])
        assert set(entry["config"]) <= takes
        if entry["class_name"] == "Slice":
            assert ("shape" in takes) == ("shape" in entry["config"])
            assert len(entry["inbound_nodes"][0]["args"]) == 2 + ("shape" not in takes)
    if (
        "Slice" in case["inserts"]
        and case["name"] == "batch_cover"
        and "shape" not in SIGNATURES[version]["Slice"]
    ):
        with pytest.raises(Exception, match="shape"):  # the place of the shape changed in 3.11
            keras.saving.load_model(fixed, compile=False)
        return
    computes_the_truth(fixed, version, case["name"])


def computes_the_truth(fixed: Path, version: str, name: str) -> None:
    keras.backend.clear_session()
    model = keras.saving.load_model(fixed, compile=False)
    with np.load(DATA / version / "truth.npz") as arrays:
        mine = {key.removeprefix(f"{name} "): arrays[key] for key in arrays if key.startswith(f"{name} ")}
    given = [mine[key] for key in sorted(mine) if key.startswith("in")]
    wanted = [mine[key] for key in sorted(mine) if key.startswith("out")]
    got = keras.tree.flatten(model(given if len(given) > 1 else given[0], training=False))
    for actual, desired in zip(got, wanted, strict=True):
        np.testing.assert_allclose(np.asarray(actual), desired, rtol=1e-4, atol=1e-5)


def test_the_state_of_an_optimizer_of_3_8_follows(tmp_path: Path):
    """Until 3.9 Nadam's product is before its slots, and averages and accumulators alternate."""
    for version in ("3.3.3", "3.8.0", "3.10.0", "3.15.1"):
        before, after = (DATA / version / "averaged.keras"), tmp_path / f"{version}.keras"
        assert rewriter.repair(before, after, verify=False).output is not None
        old, new = state(before), state(after)
        assert sorted(v.tobytes() for v in old) == sorted(v.tobytes() for v in new)
        order = [next(j for j, b in enumerate(old) if a.tobytes() == b.tobytes()) for a in new]
        assert order != list(range(len(order)))
        scalars = [k for k, v in enumerate(old) if v.shape == ()]
        assert [order[k] for k in scalars] == scalars


def test_the_state_of_an_optimizer_of_3_8_in_the_order_of_today(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """In a file converted to the newest Keras, each value is matched by its model variable."""
    before, after = DATA / "3.8.0" / "averaged.keras", tmp_path / "new.keras"
    monkeypatch.setattr(KerasArchive, "outdated", True)
    rewriter.convert(before, after, verify=False)
    model = keras.saving.load_model(after)
    shapes = {v.path: tuple(v.shape) for v in model.trainable_variables}
    name, config = type(model.optimizer).__name__, model.optimizer.get_config()
    early = [(p.slot, p.variable) for p in layout(name, config, shapes, early=True)]
    stored = dict(zip(early, state(before), strict=True))
    now = [(p.slot, p.variable) for p in layout(name, config, shapes)]
    assert now != early
    for key, variable in zip(now, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(variable), stored[key])


def state(path: Path) -> list[np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        data = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(data) as file:
        group = file["optimizer/vars"]
        return [np.asarray(group[str(k)]) for k in range(len(group))]
