"""The process that runs a repaired model: its answers, and the messages if it gives none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import keras
import pytest

from rewriter.cli import main
from rewriter.formats.keras import spelling
from rewriter.proof import Request, in_child
from rewriter.proof.verdict import judged
from tests.cli.common import ROOT, is_one_error_line, model, run, spawn
from tests.cli.hostile import product

NOTHING = Request("none.keras", "none.keras", "keras-v3", "keras-v3", [], [0], [1, 2, 3], 10)


def test_a_repair_is_proven(tmp_path: Path):
    target = tmp_path / "fixed.keras"
    done = spawn("repair", model("batch_misaligned"), "-o", target, "--format", "json")
    assert (done.status, done.err) == (0, "")
    verified = json.loads(done.out)["verified"]
    assert verified["static"] is True
    assert verified["findings_left"] == 0
    checks = verified["checks"]
    assert set(checks) == {"independence", "batch-one", "equation", "gradients"}
    assert all(check["proven"] for check in checks.values())
    assert {1, 2, 3, 10, 12, 16} <= set(checks["independence"]["batches"])
    assert 0 <= checks["independence"]["difference"] < 1e-5  # exactly 0 on some processors
    assert checks["equation"]["nodes"] == ["scale"]
    assert [p.name for p in tmp_path.iterdir()] == ["fixed.keras"]


def test_a_proof_is_the_same_on_every_processor(tmp_path: Path):
    """Attention over one of three axes is a softmax in six dimensions, which oneDNN's does not take."""
    x = keras.Input((2, 3, 4, 5))
    heads = keras.layers.MultiHeadAttention(2, 3, attention_axes=2)(x, x)
    gate = keras.layers.Dense(5)(keras.layers.GlobalAveragePooling3D()(x))
    keras.Model(x, keras.ops.multiply(heads, gate)).save(tmp_path / "in.keras")
    words = ("repair", tmp_path / "in.keras", "-o", tmp_path / "out.keras", "--format", "json")
    done = spawn(*words, TF_ENABLE_ONEDNN_OPTS="1")
    assert (done.status, done.err) == (0, "")
    assert all(check["proven"] for check in json.loads(done.out)["verified"]["checks"].values())


def test_a_repair_that_fails_its_proof_is_not_written(tmp_path: Path, capsys, misspell):
    """Every other gate: Repeat spelt as Tile, which has the same shape."""

    def wrong(step):
        if step.op != "Repeat":
            return spelling.spell(step)
        counts = [step.repeats[0] if i == step.axes[0] else 1 for i in range(len(step.to))]
        return ("keras.src.ops.numpy", "Tile", {"repeats": counts}, ())

    misspell(wrong)
    target, source = tmp_path / "fixed.json", upsampled(tmp_path)
    target.write_bytes(b"what was there")
    before = source.read_bytes()
    done = run(capsys, "repair", source, "-o", target, "--mode", "best")
    assert done.status == 3
    assert is_one_error_line(done.err, "in.json", "(equation)", "'scale' at batch 1", "of the largest value")
    assert target.read_bytes() == b"what was there"
    assert source.read_bytes() == before
    assert not list(tmp_path.glob(".rewriter-*"))


def upsampled(folder: Path) -> Path:
    """A gate of half the size, which Keras refuses to build."""
    archive = product(folder / "made.keras", [[None, 8, 8, 3], [None, 4, 4, 3]])
    path = folder / "in.json"
    entry = json.loads(zipfile.ZipFile(archive).read("config.json"))
    path.write_text(json.dumps({**entry, "module": "keras.src.models.functional"}))
    return path


@pytest.mark.parametrize(
    ("stray", "words"),
    [
        ("hang", "longer than 1 seconds"),
        ("die", "ended by SIGKILL, perhaps for lack of memory"),
        ("chatter", "gave no answer"),
        ("list", "gave no answer"),
        ("half", "gave no answer"),
        ("status", "status 7"),
    ],
)
def test_a_process_that_goes_wrong_is_reported(stray: str, words: str, monkeypatch):
    monkeypatch.setenv("STRAY", stray)
    timeout = 1.0 if stray == "hang" else 600.0
    answer = in_child(NOTHING, timeout, "tests.proof.programs")
    assert words in answer["skipped"]


