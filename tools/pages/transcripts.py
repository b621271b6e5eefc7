"""Run the transcripts of a page: its ```console blocks, in the order of the page, as a reader runs them.

A line ``$ command`` is run. The lines up to the next command are its output and errors together, 80 columns wide. A
block of code after a line that ends in ```NAME`:`` is a file: it is written before later commands run. All blocks of
a page share one new folder with the ``models`` and ``docs`` of the checkout.

A plain ``rewriter`` command runs in this process, through the function of the installed command; bash runs all others.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINKED = ("models", "docs")

_ENVIRONMENT = {
    "COLUMNS": "80",
    "CUDA_VISIBLE_DEVICES": "",
    "KERAS_BACKEND": "tensorflow",
    "NO_COLOR": "1",
    "PYTHONPATH": str(ROOT),
    "PYTHONWARNINGS": "ignore",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
_UNSET = ("FORCE_COLOR", "REWRITER_DEBUG", "PYTEST_")
_SHELL = re.compile(r"[|<>;&$`*?\\]")

PROGRAMS = (
    "rewriter",
    "Keras",
    "tf_keras",
    "TensorFlow",
    "JAX",
    "PyTorch",
    "ONNX Runtime",
    "tf2onnx",
    "Python",
)

_NAMED = re.compile(r"`([\w-]+\.\w+)`:\s*\Z")

# Parts that may differ between runs: each becomes one word when two transcripts are compared.
VARYING = (
    (re.compile(rf"\b({'|'.join(PROGRAMS)}) \d+\.\d+(\.\w+)*"), r"\1 VERSION"),
    (re.compile(r"(difference\D{0,40}?|off by )\d[\d.]*(e-?\d+)?"), r"\1NUMBER"),
    (re.compile(r"\b\d(\.\d+)?e-\d+\b"), "NUMBER"),
    (re.compile(r"\b\d+(\.\d+)? ?m?s\b"), "TIME"),
    (re.compile(r"(/[\w.-]+)*/tmp/[\w./-]+"), "PATH"),
)


@dataclass
class Command:
    """A command of a block, and its output on the page."""

    text: str
    output: list[str] = field(default_factory=list)


@dataclass
class File:
    """A file that a page shows."""

    name: str
    lines: list[str] = field(default_factory=list)


@dataclass
class Block:
    """A ```console block: its line numbers in the page, from 0, and its commands."""

    start: int
    end: int
    commands: list[Command]


def steps(text: str) -> Iterator[File | Block]:
    """The files and console blocks of a page, in their order.

    Raises:
        ValueError: a console block does not begin with a command.
    """
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        opening = re.fullmatch(r"```(\w*)", lines[number])
        number += 1
        if opening is None:
            continue
        end = lines.index("```", number)
        if opening[1] == "console":
            yield Block(number, end, list(_commands(lines[number:end])))
        elif named := _NAMED.search("\n".join(lines[: number - 1])):
            yield File(named[1], lines[number:end])
        number = end + 1


def _commands(lines: list[str]) -> Iterator[Command]:
    current: Command | None = None
    for line in lines:
        if line.startswith("$ "):
            if current is not None:
                yield current
            current = Command(line[2:])
        elif current is None:
            raise ValueError(f"a console block begins with a command, not with {line!r}")
        elif current.text.endswith("\\") and not current.output:
            current.text += f"\n{line}"
        else:
            current.output.append(line)
    if current is not None:
        yield current


def same(one: list[str], other: list[str]) -> bool:
    """Whether two outputs are equal except for parts that may differ. With such parts, line breaks may differ too."""
    if one == other:
        return True
    texts = [normalised("\n".join(lines)) for lines in (one, other)]
    if texts[0] == texts[1]:
        return True
    varies = [text != "\n".join(lines) for text, lines in zip(texts, (one, other), strict=True)]
    return all(varies) and texts[0].split() == texts[1].split()


def normalised(text: str) -> str:
    """A transcript with a fixed word for each part that may differ between runs."""
    for pattern, word in VARYING:
        text = pattern.sub(word, text)
    return text


def current(text: str) -> str:
    """A page with new transcripts. A transcript that differs only in variable parts stays."""
    lines = text.split("\n")
    found = list(steps(text))
    made: list[tuple[Block, list[str]]] = []
    with _folder():
        status = 0
        for step in found:
            if isinstance(step, File):
                Path(step.name).parent.mkdir(parents=True, exist_ok=True)
                Path(step.name).write_text("\n".join([*step.lines, ""]), encoding="utf-8")
                continue
            body: list[str] = []
            for command in step.commands:
                output, status = run(command.text, status)
                body.append(f"$ {command.text}")
                body += command.output if same(command.output, output) else output
            made.append((step, "\n".join(body).split("\n")))
    for step, body in reversed(made):
        lines[step.start : step.end] = body
    return "\n".join(lines)


def run(command: str, status: int = 0) -> tuple[list[str], int]:
    """Run a command in the current folder: the lines that it prints, and its exit status.

    Args:
        status: that of the command before, for ``echo $?``.
    """
    words = [] if _SHELL.search(_unquoted(command)) else shlex.split(command)
    if words and words[0] == "rewriter":
        return _in_process(words[1:])
    done = subprocess.run(
        ["bash", "-c", f"(exit {status})\n{command}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        check=False,
    )
    return _lines(done.stdout), done.returncode


def _unquoted(command: str) -> str:
    return re.sub(r"'[^']*'|\"[^\"$`\\]*\"", "", command)


def _in_process(words: list[str]) -> tuple[list[str], int]:
    from rewriter.cli import main

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        status = main(words)
    return _lines(printed.getvalue()), status


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip("\n").split("\n")] if text else []


@contextlib.contextmanager
def _folder() -> Iterator[None]:
    """Work in a new folder, with the environment of a transcript."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="transcript-") as name:
        folder, tools = Path(name, "work"), Path(name, "bin")
        folder.mkdir()
        tools.mkdir()
        for link in LINKED:
            (folder / link).symlink_to(ROOT / link)
        for program, words in {"rewriter": "-m rewriter", "python": ""}.items():
            (tools / program).write_text(
                f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n', encoding="utf-8"
            )
            (tools / program).chmod(0o755)
        os.environ.update(_ENVIRONMENT, PATH=os.pathsep.join([str(tools), before.get("PATH", "")]))
        for name in [n for n in os.environ if n.startswith(_UNSET)]:
            del os.environ[name]
        try:
            with contextlib.chdir(folder):
                yield
        finally:
            os.environ.clear()
            os.environ.update(before)
