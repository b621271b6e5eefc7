"""Parts of the repository for other tools: the GitHub Action, the pre-commit hook, and the package's metadata."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import rewriter
from rewriter import links
from tests.cli.common import ROOT, model
from tests.cli.test_sarif import load

ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS = {step["id"]: step for step in ACTION["runs"]["steps"]}
(HOOK,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


# -- the action -----------------------------
def step(name: str, folder: Path, outputs: dict[str, str], **given: str) -> tuple[int, str, dict[str, str]]:
    """Run a step of the action as a runner does. Returns its status, printed text and outputs."""
    inputs = {key: spec["default"] for key, spec in ACTION["inputs"].items()} | given
    expressions = {f"inputs.{k}": v for k, v in inputs.items()} | outputs

    def value(text: str) -> str:
        return re.sub(r"\$\{\{ ([\w.-]+) \}\}", lambda found: expressions[found[1]], text)

    environment = {key: value(text) for key, text in STEPS[name]["env"].items()}
    written = folder / "outputs"
    written.write_text("")
    environment |= {
        "PATH": os.environ["PATH"],
        "GITHUB_OUTPUT": str(written),
        "RUNNER_TEMP": str(folder / "temp"),
    }
    # https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax: how "shell: bash" is called
    words = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEPS[name]["run"]]
    done = subprocess.run(
        words, capture_output=True, text=True, cwd=folder / "work", env=environment, timeout=120
    )
    pairs = dict(line.split("=", 1) for line in written.read_text().splitlines())
    return done.returncode, done.stdout, pairs


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A folder with a work folder of models, and a ``rewriter`` command."""
    (tmp_path / "work" / "a" / "b").mkdir(parents=True)
    (tmp_path / "work" / ".git").mkdir()
    shutil.copy(model("valid"), tmp_path / "work" / "good.keras")
    shutil.copy(model("nested"), tmp_path / "work" / "a" / "b" / "bad model.keras")
    command = tmp_path / "temp" / "rewriter" / "bin" / "rewriter"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m rewriter "$@"\n')
    command.chmod(0o755)
    return tmp_path


def test_findings_are_annotated_and_written_as_sarif(job):
    status, out, outputs = step("check", job, {})
    assert (status, outputs) == (0, {"status": "1"})
    (line,) = out.splitlines()
    assert line.startswith("::error file=a/b/bad model.keras,title=RW002 ")
    (result,) = load((job / "work" / "rewriter.sarif").read_text())["results"]
    place = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place == {"uri": "a/b/bad%20model.keras", "uriBaseId": "%SRCROOT%"}


@pytest.mark.parametrize(
    ("status", "fail", "exits"), [(0, "true", 0), (1, "true", 1), (1, "false", 0), (2, "false", 2)]
)
def test_the_job_ends_with_the_status(status, fail, exits, job):
    given = {"steps.check.outputs.status": str(status)}
    assert step("result", job, given, **{"fail-on-findings": fail})[0] == exits


def test_models_that_fit(job):
    status, out, outputs = step("check", job, {}, models="good.keras")
    assert (status, out, outputs) == (0, "", {"status": "0"})


def test_options_reach_the_command(job):
    assert step("check", job, {}, models="good.keras", options="--mode best --ops all")[2] == {"status": "0"}
    assert step("check", job, {}, models="good.keras", options="--mode bold")[2] == {"status": "2"}


def test_a_pattern_without_a_file_fails(job):
    status, out, outputs = step("check", job, {}, models="*.onnx none/*.h5")
    assert (status, outputs) == (2, {"status": "2"})
    assert out.startswith("::error title=rewriter::")


def test_inputs_are_no_code(job):
    """The inputs of a workflow are in variables, not in the text of a script."""
    step(
        "check",
        job,
        {},
        models="good.keras $(touch hacked) `touch hacked` ; touch hacked",
        options="$(touch hacked) `touch hacked`",
    )
    assert not list(job.rglob("hacked"))
    assert "${{" not in "".join(s.get("run", "") for s in STEPS.values())


