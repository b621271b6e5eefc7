"""Files that arrive while they are read: the same results as of the whole file, from a part of its bytes."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import keras
import pytest

import rewriter
from rewriter.errors import BadFileError
from rewriter.files.arriving import arriving
from rewriter.report import as_json


@contextmanager
def standing_in(path: Path, folder: Path):
    """A stand-in of a file, whose bytes come from the file."""
    data = path.read_bytes()
    with arriving(
        str(folder / path.name), len(data), lambda ranges: [data[start:end] for start, end in ranges]
    ) as file:
        yield folder / path.name, file


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A model with 16 MB of weights, as an archive and as HDF5."""
    x = keras.Input((8,))
    y = keras.layers.Dense(2000)(keras.layers.Dense(2000, name="wide")(x))
    model = keras.Model(x, keras.layers.Dense(3)(y))
    folder = tmp_path_factory.mktemp("large")
    for name in ("model.keras", "model.h5"):
        model.save(folder / name)
    return folder


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_a_check_reads_a_small_part(large, name, tmp_path):
    wanted = as_json.report(rewriter.check(large / name))
    with standing_in(large / name, tmp_path) as (path, file):
        found = as_json.report(rewriter.check(path))
        assert file.bytes < 100_000 < file.size // 100
        assert file.requests < 20
    assert {**found, "model": ""} == {**wanted, "model": ""}


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".onnx"])
def test_everything_else_reads_what_it_needs(suffix, tmp_path):
    """Repairs copy the whole file; ONNX is read as a whole."""
    source = tmp_path / f"source{suffix}"
    model = "article_channel_scale" if suffix == ".keras" else "valid"
    rewriter.convert(f"models/{model}.keras", source, verify=False)
    (tmp_path / "far").mkdir()
    whole, target = tmp_path / f"whole{suffix}", tmp_path / f"fixed{suffix}"
    wanted = rewriter.repair(source, whole, verify=False)
    with standing_in(source, tmp_path / "far") as (path, file):
        found = rewriter.repair(path, target, verify=False)
        assert file.bytes == file.size
    assert [f.code for f in found.findings] == [f.code for f in wanted.findings]
    assert target.read_bytes() == whole.read_bytes()


def test_a_folder_arrives(large, tmp_path):
    """A Keras folder: the files of the archive, each of which arrives alone."""
    shutil.unpack_archive(large / "model.keras", tmp_path / "whole", "zip")
    folder = tmp_path / "model"
    folder.mkdir()
    wanted = as_json.report(rewriter.check(tmp_path / "whole"))
    with (
        standing_in(tmp_path / "whole" / "config.json", folder),
        standing_in(tmp_path / "whole" / "metadata.json", folder),
        standing_in(tmp_path / "whole" / "model.weights.h5", folder) as (_, weights),
    ):
        found = as_json.report(rewriter.check(folder))
        assert weights.bytes < 100_000
    assert json.dumps({**found, "model": ""}) == json.dumps({**wanted, "model": ""})


def test_a_file_that_ends_early_is_refused(large, tmp_path):
    data = (large / "model.keras").read_bytes()
    with (
        arriving(
            str(tmp_path / "x.keras"),
            len(data),
            lambda ranges: [data[start : end - 1] for start, end in ranges],
        ),
        pytest.raises(BadFileError, match="cut short"),
    ):
        rewriter.check(tmp_path / "x.keras")


def test_nothing_arrives_after_the_block(large, tmp_path):
    with standing_in(large / "model.keras", tmp_path) as (path, file):
        pass
    with pytest.raises(BadFileError):
        rewriter.check(path)
    assert file.requests == 0 and os.path.getsize(path) == file.size
