"""The text is good to read in 80 columns, without colour, whatever the names in the file are."""

from __future__ import annotations

import io
import os
import re

import pytest

from rewriter.report.console import Console, columns, pad, paint, plain
from rewriter.report.words import count, wrapped
from rewriter.rules.table import builtin
from tests.cli.common import MODELS, model, run, spawn
from tests.cli.hostile import layer, product, tensor, write_model

COMMANDS = [(command, path) for command in ("check", "shapes", "explain") for path in MODELS]
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\ud800-\udfff]")


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def assert_readable(text: str) -> None:
    """At most 80 columns, nothing that steers a terminal, no spaces at the ends of lines."""
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    for line in text.splitlines():
        assert columns(line) <= 80, line
        assert not CONTROL.search(line), repr(line)
        assert line == line.rstrip(), repr(line)


@pytest.mark.parametrize(("command", "path"), COMMANDS, ids=lambda x: x if isinstance(x, str) else x.stem)
def test_reports_are_readable(command, path, capsys, monkeypatch):
    monkeypatch.chdir(path.parent)  # the path is a part of the report
    assert_readable(run(capsys, command, path.name).out)


@pytest.mark.parametrize("mode", ["safe", "best"])
@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_repairs_are_readable(path, mode, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.symlink(path, "m.keras")
    assert_readable(run(capsys, "repair", "m.keras", "-o", "o.keras", "--mode", mode).out)


@pytest.mark.parametrize("rule", [r.name for r in builtin()])
def test_rule_pages_are_readable(rule, capsys):
    done = run(capsys, "explain", rule)
    assert_readable(done.out)
    assert "equal to the equation's einsum" in done.out
    assert f"--at NODE={rule}" in done.out


def test_the_list_of_rules_is_readable(capsys):
    done = run(capsys, "rules")
    assert_readable(done.out)
    for rule in builtin():
        assert rule.name in done.out
        for equation in rule.equations:
            assert str(equation) in done.out


@pytest.mark.parametrize(
    ("lhs", "rhs"), [("None,28,28,64", "None,28,28"), ("32,50176", "32,128"), ("()", "()")]
)
@pytest.mark.parametrize("op", ["Multiply", "multiply", "Add", "add", "matmul", "Dot", "Concatenate"])
def test_suggestions_are_readable(lhs, rhs, op, capsys):
    assert_readable(run(capsys, "suggest", lhs, rhs, "--op", op).out)


# -- what a finding says -----------------------------
def test_a_finding_says_all_there_is(capsys):
    out = run(capsys, "check", model("batch_misaligned")).out
    assert "5 nodes, 1 multiply, 1 finding (1 error)\n" in out.replace("\n    ", " ", 1)
    for part in (
        "error RW002 batch-misaligned",
        "scale (ops.multiply or '*')",
        "features  batch=B  height=10  width=12  channel=16",
        "excite                        batch=B   feature=16",
        "                              ^^^^^^^^ does not fit",
        "right, as NumPy",
        "wrong at batch 12",
        "b h w c, b c -> b h w c  (channel-gate:",
        "Reshape excite to (B, 1, 1, 16)",
        "To repair: rewriter repair",
    ):
        assert part in out


@pytest.mark.parametrize(
    "options", [(), ("--ops", "all"), ("--mode", "best"), ("--mode", "best", "--ops", "all")]
)
def test_the_command_to_repair_asks_for_what_was_checked(options, tmp_path, capsys):
    checked = run(capsys, "check", model("article_batch_join"), *options)
    command = (
        checked.out.partition("To repair: rewriter ")[2].replace("OUT", str(tmp_path / "o.keras")).split()
    )
    assert bool(command) == ("all" in options)
    if command:
        assert command[4:] == list(options)
        assert run(capsys, *command, "--no-verify").status == 0


def test_a_clean_model_is_a_line_and_the_verdicts(capsys):
    out = run(capsys, "check", os.path.relpath(model("valid"))).out
    assert out.endswith(
        "6 nodes, 1 multiply, no findings\n"
        "  multiplies: 1 proven right, 0 proven wrong, 0 ambiguous, 0 not analysed\n"
    )


def test_an_undecided_finding_lists_what_can_be_meant_and_how_to_say_it(capsys):
    out = run(capsys, "check", model("article_flatten_multiply")).out
    assert "undecided" in out
    assert out.index("grouped-dot") < out.index("outer")
    assert "--at 'scale=b (p g), b g -> b p'" in out


def test_a_repair_says_what_was_written(tmp_path, capsys):
    target = tmp_path / "o.keras"
    out = run(capsys, "repair", model("chained"), "-o", target).out
    assert "Inserted (2 nodes" in out
    assert re.search(r"scale_map_spatial_gate_reshape +Reshape +spatial-gate", out)
    assert f"Written: {target}\n" in out
    assert "Checked: " in out
    assert "Not run: --no-verify." in run(capsys, "repair", model("chained"), "-o", target, "--no-verify").out


def test_a_copy_is_called_one(tmp_path, capsys):
    assert "identical copy" in run(capsys, "repair", model("valid"), "-o", tmp_path / "o.keras").out


def test_a_repair_that_is_not_made_says_so(tmp_path, capsys):
    out = run(capsys, "repair", model("article_batch_pair"), "-o", tmp_path / "o.keras").out
    assert out.endswith("Nothing was written: 1 finding could not be decided.\n")


# -- explain -----------------------------
@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_explain_gives_every_equation_an_answer(path, capsys):
    out = run(capsys, "explain", path).out
    if ": 0 multiplies" in out:
        assert "Rule by rule" not in out
        return
    section = out[out.index("Rule by rule") :]
    for rule in builtin():
        assert rule.name in section


def test_explain_answers_which_broadcasting_rule_applies(capsys):
    out = run(capsys, "explain", model("article_channel_scale"), "scale").out
    assert "line up axes from the right, as NumPy" in out
    assert "axis 3: channel=64 with 64" in out
    assert "keras.layers.Multiply would line them up otherwise" in out
    assert "depends on what the operands mean" in " ".join(out.split())


def test_explain_names_the_nearest_miss(capsys):
    out = " ".join(run(capsys, "explain", model("article_batch_pair"), "scale").out.split())
    assert "channel-gate comes nearest" in out
    assert "b would be 32 and 64" in out


def test_explain_tells_the_known_nodes(capsys):
    assert "the model's multiplies are scale" in run(capsys, "explain", model("layout"), "nothing").err


# -- shapes -----------------------------
def test_shapes_indents_nested_models_and_counts_weights(capsys):
    lines = run(capsys, "shapes", model("nested")).out.splitlines()
    assert lines[0].endswith("7 nodes, 1 multiply, 720 weights")
    assert any(re.match(r"  block +Functional +\(B, 10, 12, 16\) +b h w c +272$", line) for line in lines)
    assert any(re.match(r"\*   scale +Multiply +\(B, 10, 12, 16\) +b h w c$", line) for line in lines)


def test_shapes_without_a_weights_file_has_no_such_column(tmp_path, capsys):
    out = run(capsys, "shapes", product(tmp_path / "m.keras", [[None, 3], [None, 3]])).out
    assert "weights" not in out.partition("\n")[2]
    assert "scale" in out


def opaque_model(path):
    """A Lambda, of which nothing is known, before a product that does not fit."""
    layers = [
        layer("a", "InputLayer", {"batch_shape": [None, 5, 7], "dtype": "float32"}),
        layer("b", "InputLayer", {"batch_shape": [None, 5], "dtype": "float32"}),
        layer("mystery", "Lambda", {"function": {}}, tensor("a", [None, 5, 7])),
        layer("scale", "Multiply", {}, tensor("mystery", [None, 5, 7]), tensor("b", [None, 5])),
    ]
    return write_model(path, layers, ["a", "b"], "scale")


def test_what_is_not_analysed_is_said(tmp_path, capsys):
    path = opaque_model(tmp_path / "m.keras")
    checked = run(capsys, "check", path)
    assert checked.status == 1
    assert "warning RW008 not-analysed" in checked.out
    assert "Python code, which is not run" in checked.out
    shapes = run(capsys, "shapes", path).out
    assert re.search(r"^~ mystery +Lambda +\(B, 5, 7\)~", shapes, re.MULTILINE)
    assert "~ not analysed, or a shape that only the file states" in " ".join(shapes.split())
    assert "It is no multiply" in run(capsys, "explain", path, "mystery").out


# -- terminals -----------------------------
def test_no_escape_codes_in_a_pipe():
    done = spawn("check", model("layout"), FORCE="1")
    assert "\x1b" not in done.out


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colour_on_a_terminal_unless_it_is_not_wanted(no_color, coloured, monkeypatch):
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    out = _Terminal()
    Console(out, io.StringIO()).write(paint("red", "red") + "\x1b]0;title\x07\n")
    assert ("\x1b[31m" in out.getvalue()) == coloured
    assert "\x1b]" not in out.getvalue()
    assert "\x07" not in out.getvalue()


def test_names_cannot_steer_the_terminal(tmp_path, capsys):
    name = "\x1b]0;owned\x07\x1b[2J\u202egate\ue000\n\r" + "x" * 5000
    path = product(tmp_path / "m.keras", [[None, 3], [None, 5]], names=(name, "b"), node="\x9b31mscale")
    for words in (
        ("check", path),
        ("explain", path),
        ("shapes", path),
        ("check", path, "--format", "github"),
    ):
        done = run(capsys, *words)
        assert done.status in (0, 1), done.err
        assert not CONTROL.search(done.out)
        assert "x" * 300 not in done.out
    done = run(capsys, "explain", path, "\x1b[31mno")
    assert done.status == 2
    assert not CONTROL.search(done.err)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-16"])
def test_any_encoding_of_standard_output(encoding, tmp_path):
    path = product(tmp_path / "m.keras", [[None, 3], [None, 5]], names=("画像", "b"), node="масштаб")
    for command in ("check", "shapes", "explain"):
        done = spawn(command, path, PYTHONIOENCODING=encoding)
        assert done.status in (0, 1), done.err
        assert done.err == ""


@pytest.mark.parametrize("width", [20, 40, 60, 100, 200])
def test_other_widths(width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    for command in ("check", "shapes", "explain"):
        out = run(capsys, command, model("layout")).out
        assert "scale" in out
        assert max(map(columns, out.splitlines()[1:])) <= max(width, 80)


def test_wide_names_line_up(tmp_path, capsys):
    path = product(tmp_path / "m.keras", [[None, 3], [None, 5]], names=("画像", "b"))
    rows = [
        line
        for line in run(capsys, "check", path).out.splitlines()
        if "batch=B" in line and " x " not in line
    ]
    assert len({columns(row[: row.index("batch=B")]) for row in rows}) == 1


def test_progress_shows_only_when_it_takes_long(monkeypatch):
    import time

    monkeypatch.setenv("TERM", "xterm")
    err, pipe = _Terminal(), io.StringIO()
    monkeypatch.setattr("rewriter.report.console._FIRST_SIGN", 3600)
    with Console(io.StringIO(), err).busy("m.keras"):
        pass
    assert err.getvalue() == ""
    monkeypatch.setattr("rewriter.report.console._FIRST_SIGN", 0.05)
    with Console(io.StringIO(), err).busy("m.keras"), Console(io.StringIO(), pipe).busy("m.keras"):
        while " s" not in err.getvalue():
            time.sleep(0.01)
    assert re.search(r"m\.keras \.\.\. \d+ s", err.getvalue())
    assert err.getvalue().endswith("\r\x1b[K")
    assert pipe.getvalue() == ""


# -- small helpers -----------------------------
def test_columns():
    assert columns("abc") == 3
    assert columns("画像") == 4
    assert columns("e\u0301") == 1
    assert columns(paint("abc", "red", "bold")) == 3
    assert pad("画", 4) == "画  "
    assert pad("7", 3, right=True) == "  7"


def test_plain():
    assert plain(paint("x", "red")) == "x"
    assert plain("a\x1b[2Jb\tc\n") == "a\ufffd[2Jb\ufffdc\n"


def test_count():
    assert [count(n, "multiply") for n in (0, 1, 2)] == ["0 multiplies", "1 multiply", "2 multiplies"]
    assert count(1234, "node") == "1,234 nodes"


def test_wrapped():
    assert wrapped("aa bb cc", 5) == ["aa bb", "cc"]
    assert wrapped("aa bb cc", 6, 2, 3) == ["  aa", "   bb", "   cc"]
    assert wrapped("a" * 9, 5) == ["a" * 9]
    assert wrapped("", 5) == []
