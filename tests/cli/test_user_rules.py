"""Rules that users add: with ``--rules``, or in the ``pyproject.toml`` of the directory."""

from __future__ import annotations

import json

import pytest

from tests.cli.common import is_one_error_line, model, run
from tests.cli.hostile import product

HEADS = (
    '[[{section}rule]]\nname = "head-gate"\nequations = ["b h t s, b h -> b h t s"]\nsummary = "per head"\n'
)


@pytest.fixture
def heads(tmp_path):
    """Write attention maps of seven heads times one factor per head; no layer shows the roles of the axes."""
    return product(tmp_path / "m.keras", [[None, 7, 11, 13], [None, 7]])


def names(capsys, *words):
    return [r["name"] for r in json.loads(run(capsys, "rules", "--format", "json", *words).out)["rules"]]


def test_a_rules_file(tmp_path, capsys):
    path = tmp_path / "rules.toml"
    path.write_text(HEADS.format(section=""))
    assert "head-gate" in names(capsys, "--rules", path)
    assert "head-gate" not in names(capsys)
    page = run(capsys, "explain", "head-gate", "--rules", path).out
    assert "b h t s, b h -> b h t s" in page
    assert str(path) in page


def test_every_command_takes_them(tmp_path, heads, capsys):
    path = tmp_path / "rules.toml"
    path.write_text(HEADS.format(section=""))
    assert "head-gate" in run(capsys, "explain", heads, "--rules", path).out
    assert run(capsys, "check", heads, "--rules", path).status == 1
    assert run(capsys, "suggest", "None,7,11,13", "None,7", "--rules", path).status == 0
    lines = run(capsys, "check", heads, "--rules", path, "--mode", "best").out.splitlines()
    (printed,) = [line for line in lines if line.startswith("  rewriter repair ")]
    assert f" --rules {path} " in printed
    target = tmp_path / "o.keras"
    done = run(capsys, "repair", heads, "-o", target, "--rules", path, "--at", "scale=head-gate")
    assert "no rule" not in done.err


def test_a_pyproject_is_found(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text(HEADS.format(section="tool.rewriter."))
    assert "head-gate" in names(capsys)
    other = tmp_path / "other.toml"
    other.write_text(HEADS.format(section="").replace("head-gate", "other-gate"))
    assert "head-gate" not in names(capsys, "--rules", other)


@pytest.mark.parametrize("text", ["[project]\nname = 'x'\n", "not toml", "[tool.ruff]\n", "tool = 3\n"])
def test_a_pyproject_of_another_kind_is_no_matter(text, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text(text)
    assert run(capsys, "rules").status == 0


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        "[[rule]]\nname = 'outer'\nequations = ['b f, b g -> b f g']\n",
        "[[rule]]\nname = 'x'\n",
        "[[rule]]\nname = 'x'\nequations = ['b f, b g -> ']\n",
        "rule = 3\n",
        "",
        "[[rules]]\nname = 'x'\nequations = ['b c, b -> b c']\n",
        "schema = 'rewriter-plan/1'\n[[finding]]\nnode = 'x'\n",
    ],
)
def test_a_bad_rules_file_is_one_error(text, tmp_path, capsys):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    for words in (("check", model("valid")), ("rules",), ("explain", model("valid")), ("suggest", "3", "3")):
        done = run(capsys, *words, "--rules", path)
        assert done.status == 2
        assert done.out == ""
        assert done.err.startswith("error: ")
        assert "bad.toml" in done.err
        assert is_one_error_line(done.err) or "^" in done.err


def test_a_generic_rule_says_nothing_by_itself(tmp_path, capsys):
    """A generic rule makes no finding for a legal product, and is chosen if only it fits."""
    from rewriter.errors import UsageError
    from rewriter.rules.userfile import load

    path = tmp_path / "rules.toml"
    path.write_text(HEADS.format(section="") + "generic = true\n")
    (rule,) = load(path)
    assert rule.generic
    path.write_text(HEADS.format(section=""))
    assert not load(path)[0].generic
    for wrong in ('generic = "yes"', "generic = 1"):
        path.write_text(f"{HEADS.format(section='')}{wrong}\n")
        with pytest.raises(UsageError, match="true or false"):
            load(path)
    path.write_text(HEADS.format(section="") + 'equation = "b c, b -> b c"\n')
    with pytest.raises(UsageError, match="both 'equation' and 'equations'"):
        load(path)
    path.write_text(HEADS.format(section="").replace('"per head"', "3"))
    with pytest.raises(UsageError, match="'summary' must be a string"):
        load(path)
    path.write_text('[[rule]]\nname = "side"\nequation = "b c, b d -> b (c+d)"\n')
    with pytest.raises(UsageError, match="a rule has no sum"):
        load(path)
