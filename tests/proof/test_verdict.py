"""Proven, disproven, or not run and why: in the JSON, the text and the exit status."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import keras
import pytest

import rewriter
from rewriter.proof import Request, in_process
from rewriter.proof.blame import excused, line
from rewriter.proof.verdict import judged
from tests.cli.common import is_one_error_line, model, run

SHOWN = {"proven": True, "batches": [1, 2, 3], "difference": 1e-7}
MISSING = {"proven": False, "why": "a reason"}
SAME = {"changes": False, "batches": [1, 2, 3]}
FAILED = {"check": "equation", "node": "scale", "batch": 3, "difference": 0.5, "text": "it is off by 0.5"}


def answer(**checks: Any) -> dict[str, Any]:
    every = dict.fromkeys(("equation", "independence", "batch-one", "gradients"), SHOWN)
    return {
        "checks": every | {name.replace("_", "-"): check for name, check in checks.items()},
        "behaviour": SAME,
    }


# -- which of the three -----------------------------
@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (answer(), None),
        (answer(independence=MISSING, batch_one=MISSING, gradients=MISSING), None),
        (answer(equation=MISSING), "a reason"),
        (answer(equation=SHOWN | {"why": "'b': it did not run"}), "'b': it did not run"),
        (answer() | {"ended": "it took longer than 300 seconds"}, "it took longer than 300 seconds"),
        ({"skipped": "tensorflow not installed"}, "tensorflow not installed"),
    ],
)
def test_what_is_proven(given: dict[str, Any], reason: str | None):
    """Every changed node must be shown to compute its equation, and the run must finish."""
    found = judged(given, [])
    assert found.get("reason") == reason
    assert found["verdict"] == ("not-run" if reason else "proven")
    assert {k: v for k, v in found.items() if k not in ("verdict", "reason")} == given


def open_sizes(folder: Path) -> Path:
    """A gate to repair, and a product of unknown shapes."""
    x = keras.Input((5, 11, 3), name="x")
    gate = keras.layers.Dense(3, name="gate")(keras.layers.GlobalAveragePooling2D()(x))
    a, b = keras.Input((None,), name="a"), keras.Input((None,), name="b")
    keras.Model([x, a, b], [keras.ops.multiply(x, gate), keras.layers.Multiply(name="other")([a, b])]).save(
        folder / "in.keras"
    )
    return folder / "in.keras"


def test_nothing_is_proven_while_a_finding_is_left(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setattr("rewriter.proof.in_child", in_process)
    target = tmp_path / "out.keras"
    done = run(capsys, "repair", open_sizes(tmp_path), "-o", target, "--format", "json")
    verified = json.loads(done.out)["verified"]
    assert (done.status, verified["verdict"]) == (0, "not-run")
    assert all(check["proven"] for check in verified["checks"].values())
    assert verified["findings_left"] == 1
    assert verified["reason"].startswith("1 finding is left, 'other': ")
    text = run(capsys, "repair", tmp_path / "in.keras", "-o", target).out
    assert "Not proven: 1 finding is left, 'other'" in text
    assert re.search(r"Shown by a run in Keras \S+ on TensorFlow \S+ at\s+batch 1, 2, 3", text)
    assert "Proven" not in text


def test_a_repair_without_a_run_is_not_proven(tmp_path: Path, capsys):
    target = tmp_path / "out.keras"
    words = ("repair", model("layout"), "-o", target, "--no-verify")
    assert "Proven" not in run(capsys, *words).out
    verified = json.loads(run(capsys, *words, "--format", "json").out)["verified"]
    assert (verified["verdict"], verified["reason"]) == ("not-run", "--no-verify")
    verified = json.loads(run(capsys, "repair", model("valid"), "-o", target, "--format", "json").out)[
        "verified"
    ]
    assert verified["verdict"] == "not-run"
    assert "identical" in verified["reason"]


@pytest.mark.parametrize("mode", ["safe", "best"])
def test_a_disproof_is_said_in_the_json(mode: str, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setattr("rewriter.proof.in_child", lambda request: {"failed": FAILED})
    target = tmp_path / "out.keras"
    words = ("repair", model("layout"), "-o", target, "--format", "json", "--mode", mode)
    done = run(capsys, *words)
    assert done.status == 3
    data = json.loads(done.out)
    assert is_one_error_line(done.err, data["error"])
    assert data["verified"] == {"verdict": "disproven", "reason": data["error"], "failed": FAILED}
    assert not target.exists()


def test_other_errors_are_no_disproof(tmp_path: Path, capsys):
    done = run(capsys, "repair", tmp_path / "none.keras", "-o", tmp_path / "out.keras", "--format", "json")
    assert json.loads(done.out) == {"model": str(tmp_path / "none.keras"), "error": "no such file"}


# -- failures that the repair causes -----------------------------
def test_one_line_says_what_is_wrong():
    trace = """Graph execution error:

