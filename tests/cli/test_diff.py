"""``repair --diff`` shows the changes in readable lines, and writes nothing."""

from __future__ import annotations

import json
import os
import re
import shutil

import pytest

import rewriter
from rewriter.report import diff
from rewriter.report.console import rendered
from tests.cli.common import MODELS, is_one_error_line, model, run
from tests.cli.hostile import layer, product, tensor, write_model


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
--- a/m.keras
+++ b/m.keras
@@ -1,4 +1,5 @@ channel-gate: b h w c, b c -> b h w c
 features = Conv2D(image) -> (B, 10, 12, 16)
 excite_pool = GlobalAveragePooling2D(features) -> (B, 16)
 excite = Dense(excite_pool) -> (B, 16)
-scale = Multiply(features, excite) -> does not fit
+scale_channel_gate_reshape = Reshape(excite) -> (B, 1, 1, 16)
+scale = Multiply(features, scale_channel_gate_reshape) -> (B, 10, 12, 16)
"""
    )
    assert os.listdir() == ["m.keras"]


@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_it_says_what_repair_does(path, tmp_path, capsys):
    """The status, findings and insertions are those of the repair; the changes are those between the two files."""
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
def test_a_patch_of_the_listing_gives_the_repaired_one(path, tmp_path):
    """The hunks have correct counts and context, and turn the listing of the original into that of the result."""
    result = rewriter.repair(path, dry_run=True, mode="best")
    if result.changes is None or not result.changes.nodes:
        return
    old, new = (
        [diff.line(p, s) for p, s in states.items()] for states in (result.changes.old, result.changes.new)
    )
    assert patched(old, text(result)) == new
    assert len(new) - len(old) == sum(c.before is None for c in result.changes.nodes) - sum(
        c.after is None for c in result.changes.nodes
    )


def patched(lines: list[str], text: str) -> list[str]:
    """The lines after ``patch``: every hunk applies at the line that it names."""
    result: list[str] = []
    at = 0
    head, *rows = text.splitlines()[1:]
    assert head.startswith("+++ b/")
    left = (0, 0)
    for row in rows:
        if row.startswith("@@"):
            assert left == (0, 0)
            found = re.match(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", row)
            left = (int(found[2] or 1), int(found[4] or 1))
            start = int(found[1]) - (left[0] > 0)
            result += lines[at:start]
            at = start
            assert len(result) == int(found[3]) - (left[1] > 0)
            continue
        sign, said = row[0], row[1:]
        if sign in " -":
            assert lines[at] == said
            at += 1
        if sign in " +":
            result.append(said)
        left = (left[0] - (sign in " -"), left[1] - (sign in " +"))
    assert left == (0, 0)
    return result + lines[at:]


def test_the_helper_that_patches_refuses_wrong_hunks():
    good = "--- a/m\n+++ b/m\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
    assert patched(["a", "b", "d"], good) == ["a", "c", "d"]
    for wrong in (good.replace("-b", "-x"), good.replace("-1,2", "-1,3"), good.replace("+1,2", "+2,2")):
        with pytest.raises(AssertionError):
            patched(["a", "b", "d"], wrong)


def text(result: rewriter.Result, colour: bool = False) -> str:
    return rendered(*diff.text(result), width=80, colour=colour)


def test_colours_on_a_terminal():
    result = rewriter.repair(model("chained"), dry_run=True)
    pairs = list(zip(text(result).splitlines(), text(result, colour=True).splitlines(), strict=True))
    assert {b[:5] for a, b in pairs if a[0] == "+" and a[:3] != "+++"} == {"\x1b[32m"}
    assert {b[:5] for a, b in pairs if a[0] == "-" and a[:3] != "---"} == {"\x1b[31m"}
    assert "\x1b" not in text(result)


def test_how_data_is_moved_is_said(capsys):
    done = run(capsys, "repair", model("layout"), "--diff")
    assert "+scale_layout_transpose = Transpose(other, axes=[0, 2, 3, 1]) -> (B, 8, 8, 8)\n" in done.out


def test_what_takes_the_place_of_a_product(capsys):
    arguments = ("--diff", "--at", "scale=grouped-dot")
    done = run(capsys, "repair", model("article_flatten_multiply"), *arguments)
    lines = done.out.splitlines()
    assert "-scale = Multiply(flat, features) -> does not fit" in lines
    assert "+scale = Squeeze(scale_grouped_dot_matmul, axis=2) -> (32, 392)" in lines
    assert any(line.startswith("+scale_grouped_dot_matmul = Matmul(") for line in lines)


def test_shapes_that_change_behind_it(tmp_path):
    """A node with the same operands and another result has two lines."""
    shapes = {"score": [None, 1], "weight": [None]}
    layers = [layer(n, "InputLayer", {"batch_shape": s, "dtype": "float32"}) for n, s in shapes.items()]
    layers.append(layer("scale", "Multiply", {}, *(tensor(n, s) for n, s in shapes.items())))
    layers[-1] |= {"module": "keras.src.ops.numpy"}
    layers[-1]["inbound_nodes"][0]["args"] = layers[-1]["inbound_nodes"][0]["args"][0]
    layers.append(layer("after", "Activation", {"activation": "relu"}, tensor("scale", [None, 1])))
    path = write_model(tmp_path / "m.keras", layers, ["score", "weight"], "after")
    result = rewriter.repair(path, dry_run=True, mode="best")
    assert text(result).splitlines()[2:] == [
        "@@ -1,2 +1,3 @@ sample-weight: b r, b -> b r",
        "-scale = Multiply(score, weight) -> (B, B)",
        "-after = Activation(scale) -> (B, B)",
        "+scale_sample_weight_reshape = Reshape(weight) -> (B, 1)",
        "+scale = Multiply(score, scale_sample_weight_reshape) -> (B, 1)",
        "+after = Activation(scale) -> (B, 1)",
    ]


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
    assert "-scale = Multiply(features, constant(64,)) -> does not fit\n" in done.out
    assert "+scale = Multiply(features, constant(1, 64, 1, 1)) -> (32, 64, 28, 28)\n" in done.out
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
    assert all(line[0] in "+-@ " for line in done.out.splitlines())
    assert "(B, 10, 12, 1)" in done.out


def test_the_library_tells_the_changes():
    result = rewriter.repair(model("chained"), dry_run=True)
    assert result.output is None
    assert result.changes is not None
    assert [c.node for c in result.changes.nodes if c.before is not None] == ["scale_channels", "scale_map"]
