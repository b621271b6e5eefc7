"""Pages in Chromium: no errors, no overflow, and a usable graph. Run with ``-m browser``."""

from __future__ import annotations

from pathlib import Path

import pytest

import rewriter

from .browser import Browser
from .conftest import MODELS, written
from .models import HOSTILE, WITH_SLASHES, chain, gated, of_models, onnx_gated, saved

pytestmark = pytest.mark.browser

SIZES = [(400, 800), (1280, 900), (2560, 1400)]
# Move the graph, or zoom it in and out, for 60 frames. Gives the median and the slowest frame, in milliseconds.
FRAMES = """
const done = arguments[arguments.length - 1], kind = arguments[0];
const graph = document.querySelector('.rw-whole').graph;
document.querySelector('.rw-canvas').scrollIntoView();
const times = [];
let last = performance.now();
function step() {
  const now = performance.now();
  times.push(now - last);
  last = now;
  if (times.length > 60) { times.sort((a, b) => a - b); done([times[30], times[59]]); return; }
  if (kind === 'move') graph.move(-7, -23); else graph.zoom(times.length < 31 ? 1.03 : 1 / 1.03);
  requestAnimationFrame(step);
}
requestAnimationFrame(step);
"""


@pytest.fixture(scope="module")
def browser():
    with Browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    """A page of each kind."""
    folder = tmp_path_factory.mktemp("pages")
    models = {
        name: MODELS / f"{name}.keras" for name in ("chained", "valid", "nested", "article_flatten_multiply")
    }
    models["large"] = saved(folder / "large.json", chain(5000))
    models["models"] = saved(folder / "models.json", of_models(50, 100))
    models["onnx"] = onnx_gated(folder / "gate.onnx", *WITH_SLASHES)
    for k in range(len(HOSTILE) - 2):
        models[f"hostile{k}"] = saved(folder / f"hostile{k}.json", gated(*HOSTILE[k : k + 3]))
    made = {}
    for name, path in models.items():
        made[name] = folder / f"{name}.html"
        made[name].write_text(written("html", "check", rewriter.check(path)), encoding="ascii")
    return made


def opened(browser: Browser, page: Path, width: int = 1280, height: int = 900, **how: object) -> Browser:
    browser.look(width, height, **how)
    browser.open(page)
    return browser


def graph(browser: Browser, script: str) -> object:
    return browser.run(f"const graph = document.querySelector('.rw-whole').graph; {script}")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_no_page_has_errors_or_runs_over(browser, pages, size, dark):
    browser.log()
    for name, page in pages.items():
        opened(browser, page, *size, dark=dark)
        assert browser.log() == [], name
        assert browser.run("return document.documentElement.scrollWidth") == size[0], name
        ground = browser.run("return getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(22, 24, 29)" if dark else "rgb(255, 255, 255)")
        small = browser.run(
            "return Array.from(document.querySelectorAll('main *')).filter(e => e.childNodes.length && "
            "e.childNodes[0].nodeType === 3 && parseFloat(getComputedStyle(e).fontSize) < 11.5).map(e => e.outerHTML)"
        )
        assert small == [], name


def test_what_is_wider_than_the_screen_can_be_moved(browser, pages):
    opened(browser, pages["chained"], 400, 800)
    moved = browser.run(
        "document.querySelectorAll('details').forEach(d => { d.open = true; });"
        "return Array.from(document.querySelectorAll('.rw-scroll')).filter(e => e.scrollWidth > e.clientWidth + 1)"
        ".map(e => { e.scrollLeft = 9999; return e.scrollLeft > 0 && e.tabIndex === 0; })"
    )
    assert moved and all(moved)


def test_nothing_of_a_name_runs(browser, pages):
    browser.command("Page.enable")
    for name in (n for n in pages if n.startswith("hostile") or n == "onnx"):
        opened(browser, pages[name])
        assert browser.run("return document.images.length + document.querySelectorAll('base, i').length") == 0
        assert browser.run("return document.scripts.length") == 2
        assert browser.log() == []


def test_a_page_asks_for_nothing(browser, pages):
    opened(browser, pages["chained"])
    assert browser.run("return performance.getEntriesByType('resource').length") == 0
    browser.run("const image = new Image(); image.src = 'file:///x.png'; document.body.append(image)")
    assert any("Content Security Policy" in line for line in browser.log())


def test_text_of_boxes_stays_inside(browser, pages):
    for name in ("chained", "hostile4", "onnx"):
        opened(browser, pages[name])
        over = browser.run(
            "return Array.from(document.querySelectorAll('.rw-figure .rw-node')).filter(g => {"
            "const box = g.querySelector('rect').getBoundingClientRect();"
            "return Array.from(g.querySelectorAll('text')).some(t => { const r = t.getBoundingClientRect();"
            "return r.left < box.left || r.right > box.right; }); }).map(g => g.textContent)"
        )
        assert over == []


def test_search_finds_and_shows_a_node(browser, pages):
    opened(browser, pages["models"])
    browser.run("document.querySelector('.rw-search input').focus()")
    browser.keys("m7_node_50")
    assert browser.run("return document.querySelectorAll('.rw-hits button').length") == 1
    assert browser.run("return document.querySelector('.rw-hits p').textContent") == "1 node"
    browser.keys("\ue007")  # Enter
    assert graph(browser, "return graph.selected.node[0]") == "m7_node_50"
    assert "m7_model/m7_node_50" in browser.run("return document.querySelector('.rw-detail').textContent")
    assert graph(browser, "return graph.open.size") == 1
    inside = graph(
        browser,
        "const v = graph.view, i = graph.selected, c = document.querySelector('.rw-canvas');"
        "const x = i.x * v.k + v.x, y = i.y * v.k + v.y;"
        "return x > 0 && y > 0 && x < c.clientWidth && y < c.clientHeight",
    )
    assert inside is True


