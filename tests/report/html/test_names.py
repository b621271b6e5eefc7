"""Names that a file can hold: none of them breaks a page, a picture or data."""

from __future__ import annotations

import itertools
import json
import xml.etree.ElementTree as ET

import pytest

import rewriter
from rewriter import api
from rewriter.errors import shown
from rewriter.report.html import fragment

from .conftest import written
from .models import HOSTILE, WITH_SLASHES, gated, onnx_gated, saved
from .parsing import parsed

TRIPLES = list(zip(HOSTILE, HOSTILE[1:] + HOSTILE[:1], HOSTILE[2:] + HOSTILE[:2], strict=True))


@pytest.fixture(params=[*range(len(TRIPLES)), "onnx"])
def hostile(request, tmp_path):
    """A model with hostile names, and the names."""
    if request.param == "onnx":
        return onnx_gated(tmp_path / "m.onnx", *WITH_SLASHES), WITH_SLASHES
    names = TRIPLES[request.param]
    return saved(tmp_path / "m.json", gated(*names)), names


def elements(page: str) -> list[tuple[str, list[str]]]:
    return [(e.tag, sorted(e.attributes)) for e in parsed(page).walk()]


def plain(path) -> object:
    """The same model with harmless names."""
    if path.suffix == ".onnx":
        return onnx_gated(path.with_name("plain.onnx"), "data", "pooled", "scaled")
    return saved(path.with_name("plain.json"), gated("data", "pooled", "scaled"))


@pytest.mark.parametrize("command", ["check", "explain"])
def test_a_page_has_the_elements_that_plain_names_give_it(hostile, command):
    path, names = hostile
    run = {"check": rewriter.check, "explain": api.explain}[command]
    page = written("html", command, run(path))
    assert elements(page) == elements(written("html", command, run(plain(path))))
    assert page.isascii() and not {c for c in page if ord(c) < 32 and c != "\n"} and "\x7f" not in page
    assert len(page) < 200_000
    text = parsed(page).text()
    for name in names:
        assert shown(name) in text


def test_the_data_of_a_page_is_what_the_names_are(hostile):
    path, names = hostile
    page = written("html", "check", rewriter.check(path))
    (script,) = parsed(page).all("script", class_="rw-data")
    assert not set("<>&") & set(script.text())
    assert {node[0] for node in json.loads(script.text())["graphs"][0]["nodes"]} == set(map(shown, names))


def test_a_fragment_has_the_elements_that_plain_names_give_it(hostile):
    path, _ = hostile
    html = fragment(rewriter.check(path))
    assert elements(html) == elements(fragment(rewriter.check(plain(path))))
    assert "<script" not in html and html.isascii()


def test_a_picture_is_xml_with_the_elements_that_plain_names_give_it(hostile):
    path, names = hostile
    drawn = written("svg", "check", rewriter.check(path))
    assert drawn.isascii()
    tags = [e.tag for e in ET.fromstring(drawn).iter()]
    assert tags == [e.tag for e in ET.fromstring(written("svg", "check", rewriter.check(plain(path)))).iter()]
    text = "".join(ET.fromstring(drawn).itertext())
    assert shown(names[2]) in text


def test_node_data_keeps_the_names_as_they_are(hostile):
    path, names = hostile
    said = written("model-explorer", "check", rewriter.check(path))
    assert said.isascii() and said.count("\n") == 1
    assert list(json.loads(said)["results"]) == [names[2]]


def test_a_path_and_a_class_name_are_escaped_too(tmp_path):
    path = tmp_path / "<b>&'\"{{x}}.json"
    text = json.dumps(gated("data", "pooled", "scaled")).replace("GlobalAveragePooling2D", "<i>Mine</i>")
    path.write_text(text, encoding="utf-8")
    root = parsed(written("html", "check", rewriter.check(path)))
    assert root.all("h1")[0].text() == str(path) and "<i>Mine</i>" in root.text()
    assert not root.all("i") and not [b for b in root.all("b") if "class" in b.attributes]


def test_the_names_are_hostile():
    """Each would break a page that does not escape markup or replace invisible characters."""
    for name in itertools.chain(HOSTILE, WITH_SLASHES):
        assert set("<>&'\"\u202e\x00{") & set(name) or len(name) > 1000 or "\u05d0" in name
