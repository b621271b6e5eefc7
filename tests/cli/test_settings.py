"""``[tool.rewriter]``: defaults for every option, found in parent folders, and refused if invalid."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from rewriter import cli
from rewriter.arguments import parsers
from rewriter.settings import _NOT_SET, _options, find
from tests.cli.common import model, run

COMMANDS = parsers(cli._COMMANDS)[1]
EVERY = sorted({(name, option) for name, parser in COMMANDS.items() for option in _options(parser)})


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with settings; the test runs in a subfolder."""

    def make(text: str) -> Path:
        (tmp_path / "pyproject.toml").write_text(text)
        below = tmp_path / "src" / "deep"
        below.mkdir(parents=True)
        monkeypatch.chdir(below)
        return tmp_path

    return make


def value_of(action: argparse.Action) -> str:
    """A TOML value that an option accepts."""
    if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
        return "true"
    if isinstance(action, argparse._AppendAction):
        return '["RW001"]'
    if action.choices:
        return f'"{next(iter(action.choices))}"'
    return {int: "3"}.get(action.type, "2.5" if action.type else '"text"')  # type: ignore[call-overload]


@pytest.mark.parametrize(("command", "option"), EVERY, ids="-".join)
def test_every_option_can_be_set(command, option, project):
    """An option is accepted in the table of its command, and refused with a value of another type."""
    from rewriter.settings import apply

    project(f"[tool.rewriter.{command}]\n{option} = {value_of(_options(COMMANDS[command])[option])}\n")
    parser = parsers(cli._COMMANDS)[1]
    apply(find(), parser, command)
    action = _options(parser[command])[option]
    assert parser[command].get_default(action.dest) not in (None, False, [])


def test_only_what_belongs_to_a_run_cannot_be_set():
    missing = {
        option[2:]
        for parser in COMMANDS.values()
        for action in parser._actions
        for option in action.option_strings
        if option.startswith("--") and not option.startswith("--no-")
    } - {option for _, option in EVERY}
    assert missing <= _NOT_SET


def test_settings_are_found_upwards_and_the_command_line_overrides_them(project, capsys):
    project('[tool.rewriter]\nformat = "json"\n')
    assert json.loads(run(capsys, "check", model("chained")).out)["schema"] == "rewriter/1"
    assert run(capsys, "check", model("chained"), "--format", "text").out.startswith(str(model("chained")))
    assert run(capsys, "check", model("chained"), "--isolated").out.startswith(str(model("chained")))


def test_a_table_of_a_command_overrides_the_common_one(project, capsys):
    project('[tool.rewriter]\nformat = "json"\n[tool.rewriter.check]\nformat = "text"\n')
    assert run(capsys, "check", model("chained")).out.startswith(str(model("chained")))
    assert run(capsys, "shapes", model("chained")).out.startswith("{")


def test_paths_are_relative_to_the_file(project, capsys):
    root = project('[tool.rewriter.check]\nbaseline = "known.json"\n')
    assert run(capsys, "check", model("chained"), "--update-baseline").status == 0
    assert (root / "known.json").exists()
    assert run(capsys, "check", model("chained")).status == 0


def test_another_file_can_be_named(tmp_path, capsys):
    (tmp_path / "other.toml").write_text('[tool.rewriter]\nformat = "json"\n')
    assert run(capsys, "check", model("valid"), "--config", tmp_path / "other.toml").out.startswith("{")
    (tmp_path / "none.toml").write_text("[tool.other]\n")
    assert (
        "has no [tool.rewriter]"
        in run(capsys, "check", model("valid"), "--config", tmp_path / "none.toml").err
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('formatt = "json"', "tool.rewriter.formatt: there is no such option: did you mean 'format'?"),
        ('format = "jsn"', "tool.rewriter.format = 'jsn': must be one of text, json"),
        ("format = 3", "tool.rewriter.format must be a string"),
        ("exit-zero = 1", "tool.rewriter.exit-zero must be true or false"),
        ('select = "RW001"', "tool.rewriter.select must be a list of strings"),
        ("select = [1]", "tool.rewriter.select must be a list of strings"),
        ('at = ["a=b"]', "tool.rewriter.at: there is no such option"),
        ("check = 3", "tool.rewriter.check must be a table"),
        ("timeout = -5", "tool.rewriter.timeout: --timeout '-5.0': must be a number of seconds above 0"),
        ("diff = true", "tool.rewriter.diff: there is no such option"),
        ("[tool.rewriter.check]\nopset = 3", "tool.rewriter.check.opset: there is no such option"),
        (
            "[tool.rewriter.chek]\nops = 3",
            "tool.rewriter.chek: there is no such option: did you mean 'check'?",
        ),
    ],
)
def test_what_cannot_be_used_is_one_line(text, said, project, capsys):
    project(f"[tool.rewriter]\n{text}\n")
    done = run(capsys, "check", model("valid"))
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1


def test_a_broken_file_above_that_does_not_speak_of_it_is_none_of_its_business(project, capsys):
    project("[tool.other\n")
    assert run(capsys, "check", model("valid")).status == 0


def test_help_is_there_with_broken_settings(project, capsys):
    project("[tool.rewriter]\nnonsense = 1\n")
    assert run(capsys, "check", "--help").status == 0


def test_the_command_line_overrides_how_much_is_printed(project, capsys):
    project("[tool.rewriter]\nverbose = true\n")
    assert "Other readings" in run(capsys, "check", model("chained")).out
    assert run(capsys, "check", "-q", model("chained")).out.count("\n") == 2


def test_quiet_settings_and_a_long_report(project, capsys):
    project("[tool.rewriter]\nquiet = true\n")
    assert run(capsys, "check", model("chained")).out.count("\n") == 2
    assert "Other readings" in run(capsys, "check", "-v", model("chained")).out