def test_what_was_shown_before_it_hangs_counts(monkeypatch):
    monkeypatch.setenv("STRAY", "late")
    for timeout in (1.0, 4.0, 16.0, 64.0, 256.0):  # Python may take seconds to start
        answer = in_child(NOTHING, timeout, "tests.proof.programs")
        if "checks" in answer:
            break
    assert answer["checks"]["equation"] == {"proven": True, "batches": [1]}
    assert answer["checks"]["gradients"] == {
        "proven": False,
        "why": f"it took longer than {timeout:g} seconds",
    }
    assert answer["ended"] == answer["behaviour"]["why"] == f"it took longer than {timeout:g} seconds"
    assert judged(answer, [])["verdict"] == "not-run"


def gone(pid: int) -> bool:
    """Whether a process has ended; a zombie counts, as nothing may collect the orphans here."""
    for _ in range(600):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
            os.kill(pid, 0)
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="the test reads /proc")
@pytest.mark.parametrize("stray", ["leaves", "leaves-late"])
def test_what_the_process_started_ends_with_it(stray: str, tmp_path: Path, monkeypatch):
    """The grandchild holds the pipe open, and ignores SIGTERM."""
    monkeypatch.setenv("STRAY", stray)
    monkeypatch.setenv("STRAY_FILE", str(tmp_path / "pid"))
    for timeout in (2.0, 8.0, 32.0, 128.0) if stray == "leaves-late" else (600.0,):
        (tmp_path / "pid").unlink(missing_ok=True)
        answer = in_child(NOTHING, timeout, "tests.proof.programs")
        if "checks" in answer:
            break
    assert answer["checks"]["equation"]["proven"]
    assert ("longer than" in answer["ended"]) == (stray == "leaves-late")
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_pipe_that_stays_open_is_not_awaited(tmp_path: Path, monkeypatch):
    """A grandchild in a session of its own is not found, and holds the pipe."""
    monkeypatch.setenv("STRAY", "escapes")
    monkeypatch.setenv("STRAY_FILE", str(tmp_path / "pid"))
    monkeypatch.setattr("rewriter.proof.child._DRAIN", 0.5)
    answer = in_child(NOTHING, 600.0, "tests.proof.programs")
    assert answer["checks"]["equation"]["proven"]
    pid = int((tmp_path / "pid").read_text())
    os.kill(pid, 0)  # it lives: nothing waited for it
    os.kill(pid, signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="the test reads /proc")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_what_the_process_started_ends_with_this_one(how: signal.Signals, tmp_path: Path):
    code = (
        "from tests.proof.test_child import NOTHING; from rewriter.proof import in_child; from rewriter import cli\n"
        "with cli._stoppable(): in_child(NOTHING, 600.0, 'tests.proof.programs')"
    )
    environment = {**os.environ, "STRAY": "watched", "STRAY_FILE": str(tmp_path / "pid")}
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL
    ) as process:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(how)
        process.wait(timeout=60)
    assert gone(int((tmp_path / "pid").read_text()))


def test_standard_input_of_the_process_is_empty(monkeypatch):
    monkeypatch.setenv("STRAY", "input")
    assert in_child(NOTHING, 600.0, "tests.proof.programs")["read"] == ""


def test_what_is_not_installed_is_said(monkeypatch):
    monkeypatch.setattr("rewriter.proof.runtimes.installed", lambda name: name != "keras")
    assert in_child(NOTHING) == {"skipped": "keras not installed: pip install 'rewriter[keras]'"}


def test_a_dead_process_is_not_fatal(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setenv("STRAY", "die")
    monkeypatch.setattr(
        "rewriter.proof.in_child", lambda request: in_child(request, 30, "tests.proof.programs")
    )
    target = tmp_path / "fixed.keras"
    assert main(["repair", str(model("layout")), "-o", str(target)]) == 0
    captured = capsys.readouterr()
    assert "Not run: the process" in " ".join(captured.out.split())
    assert captured.err == ""
    assert target.exists()