def test_every_expression_of_the_action_names_something():
    known = {f"inputs.{key}" for key in ACTION["inputs"]}
    known |= {"steps.python.outputs.python-path", "steps.check.outputs.status", "github.action_path"}
    used = set(re.findall(r"\$\{\{ ([\w.-]+) \}\}", (ROOT / "action.yml").read_text()))
    assert used <= known
    assert {f"inputs.{key}" for key in ACTION["inputs"]} - used == {"inputs.upload-sarif"}
    assert STEPS["upload"]["if"] == "inputs.upload-sarif == 'true'"
    assert ACTION["runs"]["using"] == "composite"


# -- the hook -----------------------------
@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("a/m.keras", True),
        ("m.h5", True),
        ("m.hdf5", True),
        ("m.onnx", True),
        ("m.keras.txt", False),
        ("h5", False),
    ],
)
def test_the_hook_takes_model_files(name, taken):
    assert bool(re.search(HOOK["files"], name)) is taken


def test_the_hook_runs_a_command_that_there_is():
    script, command = HOOK["entry"].split()
    assert script in PROJECT["scripts"]
    done = subprocess.run(
        [sys.executable, "-m", "rewriter", command, model("valid"), model("nested")],
        capture_output=True,
        cwd=ROOT,
        timeout=60,
    )
    assert done.returncode == 1
    assert PROJECT["optional-dependencies"]["onnx"] == HOOK["additional_dependencies"]


# -- the package -----------------------------
def test_the_metadata_names_the_addresses_that_reports_link_to():
    assert PROJECT["urls"]["Repository"] == links.REPOSITORY
    assert PROJECT["urls"]["Documentation"] == links.DOCUMENTATION
    assert PROJECT["authors"] == [{"name": "rewriter developers"}]
    assert links.REPOSITORY in (ROOT / ".pre-commit-hooks.yaml").read_text()
    assert f"rev: v{rewriter.__version__}\n" in (ROOT / ".pre-commit-hooks.yaml").read_text()


# -- the examples of nightly sweeps -----------------------------
DEPLOY = ROOT / "docs" / "deploy"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder in the place of the bucket: a clean model, and one with a finding."""
    (tmp_path / "models").mkdir()
    for name in ("valid", "nested"):
        shutil.copy(model(name), tmp_path / "models")
    return tmp_path / "models"


def nightly(words: list[str], folder: Path) -> int:
    """The status of an example's command; its bucket is the folder ``models``, and ``/data`` is the folder itself."""
    words = [word.replace("s3://", f"{folder}/").replace("/data/", f"{folder}/") for word in words]
    done = subprocess.run(
        [sys.executable, "-m", "rewriter", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
    )
    return done.returncode


def test_the_workflow_fails_on_new_findings_only(models):
    (job,) = yaml.safe_load((DEPLOY / "sweep-action.yml").read_text())["jobs"].values()
    (line,) = [step["run"] for step in job["steps"] if "rewriter sweep" in step.get("run", "")]
    words = line.split()[1:]
    assert [nightly(words, models.parent) for _ in range(2)] == [1, 0]
    assert load((models.parent / "sweep.sarif").read_text())["results"]
    # The store is kept also where the command failed.
    (kept,) = [step for step in job["steps"] if "cache/save" in step.get("uses", "")]
    assert kept["if"] == "always()" and kept["with"]["path"] == words[words.index("--store") + 1]


def test_the_cron_job_is_not_tried_again_where_there_are_findings(models):
    job = yaml.safe_load((DEPLOY / "sweep-job.yaml").read_text())["spec"]["jobTemplate"]["spec"]
    (container,) = job["template"]["spec"]["containers"]
    file = (DEPLOY / "Containerfile").read_text()
    words = json.loads(re.search(r"ENTRYPOINT (.*)", file)[1])[1:] + container["args"]
    status = nightly(words, models.parent)
    (rule,) = job["podFailurePolicy"]["rules"]
    assert status == 1 and rule["action"] == "FailJob" and status in rule["onExitCodes"]["values"]
    assert (models.parent / "models.html").exists() and (
        models.parent / "pages" / "nested.keras.html"
    ).exists()