def test_the_graph_is_used_with_keys(browser, pages):
    opened(browser, pages["nested"])
    graph(browser, "document.querySelector('.rw-canvas').focus()")
    x, k = graph(browser, "return [graph.view.x, graph.view.k]")
    browser.keys("\ue014\ue014+")  # right, right
    moved, larger = graph(browser, "return [graph.view.x, graph.view.k]")
    assert larger == pytest.approx(1.25 * k) and moved < x
    graph(browser, "graph.select(graph.items.find(i => i.node[6] >= 0), true)")
    count = graph(browser, "return graph.items.length")
    browser.keys("\ue007")  # Enter opens it
    assert graph(browser, "return graph.items.length") == count - 1 + 4
    browser.keys("\ue007")  # and closes it
    assert graph(browser, "return graph.items.length") == count
    browser.keys("\ue00c")  # Escape
    assert graph(browser, "return graph.selected") is None


def test_a_node_is_selected_with_the_mouse_and_leads_to_its_neighbours(browser, pages):
    opened(browser, pages["chained"])
    browser.run("document.querySelector('.rw-canvas').scrollIntoView()")
    place = graph(
        browser,
        "const v = graph.view, i = graph.items[1], b = document.querySelector('.rw-canvas').getBoundingClientRect();"
        "return [b.left + v.x + (i.x + 20) * v.k, b.top + v.y + (i.y + 20) * v.k]",
    )
    browser.click(*place)
    assert graph(browser, "return graph.selected.node[0]") == "features"
    browser.run("document.querySelector('.rw-detail li button').click()")
    assert graph(browser, "return graph.selected.node[0]") == "image"


def test_a_finding_leads_to_its_node_and_back(browser, pages):
    opened(browser, pages["nested"])
    browser.run("document.querySelector('[data-show]').click()")
    assert graph(browser, "return graph.selected.node[0]") == "scale"
    link = browser.run("return document.querySelector('.rw-detail a').getAttribute('href')")
    assert browser.run("return document.querySelector(arguments[0]).tagName", link) == "ARTICLE"


def test_opened_models_do_not_overlap(browser, pages):
    opened(browser, pages["models"])
    browser.run("document.querySelector('[data-do=unfold]').click()")
    assert graph(browser, "return graph.items.length") == 1 + 50 * 100
    overlaps = graph(
        browser,
        "const sorted = graph.items.slice().sort((a, b) => a.y - b.y); let count = 0;"
        "sorted.forEach((a, i) => { for (let j = i + 1; j < sorted.length && sorted[j].y < a.y + a.h; j++)"
        "if (Math.abs(sorted[j].x - a.x) < a.w) count += 1; }); return count",
    )
    assert overlaps == 0
    browser.run("document.querySelector('[data-do=fold]').click()")
    assert graph(browser, "return graph.items.length") == 51


@pytest.mark.parametrize("name", ["large", "models"])
def test_five_thousand_nodes_are_smooth(browser, pages, name, record_property):
    opened(browser, pages[name])
    times = browser.run("return performance.getEntriesByType('navigation')[0].loadEventEnd")
    record_property("load", times)
    assert times < 2000
    for view in (
        "graph.zoom(1 / graph.view.k)",
        "graph.fit()",
        "document.querySelector('[data-do=unfold]').click()",
    ):
        graph(browser, view)
        for kind in ("move", "zoom"):
            median, slowest = browser.wait(FRAMES, kind)
            record_property(f"{view} {kind}", (median, slowest))
            assert median < 34 and slowest < 250, (view, kind)


def test_without_a_script_the_findings_are_there(browser, pages):
    browser.command("Emulation.setScriptExecutionDisabled", value=True)
    try:
        opened(browser, pages["chained"])
    finally:
        browser.command("Emulation.setScriptExecutionDisabled", value=False)
    assert browser.run("return document.querySelectorAll('.rw-figure svg').length") == 4
    assert browser.run("return getComputedStyle(document.querySelector('.rw-stage')).display") == "none"


def test_a_page_prints_light_with_all_its_details(browser, pages):
    opened(browser, pages["article_flatten_multiply"], 900, 1200, dark=True, media="print")
    assert browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    heights = browser.run(
        "return Array.from(document.querySelectorAll('details > :not(summary)')).map(e => e.offsetHeight)"
    )
    assert heights and min(heights) > 0
    assert browser.run("return document.querySelector('.rw-tools').offsetHeight") == 0
    assert len(browser.command("Page.printToPDF")["data"]) > 10_000


def test_the_page_is_in_order_for_a_keyboard(browser, pages):
    """Tab goes from the link to the report through findings to the graph; the focused element is visible."""
    opened(browser, pages["chained"])
    seen = []
    for _ in range(60):
        browser.keys("\ue004")
        seen.append(
            browser.run(
                "const e = document.activeElement; return [e.tagName, e.className, e.offsetWidth > 0]"
            )
        )
        if seen[-1][0] == "BODY":
            break
    tags = [tag for tag, _, _ in seen]
    assert seen[0][1] == "rw-skip"
    assert [name for _, name, _ in seen].count("rw-canvas") == 1
    assert tags.index("SUMMARY") < tags.index("INPUT")
    assert all(visible for tag, _, visible in seen if tag != "BODY")
