"""The exit status does not depend on the report format, and an error is one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from rewriter import errors
from tests.cli.common import ROOT, is_one_error_line, model, run, spawn

CHECK_FORMATS = ("text", "json", "sarif", "github")
TWO_FORMATS = ("text", "json")


@pytest.fixture
def broken(tmp_path):
    path = tmp_path / "broken.keras"
    path.write_bytes(b"PK\x03\x04 and no more")
    return path


@pytest.mark.parametrize("style", CHECK_FORMATS)
def test_check(style, broken, tmp_path, capsys):
    assert run(capsys, "check", model("valid"), "--format", style).status == 0
    assert run(capsys, "check", model("layout"), "--format", style).status == 1
    assert run(capsys, "check", model("valid"), model("layout"), "--format", style).status == 1
    for bad in (broken, tmp_path / "missing.keras", tmp_path):
        done = run(capsys, "check", bad, "--format", style)
        assert done.status == 2
        assert is_one_error_line(done.err, str(bad))
    assert run(capsys, "check", broken, model("layout"), model("valid"), "--format", style).status == 2


@pytest.mark.parametrize("style", TWO_FORMATS)
def test_repair(style, broken, tmp_path, capsys):
    target = tmp_path / "out.keras"
    assert run(capsys, "repair", model("valid"), "-o", target, "--format", style).status == 0
    assert run(capsys, "repair", model("layout"), "-o", target, "--format", style).status == 0
    target.unlink()
    assert run(capsys, "repair", model("article_batch_pair"), "-o", target, "--format", style).status == 1
    done = run(capsys, "repair", broken, "-o", target, "--format", style)
    assert done.status == 2
    assert is_one_error_line(done.err, str(broken))
    assert not target.exists()


@pytest.mark.parametrize("style", TWO_FORMATS)
def test_a_failed_proof_is_3(style, tmp_path, capsys, monkeypatch):
    import rewriter.api

    def fail(*_: object, **__: object) -> None:
        raise errors.VerificationError("after the repair 'scale' still has a finding")

    monkeypatch.setattr(rewriter.api, "repair_graph", fail)
    target = tmp_path / "out.keras"
    done = run(capsys, "repair", model("layout"), "-o", target, "--format", style)
    assert done.status == 3
    assert is_one_error_line(done.err, "layout.keras", "'scale'")
    assert not target.exists()


@pytest.mark.parametrize("style", TWO_FORMATS)
def test_shapes(style, broken, capsys):
    assert run(capsys, "shapes", model("layout"), "--format", style).status == 0
    done = run(capsys, "shapes", broken, model("layout"), "--format", style)
    assert done.status == 2
    assert is_one_error_line(done.err, str(broken))
    assert "features" in done.out


@pytest.mark.parametrize("style", TWO_FORMATS)
def test_suggest(style, capsys):
    assert run(capsys, "suggest", "None,3", "None,3", "--format", style).status == 0
    assert run(capsys, "suggest", "None,3", "None,5", "--format", style).status == 0
    for words in (("None,1.5", "3"), ("3", "3", "--op", "Divide"), ("3", "3", "--layout", "nhwc")):
        done = run(capsys, "suggest", *words, "--format", style)
        assert done.status == 2
        assert is_one_error_line(done.err)


@pytest.mark.parametrize("style", ["text", "json", "markdown"])
def test_rules(style, capsys, tmp_path):
    assert run(capsys, "rules", "--format", style).status == 0
    done = run(capsys, "rules", "--format", style, "--rules", tmp_path / "none.toml")
    assert done.status == 2
    assert is_one_error_line(done.err, "none.toml")


def test_explain(broken, capsys):
    assert run(capsys, "explain", model("layout")).status == 0
    assert run(capsys, "explain", model("valid")).status == 0
    assert run(capsys, "explain", model("layout"), "scale").status == 0
    assert run(capsys, "explain", "channel-gate").status == 0
    for words in ((broken,), (model("layout"), "nothing"), (model("layout"), "features"), ("no-such-rule",)):
        done = run(capsys, "explain", *words)
        assert done.status == 2
        assert done.out == ""
        assert is_one_error_line(done.err)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("chek",),
        ("check",),
        ("check", "--format", "yaml", "m.keras"),
        ("check", "--mode", "wild", "m.keras"),
        ("check", "--no-such-option", "m.keras"),
        ("check", "--form", "json", "m.keras"),
        ("repair", "m.keras"),
        ("repair", "m.keras", "-o", "o.keras", "--format", "sarif"),
        ("repair", "m.keras", "-o", "o.keras", "--at", "scale"),
        ("repair", "m.keras", "-o", "o.keras", "--at", "=outer"),
        ("repair", "m.keras", "-o", "o.keras", "--at", "a=outer", "--at", "a=dot"),
        ("suggest", "3"),
        ("export", "m.keras"),
    ],
)
def test_arguments_that_cannot_be_used(words, capsys):
    done = run(capsys, *words)
    assert done.status == 2
    assert done.out == ""
    assert is_one_error_line(done.err)


def test_a_bad_equation_is_shown_with_a_mark(tmp_path, capsys):
    target = tmp_path / "o.keras"
    done = run(capsys, "repair", model("layout"), "-o", target, "--at", "scale=b h w c, b ( c -> b h w c")
    assert done.status == 2
    first, text, mark = done.err.splitlines()
    assert first.startswith("error: ")
    assert text[mark.index("^")] == "-"
    assert not target.exists()


def test_what_is_stated_has_to_fit(tmp_path, capsys):
    target = tmp_path / "o.keras"
    for stated in ("scale=outer", "scale=no-such-rule", "nothing=outer", "scale=b c, b c -> b c"):
        done = run(capsys, "repair", model("layout"), "-o", target, "--at", stated)
        assert done.status == 2
        assert is_one_error_line(done.err, "layout.keras")
    assert not target.exists()


def test_a_node_name_may_hold_an_equals_sign(tmp_path, capsys):
    from tests.cli.hostile import product

    path = product(tmp_path / "m.keras", [[None, 3], [None, 5]], node="a=b=c")
    done = run(capsys, "repair", path, "-o", tmp_path / "o.keras", "--at", "a=b=c=b f, b g -> b g f")
    assert "a=b=c" not in done.err or "no multiply" not in done.err
    assert "weights" in done.err  # the archive has none, so only writing fails


def test_the_output_can_not_be_the_input(tmp_path, capsys):
    path = tmp_path / "m.keras"
    path.write_bytes(model("layout").read_bytes())
    done = run(capsys, "repair", path, "-o", path)
    assert done.status == 2
    assert is_one_error_line(done.err, "m.keras", "input itself")
    assert path.read_bytes() == model("layout").read_bytes()


def test_an_output_that_cannot_be_written_is_named(tmp_path, capsys):
    target = tmp_path / "no" / "such" / "o.keras"
    for style in TWO_FORMATS:
        done = run(capsys, "repair", model("layout"), "-o", target, "--format", style)
        assert done.status == 2
        assert is_one_error_line(done.err, str(target))


def test_an_unexpected_exception_is_one_line(capsys, monkeypatch):
    import rewriter.api

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr(rewriter.api, "rehearse", fail)
    monkeypatch.delenv("REWRITER_DEBUG", raising=False)
    done = run(capsys, "check", model("valid"))
    assert done.status == 2
    assert is_one_error_line(done.err, "internal: ZeroDivisionError: by zero", "REWRITER_DEBUG=1")
    monkeypatch.setenv("REWRITER_DEBUG", "1")
    assert "Traceback" in run(capsys, "check", model("valid")).err


@pytest.mark.parametrize("error", [RecursionError("deep"), MemoryError()])
def test_running_out_of_something_is_one_line(error, capsys, monkeypatch):
    import rewriter.api

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(rewriter.api, "rehearse", fail)
    done = run(capsys, "check", model("valid"), model("chained"))
    assert done.status == 2
    assert done.err.count("error: ") == done.err.count("\n") == 2


def test_a_long_path_keeps_the_name_of_the_file(capsys):
    done = run(capsys, "check", f"none/{'folder/' * 60}model.keras")
    assert is_one_error_line(done.err, "error: none/folder/", "/model.keras: no such file")
    assert len(done.err) < 250


@pytest.mark.parametrize(
    "words", [("check",), ("shapes",), ("repair", "-o", "out.keras"), ("convert", "out.keras")]
)
def test_an_empty_path(words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(capsys, words[0], "", *words[1:])
    assert done.status == 2
    assert is_one_error_line(done.err, "error: the path of the model is empty")


def test_interrupt(capsys, monkeypatch):
    import rewriter.api

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(rewriter.api, "rehearse", fail)
    assert run(capsys, "check", model("valid")).status == 130


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGPIPE there")
def test_a_reader_that_goes_away():
    words = [sys.executable, "-m", "rewriter", "explain", str(model("layout"))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=ROOT
    )
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert err == b""
    assert process.returncode not in (-signal.SIGPIPE, 120)


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("check", "--help"), ("repair", "--help")])
def test_help_and_version(words, capsys):
    done = run(capsys, *words)
    assert done.status == 0
    assert done.out
    assert done.err == ""


def test_the_module_runs():
    done = spawn("check", model("layout"), "--format", "json")
    assert (done.status, done.err) == (1, "")
    assert json.loads(done.out)["findings"]


def test_standard_output_that_is_full():
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    words = [sys.executable, "-m", "rewriter", "rules"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, cwd=ROOT, timeout=60)
    assert done.returncode == 2
    assert is_one_error_line(done.stderr.decode())


def test_a_stated_equation_that_takes_the_batch_for_another_axis(tmp_path, capsys):
    """It would run at one batch size."""
    target = tmp_path / "out.keras"
    done = run(
        capsys, "repair", model("batch_misaligned"), "-o", target, "--at", "scale=b h w c, c b -> b h w c"
    )
    assert done.status == 2
    assert done.err.endswith(": c pairs channel=16 with batch=B\n")
    assert not target.exists()
