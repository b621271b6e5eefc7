"""The page: complete, self-contained and well-formed, with all its contents."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import subprocess
import sys

import pytest

import rewriter
from rewriter import api, cli
from rewriter.report import palette, templating
from rewriter.report.html import fragment

from .conftest import MODELS, written
from .models import chain, of_models, saved, wrapped
from .parsing import parsed


def hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@pytest.mark.parametrize("name", [path.stem for path in sorted(MODELS.glob("*.keras"))])
def test_every_model_has_a_page_that_is_whole(name):
    page = written("html", "check", rewriter.check(MODELS / f"{name}.keras"))
    root = parsed(page)
    ids = [e.attributes["id"] for e in root.walk() if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    targets = [e.attributes["href"] for e in root.all("a")]
    assert all(target[1:] in ids for target in targets), targets
    levels = [int(e.tag[1]) for e in root.walk() if re.fullmatch(r"h[1-6]", e.tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels)), levels


def test_a_page_needs_nothing_else(chained):
    assert chained.isascii()
    links = re.findall(r"(?:https?:)?//[\w.]+[^\s\"']*", chained)
    assert set(links) <= {"http://www.w3.org/2000/svg"}, links
    root = parsed(chained)
    assert {e.tag for e in root.walk()}.isdisjoint({"link", "img", "iframe", "object", "base", "form"})
    for e in root.walk():
        assert not {n for n in e.attributes if n.startswith("on") or n in ("style", "src")}, e.attributes


def test_the_policy_holds_for_the_style_and_the_script_of_the_page_alone(chained):
    root = parsed(chained)
    policy = root.all("meta", **{"http-equiv": "Content-Security-Policy"})[0].attributes["content"]
    (style,) = root.all("style")
    script, data = sorted(root.all("script"), key=lambda e: "type" in e.attributes)
    assert data.attributes["type"] == "application/json"
    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src {hashed(style.text())}",
        "base-uri 'none'",
        "form-action 'none'",
        f"script-src {hashed(script.text())}",
    ]


def test_a_finding_has_its_code_its_operands_and_the_mismatch(chained):
    first = parsed(chained).all("article")[0]
    text = first.text()
    assert "RW002" in text and "batch-misaligned" in text and "the batch meets width=12 at axis 2" in text
    table = first.all("table", class_="rw-meeting")[0]
    wrong = [cell.text() for cell in table.all("td", class_="rw-wrong")]
    assert wrong == ["width 12", "batch B"]
    assert [e.text() for e in table.all("span", class_="rw-ink-channel")] == ["channel 16"]
    assert table.all("strong")[0].text().strip().endswith("does not fit")


def test_a_decided_finding_shows_what_is_inserted(chained):
    root = parsed(chained)
    first = root.all("article")[0]
    (chosen,) = first.all("section", class_="rw-chosen")
    assert "Reshape excite to (B, 1, 1, 16)" in chosen.text() and "channel-gate" in chosen.text()
    before, after = first.all("figure")
    assert not before.all("g", class_="rw-inserted") and len(before.all("g", class_="rw-error")) == 1
    (inserted,) = after.all("g", class_="rw-inserted")
    assert "Reshape" in inserted.text() and not after.all("g", class_="rw-error")
    assert [e for e in first.all("details") if "open" in e.attributes] == []
    assert "rewriter repair" in root.all("code", class_="rw-command")[0].text()


def test_the_evidence_is_a_table_and_says_which_kind_decides():
    page = written("html", "check", rewriter.check(MODELS / "axis_misaligned.keras"))
    table = parsed(page).all("table", class_="rw-table")[0]
    (decides,) = table.all("tr", class_="rw-decides")
    assert decides.all("th")[0].text().startswith("no axis meets another axis")
    first, second, *_ = [int(cell.text()) for cell in decides.all("td")]
    assert first > second
    header = [cell.text() for cell in table.all("thead")[0].all("th")]
    assert header[1].startswith("channel-gate: ")
    assert all(len(row.all("td")) == len(header) - 1 for row in table.all("tbody")[0].all("tr"))


def test_an_undecided_finding_opens_its_readings_and_says_the_whole_command(undecided):
    card = parsed(undecided).all("article")[0]
    (readings,) = [e for e in card.all("details") if "open" in e.attributes]
    assert len(readings.all("ol")[0].all("li", class_=None)) >= 2
    (command,) = card.all("code", class_="rw-command")
    assert command.text().startswith("rewriter repair ") and " --at " in command.text()
    assert [f.all("figcaption")[0].text() for f in card.all("figure")] == [
        "As the model has it",
        "With the first reading",
    ]


def test_a_repair_shows_its_proof_and_the_repaired_graph(tmp_path):
    item = rewriter.repair(MODELS / "chained.keras", tmp_path / "out.keras", verify=False)
    checks = {
        "equation": {"proven": True, "batches": [1, 2, 3], "difference": 5e-08, "nodes": ["scale_map"]},
        "batch-one": {"proven": False, "why": "the original does not run"},
    }
    item.verified = {
        "static": True,
        "findings_left": 0,
        "ran": "Keras",
        "checks": checks,
        "behaviour": {"changes": None, "why": "it is not loaded"},
        "verdict": "proven",
    }
    root = parsed(written("html", "repair", item))
    (section,) = [e for e in root.all("section") if e.attributes.get("aria-label") == "Proof"]
    rows = [[cell.text() for cell in row.inside if not isinstance(cell, str)] for row in section.all("tr")]
    assert ["each changed node computes its equation", "yes", "1, 2, 3", "5e-08", ""] in rows
    assert [
        "each sample is what the original gives at batch 1",
        "no",
        "-",
        "-",
        "the original does not run",
    ] in rows
    assert "Proven" in section.text() and "out.keras" in section.text()
    data = json.loads(root.all("script", class_="rw-data")[0].text())
    marked = {n[0] for graph in data["graphs"] for n in graph["nodes"] if data["marks"][n[5]] == "inserted"}
    assert marked == {inserted.node for inserted in item.inserted} and len(marked) == 2
    assert "as repaired" in root.all("section", class_="rw-whole")[0].all("h2")[0].text()


def test_a_repair_that_is_not_decided_says_so():
    item = rewriter.repair(MODELS / "article_flatten_multiply.keras", "never.keras")
    text = parsed(written("html", "repair", item)).text()
    assert "nothing written: 1 undecided" in text and "Proof" not in text


def test_the_whole_graph_has_every_node_its_class_and_its_shape(chained):
    data = json.loads(parsed(chained).all("script", class_="rw-data")[0].text())
    (graph,) = data["graphs"]
    nodes = {node[0]: node for node in graph["nodes"]}
    assert list(nodes) == [
        "image", "features", "excite_pool", "excite", "scale_channels", "score", "map", "scale_map",
    ]  # fmt: skip
    assert data["classes"][nodes["excite_pool"][1]] == "GlobalAveragePooling2D"
    assert data["shapes"][nodes["features"][2]] == [
        ["B", "batch"], ["10", "height"], ["12", "width"], ["16", "channel"],
    ]  # fmt: skip
    names = list(nodes)
    edges = {(names[a], names[b]) for a, b, _ in graph["edges"]}
    assert ("features", "scale_channels") in edges and ("excite", "scale_channels") in edges
    assert [names[index] for _, index, _ in data["findings"]] == ["scale_channels", "scale_map"]


def test_nested_models_are_graphs_of_their_own(tmp_path):
    path = saved(tmp_path / "m.json", of_models(3, 6))
    data = json.loads(
        parsed(written("html", "check", rewriter.check(path))).all("script", class_="rw-data")[0].text()
    )
    outer = data["graphs"][0]["nodes"]
    assert [node[6] for node in outer] == [-1, 1, 2, 3]
    assert [len(graph["nodes"]) for graph in data["graphs"]] == [4, 6, 6, 6]


def test_a_model_that_a_layer_holds_opens_from_the_layer(tmp_path):
    path = saved(tmp_path / "m.json", wrapped())
    page = written("html", "check", rewriter.check(path))
    data = json.loads(parsed(page).all("script", class_="rw-data")[0].text())
    assert [(node[0], node[6]) for node in data["graphs"][0]["nodes"]] == [("input", -1), ("each", 1)]
    assert len(data["graphs"][1]["nodes"]) == 4


def test_a_report_without_one_graph_has_findings_and_no_pictures():
    """The report of a model of several parts in memory."""
    report = rewriter.check(MODELS / "chained.keras")
    report.seen = None
    root = parsed(written("html", "check", report))
    assert "RW002" in root.text() and not root.all("svg") and not root.all("section", class_="rw-whole")
    assert "RW002" in written("svg", "check", report)


def test_the_picture_of_before_is_not_that_of_the_rewritten_graph():
    """``check`` rehearses the repair on the graph itself."""
    report = rewriter.check(MODELS / "chained.keras")
    assert report.seen is not None and report.seen.after is not None
    assert len(report.seen.wiring[()].nodes) == report.nodes == 8
    assert len(report.seen.after.inference.graph.nodes) == 10


def test_an_explanation_shows_every_rule(explained):
    root = parsed(explained)
    sheets = [e for e in root.all("section") if e.attributes.get("aria-label") == "Nodes where tensors meet"]
    assert [e.all("h3")[0].text() for e in sheets[0].all("article")] == ["scale_channels", "scale_map"]
    rows = [
        [c.text() for c in row.inside if not isinstance(c, str)]
        for row in sheets[0].all("article")[0].all("tr")
    ]
    assert any(row[0] == "channel-gate" and row[2] == "yes" for row in rows if len(row) == 4)
    assert ["channel-gate", "b c h w, b c -> b c h w", "no", "c would be height=10"] in rows


def test_an_explanation_of_a_right_node_draws_what_is_around_it():
    item = api.explain(MODELS / "valid.keras", "scale")
    (sheet,) = parsed(written("html", "explain", item)).all("article")
    assert [g.all("title")[0].text() for g in sheet.all("g", class_="rw-info")] == ["Multiply scale"]
    assert not sheet.all("g", class_="rw-error") and "channel-gate" in sheet.text()
    assert "The nodes around it" in written("svg", "explain", item)


def test_an_explanation_of_a_node_that_is_not_there_is_an_error():
    with pytest.raises(rewriter.UsageError, match="scale_channels"):
        written("html", "explain", api.explain(MODELS / "chained.keras", "nonsense"))


def test_several_models_are_one_page_with_a_list(tmp_path):
    paths = [MODELS / "chained.keras", MODELS / "valid.keras"]
    page = written("html", "check", *map(rewriter.check, paths))
    root = parsed(page)
    (listed,) = [e for e in root.all("nav") if e.attributes.get("aria-label") == "Models"]
    assert [a.text() for a in listed.all("a")] == [str(path) for path in paths]
    assert len(root.all("section", class_="rw-whole")) == 2 and len(root.all("h1")) == 1


def test_a_model_that_cannot_be_used_is_on_the_page(tmp_path, capsys):
    broken = tmp_path / "broken.keras"
    broken.write_bytes(b"nothing")
    assert cli.main(["check", str(broken), str(MODELS / "valid.keras"), "--format", "html"]) == cli.UNUSABLE
    root = parsed(capsys.readouterr().out)
    assert "not a zip archive" in root.text() and "cannot be used" in root.text()


# -- missing packages, and costs -----------------------------
@pytest.mark.parametrize("form", ["html", "svg"])
def test_a_missing_library_is_one_plain_line(form, monkeypatch, capsys):
    find = templating.find_spec
    monkeypatch.setattr(templating, "find_spec", lambda name: None if name == "fast_sugiyama" else find(name))
    assert cli.main(["check", str(MODELS / "valid.keras"), "--format", form]) == cli.UNUSABLE
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"error: --format {form} needs fast-sugiyama: pip install 'rewriter[html]'\n"
    with pytest.raises(rewriter.UsageError, match="rewriter\\[html\\]"):
        fragment(rewriter.check(MODELS / "valid.keras"))


def test_text_does_not_load_what_pages_need():
    code = (
        "import sys; from rewriter import cli; "
        f"cli.main(['check', {str(MODELS / 'chained.keras')!r}]); "
        "loaded = {'jinja2', 'markupsafe', 'fast_sugiyama', 'rewriter.report.html'} & set(sys.modules); "
        "sys.exit(f'loaded: {loaded}' if loaded else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_report_says_nothing_of_what_it_keeps_for_pictures():
    a, b = (rewriter.check(MODELS / "valid.keras") for _ in range(2))
    assert a == b and "seen" not in repr(a)


def test_a_log_of_many_models_keeps_the_graph_of_none():
    from rewriter.report.console import Console
    from rewriter.report.table import Context, reporter

    log = reporter("sarif", Context(Console()))
    log.check(rewriter.check(MODELS / "valid.keras"))
    assert [item.seen for item in log._kept] == [None]


@pytest.mark.parametrize(("nodes", "most"), [(300, 100_000), (1000, 200_000), (5000, 600_000)])
def test_a_page_stays_small(nodes, most, tmp_path):
    page = written("html", "check", rewriter.check(saved(tmp_path / "m.json", chain(nodes))))
    assert 20_000 < len(page) < most
    data = json.loads(parsed(page).all("script", class_="rw-data")[0].text())
    assert len(data["graphs"][0]["nodes"]) == nodes


# -- in a notebook -----------------------------
def test_a_fragment_is_alone_in_its_styles_and_has_no_script():
    html = fragment(rewriter.check(MODELS / "chained.keras"))
    root = parsed(html)
    assert [part.tag for part in root.inside if not isinstance(part, str)] == ["div"]
    assert not root.all("script") and html.isascii()
    style = re.sub(r"@media[^{]*\{", "", root.all("style")[0].text())
    selectors = re.findall(r"([^{}]+)\{[^{}]*\}", style)
    assert len(selectors) > 50
    alone = [part for each in selectors for part in each.split(",") if not part.strip().startswith(".rw")]
    assert alone == []
    assert "RW002" in root.text() and len(root.all("svg")) == 4


def test_fragments_of_two_results_share_no_id():
    results = [rewriter.check(MODELS / "chained.keras") for _ in range(2)]
    ids = [
        e.attributes["id"] for item in results for e in parsed(fragment(item)).walk() if "id" in e.attributes
    ]
    assert len(ids) == len(set(ids)) > 0


def test_a_fragment_of_a_clean_model_draws_it():
    root = parsed(fragment(rewriter.check(MODELS / "valid.keras")))
    assert len(root.all("svg")[0].all("g", class_="rw-node")) == 6


# -- colours -----------------------------
def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    bright, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_text_can_be_read_on_what_it_stands_on(dark):
    colours = {name: pair[dark] for name, pair in palette.COLOURS.items()}
    roles = ("batch", "channel", "height", "width", "depth", "time", "feature", "unknown")
    pairs = [(text, on) for text in (*roles, "ink", "quiet", "link") for on in ("paper", "box", "soft")]
    pairs += [(state, f"{state}-soft") for state in ("error", "warning", "info", "inserted")]
    pairs += [(role, f"{state}-soft") for role in roles for state in ("error", "warning", "info")]
    pairs += [("ink", f"{s}-soft") for s in ("error", "warning", "info", "inserted")]
    pairs += [("quiet", f"{s}-soft") for s in ("error", "warning", "info", "inserted")]
    low = [
        (a, b, round(contrast(colours[a], colours[b]), 2))
        for a, b in pairs
        if contrast(colours[a], colours[b]) < 4.5
    ]
    assert low == []
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
