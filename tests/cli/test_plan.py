"""A plan is written, edited and applied: all of it, to the model that it was written for, or nothing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rewriter
from rewriter.report.plan import quoted
from tests.cli.common import MODELS, is_one_error_line, model, run
from tests.cli.hostile import layer, product, tensor, write_model


def planned(capsys, path: Path, target: Path, *arguments: str) -> dict[str, Any]:
    """The plan that ``check`` writes, parsed as TOML."""
    done = run(capsys, "check", path, "--plan", target, *arguments)
    assert done.err == ""
    return tomllib.loads(target.read_text(encoding="utf-8"))


def edit(plan: Path, old: str, new: str) -> None:
    """Change the text of a plan, as a person does."""
    text = plan.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    plan.write_text(text.replace(old, new), encoding="utf-8")


def gates(path: Path, *names: str) -> Path:
    """Write a chain of products of (B, 10, 12, 16) with one (B, 10, 12) for each name; no weights."""
    layers = [
        layer("x", "InputLayer", {"batch_shape": [None, 10, 12, 16]}),
        layer("g", "InputLayer", {"batch_shape": [None, 10, 12]}),
    ]
    last = "x"
    for name in names:
        operands = tensor(last, [None, 10, 12, 16]), tensor("g", [None, 10, 12])
        layers.append(layer(name, "Multiply", {}, *operands))
        last = name
    return write_model(path, layers, ["x", "g"], last)


# -- writing a plan -----------------------------
@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_a_plan_holds_every_finding(path, tmp_path, capsys):
    plan = planned(capsys, path, tmp_path / "plan.toml")
    data = json.loads(run(capsys, "check", path, "--format", "json").out)
    assert plan["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (plan["model"], plan["rewriter"]) == (str(path), rewriter.__version__)
    for entry, finding in zip(plan.get("finding", []), data["findings"], strict=True):
        assert (entry["node"], entry["kind"]) == (finding["node"], finding["kind"])
        assert [o["from"] for o in entry["operands"]] == [o["from"] for o in finding["operands"]]
        for written, candidate in zip(entry.get("candidate", []), finding["candidates"], strict=True):
            assert all(
                written[key] == candidate[key] for key in ("rule", "equation", "evidence", "applicability")
            )
            assert len(written["insert"]) == len(candidate["insert"])
        chosen = finding["chosen"]
        names = [] if chosen is None else [finding["candidates"][chosen][k] for k in ("rule", "equation")]
        assert entry["choice"] in (names or [""])


@pytest.mark.parametrize("mode", ["safe", "best"])
@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_an_unedited_plan_repairs_as_repair_does(path, mode, tmp_path, capsys):
    planned(capsys, path, tmp_path / "plan.toml", "--mode", mode)
    targets = tmp_path / "planned.keras", tmp_path / "plain.keras"
    told = run(capsys, "repair", "--no-verify", path, "-o", targets[0], "--plan", tmp_path / "plan.toml")
    plain = run(capsys, "repair", "--no-verify", path, "-o", targets[1], "--mode", mode)
    assert told.status == plain.status
    assert targets[0].exists() == targets[1].exists() == (plain.status == 0)
    if plain.status == 0:
        assert targets[0].read_bytes() == targets[1].read_bytes()


def test_a_plan_has_no_long_lines_and_says_how_to_use_it(tmp_path, capsys):
    planned(capsys, model("chained"), tmp_path / "plan.toml")
    text = (tmp_path / "plan.toml").read_text()
    assert max(map(len, text.splitlines())) <= 100
    assert "--plan FILE" in text
    assert "features  batch=B  height=10  width=12  channel=16" in text


def test_checking_writes_the_same_report_and_status(tmp_path, capsys):
    for name in ("json", "sarif", "github", "text"):
        plain = run(capsys, "check", model("chained"), "--format", name)
        told = run(capsys, "check", model("chained"), "--format", name, "--plan", tmp_path / "plan.toml")
        assert told == plain
        assert tomllib.loads((tmp_path / "plan.toml").read_text())["finding"]


# -- applying a plan -----------------------------
def test_another_choice_is_applied(tmp_path, capsys):
    plan, target = tmp_path / "plan.toml", tmp_path / "o.keras"
    planned(capsys, model("article_flatten_multiply"), plan)
    edit(plan, 'choice = ""', 'choice = " b f,  b g -> b f g "')
    done = run(
        capsys,
        "repair",
        "--no-verify",
        model("article_flatten_multiply"),
        "-o",
        target,
        "--plan",
        plan,
        "--format",
        "json",
    )
    data = json.loads(done.out)
    assert [(i["op"], i["rule"]) for i in data["inserted"]] == [("Reshape", "outer")] * 2
    assert done.status == 0
    assert target.exists()


def test_a_rule_of_which_two_candidates_are_needs_its_equation(tmp_path, capsys):
    plan = tmp_path / "plan.toml"
    entry = planned(capsys, model("layout"), plan)["finding"][0]
    assert [c["rule"] for c in entry["candidate"]].count("layout") == 2
    assert entry["choice"] == "b h w c, b c h w -> b h w c"
    edit(plan, f'choice = "{entry["choice"]}"', 'choice = "layout"')
    done = run(capsys, "repair", "--no-verify", model("layout"), "-o", tmp_path / "o.keras", "--plan", plan)
    assert done.status == 2
    assert is_one_error_line(done.err, "layout", "several ways", "b h w c, b c h w -> b h w c")


def test_an_empty_choice_writes_nothing(tmp_path, capsys):
    plan, target = tmp_path / "plan.toml", tmp_path / "o.keras"
    planned(capsys, model("chained"), plan)
    edit(plan, 'choice = "spatial-gate"', 'choice = ""')
    done = run(capsys, "repair", "--no-verify", model("chained"), "-o", target, "--plan", plan)
    assert done.status == 1
    assert "1 finding could not be decided" in done.out
    assert not target.exists()


def test_a_finding_that_was_taken_out_is_not_repaired(tmp_path, capsys):
    plan, target = tmp_path / "plan.toml", tmp_path / "o.keras"
    planned(capsys, model("chained"), plan)
    text = plan.read_text()
    plan.write_text(text[: text.rindex("[[finding]]")])
    done = run(capsys, "repair", "--no-verify", model("chained"), "-o", target, "--plan", plan)
    assert done.status == 1
    assert not target.exists()


def test_what_is_left_stays_and_the_rest_is_repaired(tmp_path, capsys):
    plan, target = tmp_path / "plan.toml", tmp_path / "o.keras"
    planned(capsys, model("chained"), plan)
    edit(plan, 'choice = "channel-gate"', 'choice = "leave"')
    done = run(
        capsys, "repair", "--no-verify", model("chained"), "-o", target, "--plan", plan, "--format", "json"
    )
    assert done.status == 0
    assert {i["rule"] for i in json.loads(done.out)["inserted"]} == {"spatial-gate"}
    assert json.loads(done.out)["verified"]["findings_left"] == 1
    left = json.loads(run(capsys, "check", target, "--format", "json").out)["findings"]
    assert [f["node"] for f in left] == ["scale_channels"]


def test_a_model_with_something_left_is_not_run(tmp_path, capsys):
    """Keras does not load the file, but this is not a failed proof of the repair."""
    planned(capsys, model("chained"), tmp_path / "plan.toml")
    edit(tmp_path / "plan.toml", 'choice = "spatial-gate"', 'choice = "leave"')

    def prover(request: Any) -> dict[str, Any]:
        raise AssertionError("it was run")

    result = rewriter.repair(
        model("chained"), tmp_path / "o.keras", plan=tmp_path / "plan.toml", verify=prover
    )
    assert "'scale_map' was left" in result.verified["skipped"]


def test_a_product_without_a_finding_can_be_told_too(tmp_path, capsys):
    plan, target = tmp_path / "plan.toml", tmp_path / "o.keras"
    assert "finding" not in planned(capsys, model("article_channel_scale"), plan)
    with plan.open("a") as file:
        file.write('[[finding]]\nnode = "scale"\nchoice = "channel-scale"\n')
    done = run(capsys, "repair", "--no-verify", model("article_channel_scale"), "-o", target, "--plan", plan)
    assert done.status in (0, 2), done.err  # it already computes this: nothing to insert


def test_choices_that_change_what_flows_on_are_applied_together(tmp_path, capsys):
    """The first product grows to three axes; the equation of the second one describes this new operand."""
    path, plan = tmp_path / "m.keras", tmp_path / "plan.toml"
    shapes = {"a": [None, 5], "b": [None, 7], "c": [None, 5]}
    layers = [layer(n, "InputLayer", {"batch_shape": s}) for n, s in shapes.items()]
    layers.append(layer("first", "Multiply", {}, tensor("a", [None, 5]), tensor("b", [None, 7])))
    layers.append(layer("second", "Multiply", {}, tensor("first", [None, 5, 7]), tensor("c", [None, 5])))
    write_model(path, layers, list(shapes), "second")
    planned(capsys, path, plan)
    text = plan.read_text()
    head = text[: text.index("\n\n# error")]
    plan.write_text(
        head
        + """
        [[finding]]
        node = "second"
        choice = "b f g, b f -> b f g"
        [[finding]]
        node = "first"
        choice = "b f, b g -> b f g"
        """
    )
    done = run(capsys, "repair", "--no-verify", path, "--diff", "--plan", plan)
    assert done.status == 0, done.err
    assert "(B, 5, 7)" in done.out.rpartition("second")[2]


# -- names -----------------------------
ODD = [
    '"quoted"',
    "it's # not a comment",
    "line\nfeed",
    "\ttab",
    "back\\slash",
    "ünïcode 乘法",
    "a=b",
    "[x]",
    "\x7f",
]


def test_odd_names_come_back(tmp_path, capsys):
    path, plan = gates(tmp_path / "m.keras", *ODD), tmp_path / "plan.toml"
    assert [entry["node"] for entry in planned(capsys, path, plan)["finding"]] == ODD
    edit(plan, 'node = "a=b"', 'node = "a=b" # changed')
    done = run(capsys, "repair", "--no-verify", path, "--diff", "--plan", plan, "--format", "json")
    assert done.status == 0
    assert len(json.loads(done.out)["inserted"]) == len(ODD)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_toml(text):
    assert tomllib.loads(f"x = {quoted(text)}") == {"x": text}
    assert quoted(text).isprintable() or "\n" not in quoted(text)


# -- refusals -----------------------------
@pytest.fixture
def plan(tmp_path, capsys):
    planned(capsys, model("chained"), tmp_path / "plan.toml")
    return tmp_path / "plan.toml"


def refused(capsys, plan: Path, *parts: str, of: str = "chained") -> None:
    """``repair`` with the plan prints one error line that contains the parts, and writes nothing."""
    target = plan.parent / "o.keras"
    done = run(capsys, "repair", "--no-verify", model(of), "-o", target, "--plan", plan)
    assert done.status == 2
    assert done.out == ""
    assert is_one_error_line(done.err, *parts), done.err
    assert not target.exists()


def test_another_model(plan, capsys):
    refused(capsys, plan, "has changed since", of="layout")


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ('node = "scale_map"', 'node = "scale_mop"', "no node 'scale_mop'"),
        ('node = "scale_map"', 'node = "scale_channels"', "is listed twice"),
        ('node = "scale_map"', 'node = "features"', "no multiply 'features'"),
        ('node = "scale_map"', "node = 3", "node must be a string"),
        ('node = "scale_map"', "", "needs a node and a choice"),
        ('choice = "spatial-gate"', 'choice = "spatial-gaet"', "no rule 'spatial-gaet'"),
        ('choice = "spatial-gate"', 'choice = "b h w, b h w c -> b h w c"', "does not describe"),
        ('choice = "spatial-gate"', 'choice = "b h w c, c b -> b h w c"', "does not describe"),
        ('choice = "spatial-gate"', "choice = 1", "choice must be a string"),
        ('choice = "spatial-gate"', "choice = spatial-gate", "is not TOML"),
        ('choice = "spatial-gate"', 'chioce = "spatial-gate"', "unknown key 'chioce'"),
        ('choice = "spatial-gate"', 'choice = "leave"\nchoice = "leave"', "is not TOML"),
        ('schema = "rewriter-plan/1"', 'schema = "rewriter-plan/2"', "rewriter-plan/1"),
        ('schema = "rewriter-plan/1"', "", "rewriter-plan/1"),
        ('mode = "safe"', 'mode = "safe"\nextra = 1', "unknown key 'extra'"),
        ('sha256 = "', 'sha256 = "zz', "64 hexadecimal digits"),
    ],
)
def test_an_edit_that_means_nothing(plan, capsys, old, new, part):
    edit(plan, old, new)
    refused(capsys, plan, part)


@pytest.mark.parametrize("equation", ["b h w c, b h w", "b h w c, b h w -> b h w c d", "b h w c, b h ( -> b"])
def test_an_equation_that_is_none(plan, capsys, equation):
    edit(plan, 'choice = "spatial-gate"', f'choice = "{equation}"')
    done = run(
        capsys, "repair", "--no-verify", model("chained"), "-o", plan.parent / "o.keras", "--plan", plan
    )
    assert done.status == 2
    message, text, mark = done.err.splitlines()
    assert "finding 2, 'scale_map'" in message
    assert text.strip() == equation
    assert mark.strip() == "^"


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "rewriter-plan/1"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"PK\x03\x04", "is not TOML"),
        (b"x = " + b"[" * 100_000, ""),
        (b"x = " + b"{a=" * 100_000, ""),
        (b"x = " + b"9" * 100_000, "is not TOML"),
        (b"#" * ((16 << 20) + 1), "larger than 16 MiB"),
        (
            b'schema = "rewriter-plan/1"\nsha256 = "' + b"0" * 64 + b'"\nfinding = 3',
            "finding must be a list",
        ),
        (b'schema = "rewriter-plan/1"\nsha256 = "' + b"0" * 64 + b'"\nfinding = [3]', "must be a table"),
        (b'schema = "rewriter-plan/1"\nsha256 = ["' + b"0" * 64 + b'"]', "sha256 must be"),
    ],
)
def test_a_file_that_is_no_plan(tmp_path, capsys, monkeypatch, content, part):
    monkeypatch.chdir(tmp_path)  # the path is part of the error line, whose length is limited
    Path("plan.toml").write_bytes(content)
    refused(capsys, Path("plan.toml"), part)


def test_no_such_plan(tmp_path, capsys):
    refused(capsys, tmp_path / "none.toml", "no such file")
    refused(capsys, tmp_path, "directory")


def test_the_model_is_never_overwritten(tmp_path, capsys):
    path = tmp_path / "m.keras"
    shutil.copy(model("chained"), path)
    os.symlink(path, tmp_path / "link.toml")
    for target in (path, tmp_path / "link.toml"):
        done = run(capsys, "check", path, "--plan", target)
        assert done.status == 2
        assert is_one_error_line(done.err, "the plan is the input itself")
    assert path.read_bytes() == model("chained").read_bytes()


def test_a_plan_is_not_overwritten_by_the_model(plan, capsys):
    before = plan.read_bytes()
    done = run(capsys, "repair", "--no-verify", model("chained"), "-o", plan, "--plan", plan)
    assert done.status == 2
    assert plan.read_bytes() == before


def test_a_plan_that_cannot_be_written(tmp_path, capsys):
    done = run(capsys, "check", model("chained"), "--plan", tmp_path / "none" / "plan.toml")
    assert done.status == 2
    assert is_one_error_line(done.err, "none", "directory")


def test_arguments_that_contradict_a_plan(plan, capsys):
    for more in (["--at", "scale_map=spatial-gate"], ["--mode", "best"], ["--explicit"]):
        done = run(
            capsys, "repair", "--no-verify", model("chained"), "-o", plan.parent / "o", "--plan", plan, *more
        )
        assert done.status == 2
        assert is_one_error_line(done.err, "--plan")
    done = run(capsys, "check", model("chained"), model("layout"), "--plan", plan)
    assert done.status == 2
    assert is_one_error_line(done.err, "--plan takes one model")


def test_the_rules_of_a_user_are_known(tmp_path, capsys):
    rules, plan = tmp_path / "rules.toml", tmp_path / "plan.toml"
    rules.write_text('[[rule]]\nname = "my-gate"\nequations = ["b h w c, b h w -> b h w c"]\n')
    planned(capsys, model("chained"), plan, "--rules", str(rules))
    edit(plan, 'choice = "spatial-gate"', 'choice = "my-gate"')
    refused(capsys, plan, "my-gate")
    target = tmp_path / "o.keras"
    done = run(
        capsys, "repair", "--no-verify", model("chained"), "-o", target, "--plan", plan, "--rules", rules
    )
    assert done.status == 0, done.err


def test_the_library_writes_and_applies_plans(tmp_path):
    report = rewriter.check(model("chained"), plan=tmp_path / "plan.toml")
    assert len(report.findings) == 2
    result = rewriter.repair(
        model("chained"), tmp_path / "o.keras", plan=tmp_path / "plan.toml", verify=False
    )
    assert len(result.inserted) == 2
    with pytest.raises(rewriter.UsageError):
        rewriter.repair(model("chained"), tmp_path / "p.keras", plan=tmp_path / "plan.toml", mode="best")


def test_a_product_in_a_nested_model(tmp_path, capsys):
    plan = tmp_path / "plan.toml"
    assert planned(capsys, model("nested"), plan)["finding"][0]["node"] == "block/scale"
    done = run(capsys, "repair", "--no-verify", model("nested"), "-o", tmp_path / "o.keras", "--plan", plan)
    assert done.status == 0


def test_constants_are_operands_too(tmp_path, capsys):
    path = product(tmp_path / "m.keras", [[None, 3, 5], [None, 3]])
    entry = planned(capsys, path, tmp_path / "plan.toml")["finding"][0]
    assert [o["shape"] for o in entry["operands"]] == ["(B, 3, 5)", "(B, 3)"]
