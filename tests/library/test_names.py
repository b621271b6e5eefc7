"""The public names: available at once, loaded on use, and typed."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rewriter
from rewriter.export.onnx.options import Options
from tests.cli.common import ROOT

ONNX = (
    "opset",
    "batch",
    "external_data",
    "nchw_inputs",
    "nchw_outputs",
    "fp16",
    "quantize",
    "fallback",
    "input_names",
    "output_names",
    "states",
    "annotate",
    "extensions",
)
REPAIR = ("at", "mode", "ops", "explicit", "verify", "rules")
SIGNATURES = {
    "check": ("model", "*", "mode", "ops", "rules", "plan", "weights", "timeout", "trust"),
    "repair": ("model", "output", "*", "onnx", *REPAIR, "plan", "dry_run", "weights", "timeout", "trust"),
    "repaired": ("model", "*", "output", "onnx", *REPAIR, "timeout"),
    "repairing": ("model", "*", *REPAIR, "timeout"),
    "shapes": ("model", "*", "weights", "timeout", "trust"),
    "explain": ("model", "node", "*", "ops", "rules", "weights", "timeout", "trust"),
    "suggest": ("lhs", "rhs", "*", "op", "layout", "rules"),
    "export_onnx": (
        "model",
        "output",
        "*",
        "rules",
        "repair",
        "at",
        "weights",
        *ONNX,
        "verify",
        "timeout",
        "trust",
    ),
    "convert": ("model", "output", "*", "weights", "verify", *ONNX, "timeout"),
    "sweep": (
        "roots",
        "*",
        "action",
        "out",
        "pages",
        "store",
        "resume",
        "filters",
        "jobs",
        "scheduler",
        "timeout",
        "memory",
        "trust",
        "options",
    ),
    "testing.assert_fits": ("model", "*", "mode", "ops", "rules", "weights", "ignore", "timeout", "trust"),
}


def function(name: str):
    found = rewriter
    for part in name.split("."):
        found = getattr(found, part)
    return found


def run(program: str, *options: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, *options, "-c", program]
    return subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=120)


def test_every_public_name_is_there():
    for name in rewriter.__all__:
        assert getattr(rewriter, name) is not None
    assert dir(rewriter) == sorted(rewriter.__all__)
    assert {*rewriter._MODULE_OF, *rewriter._MODULES, "__version__"} == set(rewriter.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'chek'"):
        rewriter.chek  # noqa: B018


def test_nothing_is_imported_before_it_is_used():
    done = run(
        "import sys, rewriter\n"
        "print([n for n in ('numpy', 'networkx', 'rewriter.api', 'rewriter.report') if n in sys.modules])\n"
        "rewriter.check\n"
        "print('rewriter.api' in sys.modules, 'keras' in sys.modules, 'rewriter.formats.onnx' in sys.modules)"
    )
    assert done.stdout.splitlines() == ["[]", "True False False"], done.stderr


@pytest.mark.parametrize(
    "first", ["import rewriter.shapes.infer", "from rewriter.shapes import infer", "pass"]
)
def test_shapes_is_the_function_whatever_is_imported_before(first):
    done = run(
        f"{first}\nimport rewriter\n"
        "print(rewriter.shapes.__module__, len(repr(rewriter.shapes('models/valid.keras'))) < 200)"
    )
    assert done.stdout.split() == ["rewriter.api", "True"], done.stderr


@pytest.mark.parametrize("name", SIGNATURES)
def test_options_are_spelled_out(name):
    parameters = inspect.signature(function(name)).parameters.values()
    words: list[str] = []
    for p in parameters:
        assert p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        if p.kind is p.KEYWORD_ONLY and "*" not in words:
            words.append("*")
        words.append(p.name)
    assert tuple(words) == SIGNATURES[name]


def test_every_public_function_is_in_the_table():
    functions = {n for n in rewriter.__all__ if inspect.isfunction(getattr(rewriter, n))}
    assert functions == {n for n in SIGNATURES if "." not in n}


@pytest.mark.parametrize("name", SIGNATURES)
def test_every_argument_is_in_the_docstring(name):
    text = inspect.getdoc(function(name))
    rows = re.findall(r"^ {4}(\w[\w, ]*):", text.partition("Args:")[2].partition("\n\n")[0], re.M)
    assert sorted(", ".join(rows).split(", ")) == sorted(a for a in SIGNATURES[name] if a != "*")


@pytest.mark.parametrize("name", ["export_onnx", "convert"])
def test_onnx_options_have_the_defaults_of_the_exporter(name):
    parameters = inspect.signature(function(name)).parameters
    usual = Options()
    assert {n: parameters[n].default for n in ONNX} == {n: getattr(usual, n) for n in ONNX}


@pytest.mark.parametrize("name", ["repaired", "repairing"])
def test_repair_options_have_the_defaults_of_repair(name):
    parameters, usual = (
        inspect.signature(function(name)).parameters,
        inspect.signature(rewriter.repair).parameters,
    )
    assert {n: parameters[n].default for n in REPAIR} == {n: usual[n].default for n in REPAIR}


SCRIPT = """\
import rewriter
from rewriter import Candidate, Converted, Exported, Finding, Report, Result, Shapes, Suggestion
from rewriter.keras_callback import CheckShapes
from rewriter.testing import assert_fits

report: Report = rewriter.check("m.keras", mode="best")
findings: list[Finding] = report.findings
candidates: list[Candidate] = findings[0].candidates
result: Result = rewriter.repair("m.keras", "o.keras")
shapes: Shapes = rewriter.shapes("m.keras")
suggestion: Suggestion = rewriter.suggest((None, 4), (None,))
exported: Exported = rewriter.export_onnx("m.keras", "m.onnx", opset=18)
converted: Converted = rewriter.convert("m.h5", "m.keras")
data: dict[str, object] = result.to_dict()
assert_fits("m.keras", ops="all")
callback = CheckShapes(before="fit", on_finding="warn")
try:
    rewriter.repaired("m.keras")
except rewriter.UndecidedError as error:
    text: str = error.reason
"""


def mypy(folder: Path, script: str) -> str:
    (folder / "script.py").write_text(script)
    words = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "script.py"]
    environment = {"MYPYPATH": str(ROOT), "PATH": ""}
    done = subprocess.run(words, capture_output=True, text=True, cwd=folder, env=environment, timeout=300)
    return done.stdout


def test_a_script_of_a_user_is_typed(tmp_path):
    assert "Success" in mypy(tmp_path, SCRIPT)


def test_a_wrong_option_is_a_type_error(tmp_path):
    said = mypy(tmp_path, SCRIPT.replace("opset=18", "opsett=18"))
    assert "opsett" in said
    assert "Found 1 error" in said
