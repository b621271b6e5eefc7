"""Files are written whole or not at all: the file that an error names."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rewriter.errors import OutputError
from rewriter.files.atomic import atomic_write, provisional, staged

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("beside", [lambda path: staged(path), lambda path: provisional(path, ".onnx")])
def test_an_error_names_the_file_that_was_asked_for(beside, tmp_path):
    """It does not name the temporary file, and the temporary file is removed."""
    with pytest.raises(OutputError) as caught, beside(tmp_path / "out.onnx") as path:
        raise OutputError("cannot be written", path)
    assert caught.value.about == str(tmp_path / "out.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_way_of_a_second_file_is_named(tmp_path):
    (tmp_path / "out.onnx").write_text("before")
    (tmp_path / "out.onnx.data").mkdir()

    def write():
        with staged(tmp_path / "out.onnx") as path:
            for name in (path, f"{path}.data", f"{path}.a"):
                Path(name).write_text("after")

    with pytest.raises(OutputError, match="is a directory") as caught:
        write()
    assert caught.value.about == str(tmp_path / "out.onnx.data")
    assert (tmp_path / "out.onnx").read_text() == "before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.onnx", "out.onnx.data"]


_WRITING = """
import sys, time
from rewriter.files import atomic

with getattr(atomic, sys.argv[1])(*sys.argv[2:]) as made:
    if sys.argv[1] == "atomic_write":
        made.write(b"half")
        made.flush()
    else:
        inner = made + "/half" if sys.argv[1] == "atomic_folder" else made
        open(inner, "w").write("half")
    print("here", flush=True)
    time.sleep(3600)
"""


@pytest.mark.skipif(not os.path.exists("/bin/sh"), reason="there is no shell that could do it")
@pytest.mark.parametrize("how", ["atomic_write", "atomic_folder", "provisional", "staged"])
@pytest.mark.parametrize("elsewhere", [True, False])
def test_nothing_is_left_of_a_killed_process(how, elsewhere, tmp_path):
    """Also with a relative path, whatever the name of the folder."""
    folder = tmp_path / "a 'b' $c -d"
    folder.mkdir()
    path = str(folder / "out") if elsewhere else "out"
    words = [sys.executable, "-c", _WRITING, how, path, *([".onnx"] if how == "provisional" else [])]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=folder, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        assert len(list(folder.iterdir())) == 1
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while list(folder.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert list(folder.iterdir()) == []


def test_a_file_is_written_where_there_is_no_shell(tmp_path, monkeypatch):
    def missing(*args, **kwargs):
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(subprocess, "Popen", missing)
    with atomic_write(tmp_path / "out") as stream:
        stream.write(b"whole")
    assert (tmp_path / "out").read_bytes() == b"whole"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
