"""Untrusted JSON and TOML, each with an honest twin."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from rewriter.errors import BadFileError, RewriterError, UnsupportedError
from rewriter.files import json as strict
from rewriter.files import toml
from rewriter.files.regular import read_regular

JSON: list[tuple[str, bytes, str, bytes]] = [
    ("empty", b"", "is empty", b"0"),
    ("cut", b'{"a": [1', "not JSON", b'{"a": [1]}'),
    ("two-values", b"1 2", "not JSON", b" 1 "),
    ("lists-200000-deep", b"[" * 200_000 + b"]" * 200_000, "nested too deep", b"[" * 500 + b"]" * 500),
    ("objects-100000-deep", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deep",
     b'{"a":' * 300 + b"1" + b"}" * 300),
    ("5000-digits", b"9" * 5000, "too many digits", b"9" * 4000),
    ("key-twice", b'{"a":1,"a":1}', "'a' twice", b'{"a":1,"A":1}'),
    ("key-twice-by-escape", b'{"a":1,"\\u0061":1}', "'a' twice", b'{"a":1,"\\u0062":1}'),
    ("utf-16", '{"a":1}'.encode("utf-16"), "not UTF-8", b'\xef\xbb\xbf{"a":1}'),
    ("utf-8-invalid", b'"\xff"', "not UTF-8", b'"\xc3\xbc"'),
    ("utf-8-surrogate", b'"\xed\xa0\x80"', "not UTF-8", b'"\xed\x9f\xbf"'),
    ("half-a-pair", b'["\\ud83d"]', "surrogate", b'["\\ud83d\\ude00"]'),
    ("half-a-pair-in-a-key", b'{"\\uDE00":1}', "surrogate", b'{"\\u00DE00":1}'),
    ("9-million-texts", b"[" + b'"ab",' * 9_000_000 + b"1]", "too many values", b"[" + b'"ab",' * 100_000 + b"1]"),
    ("8-million-lists", b"[" + b"[]," * 8_000_000 + b"1]", "too many values", b"[" + b"[]," * 100_000 + b"1]"),
    ("17-million-numbers", b"[" + b"1," * 17_000_000 + b"1]", "too many values", b"[" + b"1," * 1_000_000 + b"1]"),
]  # fmt: skip

TOML: list[tuple[str, bytes, str, bytes]] = [
    ("cut", b"a = [1", "not TOML", b"a = [1]"),
    ("key-twice", b"a = 1\na = 1", "not TOML", b"a = 1\nA = 1"),
    ("table-twice", b"[a]\n[a]", "not TOML", b"[a]\n[b]"),
    ("utf-16", "a = 1".encode("utf-16"), "not UTF-8", b"\xef\xbb\xbfa = 1"),
    ("utf-8-invalid", b'a = "\xff"', "not UTF-8", b'a = "\xc3\xbc"'),
    ("half-a-pair", b'a = "\\ud83d"', "not TOML", b'a = "\\U0001f600"'),
    ("nul", b'a = "\x00"', "not TOML", b'a = "\\u0000"'),
    ("lists-deep", b"a = " + b"[" * 100_000 + b"]" * 100_000, "nested too deep", b"a = " + b"[" * 50 + b"]" * 50),
    ("tables-deep", b"a = " + b"{a=" * 100_000 + b"1" + b"}" * 100_000, "nested too deep", b"a = {a = {a = 1}}"),
    ("5000-digits", b"a = " + b"9" * 5000, "too many digits", b"a = " + b"9" * 4000),
    ("no-date", b"a = 2026-02-30", "not TOML", b"a = 2026-02-28"),
    ("dotted", b"a." * 200_000 + b"a = 1", "more than 64 parts", b"a." * 60 + b"a = 1"),
    ("dotted-in-quotes", b'"a" . \'b\'.' * 70_000 + b"a = 1", "more than 64 parts", b'"a" . \'b\'.' * 30 + b"a = 1"),
    ("dotted-header", b"[" + b"a." * 200_000 + b"a]", "more than 64 parts", b"[" + b"a." * 60 + b"a]"),
    ("large", b"#" + b"x" * (1 << 20), "larger than 1 MiB", b"#" + b"x" * ((1 << 20) - 1)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "bad", "words", "twin"), JSON, ids=[row[0] for row in JSON])
def test_json(name: str, bad: bytes, words: str, twin: bytes):
    assert strict.parse(twin, "it") == json.loads(twin.decode("utf-8-sig"))
    with pytest.raises((BadFileError, UnsupportedError), match=words):
        strict.parse(bad, "it")


def test_json_that_keras_writes():
    assert strict.parse(b"[Infinity, -Infinity, 1e999]", "it") == [float("inf"), -float("inf"), float("inf")]
    assert str(strict.parse(b"NaN", "it")) == "nan"


@pytest.mark.parametrize(("name", "bad", "words", "twin"), TOML, ids=[row[0] for row in TOML])
def test_toml(name: str, bad: bytes, words: str, twin: bytes, tmp_path: Path):
    path = tmp_path / "file.toml"
    path.write_bytes(twin)
    assert isinstance(toml.load(path, 1 << 20), dict)
    path.write_bytes(bad)
    began = time.process_time()
    with pytest.raises(BadFileError, match=words):
        toml.load(path, 1 << 20)
    assert time.process_time() - began < 10


def no_file(folder: Path, kind: str) -> Path:
    path = folder / "file.toml"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "link to a fifo":
        os.mkfifo(folder / "pipe")
        path.symlink_to(folder / "pipe")
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "nul":
        return Path("a\0b")
    return Path("/dev/zero") if kind == "device" else path


@pytest.mark.parametrize("kind", ["fifo", "link to a fifo", "directory", "device", "loop", "missing", "nul"])
def test_no_file(kind: str, tmp_path: Path, capsys: Any, monkeypatch: Any):
    """No command waits for such a file or reads it without end; each prints one line."""
    from rewriter.cli import main
    from tests.cli.common import model

    path = no_file(tmp_path, kind)
    with pytest.raises(BadFileError):
        read_regular(path, 100)
    for words in (
        ["rules", "--rules", str(path)],
        ["suggest", "3", "3", "--rules", str(path)],
        ["check", str(model("valid")), "--rules", str(path)],
        ["repair", str(model("valid")), "--diff", "--plan", str(path)],
    ):
        assert main(words) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        assert "internal" not in error


PROJECTS = {
    "none": (None, 0),
    "of another": (b"[tool.other]\nx = 1\n", 0),
    "broken, of another": (b"[tool.other\n", 0),
    "rules": (b'[[tool.rewriter.rule]]\nname = "mine"\nequations = ["b t, b -> b t"]\n', 0),
    "broken": (b"[tool.rewriter\n", 2),
    "deep": (b"[tool.rewriter]\nx = " + b"[" * 9999, 2),
    "dotted": (b"tool.rewriter." + b"x." * 9999 + b"x = 1", 2),
    "not UTF-8": (b'[tool.rewriter]\nx = "\xff"', 2),
}


@pytest.mark.parametrize("name", PROJECTS)
def test_the_project(name: str, tmp_path: Path, capsys: Any, monkeypatch: Any):
    from rewriter.cli import main

    content, status = PROJECTS[name]
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("pyproject.toml").write_bytes(content)
    assert main(["rules"]) == status
    done = capsys.readouterr()
    assert ("mine" in done.out) == (name == "rules")
    assert done.err.count("\n") == (status == 2)


def test_a_project_that_is_a_pipe_is_not_waited_for(tmp_path: Path, monkeypatch: Any, capsys: Any):
    from rewriter.cli import main

    monkeypatch.chdir(tmp_path)
    os.mkfifo("pyproject.toml")
    assert main(["rules"]) == 0


def test_a_plan_of_several_mebibytes_is_read(tmp_path: Path):
    """The size of a plan that ``check`` writes grows with its findings."""
    from rewriter.passes.plan import read

    entry = '\n[[finding]]\nnode = "n{}"\nchoice = "channel-gate"\n# ' + "x" * 2000
    path = tmp_path / "plan.toml"
    head = 'schema = "rewriter-plan/1"\nsha256 = "' + "0" * 64 + '"\n'
    path.write_text(head + "\n".join(entry.format(k) for k in range(1000)))
    assert len(read(path).choices) == 1000
    path.write_bytes(b"#" * (17 << 20))
    with pytest.raises(RewriterError, match="larger than 16 MiB"):
        read(path)
