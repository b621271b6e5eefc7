"""Models that Keras saved as a folder (`zipped=False`): repaired whole or not at all, and no link is followed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import rewriter
from rewriter.errors import BadFileError, OutputError, UnsupportedError, UsageError
from rewriter.files.digest import sha256
from rewriter.formats.registry import open_model
from rewriter.proof import in_process
from tests.cli.common import run
from tests.formats.keras.surgery import variables_by_path


def words_and_gate(fix: bool = False) -> keras.Model:
    """A gate that lacks its Reshape, two branches whose order the repair changes, and vocabularies as assets."""
    keras.utils.set_random_seed(3)
    words, steps = keras.Input((), dtype="string", name="words"), keras.Input((6, 4), name="steps")
    a = layers.GRU(4, return_sequences=True, name="zeta")(steps)
    b = layers.GRU(4, return_sequences=True, name="alpha")(steps)
    gate = layers.Dense(4, "sigmoid", name="excite")(layers.GlobalAveragePooling1D(name="pool")(b))
    gate = layers.Reshape((1, 4), name="fix")(gate) if fix else gate
    lookup = layers.StringLookup(name="lookup")
    lookup.adapt(np.array(["left", "right", "left"]))
    return keras.Model([words, steps], [keras.ops.multiply(a, gate), lookup(words)])


def gated(fix: bool = False) -> keras.Model:
    return keras.Model(*_of_steps(words_and_gate(fix)))


def _of_steps(model: keras.Model) -> tuple[Any, Any]:
    return model.inputs[1], model.outputs[0]


def saved(model: keras.Model, path: Path) -> Path:
    keras.saving.save_model(model, path, zipped=False)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_folder_is_repaired_and_every_layer_keeps_its_weights(tmp_path: Path):
    path = saved(gated(), tmp_path / "model")
    before = contents(path)
    result = rewriter.repair(path, tmp_path / "fixed", verify=in_process)
    assert result.verified is not None
    assert result.verified["verdict"] == "proven"
    assert contents(path) == before
    fixed = keras.saving.load_model(tmp_path / "fixed")
    wanted, got = variables_by_path(keras.saving.load_model(path)), variables_by_path(fixed)
    assert {k: v.tobytes() for k, v in got.items()} == {k: v.tobytes() for k, v in wanted.items()}
    truth = gated(fix=True)
    for name in ("zeta", "alpha", "excite"):
        truth.get_layer(name).set_weights(fixed.get_layer(name).get_weights())
    for n in (1, 4, 6):
        given = np.random.default_rng(n).normal(0, 1, (n, 6, 4)).astype("float32")
        np.testing.assert_allclose(fixed(given), truth(given), atol=1e-6)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fixed", "model"]


def test_assets_are_kept(tmp_path: Path):
    path = saved(words_and_gate(), tmp_path / "model")
    assert rewriter.repair(path, tmp_path / "fixed", verify=False).output is not None
    old = {k: v for k, v in contents(path).items() if k.startswith("assets")}
    assert old
    assert {k: v for k, v in contents(tmp_path / "fixed").items() if k.startswith("assets")} == old
    fixed = keras.saving.load_model(tmp_path / "fixed")
    assert fixed.get_layer("lookup").get_vocabulary() == ["[UNK]", "left", "right"]


def test_a_valid_folder_is_copied_as_it_is(tmp_path: Path):
    path = saved(gated(fix=True), tmp_path / "model")
    (path / "notes.md").write_text("mine")
    rewriter.repair(path, tmp_path / "copy")
    assert contents(tmp_path / "copy") == contents(path)


def test_the_command(tmp_path: Path, capsys):
    """The report has the name of the contract; check, shapes and export read a folder as well."""
    path = saved(gated(), tmp_path / "model")
    done = run(capsys, "check", path, "--format", "json")
    assert (done.status, json.loads(done.out)["format"]) == (1, "keras-v3")
    assert run(capsys, "shapes", path).status == 0
    fixed = tmp_path / "fixed"
    assert (
        run(capsys, "repair", path, "-o", fixed, "--onnx", tmp_path / "fixed.onnx", "--no-verify").status == 0
    )
    assert run(capsys, "check", fixed).status == 0
    assert run(capsys, "export", fixed, tmp_path / "again.onnx").status == 0
    plan = tmp_path / "plan.toml"
    assert run(capsys, "check", path, "--plan", plan).status == 1
    assert run(capsys, "repair", path, "-o", tmp_path / "planned", "--plan", plan, "--no-verify").status == 0


def test_an_output_is_a_new_folder(tmp_path: Path):
    path = saved(gated(), tmp_path / "model")
    for name in ("out.json",):
        with pytest.raises(UsageError, match="that of a new folder may be any other"):
            rewriter.repair(path, tmp_path / name, verify=False)
    with pytest.raises(UsageError, match="itself"):
        rewriter.repair(path, path, verify=False)
    with pytest.raises(UsageError, match="in the input's folder"):
        rewriter.repair(path, path / "fixed", verify=False)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine").write_text("mine")
    with pytest.raises(OutputError, match="directory"):
        rewriter.repair(path, tmp_path / "there", verify=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "there"]
    assert contents(tmp_path / "there") == {"mine": b"mine"}


def test_a_repair_that_fails_leaves_no_folder(tmp_path: Path):
    path = saved(gated(), tmp_path / "model")
    failed = {"check": "equation", "node": "x", "batch": 1, "difference": 1.0, "text": "off"}
    with pytest.raises(rewriter.VerificationError):
        rewriter.repair(path, tmp_path / "fixed", verify=lambda request: {"failed": failed})
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


# -- nothing is followed -----------------------------
@pytest.mark.parametrize("name", ["config.json", "model.weights.h5", "assets"])
def test_links_are_not_followed(name: str, tmp_path: Path):
    path = saved(words_and_gate(), tmp_path / "model")
    (path / name).rename(tmp_path / "elsewhere")
    (path / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadFileError, match=f"'?{name}'? is a link, which is not followed"):
        rewriter.check(path)


def test_what_is_no_file_is_refused(tmp_path: Path):
    path = saved(gated(), tmp_path / "model")
    os.mkfifo(path / "pipe")
    with pytest.raises(BadFileError, match="pipe is not a regular file"):
        rewriter.check(path)


def test_a_file_that_changes_meanwhile_is_seen(tmp_path: Path):
    path = saved(gated(), tmp_path / "model")
    with open_model(path) as source:
        (path / "new").write_text("more")
        with pytest.raises(BadFileError, match="changed while it was read"):
            source.write(tmp_path / "copy")
    with open_model(path) as source:
        (path / "model.weights.h5").write_bytes(b"other")
        with pytest.raises(BadFileError, match="changed while it was read"):
            source.load_weights()
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_the_hash_of_a_folder_is_that_of_its_names_and_files(tmp_path: Path):
    path = saved(gated(), tmp_path / "model")
    first = sha256(path)
    (path / "config.json").rename(path / "config2.json")
    assert sha256(path) != first
    (path / "config2.json").rename(path / "config.json")
    assert sha256(path) == first


# -- weights without a model -----------------------------
def test_weights_alone_are_no_model(tmp_path: Path):
    model = gated()
    model.save_weights(tmp_path / "m.weights.h5")
    model.save_weights(tmp_path / "s.weights.json", max_shard_size=1e-6)
    for name, words in (
        ("m.weights.h5", "weights without their model"),
        ("s.weights.json", "sharded weights"),
    ):
        with pytest.raises(UnsupportedError, match=words):
            rewriter.check(tmp_path / name)
