"""The display of results: a short repr, the text, the JSON as a dict, HTML; and copies of results."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys

import pytest

import rewriter
from rewriter.presentation import Presentable
from rewriter.report import as_json, views
from tests.cli.common import MODELS, ROOT, model, run
from tests.cli.hostile import product

MOST = 200
PUBLIC = (
    "Report",
    "Result",
    "Finding",
    "Candidate",
    "Shapes",
    "Explanation",
    "Suggestion",
    "Exported",
    "Converted",
)

# Classes that results contain.
PARTS = ("Analysis", "Change", "Changes", "Decision", "Operand", "Site", "State", "Value", "Verdicts")


def items(path, folder) -> dict[str, object]:
    """One of each class that the library returns, of a model."""
    report = rewriter.check(path)
    found = {
        "Report": report,
        "Result": rewriter.repair(path, folder / "o.keras", verify=False),
        "Shapes": rewriter.shapes(path),
        "Explanation": rewriter.explain(path),
        "Suggestion": rewriter.suggest("None,28,28,64", "None,64"),
        "Exported": rewriter.export_onnx(model("valid"), folder / "o.onnx"),
        "Converted": rewriter.convert(path, folder / "c.json", verify=False),
    }
    for finding in report.findings[:1]:
        found["Finding"] = finding
        for candidate in finding.candidates[:1]:
            found["Candidate"] = candidate
    return found


def reached(item: object, depth: int = 6) -> list[object]:
    """What can be reached from an item through public attributes and lists."""
    if depth == 0 or isinstance(item, (str, int, float, bool, type(None))):
        return []
    if isinstance(item, (list, tuple)):
        return [each for part in item for each in reached(part, depth - 1)]
    if not type(item).__module__.startswith("rewriter.") or isinstance(item, str):
        return []
    names = [n for n in getattr(type(item), "__dataclass_fields__", ()) if not n.startswith("_")]
    return [item, *(each for n in names for each in reached(getattr(item, n), depth - 1))]


def test_every_class_is_seen(tmp_path):
    assert set(items(model("chained"), tmp_path)) == set(PUBLIC)
    assert {cls.__name__ for cls in views._VIEWS} == set(PUBLIC)


@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_a_repr_is_short_and_one_line(path, tmp_path):
    for item in items(path, tmp_path).values():
        for each in (item, *reached(item)):
            if type(each).__name__ in (*PUBLIC, *PARTS):
                assert len(repr(each)) < MOST, type(each)
                assert repr(each).isprintable()
                assert " at 0x" not in repr(each)


def test_a_repr_of_endless_and_odd_names_is_short(tmp_path):
    shapes = [[None, 10, 12, 16], [None, 10, 12]]
    path = product(tmp_path / ("m" * 200 + ".keras"), shapes, ("a" * 5000, "x\x1b[31m\n"), "s" * 5000)
    report = rewriter.check(path)
    result = rewriter.repair(path, dry_run=True)
    for item in (
        report,
        result,
        *report.findings,
        *reached(report),
        *result.changes.nodes,
        rewriter.shapes(path),
        *reached(rewriter.explain(path)),
    ):
        if type(item).__name__ in (*PUBLIC, *PARTS):
            assert len(repr(item)) < MOST, type(item)
            assert "\x1b" not in repr(item)
            assert "\n" not in repr(item)


def test_no_summary_makes_a_long_repr():
    class Endless(Presentable):
        def _summary(self) -> str:
            return "a\n\x1b[31m" * 1000

    assert len(repr(Endless())) < MOST
    assert repr(Endless()).isprintable()


def test_reprs_say_what_it_is(tmp_path):
    path = model("chained").relative_to(ROOT)
    report = rewriter.check(ROOT / path)
    report.path = "m.keras"
    assert repr(report) == "<Report 'm.keras': 8 nodes, 2 multiplies, 2 findings>"
    assert repr(report.findings[0]) == "<Finding RW002 batch-misaligned at 'scale_channels': channel-gate>"
    assert (
        repr(report.findings[0].candidates[0]) == "<Candidate channel-gate 'b h w c, b c -> b h w c' (safe)>"
    )
    result = rewriter.repair(ROOT / path, tmp_path / "o.keras", verify=False)
    result.path, result.output = "m.keras", "o.keras"
    assert repr(result) == "<Result 'm.keras': 2 findings, 2 nodes inserted, written to 'o.keras'>"


@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_str_is_the_text_without_colours(path, tmp_path):
    for item in items(path, tmp_path).values():
        text = str(item)
        assert text
        assert "\x1b" not in text
        assert not text.endswith("\n")


def test_str_of_a_report_names_every_finding():
    report = rewriter.check(model("chained"))
    assert "scale_channels" in str(report)
    assert "scale_map" in str(report)
    assert "scale_channels" in str(report.findings[0])
    assert "scale_map" in str(report.findings[1])


def test_str_of_a_dry_run_is_the_diff():
    assert str(rewriter.repair(model("chained"), dry_run=True)).startswith("--- a/")


# -- data -----------------------------
def test_to_dict_is_what_the_command_prints(tmp_path, capsys):
    path = model("chained")
    out = tmp_path / "o.keras"
    rows = [
        (rewriter.check(path), ("check", path)),
        (rewriter.repair(path, out, verify=False), ("repair", path, "-o", out, "--no-verify")),
        (rewriter.shapes(path), ("shapes", path)),
        (rewriter.suggest("None,28,28,64", "None,64"), ("suggest", "None,28,28,64", "None,64")),
        (rewriter.convert(path, out, verify=False), ("convert", path, out, "--no-verify")),
    ]
    for item, words in rows:
        assert item.to_dict() == json.loads(run(capsys, *words, "--format", "json").out)


def test_parts_of_a_report_are_those_of_its_dict():
    report = rewriter.check(model("chained"))
    data = report.to_dict()
    assert [f.to_dict() for f in report.findings] == data["findings"]
    assert [c.to_dict() for c in report.findings[0].candidates] == data["findings"][0]["candidates"]


@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_to_dict_is_plain_data(path, tmp_path):
    for item in items(path, tmp_path).values():
        assert json.loads(json.dumps(item.to_dict())) is not None


def test_an_explanation_as_data():
    data = rewriter.explain(model("chained")).to_dict()
    assert [(n["node"], n["finding"]["code"]) for n in data["nodes"]] == [
        ("scale_channels", "RW002"),
        ("scale_map", "RW001"),
    ]
    (one,) = rewriter.explain(model("chained"), "scale_map").to_dict()["nodes"]
    assert one == data["nodes"][1]
    assert rewriter.explain(model("valid")).to_dict()["nodes"][0]["finding"] is None


def test_a_finding_where_nothing_can_be_inserted_is_explained_too():
    item = rewriter.explain(model("article_batch_join"))
    assert item.sites == []
    assert [f.node for f in item.findings] == ["scale"]
    (node,) = item.to_dict()["nodes"]
    assert (node["node"], node["finding"]["code"], node["rules"]) == ("scale", "RW005", [])
    assert rewriter.explain(model("article_batch_join"), "scale").to_dict() == item.to_dict()


def test_an_export_as_data(tmp_path):
    data = rewriter.export_onnx(model("valid"), tmp_path / "o.onnx", opset=18).to_dict()
    assert data["schema"] == as_json.SCHEMA
    assert data["opset"] == 18
    assert data["output"] == str(tmp_path / "o.onnx")
    assert data["bytes"] == (tmp_path / "o.onnx").stat().st_size
    assert sum(data["nodes"].values()) > 0


# -- notebooks -----------------------------
def test_without_the_html_extra_a_notebook_shows_the_text(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rewriter.report.html", None)
    path = product(tmp_path / "m.keras", [[None, 10, 12, 16], [None, 10, 12]], ("<b>", "b"), "<script>")
    report = rewriter.check(path)
    shown = report._repr_html_()
    assert shown.startswith("<pre>")
    assert "&lt;script&gt;" in shown
    assert "<script>" not in shown


def test_with_it_a_notebook_shows_the_fragment(monkeypatch):
    class Html:
        @staticmethod
        def fragment(item: object) -> str:
            return f"<p>{type(item).__name__}</p>"

    monkeypatch.setitem(sys.modules, "rewriter.report.html", Html)
    assert rewriter.check(model("chained"))._repr_html_() == "<p>Report</p>"


# -- copies -----------------------------
@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_copies_are_the_same(path):
    for item in (rewriter.check(path), rewriter.repair(path, dry_run=True)):
        for made in (copy.deepcopy(item), pickle.loads(pickle.dumps(item))):
            assert made.to_dict() == item.to_dict()
            assert str(made) == str(item)
            for ours, theirs in zip(item.findings, made.findings, strict=True):
                assert theirs.decision.stage is ours.decision.stage
                assert theirs.chosen == ours.chosen


def test_a_report_goes_to_another_process(tmp_path):
    report = rewriter.check(model("chained"))
    (tmp_path / "report").write_bytes(pickle.dumps(report))
    program = f"import pickle; print(pickle.load(open({str(tmp_path / 'report')!r}, 'rb')))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.stdout == f"{report}\n", done.stderr


def test_errors_go_to_another_process(tmp_path):
    with pytest.raises(rewriter.UndecidedError) as caught:
        rewriter.export_onnx(model("article_flatten_multiply"), tmp_path / "o.onnx", repair=True)
    made = pickle.loads(pickle.dumps(caught.value))
    assert str(made) == str(caught.value)
    assert [f.node for f in made.findings] == ["scale"]
