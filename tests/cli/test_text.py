"""The text is readable in 80 columns, without colour, with any names in the file."""

from __future__ import annotations

import io
import os
import re
import shlex
import time

import pytest

from rewriter.report import progress
from rewriter.report.console import Console, plain, rendered
from rewriter.report.layout import columns, fields, filled, line
from rewriter.report.layout import words as paragraph
from rewriter.report.words import count
from rewriter.rules.table import builtin
from tests.cli.common import MODELS, model, run, spawn
from tests.cli.hostile import layer, product, tensor, write_model

COMMANDS = [(command, path) for command in ("check", "shapes", "explain") for path in MODELS]
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\ud800-\udfff]")


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


# A location or a command to copy stays on one line, however long.
WHOLE = re.compile(r"\S+: .*RW00\d|  rewriter repair |Written: |  --at |Found |No findings ")


def assert_readable(text: str) -> None:
    """At most 80 columns, no control characters, no trailing spaces."""
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    for row in text.splitlines():
        assert columns(row) <= 80 or WHOLE.match(row), row
        assert not CONTROL.search(row), repr(row)
        assert row == row.rstrip(), repr(row)


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


# -- the text of a finding -----------------------------
FINDING = """\
m.keras: scale: RW002 the batch meets width=12 at axis 2
    features  batch=B  height=10  width=12  channel=16
    excite                        batch=B   feature=16
                                  ^^^^^^^^ does not fit
  effect    runs at batch 1, is silently wrong at batch 12, raises otherwise
  insert    Reshape excite to (B, 1, 1, 16)
  computes  b h w c, b c -> b h w c (channel-gate)
  why       the only placement that fits

To repair:
  rewriter repair m.keras -o m.repaired.keras

Found 1 error in m.keras.
1 multiply: 0 proven right, 1 proven wrong, 0 ambiguous, 0 not analysed.
"""


@pytest.fixture
def linked(tmp_path, monkeypatch):
    """Go to an empty folder that has a shipped model as ``m.keras``."""

    def link(name: str) -> str:
        monkeypatch.chdir(tmp_path)
        os.symlink(model(name), "m.keras")
        return "m.keras"

    return link


def test_a_finding_in_eight_lines(linked, capsys):
    assert run(capsys, "check", linked("batch_misaligned")).out == FINDING


@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
@pytest.mark.parametrize("width", ["80", "120"])
def test_a_finding_of_two_operands_has_eight_lines_at_most(path, width, capsys, monkeypatch):
    monkeypatch.chdir(path.parent)
    monkeypatch.setenv("COLUMNS", width)
    findings = re.split(r"\n\n", run(capsys, "check", path.name).out)
    for text in findings:
        if re.match(r"\S+: \S+: RW", text) and "could be" not in text:
            assert text.count("\n") < 8, text


def test_all_that_is_known_of_a_finding(capsys):
    out = " ".join(run(capsys, "check", "-v", model("batch_misaligned")).out.split())
    for part in (
        "scale: RW002 batch-misaligned: the batch meets another axis (error)",
        "node scale (ops.multiply or '*')",
        "line up axes from the right, as NumPy",
        "is silently wrong at batch 12, raises otherwise",
        "b h w c, b c -> b h w c (channel-gate: one factor per channel",
        "evidence c was computed from the other operand's channel axis",
        "Other readings: 1 ",
    ):
        assert part in out


def test_quiet_gives_places_and_codes_alone(linked, capsys):
    path = linked("chained")
    assert (
        run(capsys, "check", "-q", path).out == f"{path}: scale_channels: RW002\n{path}: scale_map: RW001\n"
    )
    assert run(capsys, "repair", "-q", path, "-o", "o.keras", "--no-verify").out.count("\n") == 2


def commands(text: str) -> list[list[str]]:
    """The commands that a report prints for copying, split as by a shell."""
    return [shlex.split(line) for line in text.splitlines() if line.startswith("  rewriter repair ")]


