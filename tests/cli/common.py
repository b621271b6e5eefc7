"""Run the command line, in this process or in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from rewriter.cli import main

ROOT = Path(__file__).resolve().parents[2]
MODELS = sorted((ROOT / "models").glob("*.keras"))
DATA = ROOT / "tests" / "data"


@dataclass(frozen=True)
class Output:
    """The exit status and output of a command."""

    status: int
    out: str
    err: str


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> Output:
    """A function that runs the command in this process."""
    status = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return Output(status, captured.out, captured.err)


def spawn(*arguments: str | Path, cwd: Path = ROOT, **environment: str) -> Output:
    """A function that runs the command as a process, with its streams decoded as UTF-8."""
    variables = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "REWRITER_DEBUG")}
    variables |= {"PYTHONPATH": str(ROOT), **environment}
    words = [sys.executable, "-m", "rewriter", *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, cwd=cwd, env=variables, timeout=120)
    return Output(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def model(name: str) -> Path:
    """The path of a shipped model."""
    return ROOT / "models" / f"{name}.keras"


def is_one_error_line(text: str, *parts: str) -> bool:
    """Whether text is exactly one ``error:`` line that holds the parts."""
    return (
        text.startswith("error: ")
        and text.count("\n") == 1
        and text.endswith("\n")
        and all(p in text for p in parts)
    )
