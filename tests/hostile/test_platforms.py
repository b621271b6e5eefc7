"""The commands on a platform without POSIX functions: they need only functions that Python guarantees."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.common import ROOT, model

# What Windows, WebAssembly or an older Unix lacks (docs.python.org/3/library/os.html, "Availability").
_WITHOUT = """
import os, signal, sys

for name in ("pread", "pwrite", "preadv", "sendfile", "copy_file_range", "posix_fallocate", "killpg", "getpgid",
             "setsid", "fork", "geteuid", "getuid", "fchmod", "chown", "O_NONBLOCK", "O_CLOEXEC", "O_NOFOLLOW",
             "O_DIRECTORY", "O_TMPFILE", "link", "mkfifo", "getrusage", "sysconf"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGHUP", "SIGKILL", "SIGPROF", "SIGALRM", "setitimer", "SIGPIPE", "pthread_sigmask"):
    if hasattr(signal, name):
        delattr(signal, name)
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None

from rewriter.cli import main

sys.exit(main(sys.argv[1:]))
"""


def run(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _WITHOUT, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("check", model("batch_misaligned")), 1),
        (("check", model("valid"), "--format", "json", "--ops", "all"), 0),
        (("explain", model("nested")), 0),
        (("shapes", model("nested")), 0),
        (("check", "none.keras"), 2),
        (("check", "."), 2),
        (("repair", model("chained"), "-o", "out.keras", "--no-verify"), 0),
        (("repair", model("chained"), "-o", "out.keras", "--onnx", "out.onnx", "--no-verify"), 0),
        (("export", model("valid"), "out.onnx", "--external-data"), 0),
        (("rules",), 0),
    ],
    ids=lambda value: " ".join(map(str, value))[-40:] if isinstance(value, tuple) else str(value),
)
def test_a_command(words: tuple[object, ...], status: int, tmp_path: Path):
    done = run(*words, cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert done.stderr.count("\n") == (status == 2)
    assert "internal" not in done.stderr
    assert not list(tmp_path.glob(".rewriter-*"))


def test_what_is_written_there_is_what_is_written_here(tmp_path: Path):
    assert run("repair", model("nested"), "-o", "there.keras", "--no-verify", cwd=tmp_path).returncode == 0
    words = [
        sys.executable,
        "-m",
        "rewriter",
        "repair",
        str(model("nested")),
        "-o",
        "here.keras",
        "--no-verify",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(words, check=True, capture_output=True, cwd=tmp_path, env=environment)
    assert (tmp_path / "there.keras").read_bytes() == (tmp_path / "here.keras").read_bytes()
