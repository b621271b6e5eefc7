"""Files whose configuration was changed by hand, so that Keras gives their weights to other layers."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import rewriter
from rewriter.errors import UnsupportedError
from rewriter.formats.registry import open_model
from tests.formats.keras.old_form.broken import repaired, without
from tests.formats.keras.upgrade.oracle import randomized


def two(library: Any) -> Any:
    """Of two Dense layers of equal shape the first is deeper, as long as an Activation follows it."""
    k = library.layers
    x = library.Input((4,), name="x")
    first = k.Activation("linear", name="linear")(k.Dense(4, name="first")(x))
    return library.Model(x, k.Subtract(name="minus")([k.Dense(4, name="second")(x), first]), name="two")


def nested(library: Any) -> Any:
    x = library.Input((4,), name="outer_x")
    return library.Model(x, library.layers.Dense(2, name="head")(two(library)(x)))


def saved(model: Any, path: Path, drop: str = "") -> Path:
    """A model's file, without a layer of its configuration."""
    model.save(path)
    if not drop:
        return path

    def cut(text: str) -> str:
        entry = json.loads(text)
        return json.dumps({**entry, "config": without(entry["config"], [drop])})

    if path.suffix == ".h5":
        with h5py.File(path, "r+") as file:
            file.attrs["model_config"] = cut(file.attrs["model_config"])
        return path
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["config.json"] = cut(members["config.json"].decode()).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("build", [two, nested])
def test_it_is_not_copied_and_converted_by_names(build: Any, suffix: str, tmp_path: Path):
    model = build(tf_keras)
    randomized(model)
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    wanted = model.predict(x, verbose=0)
    path = saved(model, tmp_path / f"model{suffix}", "linear")
    assert not np.allclose(tf_keras.models.load_model(path).predict(x, verbose=0), wanted)
    assert not rewriter.check(path).findings
    with pytest.raises(UnsupportedError, match="not in the order in which Keras"):
        repaired(path)
    result = rewriter.convert(path, tmp_path / "new.keras")
    assert "to other layers" in result.verified["skipped"]
    assert [remark.construct for remark in result.remarks] == ["layers that are not in the order of Keras"]
    got = keras.models.load_model(tmp_path / "new.keras").predict(x, verbose=0)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


def test_what_keras_3_saved(tmp_path: Path):
    model = two(keras)
    with pytest.raises(UnsupportedError, match="not in the order in which Keras"):
        repaired(renamed(saved(model, tmp_path / "model.h5")))
    path = saved(model, tmp_path / "good.h5")
    assert repaired(path).read_bytes() == path.read_bytes()


def renamed(path: Path) -> Path:
    """A file with its layers in another order."""
    with h5py.File(path, "r+") as file:
        group = file["model_weights"].attrs
        group["layer_names"] = list(group["layer_names"])[::-1]
    return path


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("build", [two, nested])
def test_what_keras_saved_is_copied(build: Any, suffix: str, tmp_path: Path):
    path = saved(build(tf_keras), tmp_path / f"model{suffix}")
    assert repaired(path).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_layers_of_a_loss_are_behind_the_others(suffix: str, tmp_path: Path):
    model = two(tf_keras)
    model.add_loss(tf.reduce_mean(tf_keras.layers.Dense(4, name="beside")(model.output)))
    path = saved(model, tmp_path / f"model{suffix}")
    assert "beside" in str(tf_keras.models.load_model(path).get_config())
    with open_model(path) as source:
        assert source.out_of_order == ""
