"""The limits of the proof process, and the models that it does not get."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import pytest

from rewriter.formats.keras.config import read_model
from rewriter.proof import in_child, limits
from rewriter.proof.child import run_in_child
from rewriter.proof.named import foreign
from rewriter.proof.request import Request, cannot_be_run
from rewriter.proof.runtimes import Needs
from tests.cli.common import ROOT, spawn
from tests.cli.hostile import layer, tensor
from tests.hostile.make import functional, op, source


def gated(units: int) -> dict[str, Any]:
    """A gate that lacks its Reshape, beside a layer of many units. Keras allocates the weights when it loads this."""
    x = tensor("x", [None, 4, 4, 8])
    rows = [
        source(shape=(None, 4, 4, 8)),
        layer("pool", "GlobalAveragePooling2D", {}, x),
        layer("wide", "Dense", {"units": units}, tensor("pool", [None, 8])),
        layer("gate", "Dense", {"units": 8}, tensor("wide", [None, units])),
        op("scale", "Multiply", x, tensor("gate", [None, 8])),
    ]
    return functional(rows, [["scale", 0, 0]])


@pytest.mark.parametrize(("units", "status"), [(16, "proven"), (2**29, "not-run")])
def test_a_small_file_of_a_huge_layer(units: int, status: str, tmp_path: Path):
    """32 GB of weights from 2 KB: the process does not get the memory, and reports that."""
    path, target = tmp_path / "in.json", tmp_path / "out.json"
    path.write_text(json.dumps({**gated(units), "module": "keras.src.models.functional"}))
    done = spawn("repair", path, "-o", target, "--format", "json")
    assert (done.status, done.err) == (0, "")
    verified = json.loads(done.out)["verified"]
    assert verified["verdict"] == status
    if status == "not-run":
        assert "memory" in verified["reason"]


_TAKES = """
import sys
from rewriter.proof.child import serve
serve(lambda request, say: {"checks": {}, "taken": len(bytearray(request["take"]))})
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel enforces it on Linux alone")
def test_memory_is_limited(tmp_path: Path, monkeypatch: Any):
    (tmp_path / "taker.py").write_text(_TAKES)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(tmp_path)]))
    answer = run_in_child("taker", Needs("", {}), {"take": 1 << 28}, 1 << 30)
    assert answer["taken"] == 1 << 28
    refused = run_in_child("taker", Needs("", {}), {"take": 2 << 30}, 1 << 30)
    assert refused["skipped"] == "it took more than 1.0 GiB of memory"


def test_where_the_kernel_enforces_nothing_the_peak_is_watched():
    code = "from rewriter.proof import limits; limits.watch_memory({})"
    words = [sys.executable, "-c", code.format(1 << 20)]
    assert subprocess.run(words, cwd=ROOT, timeout=60, check=False).returncode == limits.TOO_MUCH
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run([sys.executable, "-c", code.format(1 << 40)], cwd=ROOT, timeout=3, check=False)


def test_the_limit_grows_with_the_files(tmp_path: Path):
    (tmp_path / "large").write_bytes(bytes(1 << 20))
    (tmp_path / "small").write_bytes(b"x")
    small, large = (limits.memory([str(tmp_path / name)]) for name in ("small", "large"))
    assert large - small >= 4 << 20
    assert limits.memory([str(tmp_path / "none")], 10**15) < 16 << 30
    assert limits.memory([], 1000) > limits.memory([], 10)


def test_a_process_that_lacks_memory_disproves_nothing(monkeypatch: Any):
    """The error is in the place of a disproof."""
    from rewriter.proof.keras import checks

    def full(*_: object) -> None:
        raise MemoryError("Unable to allocate 7 GiB")

    monkeypatch.setattr(checks, "load", full)
    request = Request("a.keras", "b.keras", "keras-v3", "keras-v3", [], [0], [1], 10)
    assert "memory" in checks.in_process(request)["skipped"]


FOREIGN: dict[str, Any] = {
    "module os": {"module": "os", "class_name": "system", "config": {}},
    "module builtins": {"module": "builtins", "class_name": "eval", "config": "1"},
    "get_file": {"module": "keras.utils", "class_name": "get_file", "config": {"fname": "x"}},
    "unsafe": {"module": "keras.config", "class_name": "enable_unsafe_deserialization", "config": {}},
    "unsafe in keras": {"module": "keras", "class_name": "enable_unsafe_deserialization", "config": {}},
    "keras.src.utils": {"module": "keras.src.utils.file_utils", "class_name": "get_file", "config": {}},
    "saving": {"module": "keras.src.saving", "class_name": "load_model", "config": {}},
    "a package of a like name": {"module": "keras_x.layers", "class_name": "X", "config": {}},
    "a lambda": {"class_name": "__lambda__", "config": {"value": "4wEA"}},
    "a type": {"class_name": "__typespec__", "spec_name": "TensorSpec", "module": "tensorflow", "config": []},
    "no text": {"module": 7, "class_name": "X", "config": {}},
    "a TFSMLayer": {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "/x"}},
}
PLACES = ("kernel_initializer", "kernel_regularizer", "bias_constraint", "dtype")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", FOREIGN)
def test_what_keras_would_look_up_elsewhere_is_not_run(name: str, place: str):
    content = gated(16)
    wide = content["config"]["layers"][2]
    wide["config"][place] = FOREIGN[name]
    assert "'wide' names" in cannot_be_run("json", read_model(content))


def test_the_class_of_the_model_is_looked_at():
    content = gated(16)
    assert cannot_be_run("json", read_model(content)) == ""
    content["module"] = "evil.models"
    assert cannot_be_run("json", read_model(content)).startswith("the model is a Functional of evil.models")


def test_a_nested_compile_config_is_looked_at():
    inner = gated(16) | {"name": "inner", "compile_config": {"loss": FOREIGN["module os"]}}
    x = tensor("x", [None, 4, 4, 8])
    inner["inbound_nodes"] = [{"args": [x], "kwargs": {}}]
    outer = functional([source(shape=(None, 4, 4, 8)), inner], [["inner", 1, 0]])
    assert "'inner' names system of os" in cannot_be_run("json", read_model(outer))
    del inner["compile_config"]
    assert cannot_be_run("json", read_model(outer)) == ""


def test_what_keras_itself_writes_is_its_own():
    """The honest twin: every kind of object in a Keras configuration."""
    x = keras.Input((8, 8, 3))
    y = keras.layers.Conv2D(
        4,
        3,
        kernel_initializer=keras.initializers.HeNormal(seed=1),
        kernel_regularizer=keras.regularizers.L1L2(0.1, 0.2),
        bias_constraint=keras.constraints.MaxNorm(2.0),
        activation=keras.layers.LeakyReLU(),
        dtype=keras.DTypePolicy("mixed_float16"),
    )(x)
    y = keras.layers.Dropout(0.5, seed=3)(keras.layers.RandomFlip()(y))
    y = keras.layers.TimeDistributed(keras.layers.Dense(3, activation="gelu"))(y)
    y = keras.ops.multiply(y, keras.ops.array([1.0, 2.0, 3.0]))[:, ::2]
    inner = keras.Model(x, y)
    inner.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 9)), keras.losses.Huber())
    outer = keras.Model(x, inner(x))
    assert foreign(json.loads(outer.to_json())) is None


def test_a_request_that_is_not_to_be_run_starts_nothing():
    request = Request("a", "b", "json", "json", [], [0], [1], 1, skipped="it is code")
    assert in_child(request) == {"skipped": "it is code"}