@pytest.mark.parametrize(
    "options", [(), ("--ops", "all"), ("--mode", "best"), ("--mode", "best", "--ops", "all")]
)
@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_the_command_that_is_printed_repairs_the_model(path, options, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.symlink(path, "m.keras")
    checked = run(capsys, "check", "m.keras", *options)
    printed = commands(checked.out)
    assert len(printed) <= 1
    assert bool(printed) == ("insert  " in checked.out or "could be" in checked.out)
    for command in printed:
        assert command[:5] == ["rewriter", "repair", "m.keras", "-o", "m.repaired.keras"]
        done = run(capsys, *command[1:], "--no-verify")
        assert (done.status, done.err) == (0, "")
        assert run(capsys, "check", "m.repaired.keras", "--ops", "all").status == 0


def test_a_name_for_a_shell_is_quoted(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.symlink(model("chained"), "it's a model.keras")
    (command,) = commands(run(capsys, "check", "it's a model.keras").out)
    assert command[2:] == ["it's a model.keras", "-o", "it's a model.repaired.keras"]


def test_a_clean_model_is_two_lines(linked, capsys):
    path = linked("valid")
    assert run(capsys, "check", path).out == (
        f"No findings in {path}.\n1 multiply: 1 proven right, 0 proven wrong, 0 ambiguous, 0 not analysed.\n"
    )


def test_the_total_of_several_models(capsys):
    out = run(capsys, "check", model("valid"), model("chained"), model("layout")).out
    assert out.endswith(
        "Found 3 errors in 2 of 3 models.\n"
        "4 multiplies: 1 proven right, 3 proven wrong, 0 ambiguous, 0 not analysed.\n"
    )


def test_statistics_count_by_code(capsys):
    done = run(capsys, "check", "--statistics", model("valid"), model("chained"), model("layout"))
    assert [line.split()[:2] for line in done.out.splitlines()] == [
        ["1", "RW002"],
        ["1", "RW001"],
        ["1", "RW004"],
    ]
    assert done.status == 1


def test_an_undecided_finding_lists_what_can_be_meant_and_how_to_say_it(capsys):
    out = run(capsys, "check", model("article_flatten_multiply")).out
    assert "Not decided. If the first reading" in out
    assert out.index("grouped-dot") < out.index("outer")
    assert "--at 'scale=b (p g), b g -> b p'" in out


def test_a_repair_says_what_was_written(tmp_path, capsys):
    target = tmp_path / "o.keras"
    out = run(capsys, "repair", model("chained"), "-o", target).out
    assert f"Written: {target} (2 nodes inserted)\n" in out
    full = run(capsys, "repair", "-v", model("chained"), "-o", target, "--no-verify").out
    assert "Inserted (2 nodes):" in full
    assert re.search(r"scale_map_spatial_gate_reshape +Reshape +spatial-gate", full)
    assert "Checked: all axes were inferred again" in full
    assert "Not run: --no-verify." in full


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
    assert "keras.layers.Multiply lines them up differently" in out
    assert "Sizes do not say which axes belong together" in " ".join(out.split())


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
    """Write a model with a Lambda of unknown shape before a product that does not fit."""
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
    assert "mystery: RW008" in checked.out
    assert "Python code, which is not run" in checked.out
    shapes = run(capsys, "shapes", path).out
    assert re.search(r"^~ mystery +Lambda +\(B, 5, 7\)~", shapes, re.MULTILINE)
    assert "~ not analysed, or a shape that only the file states" in " ".join(shapes.split())
    assert "It is not a multiply" in run(capsys, "explain", path, "mystery").out


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
    Console(out, io.StringIO()).print(line(("red", "red"), "\x1b]0;title\x07"))
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
        assert max(columns(row) for row in out.splitlines() if not WHOLE.match(row)) <= max(width, 80)


def test_wide_names_line_up(tmp_path, capsys):
    path = product(tmp_path / "m.keras", [[None, 3], [None, 5]], names=("画像", "b"))
    rows = [
        line
        for line in run(capsys, "check", path).out.splitlines()
        if "batch=B" in line and " x " not in line
    ]
    assert len({columns(row[: row.index("batch=B")]) for row in rows}) == 1


@pytest.mark.parametrize(
    ("choice", "environment", "coloured"),
    [
        ("auto", {}, False),
        ("auto", {"FORCE_COLOR": "1"}, True),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ("always", {"NO_COLOR": "1"}, True),
        ("never", {"FORCE_COLOR": "1"}, False),
    ],
)
def test_colours_that_are_asked_for(choice, environment, coloured, capsys, monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.setenv(name, environment.get(name, ""))
    assert ("\x1b[" in run(capsys, "check", model("layout"), "--color", choice).out) == coloured


def test_progress_shows_only_when_it_takes_long(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    err, pipe = _Terminal(), io.StringIO()
    monkeypatch.setattr(progress, "_FIRST_SIGN", 3600)
    with Console(io.StringIO(), err).busy("m.keras") as stage:
        stage("reading")
    assert err.getvalue() == ""
    monkeypatch.setattr(progress, "_FIRST_SIGN", 0.05)
    with Console(io.StringIO(), pipe).busy("m.keras"), Console(io.StringIO(), err).busy("m.keras") as stage:
        stage("proving: gradients", 4, 4)
        deadline = time.monotonic() + 30
        while "proving" not in err.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
    assert "m.keras: proving: gradients 4 of 4" in err.getvalue()
    assert err.getvalue().endswith("\x1b[2K")  # the progress line is erased
    assert pipe.getvalue() == ""


# -- small helpers -----------------------------
def test_columns():
    assert columns("abc") == 3
    assert columns("画像") == 4
    assert columns("e\u0301") == 1
    assert filled("画", 4) == "画  "


def test_plain():
    assert plain("\x1b[31mx\x1b[0m") == "x"
    assert plain("a\x1b[2Jb\tc\n") == "a\ufffd[2Jb\ufffdc\n"


def test_count():
    assert [count(n, "multiply") for n in (0, 1, 2)] == ["0 multiplies", "1 multiply", "2 multiplies"]
    assert count(1234, "node") == "1,234 nodes"


def test_layout():
    assert rendered(paragraph("aa bb cc"), width=5) == "aa bb\ncc\n"
    assert rendered(line("aa bb cc"), width=5) == "aa bb cc\n"
    assert rendered(line("a"), "", line("b"), width=5) == "a\n\nb\n"
    assert rendered(fields([("one", paragraph("aa bb cc"))], 1, 4), width=12) == " one   aa bb\n       cc\n"
    assert rendered(paragraph("[red]:smile:[/red]"), width=40) == "[red]:smile:[/red]\n"
