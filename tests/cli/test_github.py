"""Workflow commands of GitHub Actions."""

from __future__ import annotations

import re

from rewriter.report import github
from tests.cli.common import MODELS, model, run

LINE = re.compile(r"::(error|warning|notice) file=([^,:]*),title=([^,:]*)::(.+)")


def test_a_line_for_each_finding(capsys):
    done = run(capsys, "check", *MODELS, "--format", "github")
    assert done.status == 1
    for line in done.out.splitlines():
        assert LINE.fullmatch(line), line


def test_a_finding(capsys):
    (line,) = run(capsys, "check", model("layout"), "--format", "github").out.splitlines()
    level, file, title, text = LINE.fullmatch(line).groups()
    assert level == "error"
    assert file == str(model("layout"))
    assert title.startswith("RW004")
    assert "scale" in text
    assert "b h w c, b c h w -> b h w c" in text


def test_nothing_for_a_clean_model(capsys):
    done = run(capsys, "check", model("valid"), "--format", "github")
    assert (done.status, done.out) == (0, "")


def test_escapes():
    line = github.unusable("a,b:c%\n.keras", "50%\r\n::error::x")
    assert line.endswith("::50%25%0D%0A::error::x\n")
    assert "file=a%2Cb%3Ac%25%0A.keras,title=" in line
    assert line.count("\n") == 1


def test_a_model_that_cannot_be_used(tmp_path, capsys):
    bad = tmp_path / "bad.keras"
    bad.write_bytes(b"x")
    done = run(capsys, "check", bad, "--format", "github")
    assert done.status == 2
    assert LINE.fullmatch(done.out.rstrip("\n"))
