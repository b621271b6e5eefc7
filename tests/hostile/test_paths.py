"""Inputs that are not files, outputs that cannot be written, and interrupted commands."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rewriter.cli import main
from tests.cli.common import ROOT, model


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


INPUTS: dict[str, Callable[[Path], Path]] = {
    "fifo": lambda folder: fifo(folder / "pipe.keras"),
    "fifo-json": lambda folder: fifo(folder / "pipe.json"),
    "null": lambda _: Path("/dev/null"),
    "zero": lambda _: Path("/dev/zero"),
    "directory": lambda folder: folder,
    "missing": lambda folder: folder / "none.keras",
}


@pytest.mark.parametrize("command", ["check", "shapes", "explain", "repair"])
@pytest.mark.parametrize("make", INPUTS.values(), ids=INPUTS)
def test_no_file(make: Callable[[Path], Path], command: str, tmp_path: Path, capsys):
    output = ["-o", str(tmp_path / "out.keras")] if command == "repair" else []
    assert main([command, str(make(tmp_path)), *output]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "out.keras").exists()


def copy(folder: Path) -> Path:
    return Path(shutil.copy(model("layout"), folder / "model.keras"))


def linked(path: Path, link: Callable[[Path, Path], None]) -> Path:
    target = path.with_name("link.keras")
    link(path, target)
    return target


OUTPUTS: dict[str, Callable[[Path], Path]] = {
    "itself": lambda path: path,
    "hard-link": lambda path: linked(path, os.link),
    "symlink": lambda path: linked(path, os.symlink),
    "directory": lambda path: path.parent,
    "no-directory": lambda path: path.parent / "none" / "out.keras",
    "below-a-file": lambda path: path / "out.keras",
    "device": lambda path: Path("/dev/null"),
}


@pytest.mark.parametrize("make", OUTPUTS.values(), ids=OUTPUTS)
def test_no_output(make: Callable[[Path], Path], tmp_path: Path, capsys):
    path = copy(tmp_path)
    before = path.read_bytes()
    target = make(path)
    files = sorted(tmp_path.rglob("*"))
    assert main(["repair", str(path), "-o", str(target)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert path.read_bytes() == before
    assert sorted(tmp_path.rglob("*")) == files


def damaged(path: Path, change: Callable[[bytes], bytes | None]) -> Path:
    """The archive with another weights file, or with none."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    weights = change(members.pop("model.weights.h5"))
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        if weights is not None:
            archive.writestr("model.weights.h5", weights)
    return path


@pytest.mark.parametrize(
    "change",
    [lambda _: None, lambda data: data[: len(data) // 2], lambda _: b"", lambda data: b"x" * len(data)],
    ids=["missing", "cut", "empty", "garbage"],
)
def test_weights(change: Callable[[bytes], bytes | None], tmp_path: Path, capsys):
    path, target = damaged(copy(tmp_path), change), tmp_path / "out.keras"
    found = main(["check", str(path)])  # needs no weights, but uses them
    assert found == (1 if change(b"") is None else 2)
    capsys.readouterr()
    assert main(["repair", str(path), "-o", str(target)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert "internal" not in error
    assert [p.name for p in tmp_path.iterdir()] == ["model.keras"]


def test_a_clean_model_without_weights_is_copied(tmp_path: Path, capsys):
    path = damaged(Path(shutil.copy(model("valid"), tmp_path / "model.keras")), lambda _: None)
    assert main(["repair", str(path), "-o", str(tmp_path / "out.keras")]) == 0
    assert (tmp_path / "out.keras").read_bytes() == path.read_bytes()


# The command, stopped between writing and renaming a file, until a line comes on standard input.
_STOPPED = """
import os, signal, sys
from rewriter.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell runs in the background
signal.signal(signal.SIGHUP, signal.SIG_DFL)
replace = os.replace

def stopped(*paths):
    print("here", flush=True)
    sys.stdin.readline()
    replace(*paths)

os.replace = stopped
sys.exit(main(sys.argv[1:]))
"""


SIGNALS = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_leaves_nothing(name: str, tmp_path: Path):
    path = copy(tmp_path)
    words = [sys.executable, "-c", _STOPPED, "repair", str(path), "-o", str(tmp_path / "out.keras")]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [*words, "--no-verify"],
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"here\n"
    assert list(tmp_path.glob(".rewriter-*"))
    process.send_signal(getattr(signal, name))
    _, error = process.communicate()
    assert process.returncode == SIGNALS[name]
    assert error == b"error: interrupted\n"
    assert [p.name for p in tmp_path.iterdir()] == ["model.keras"]


@pytest.mark.parametrize(
    ("form", "folder"), [("keras", "."), ("onnx", "."), ("keras", "rewriter-2"), ("onnx", ".rewriter-models")]
)
def test_a_signal_once_the_output_has_its_name_changes_nothing(form: str, folder: str, tmp_path: Path):
    (tmp_path / folder).mkdir(exist_ok=True)
    tmp_path /= folder
    path, target = copy(tmp_path), tmp_path / f"out.{form}"
    after = _STOPPED.replace("    replace(*paths)\n", "").replace(
        "    print(", "    replace(*paths)\n    if paths[1] != sys.argv[-1]:\n        return\n    print("
    )
    words = ["repair", "--no-verify", str(path), "-o"]
    process = subprocess.Popen(
        [sys.executable, "-c", after, *words, str(target)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"here\n"
    process.send_signal(signal.SIGTERM)
    out, error = process.communicate(b"\n", timeout=120)
    assert (process.returncode, error) == (0, b"")
    assert b"out." in out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.keras", target.name]


# The command with another program in place of the proof.
_PROVING = """
import functools, signal, sys
import rewriter.proof
from rewriter.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
in_child = rewriter.proof.in_child
rewriter.proof.in_child = lambda request: in_child(request, 3600, "tests.proof.programs")
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("name", [*SIGNALS, "SIGKILL"])
def test_the_process_of_the_proof_ends_with_the_command(name: str, tmp_path: Path):
    """However the command ends. After SIGKILL a shell removes the unfinished file."""
    folder, told = tmp_path / "models", tmp_path / "pid"
    folder.mkdir()
    words = [sys.executable, "-c", _PROVING, "repair", str(copy(folder)), "-o", str(folder / "out.keras")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "STRAY": "watch", "STRAY_FILE": str(told)}
    process = subprocess.Popen(words, stderr=subprocess.PIPE, env=environment)
    deadline = time.monotonic() + 120
    while not (told.exists() and told.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    child = int(told.read_text())
    process.send_signal(getattr(signal, name))
    _, error = process.communicate(timeout=120)
    while (alive(child) or len(list(folder.iterdir())) > 1) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(child)
    assert [p.name for p in folder.iterdir()] == ["model.keras"]
    if name != "SIGKILL":
        assert process.returncode == SIGNALS[name]
        assert error == b"error: interrupted\n"


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{process}/stat")  # a zombie process is dead
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
