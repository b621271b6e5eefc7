"""The table of formats matches its modules, and the commands offer its rows."""

import importlib
import io
import sys
import types
from pathlib import Path

import pytest

from rewriter import cli
from rewriter.report import table
from rewriter.report.console import Console

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = [name for name, value in vars(table.Reporter).items() if name[0] != "_" and callable(value)]


@pytest.mark.parametrize("row", table.TABLE, ids=[row.name for row in table.TABLE])
def test_a_format_has_a_method_for_each_of_its_commands_and_no_other(row):
    made = importlib.import_module(f"rewriter.report.{row.module}").Output
    own = {name for name in COMMANDS if getattr(made, name) is not getattr(table.Reporter, name)}
    assert own - {"unusable", "end"} == set(row.commands)


def test_every_command_is_shown_as_text():
    assert set(table.TABLE[0].commands) == set(COMMANDS) - {"unusable", "end"}


def test_a_new_row_is_a_new_choice(monkeypatch, capsys):
    """A format is one module and one row: the command line offers it, and prints its output."""

    class Output(table.Reporter):
        def check(self, item):
            self.console.write(f"{item.multiplies} of them\n")

    module = types.ModuleType("rewriter.report.counted")
    module.Output = Output
    monkeypatch.setitem(sys.modules, "rewriter.report.counted", module)
    monkeypatch.setattr(table, "TABLE", (*table.TABLE, table.Row("counted", "counted", ("check",))))
    assert cli.main(["check", str(ROOT / "models" / "chained.keras"), "--format", "counted"]) == cli.FOUND
    assert capsys.readouterr().out == "2 of them\n"
    assert (
        cli.main(["repair", str(ROOT / "models" / "chained.keras"), "--format", "counted", "--diff"])
        == cli.UNUSABLE
    )
    assert "must be one of text" in capsys.readouterr().err


def test_an_unknown_format_has_no_report():
    with pytest.raises(StopIteration):
        table.reporter("none", table.Context(Console(io.StringIO(), io.StringIO())))
