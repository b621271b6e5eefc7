"""The backend that Keras runs on, and the messages for missing packages."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from rewriter.proof import child
from rewriter.proof.keras.backends import BACKENDS, chosen
from rewriter.proof.runtimes import keras_needs, needs


@pytest.fixture(autouse=True)
def nobody_chose(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))


def only(*packages: str):
    return lambda name: name in packages


def test_what_is_installed_is_taken_where_nobody_chose():
    assert chosen(only("tensorflow", "jax", "torch")) == ("tensorflow", "")
    assert chosen(only("jax", "torch")) == ("jax", "")
    assert chosen(only("torch")) == ("torch", "")
    backend, why = chosen(only())
    assert backend == ""
    assert all(f"rewriter[{row.extra}]" in why for row in BACKENDS.values())


def test_the_environment_comes_before_the_file(monkeypatch, tmp_path: Path):
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "jax"}))
    every = only("tensorflow", "jax", "torch")
    assert chosen(every) == ("jax", "")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert chosen(every) == ("torch", "")


@pytest.mark.parametrize("text", ['{"backend": "jax"}', '{"backend": 3}', "[]", "{", '{"backend": "mine"}'])
def test_a_file_that_names_what_is_not_there_is_no_choice(text: str, tmp_path: Path):
    """Keras writes one unasked."""
    (tmp_path / "keras.json").write_text(text)
    assert chosen(only("torch")) == ("torch", "")


def test_what_the_environment_asks_for_and_is_not_there_is_said(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert chosen(only("jax")) == (
        "",
        "KERAS_BACKEND is 'torch', which is not installed: pip install 'rewriter[torch]'",
    )
    monkeypatch.setenv("KERAS_BACKEND", "openvino")
    assert "'openvino': a proof runs on tensorflow, jax or torch" in chosen(only("jax"))[1]


def test_the_extra_that_brings_what_is_missing(monkeypatch):
    monkeypatch.setattr("rewriter.proof.runtimes.installed", only("jax"))
    assert keras_needs().missing == "keras not installed: pip install 'rewriter[jax]'"
    monkeypatch.setattr("rewriter.proof.runtimes.installed", only("jax", "keras"))
    assert keras_needs() == ("", {"KERAS_BACKEND": "jax"})
    missing = "onnxruntime not installed: pip install 'rewriter[onnxruntime]'"
    assert keras_needs("onnxruntime").missing == needs("onnxruntime").missing == missing
    both = needs("tensorflow", "tf2onnx").missing
    assert both == "tensorflow and tf2onnx not installed: pip install 'rewriter[keras]' tf2onnx"


def test_the_process_has_the_path_of_the_user(monkeypatch, tmp_path: Path):
    """The user's own Keras comes before the installed one, also in the proof."""
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}/elsewhere")
    root = str(Path(child.__file__).parents[2])
    monkeypatch.setattr(child, "getsitepackages", list)
    assert child._environment()["PYTHONPATH"].split(os.pathsep) == [root, str(tmp_path), "/elsewhere"]
    monkeypatch.setattr(child, "getsitepackages", lambda: [root])
    assert child._environment()["PYTHONPATH"].split(os.pathsep) == [str(tmp_path), "/elsewhere"]