Detected at node functional/Mul defined at (most recent call last):
  File "/somewhere/checks.py", line 9, in <module>

Incompatible shapes: [2,3,9,7] vs. [2,7]
\t [[{{node functional/Mul}}]] [Op:__inference_step_66]"""
    assert line(ValueError(trace)) == "Incompatible shapes: [2,3,9,7] vs. [2,7]"
    layer = "Exception encountered when calling Softmax.call().\n\n\x1b[1mtoo many\x1b[0m\n\nArguments received by it"
    assert line(ValueError(layer)) == "too many"
    nested = "<class 'M'> could not be deserialized\n\nconfig={}.\n\nException encountered: no such argument: newer"
    assert line(ValueError(nested)) == "no such argument: newer"
    assert line(ValueError("cannot load /tmp/a.keras"), "/tmp/a.keras") == "cannot load the file"
    assert line(ValueError("<stack traces unavailable>\nno such kernel")) == "no such kernel"
    assert line(ValueError()) == "ValueError"


@pytest.mark.parametrize(
    ("now", "before", "same"),
    [
        ("no op Nope", "no op Nope", True),
        ("no op Nope", "", False),
        ("Conv2D op currently only supports NHWC", "it is not built", True),
        ("no op Nope", "no op Other", False),
        ("Incompatible shapes: [2] vs. [3]", "Incompatible shapes: [2] vs. [3]", False),
        (
            "[ShapeInferenceError] Incompatible dimensions",
            "[ShapeInferenceError] Incompatible dimensions",
            False,
        ),
        (
            "axis == 1 was false. Attempting to broadcast",
            "axis == 1 was false. Attempting to broadcast",
            False,
        ),
    ],
)
def test_the_fault_that_is_repaired_is_no_excuse(now: str, before: str, same: bool):
    assert excused(now, before) is same


# -- changes of behaviour -----------------------------
def behaviour(name: str, folder: Path, **options: Any) -> dict[str, Any]:
    result = rewriter.repair(model(name), folder / "out.keras", verify=in_process, **options)
    return result.verified["behaviour"]


@pytest.mark.parametrize("name", ["layout", "axis_misaligned"])
def test_a_model_that_runs_at_every_batch_computes_something_else(
    name: str, tmp_path: Path, capsys, monkeypatch
):
    found = behaviour(name, tmp_path)
    assert found["changes"] is True
    assert {1, 2, 3, 8} <= set(found["batches"])
    assert found["difference"] > 1e-3
    monkeypatch.setattr("rewriter.proof.in_child", in_process)
    text = " ".join(run(capsys, "repair", model(name), "-o", tmp_path / "out.keras").out.split())
    assert "The behaviour changes: the original also runs at batch 1, 2, 3" in text
    assert "No run can show which of the two was meant." in text


def test_another_shape_is_another_behaviour(tmp_path: Path):
    found = behaviour("grown", tmp_path)
    assert (found["changes"], found["difference"]) == (True, None)


@pytest.mark.parametrize(
    ("name", "why"),
    [("batch_misaligned", "does not run at batch 2"), ("incompatible", "Keras does not load the original: ")],
)
def test_where_the_original_does_not_run_nothing_is_said(
    name: str, why: str, tmp_path: Path, capsys, monkeypatch
):
    found = behaviour(name, tmp_path)
    assert found["changes"] is None
    assert why in found["why"]
    monkeypatch.setattr("rewriter.proof.in_child", in_process)
    assert "behaviour changes" not in run(capsys, "repair", model(name), "-o", tmp_path / "out.keras").out


def test_it_runs_at_every_batch_at_which_the_original_runs(tmp_path: Path):
    """No sample need be independent, so the checks before run 1, 2 and 3 alone."""
    x = keras.Input((3,))
    keras.Model(x, keras.layers.Multiply(name="square")([x, x])).save(tmp_path / "before.keras")
    number = keras.ops.cast(keras.ops.cumsum(keras.ops.ones_like(x), axis=0), "int32")
    row = keras.layers.Embedding(5, 1)(number)  # sample 5 has no row
    keras.Model(x, keras.layers.Multiply(name="square")([x, x + 0.0 * row[..., 0]])).save(
        tmp_path / "after.keras"
    )
    files = [str(tmp_path / f"{name}.keras") for name in ("after", "before")]
    request = Request(*files, "keras-v3", "keras-v3", [], [0], [1, 2, 3, 5], 6, not_independent="a test")
    failed = in_process(request)["failed"]
    assert (failed["check"], failed["batch"]) == ("run", 5)
    assert "the original runs on the same input, but it does not" in failed["text"]


def test_what_is_written_out_changes_nothing(tmp_path: Path):
    found = behaviour("article_channel_scale", tmp_path, explicit=True)
    assert found["changes"] is False
    assert found["batches"]
