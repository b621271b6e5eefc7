"""The scripts of docs/examples, each run with its arguments in an empty directory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

import rewriter
from tests.live.common import gated

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"

# The arguments of each, where `{}` is its own directory, and the lines that it prints.
SAID = {
    "check_in_memory": (
        [],
        ["gated: not clean", "  error batch-misaligned at multiply", "classifier: not clean"],
    ),
    "repair_in_memory": (
        [],
        [
            "inserted: ['Reshape (channel-gate)']",
            "together are as each alone: True",
            "steps: 3 and 3",
            "too: True",
        ],
    ),
    "export_onnx": (["{}/m.onnx"], ["opset 26", "equal to the model: True"]),
    "repairing": (["{}"], ["written repaired: 2 times, inserted ['Reshape']", "equal to the model: True"]),
    "tf_keras_model": (["{}/m.keras"], ["error axis-misaligned at scale", "equal to the model: True"]),
    "repair_before_export": (["{}/in.keras", "{}/exported"], ["inserted Reshape", "exported to"]),
}


# Runs each script as the main program, in its own directory: most of its time would be the start of TensorFlow.
_RUN = """
import contextlib, io, json, os, runpy, sys, traceback
found = {}
for name, path, words, folder in json.load(sys.stdin):
    os.chdir(folder)
    sys.argv, sys.path[0] = [path, *words], os.path.dirname(path)
    out, error = io.StringIO(), ""
    with contextlib.redirect_stdout(out):
        try:
            runpy.run_path(path, run_name="__main__")
        except BaseException:
            error = traceback.format_exc()
    found[name] = out.getvalue(), error
sys.stderr.flush()
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """What each script prints, the error that ends it, and its directory."""
    folders = {name: tmp_path_factory.mktemp(name) for name in SAID}
    gated().save(folders["repair_before_export"] / "in.keras")
    asked = [
        (name, str(EXAMPLES / f"{name}.py"), [w.format(folders[name]) for w in words], str(folders[name]))
        for name, (words, _) in SAID.items()
    ]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, "-c", _RUN],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return {name: (*said, folders[name]) for name, said in json.loads(done.stdout.splitlines()[-1]).items()}


def test_there_is_a_test_of_each():
    assert sorted(path.stem for path in EXAMPLES.glob("*.py")) == sorted(SAID)


@pytest.mark.parametrize("name", SAID)
def test_an_example(name, runs):
    out, error, _ = runs[name]
    assert not error
    place = 0
    for words in SAID[name][1]:
        assert words in out[place:], out
        place = out.index(words, place) + len(words)
    assert len(out.splitlines()) <= 8


def test_what_they_write(runs):
    assert rewriter.check(runs["repairing"][2] / "model.keras").clean
    assert (runs["repairing"][2] / "exported" / "saved_model.pb").exists()
    assert (runs["repair_before_export"][2] / "exported" / "saved_model.pb").exists()
    onnx.checker.check_model(str(runs["export_onnx"][2] / "m.onnx"), full_check=True)
