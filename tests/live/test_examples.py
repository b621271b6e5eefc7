"""The scripts of docs/examples, each run as a person would run it."""

from __future__ import annotations

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


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Run all scripts, two at a time: most of their time is the start of TensorFlow."""
    found = {}
    waiting = list(SAID)
    folders = {name: tmp_path_factory.mktemp(name) for name in SAID}
    gated().save(folders["repair_before_export"] / "in.keras")
    while waiting:
        started = {}
        for name in waiting[:2]:
            words = [word.format(folders[name]) for word in SAID[name][0]]
            path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
            started[name] = subprocess.Popen(
                [sys.executable, str(EXAMPLES / f"{name}.py"), *words],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                cwd=folders[name],
                env={
                    **os.environ,
                    "PYTHONPATH": path,
                    "TF_CPP_MIN_LOG_LEVEL": "3",
                    "CUDA_VISIBLE_DEVICES": "-1",
                },
            )
        for name, process in started.items():
            out, err = process.communicate()
            found[name] = (process.returncode, out, err, folders[name])
        waiting = waiting[2:]
    return found


def test_there_is_a_test_of_each():
    assert sorted(path.stem for path in EXAMPLES.glob("*.py")) == sorted(SAID)


@pytest.mark.parametrize("name", SAID)
def test_an_example(name, runs):
    status, out, err, _ = runs[name]
    assert status == 0, err[-2000:]
    place = 0
    for words in SAID[name][1]:
        assert words in out[place:], out
        place = out.index(words, place) + len(words)
    assert len(out.splitlines()) <= 8


def test_what_they_write(runs):
    assert rewriter.check(runs["repairing"][3] / "model.keras").clean
    assert (runs["repairing"][3] / "exported" / "saved_model.pb").exists()
    assert (runs["repair_before_export"][3] / "exported" / "saved_model.pb").exists()
    onnx.checker.check_model(str(runs["export_onnx"][3] / "m.onnx"), full_check=True)
