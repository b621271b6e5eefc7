"""Every row of the table: one error line, nothing written, and the honest twin is accepted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rewriter.cli import main
from tests.cli.common import ROOT
from tests.hostile.table import ROWS, Row, commands, listed


def label(row: Row) -> str:
    return f"{row.group}-{row.name}"


@pytest.mark.parametrize("row", [row for row in ROWS if row.status == 2], ids=label)
def test_refused(row: Row, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = row.make(tmp_path)
    before = listed(tmp_path)
    for words in commands(path, tmp_path, row.group == 11):
        assert main(words) == 2, words
        error = capsys.readouterr().err
        assert error.startswith("error: "), words
        assert error.count("\n") == 1, error
        assert row.words in error
        assert "internal" not in error
        assert len(error) < 1000
        assert listed(tmp_path) == before


@pytest.mark.parametrize("row", [row for row in ROWS if row.status != 1], ids=label)
def test_its_twin_is_taken(row: Row, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = row.twin(tmp_path)
    for words in commands(path, tmp_path):
        if words[0] != "export":  # which has limits of its own
            assert main(words) == 0, (words, capsys.readouterr())
            assert not capsys.readouterr().err


@pytest.mark.parametrize("row", [row for row in ROWS if row.status == 1], ids=label)
def test_never_clean(row: Row, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = row.make(tmp_path)
    for words in commands(path, tmp_path):
        status = main(words)
        done = capsys.readouterr()
        assert "internal" not in done.err
        assert done.err.count("\n") == (status == 2)
        if words[0] == "check":
            assert status == 1
            assert row.words in done.out


_ALL = """
import contextlib, io, resource, signal, sys, tempfile
from pathlib import Path
from rewriter.cli import main
from tests.hostile.table import ROWS, commands, small

def taken():
    # Linux counts in ru_maxrss what the process had before it became this program.
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) << 10
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << (0 if sys.platform == "darwin" else 10)

def late(*_):
    raise SystemExit(f"{row.name}: more than 10 s")

signal.signal(signal.SIGPROF, late)
for row in ROWS:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = small(row, folder)
        if path is None:
            continue
        for words in commands(path, folder):
            signal.setitimer(signal.ITIMER_PROF, 10)
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                main(words)
            signal.setitimer(signal.ITIMER_PROF, 0)
            peak = taken() >> 20
            if peak > 1024:
                raise SystemExit(f"{row.name}: {peak} MiB")
"""


def test_five_kilobytes_take_ten_seconds_and_a_gigabyte_at_most():
    """One process for all: the first that takes more ends it."""
    done = subprocess.run(
        [sys.executable, "-c", _ALL], capture_output=True, text=True, cwd=ROOT, timeout=1200, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
