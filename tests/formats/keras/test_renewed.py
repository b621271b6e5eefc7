"""Models of older versions of Keras 3 in the installed version, compared with the outputs of the older one.

``tools/keras_versions.py --update`` wrote the files; the models are those of ``tools/versions/outdated.py``.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path

import keras
import numpy as np
import pytest

import rewriter
from rewriter.errors import UnsupportedError
from rewriter.formats.keras.renewed import CONSTRUCTS, renewed

DATA = Path(__file__).resolve().parents[2] / "data" / "keras"
FILES = sorted(DATA.glob("*/outdated/*.keras"))
REFUSED = {
    ("3.12.4", "int4"): "packs its weights differently",
    ("3.3.3", "random_crop"): "it does not crop",
    ("3.3.3", "discretization"): "a last axis of size 1 is left out",
}
CASES = [
    pytest.param(path, id=f"{path.parents[1].name}-{path.stem}")
    for path in FILES
    if (path.parents[1].name, path.stem) not in REFUSED
]


def truth(path: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """The inputs of a model and the outputs of its own Keras."""
    with np.load(path.parent / "truth.npz") as arrays:
        given = [arrays[key] for key in sorted(arrays) if key.startswith(f"{path.stem} in")]
        return given, arrays[f"{path.stem} out"]


@pytest.mark.parametrize("path", CASES)
def test_the_installed_keras_computes_what_the_older_one_did(path: Path, tmp_path: Path):
    target = tmp_path / "new.keras"
    rewriter.convert(path, target, verify=False)
    keras.backend.clear_session()
    model = keras.saving.load_model(target)
    given, wanted = truth(path)
    got = keras.ops.convert_to_numpy(model(given if len(given) > 1 else given[0], training=False))
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got.astype("float32"), wanted.astype("float32"), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("path", CASES)
def test_what_loads_is_copied_and_what_does_not_is_remarked(path: Path, tmp_path: Path):
    """A file that needs no change is copied byte for byte; a changed one has remarks and the newest version."""
    target = tmp_path / "new.keras"
    result = rewriter.convert(path, target, verify=False)
    copied = path.read_bytes() == target.read_bytes()
    assert copied == (not result.remarks)
    with zipfile.ZipFile(target) as archive:
        version = json.loads(archive.read("metadata.json"))["keras_version"]
    assert (version == path.parents[1].name) == copied
    if not copied:
        again = tmp_path / "again.keras"
        assert not rewriter.convert(target, again, verify=False).remarks
        assert again.read_bytes() == target.read_bytes()


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.parents[1].name == "3.10.0"], ids=lambda p: p.stem
)
def test_needed(path: Path):
    """The installed Keras does not load or run these files, except some of 3.10."""
    keras.backend.clear_session()
    given, _ = truth(path)
    if path.stem in ("random_rotation", "random_crop", "discretization", "masked_softmax"):
        keras.saving.load_model(path)
        return
    with pytest.raises((TypeError, ValueError)):
        keras.saving.load_model(path)(given if len(given) > 1 else given[0])


def test_every_construct_has_a_file():
    assert {row.test for row in CONSTRUCTS} <= {path.stem for path in FILES}


@pytest.mark.parametrize("suffix", [".keras", ".json", "/"])
@pytest.mark.parametrize(("version", "name"), REFUSED)
def test_refused(version: str, name: str, suffix: str, tmp_path: Path):
    path, target = DATA / version / "outdated" / f"{name}.keras", f"{tmp_path}/new{suffix}"
    with pytest.raises(UnsupportedError, match=REFUSED[version, name]):
        rewriter.convert(path, target, verify=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["random_crop", "discretization"])
def test_what_is_refused_computes_something_else(name: str):
    keras.backend.clear_session()
    path = DATA / "3.3.3" / "outdated" / f"{name}.keras"
    (given,), wanted = truth(path)
    assert keras.saving.load_model(path)(given, training=False).shape != wanted.shape


def test_a_folder_and_a_configuration_are_renewed_too(tmp_path: Path):
    path = DATA / "3.8.0" / "outdated" / "threshold.keras"
    given, wanted = truth(path)
    rewriter.convert(path, f"{tmp_path}/new/", verify=False)
    rewriter.convert(path, tmp_path / "new.json", verify=False)
    models = (
        keras.saving.load_model(tmp_path / "new"),
        keras.models.model_from_json((tmp_path / "new.json").read_text()),
    )
    for model in models:
        np.testing.assert_allclose(keras.ops.convert_to_numpy(model(given[0])), wanted, rtol=1e-6)


@pytest.mark.parametrize("path", sorted((DATA / "3.15.1").glob("*.keras")), ids=lambda p: p.stem)
def test_the_newest_form_stays_as_it_is(path: Path):
    with zipfile.ZipFile(path) as archive:
        entry = json.loads(archive.read("config.json"))
    found = renewed(entry, "3.15.1")
    assert found.entry is entry
    assert not found.remarks
    assert not found.refusals


def test_a_list_for_one_tensor_is_meant_in_newer_files():
    """Since 3.11 a list of one input or output comes from the author."""
    path = DATA / "3.10.0" / "outdated" / "time_model.keras"
    with zipfile.ZipFile(path) as archive:
        entry = json.loads(archive.read("config.json"))
    assert renewed(entry, "3.10.0").entry is not entry
    assert renewed(entry, "3.11.0").entry is entry
    assert renewed(entry, None).entry is entry


@pytest.mark.parametrize("version", ["3.3.3", "3.5.0", "3.8.0"])
def test_the_state_of_an_optimizer_is_put_in_the_newest_order(version: str, tmp_path: Path):
    """Nadam with averages and accumulation: every number of a slot is drawn from the name of its variable."""
    path, target = DATA / version / "averaged.keras", tmp_path / "new.keras"
    with pytest.raises(ValueError, match="shape of the target variable"):
        keras.saving.load_model(path)
    remarks = rewriter.convert(path, target, verify=False).remarks
    assert [remark.construct for remark in remarks] == ["the order of the optimizer's state"]
    model = keras.saving.load_model(target)
    slots = 0
    for kind in ("_momentums", "_velocities", "_model_variables_moving_average", "_accumulated_gradients"):
        for variable, slot in zip(model.trainable_variables, getattr(model.optimizer, kind), strict=True):
            seed = zlib.crc32(f"{variable.path} {kind}".encode())
            wanted = np.random.default_rng(seed).uniform(0.1, 1, slot.shape).astype("float32")
            np.testing.assert_array_equal(keras.ops.convert_to_numpy(slot), wanted)
            slots += 1
    assert slots == 4 * len(model.trainable_variables) > 0
