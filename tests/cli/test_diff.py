"""``repair --diff`` shows what would change, in lines that can be read, and writes nothing."""

from __future__ import annotations

import json
import os
import shutil

import pytest

import rewriter
from rewriter.report.layout import columns
from tests.cli.common import MODELS, is_one_error_line, model, run
from tests.cli.hostile import product
from tests.cli.test_text import WHOLE


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def test_the_view_of_one_gate(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(model("batch_misaligned"), "m.keras")
    done = run(capsys, "repair", "m.keras", "--diff")
    assert done.status == 0
    assert done.out == (
        """\
--- m.keras
+++ repaired

@@ channel-gate: b h w c, b c -> b h w c
+ scale_channel_gate_reshape      Reshape
+     excite                      (B, 16)
+     gives                       (B, 1, 1, 16)
  scale                           Multiply
      features                    (B, 10, 12, 16)
-     excite                      (B, 16)
-     gives                       the operands do not fit
+     scale_channel_gate_reshape  (B, 1, 1, 16)
+     gives                       (B, 10, 12, 16)

Nothing was written.
"""
    )
    assert os.listdir() == ["m.keras"]


@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_it_says_what_repair_does(path, tmp_path, capsys):
    """Every inserted node has its line, and the status is that of the repair; the changes are read off the result."""
    target = tmp_path / "o.keras"
    done = run(capsys, "repair", path, "--diff", "--format", "json")
    plain = run(capsys, "repair", path, "-o", target, "--format", "json", "--no-verify")
    shown, made = json.loads(done.out), json.loads(plain.out)
    assert done.status == plain.status
    assert shown["inserted"] == made["inserted"]
    assert shown["findings"] == made["findings"]
    assert shown["output"] is None
    assert shown["verified"] is None
    if plain.status:
        assert "changes" not in shown
        return
    before, after = (
        {n["node"]: n for n in json.loads(run(capsys, "shapes", p, "--format", "json").out)["nodes"]}
        for p in (path, target)
    )
    changes = {c["node"]: c for c in shown["changes"]}
    assert {n for n, c in changes.items() if c["before"] is None} == after.keys() - before.keys()
    assert {n for n, c in changes.items() if c["after"] is None} == before.keys() - after.keys()
    for node, change in changes.items():
        assert change["after"] is None or change["after"]["output"] == after[node]["outputs"][0]
        assert change["before"] != change["after"]


@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_it_can_be_read(path, capsys, monkeypatch):
    monkeypatch.chdir(path.parent)  # the path is a part of the report
    done = run(capsys, "repair", path.name, "--diff")
    assert max(columns(row) for row in done.out.splitlines() if not WHOLE.match(row)) <= 80
    assert all(line == line.rstrip() for line in done.out.splitlines())
    assert "Nothing was written" in done.out or "no change" in done.out


def test_what_takes_the_place_of_a_product(capsys):
    arguments = ("--diff", "--at", "scale=grouped-dot")
    done = run(capsys, "repair", model("article_flatten_multiply"), *arguments)
    lines = done.out.splitlines()
    assert [line.split()[1:] for line in lines if line.startswith(("- scale", "+ scale "))] == [
        ["scale", "Multiply"],
        ["scale", "Squeeze"],
    ]
    assert any(line.startswith("+ scale_grouped_dot_matmul ") and "Matmul" in line for line in lines)


def test_shapes_that_change_behind_it(tmp_path, capsys):
    done = run(capsys, "repair", model("article_flatten_multiply"), "--diff", "--at", "scale=outer")
    assert done.status == 0
    assert "@@ outer: b f, b g -> b f g" in done.out
    changed = done.out.partition("Other shapes")[2]
    assert not changed or "->" in changed


def test_a_clean_model(capsys):
    done = run(capsys, "repair", model("valid"), "--diff")
    assert done.status == 0
    assert done.out.endswith("valid.keras: no change\n")


def test_undecided(capsys):
    done = run(capsys, "repair", model("article_flatten_multiply"), "--diff")
    assert done.status == 1
    assert "@@" not in done.out
    assert "1 finding could not be decided" in done.out


def test_constants_are_changed_in_place(capsys):
    done = run(capsys, "repair", model("article_constant_first"), "--diff")
    lines = [line.split(maxsplit=2) for line in done.out.splitlines() if "constant " in line]
    assert lines == [["-", "constant", "(64,)"], ["+", "constant", "(1, 64, 1, 1)"]]
    assert "@@ channel-scale: b c h w, c -> b c h w" in done.out


def test_an_output_is_not_written(tmp_path, capsys):
    done = run(capsys, "repair", model("chained"), "--diff", "-o", tmp_path / "o.keras")
    assert done.status == 0
    assert os.listdir(tmp_path) == []


def test_an_output_is_needed_otherwise(capsys):
    done = run(capsys, "repair", model("chained"))
    assert done.status == 2
    assert is_one_error_line(done.err, "-o OUT")


def test_a_plan_can_be_looked_at(tmp_path, capsys):
    plan = tmp_path / "plan.toml"
    run(capsys, "check", model("chained"), "--plan", plan)
    plan.write_text(plan.read_text().replace('choice = "channel-gate"', 'choice = "leave"'))
    done = run(capsys, "repair", model("chained"), "--diff", "--plan", plan)
    assert done.status == 0
    assert "spatial-gate" in done.out
    assert "channel-gate" not in done.out


def test_long_and_odd_names_stay_in_the_lines(tmp_path, capsys):
    names = ("a" * 120, "x\x1b[31m\n+ b")
    path = product(tmp_path / "m.keras", [[None, 10, 12, 16], [None, 10, 12]], names, "s" * 70)
    done = run(capsys, "repair", path, "--diff")
    assert done.status == 0
    assert "\x1b" not in done.out
    assert [line for line in done.out.splitlines() if line.startswith("+ b")] == []
    assert "(B, 10, 12, 1)" in done.out


def test_the_library_tells_the_changes():
    result = rewriter.repair(model("chained"), dry_run=True)
    assert result.output is None
    assert result.changes is not None
    assert [c.node for c in result.changes.nodes if c.before is not None] == ["scale_channels", "scale_map"]
