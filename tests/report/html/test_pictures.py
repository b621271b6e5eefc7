"""Pictures: boxes that do not overlap, working links, and the nodes that a reading inserts."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jsonschema
import onnx
import pytest
from onnx import TensorProto, helper

import rewriter
from rewriter.report.picture import layered, layout, scenes
from rewriter.report.picture.layout import BOX_HEIGHT, BOX_WIDTH, place
from rewriter.report.picture.model import Mark
from rewriter.report.picture.scenes import after, before
from rewriter.report.picture.svg import cut, draw
from rewriter.report.picture.whole import whole

from .conftest import MODELS, written
from .models import chain, gated, grown, saved

SVG = "{http://www.w3.org/2000/svg}"
DATA = Path(__file__).resolve().parents[2] / "data"


def random_links(nodes: int, seed: int) -> list[tuple[int, int]]:
    chance = random.Random(seed)
    links = [(max(0, k - chance.randint(1, 6)), k) for k in range(1, nodes) if chance.random() < 0.9]
    return links + [
        (a, b) for a, b in ((chance.randrange(nodes), chance.randrange(nodes)) for _ in range(nodes)) if a < b
    ]


@pytest.mark.parametrize("seed", range(12))
def test_no_two_boxes_overlap_and_links_lead_down(seed):
    nodes = 2 + seed * 9
    links = random_links(nodes, seed)
    placed = place(nodes, links)
    assert len(placed.centres) == nodes
    for k, (x, y) in enumerate(placed.centres):
        assert BOX_WIDTH / 2 <= x <= placed.width - BOX_WIDTH / 2 + 0.01
        assert BOX_HEIGHT / 2 <= y <= placed.height - BOX_HEIGHT / 2 + 0.01
        for other, v in placed.centres[:k]:
            assert abs(other - x) >= BOX_WIDTH or abs(v - y) >= BOX_HEIGHT
    for a, b in links:
        heights = [placed.centres[a][1], *(y for _, y in placed.bends.get((a, b), [])), placed.centres[b][1]]
        assert heights == sorted(set(heights)), (a, b)


@pytest.mark.parametrize("seed", range(6))
def test_a_bend_stands_beside_the_boxes(seed):
    placed = place(40, random_links(40, seed))
    bends = [point for points in placed.bends.values() for point in points]
    assert bends
    for x, y in bends:
        assert not [c for c in placed.centres if abs(c[0] - x) < BOX_WIDTH / 2 and abs(c[1] - y) < BOX_HEIGHT]


def test_operands_stand_in_their_order():
    """The first operand is on the left, before and after a repair."""
    for links in ([(0, 3), (1, 3)], [(1, 3), (0, 3)], [(0, 2), (1, 3), (2, 3)], [(1, 3), (0, 2), (2, 3)]):
        first, second = [a for a, b in links if b == 3]
        centres = place(4, links).centres
        assert centres[first][0] < centres[second][0], links


def test_boxes_without_links_and_links_twice_over():
    assert place(0, []).centres == []
    assert place(3, []).width == 3 * BOX_WIDTH + 2 * layout.GAP
    assert place(4, [(1, 3), (1, 3)]).centres == place(4, [(1, 3)]).centres


@pytest.mark.parametrize(
    ("count", "links"),
    [
        pytest.param(40_000, [(k, k + 1) for k in range(39_999)], id="longer than the stack"),
        pytest.param(25_000, [(k, k + 1) for k in range(24_999)], id="long"),
        pytest.param(200, [(a, b) for b in range(200) for a in range(b)], id="all with all"),
        pytest.param(
            2000, [(k, k + 1) for k in range(1999)] + [(k, 1999) for k in range(1998)], id="long links"
        ),
        pytest.param(8001, [(k, 8000) for k in range(8000)], id="wide"),
        pytest.param(3000, random_links(3000, 1), id="random"),
    ],
)
def test_no_graph_ends_the_process_or_takes_minutes(count, links):
    """On a thread with half a megabyte of stack, as in other programs."""
    before = threading.stack_size(512 << 10)
    try:
        with ThreadPoolExecutor(1) as pool:
            start = time.process_time()
            placed = pool.submit(place, count, links).result()
            assert time.process_time() - start < 30
    finally:
        threading.stack_size(before)
    places = [(round(x), round(y)) for x, y in placed.centres]
    assert len(set(places)) == count
    assert all(places[a][1] < places[b][1] for a, b in links)


@pytest.mark.parametrize("limit", ["_MOST_BOXES", "_MOST_IN_A_ROW"])
def test_a_graph_beyond_the_limits_stands_in_rows(limit, monkeypatch):
    links = random_links(40, 2)
    assert place(40, links).bends
    monkeypatch.setattr(layered, limit, 2)
    placed = place(40, links)
    assert not placed.bends and len(set(placed.centres)) == 40
    assert all(placed.centres[a][1] < placed.centres[b][1] for a, b in links)


def test_the_longest_links_have_no_bends_where_there_are_too_many(monkeypatch):
    links = [*((k, k + 1) for k in range(9)), (0, 2), (0, 9)]
    assert set(place(10, links).bends) == {(0, 2), (0, 9)}
    monkeypatch.setattr(layered, "_MOST_BENDS", 3)
    assert set(place(10, links).bends) == {(0, 2)}


def test_a_drawing_is_the_same_every_time():
    code = (
        "from tests.report.html.test_pictures import *; import hashlib; "
        "print(hashlib.sha256(repr(place(80, random_links(80, 3))).encode()).hexdigest())"
    )
    runs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(3)
    }
    assert len(runs) == 1


# -- the drawing -----------------------------
def scene(name: str, node: str):
    report = rewriter.check(MODELS / f"{name}.keras")
    finding = next(f for f in report.findings if f.node == node)
    return report.seen, finding


def links_of(picture) -> set[tuple[str, str, str]]:
    def text(link):
        return "" if link.shape is None else "x".join(part.text for part in link.shape)

    return {(picture.boxes[k.source].name, text(k), picture.boxes[k.target].name) for k in picture.links}


def test_before_and_after_a_reshape():
    seen, finding = scene("chained", "scale_channels")
    was = before(seen, finding)
    assert ("excite", "Bx16", "scale_channels") in links_of(was)
    assert {box.name for box in was.boxes if box.mark is Mark.ERROR} == {"scale_channels"}
    assert {was.boxes[k.source].name for k in was.links if k.mark is Mark.ERROR} == {"features", "excite"}
    now = after(seen, finding, finding.choice)
    assert ("excite", "Bx16", "scale_channels") not in links_of(now)
    assert {
        ("excite", "Bx16", "inserted: channel-gate"),
        ("inserted: channel-gate", "Bx1x1x16", "scale_channels"),
    } <= links_of(now)
    (link,) = [k for k in now.links if now.boxes[k.source].mark is Mark.INSERTED]
    assert [part.role for part in link.shape] == ["batch", "height", "width", "channel"]
    assert not [each for each in (*now.boxes, *now.links) if each.mark is Mark.ERROR]


def test_a_reading_that_puts_a_product_in_the_place_of_the_node():
    seen, finding = scene("chained", "scale_map")
    reading = next(c for c in finding.candidates if c.plan.replaces)
    now = after(seen, finding, reading)
    inserted = [box.title for box in now.boxes if box.mark is Mark.INSERTED]
    assert sorted(inserted) == sorted(step.op for step in reading.plan.steps)
    assert {k.target for k in now.links} | {k.source for k in now.links} == set(range(len(now.boxes)))


def test_every_reading_of_every_model_can_be_drawn():
    drawn = 0
    for path in sorted(MODELS.glob("*.keras")):
        report = rewriter.check(path)
        for finding in report.findings:
            for reading in finding.candidates:
                picture = after(report.seen, finding, reading)
                if reading.plan.cannot:
                    assert picture is None
                    continue
                ET.fromstring(str(written_picture(picture)))
                new = sum(box.mark is Mark.INSERTED for box in picture.boxes)
                assert new >= len([s for s in reading.plan.steps if s.operand >= 0])
                drawn += 1
    assert drawn > 40


def written_picture(picture):
    from rewriter.report.picture.svg import svg

    return svg(picture)


def test_shapes_behind_the_node_are_those_that_a_reading_gives():
    seen, finding = scene("chained", "scale_channels")
    now = after(seen, finding, finding.choice)
    assert ("scale_channels", "Bx10x12x16", "score") in links_of(now)
    assert ("score", "Bx10x12x1", "map") in links_of(now)


def test_shapes_that_nobody_inferred_are_left_out(tmp_path):
    report = rewriter.check(saved(tmp_path / "m.json", grown()))
    (finding,) = report.findings
    assert finding.choice is None and ("dense", "BxBx4", "head") in links_of(before(report.seen, finding))
    smaller = next(c for c in finding.candidates if len(c.plan.output) == 2)
    drawn = links_of(after(report.seen, finding, smaller))
    assert {("scaled", "Bx7", "dense"), ("dense", "", "head")} <= drawn


def test_a_large_neighbourhood_is_cut_and_says_so(tmp_path, monkeypatch):
    report = rewriter.check(saved(tmp_path / "m.json", gated("x", "pooled", "scaled", before=30, after=8)))
    picture = before(report.seen, report.findings[0])
    above = ["pooled", *(f"before_{k}" for k in (29, 28, 27, 26, 25))]
    assert sorted(box.name for box in picture.boxes) == sorted(
        ["scaled", *above, "after_0", "after_1", "after_2"]
    )
    assert [box.name for box in picture.boxes if box.hidden_in] == ["before_25"]
    assert [(box.name, box.hidden_out) for box in picture.boxes if box.hidden_out] == [("scaled", 5)]
    assert len(draw(picture).stubs) == 2
    monkeypatch.setattr(scenes, "_MOST_ABOVE", 3)
    assert len(before(report.seen, report.findings[0]).boxes) == 3 + 1 + 3


def test_text_is_cut_in_its_middle():
    assert cut("short", 10) == "short"
    assert cut("abcdefghijkl", 7) == "abc\u2026jkl"
    assert cut("\u4e2d" * 20, 9) == "\u4e2d\u4e2d\u2026\u4e2d\u4e2d"


def test_the_text_of_every_box_and_label_stays_inside():
    for path in sorted(MODELS.glob("*.keras")):
        report = rewriter.check(path)
        for finding in report.findings:
            drawn = draw(before(report.seen, finding))
            for label in drawn.labels:
                assert label.width <= BOX_WIDTH + layout.GAP
            for box in drawn.boxes:
                assert len(box.title) <= 23 and len(box.name) <= 27


# -- the formats -----------------------------
def test_svg_has_a_picture_before_and_after():
    root = ET.fromstring(written("svg", "check", rewriter.check(MODELS / "chained.keras")))
    assert root.tag == f"{SVG}svg" and root.find(f"{SVG}style").text.count("@media") == 1
    assert "var(" not in root.find(f"{SVG}style").text
    assert len([e for e in root.iter(f"{SVG}svg") if e is not root]) == 4
    names = [e.text for e in root.iter(f"{SVG}text") if e.get("class") == "rw-caption"]
    assert names == ["As the model has it", "With what is inserted"] * 2


def test_svg_of_a_clean_model_is_its_graph_where_it_is_small(tmp_path):
    root = ET.fromstring(written("svg", "check", rewriter.check(MODELS / "valid.keras")))
    assert len([e for e in root.iter(f"{SVG}g") if "rw-node" in e.get("class", "")]) == 6
    large = ET.fromstring(written("svg", "check", rewriter.check(saved(tmp_path / "m.json", chain(200)))))
    assert "more than 80 nodes" in "".join(large.itertext())


def test_svg_of_a_repair_and_of_an_explanation(tmp_path):
    from rewriter import api

    item = rewriter.repair(MODELS / "chained.keras", tmp_path / "out.keras", verify=False)
    for drawn in (
        written("svg", "repair", item),
        written("svg", "explain", api.explain(MODELS / "chained.keras")),
    ):
        assert len(list(ET.fromstring(drawn).iter(f"{SVG}svg"))) == 5


def test_node_data_is_what_model_explorer_reads(tmp_path):
    schema = json.loads((DATA / "model_explorer_node_data.schema.json").read_text(encoding="utf-8"))
    check = jsonschema.Draft202012Validator(schema)
    items = [rewriter.check(path) for path in sorted(MODELS.glob("*.keras"))]
    repaired = rewriter.repair(MODELS / "chained.keras", tmp_path / "out.keras", verify=False)
    lines = written("model-explorer", "check", *items).splitlines()
    assert len(lines) == len(items)
    for line in (*lines, written("model-explorer", "repair", repaired)):
        check.validate(json.loads(line))
    data = json.loads(written("model-explorer", "repair", repaired))["results"]
    assert data["scale_map_spatial_gate_reshape"]["value"] == "inserted: spatial-gate"
    assert data["scale_map"]["value"] == "RW001 incompatible: spatial-gate"
    assert not check.is_valid({"results": {"a": {"colour": "red"}}}) and not check.is_valid({"a": 1})


def test_an_if_opens_a_graph_with_both_of_its_branches(tmp_path):
    def branch(operator: str, result: str) -> onnx.GraphProto:
        output = helper.make_tensor_value_info(result, TensorProto.FLOAT, [2])
        return helper.make_graph(
            [helper.make_node(operator, ["x"], [result], operator)], operator, [], [output]
        )

    node = helper.make_node(
        "If", ["c"], ["y"], "if", then_branch=branch("Relu", "t"), else_branch=branch("Neg", "e")
    )
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy")
    c = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    onnx.save(helper.make_model(helper.make_graph([node], "g", [x, c], [y])), tmp_path / "if.onnx")
    data = whole(rewriter.check(tmp_path / "if.onnx").seen, ()).data()
    (opens,) = (item[6] for item in data["graphs"][0]["nodes"] if item[0] == "if")
    branches = data["graphs"][opens]
    assert {data["classes"][item[1]] for item in branches["nodes"]} == {"graph"} and not branches["edges"]
    inside = [data["graphs"][item[6]]["nodes"] for item in branches["nodes"]]
    assert sorted(data["classes"][item[1]] for nodes in inside for item in nodes if item[0] != "x") == [
        "Neg",
        "Relu",
    ]
