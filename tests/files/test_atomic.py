"""Files are written whole or not at all: the file that an error names."""

from __future__ import annotations

import os
import pathlib
import signal
import stat
import subprocess
import sys

import pytest

from rewriter.errors import OutputError
from rewriter.files import atomic
from rewriter.files.atomic import atomic_write, provisional, staged, unfinished


@pytest.mark.parametrize("beside", [lambda path: staged(path), lambda path: provisional(path, ".onnx")])
def test_an_error_names_the_file_that_was_asked_for(beside, tmp_path):
    """It does not name the temporary file, and the temporary file is removed."""
    with pytest.raises(OutputError) as caught, beside(tmp_path / "out.onnx") as path:
        raise OutputError("cannot be written", path)
    assert caught.value.about == str(tmp_path / "out.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lacks", ["", "O_TMPFILE", "link"])
@pytest.mark.parametrize("folder", ["here", "elsewhere"])
def test_a_file_is_the_same_where_the_system_has_no_files_without_a_name(
    lacks, folder, tmp_path, monkeypatch
):
    if lacks:
        monkeypatch.delattr(os, lacks, raising=False)
    if lacks == "link":
        monkeypatch.setattr(os, "link", refused, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    path = pathlib.Path("out" if folder == "here" else "elsewhere/out")
    for content in (b"first", b"second"):
        with atomic_write(path) as stream:
            stream.write(content)
            assert not path.exists() or path.read_bytes() == b"first"
            assert len(unfinished()) == 1
        assert path.read_bytes() == content
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
    assert not unfinished()
    assert sorted(os.listdir(".")) == (["elsewhere", "out"] if folder == "here" else ["elsewhere"])
    assert os.listdir("elsewhere") == ([] if folder == "here" else ["out"])


def refused(*args, **kwargs):
    raise PermissionError(1, "Operation not permitted")


_WRITING = """
import sys, time
from rewriter.files.atomic import atomic_write

with atomic_write(sys.argv[1]) as stream:
    stream.write(b"half")
    stream.flush()
    print("here", flush=True)
    time.sleep(3600)
"""


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="the system has no files without a name")
def test_nothing_is_left_of_a_killed_process(tmp_path):
    words = [sys.executable, "-c", _WRITING, str(tmp_path / "out")]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        process.send_signal(signal.SIGKILL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "folder", "nothing"])
def test_what_is_unfinished_is_removed(kind, tmp_path):
    path = tmp_path / "some"
    if kind == "file":
        path.write_bytes(b"half")
    elif kind == "folder":
        (path / "inner").mkdir(parents=True)
    atomic.remove(str(path))
    assert list(tmp_path.iterdir()) == []
