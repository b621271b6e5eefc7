"""A sweep: its summary as text, as data, as a page, and its findings as SARIF results."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from rich.console import RenderableType
from rich.table import Column

from ..errors import shown
from ..presentation import count
from ..swept import CLEAN, Outcome, Row, Summary
from .layout import indented, line, table, words

_MOST_GROUPS = 12
_MOST_ROWS = 40  # of a table on the page
_MOST_MODELS = 2000  # on the page: with more, a browser is slow


def text(item: Summary, places: Iterable[Outcome] = ()) -> Iterator[RenderableType]:
    """The summary; with ``places``, before it a line for every finding and every file that cannot be used."""
    some = False
    for outcome in places:
        for finding in outcome.findings:
            some = True
            at = f"{shown(outcome.url)}: {shown(finding['node'])}"
            yield words(at, (f" {finding['code']} {finding['severity']}", "bold"), f": {finding['message']}")
        if outcome.error:
            some = True
            yield words(f"{shown(outcome.url)}: ", ("cannot be used", "bold"), f": {shown(outcome.error)}")
    if some:
        yield line("")
    yield from _head(item)
    for name, blocks in _sections(item):
        yield line("")
        yield line((name, "bold"))
        for block in blocks:
            yield indented(block, 2)


def _head(item: Summary) -> Iterator[RenderableType]:
    c = item.counts
    yield words(", ".join(map(shown, item.roots)), f": {totals(item)}.")
    parts = [f"{c.looked_at:,} looked at"]
    if c.files != c.looked_at:
        parts.append(f"{c.files - c.looked_at:,} as they were in an earlier sweep")
    if item.seconds is not None:
        rate = c.looked_at / max(item.seconds, 1e-3)
        parts.append(f"{item.seconds:.1f} s" + (f", {rate:,.0f} a second" if c.looked_at > 1 else ""))
    if item.requests:
        parts.append(f"{item.moved / 1e6:,.1f} MB in {item.requests:,} requests")
    if item.written:
        parts.append(f"{count(item.written, 'file')} written")
    yield words("; ".join(parts), ".")
    if item.left_out:
        yield words(left_out(item))


def left_out(item: Summary) -> str:
    """``Left out: 12 models by filters, 1 link to a folder.``"""
    said = {
        "filtered": lambda n: f"{count(n, 'model')} by filters",
        "links": lambda n: "1 link to a folder" if n == 1 else f"{n:,} links to folders",
        "hidden": lambda n: f"{count(n, 'name')} with a dot in front",
    }
    return f"Left out: {', '.join(said[why](number) for why, number in sorted(item.left_out.items()))}."


def progress(rate: float, findings: int, unusable: int) -> str:
    """What a running sweep shows: ``150 a second, 12 with findings, 3 cannot be used,``."""
    return f"{rate:,.0f} a second, {findings:,} with findings, {unusable:,} cannot be used,"


def totals(item: Summary) -> str:
    """``12 models: 9 clean, 2 with findings, 1 cannot be used``."""
    c = item.counts
    return (
        f"{count(c.files, 'model')}: {c.clean:,} clean, {c.findings:,} with findings, "
        f"{c.unusable:,} cannot be used"
    )


def _sections(item: Summary) -> Iterator[tuple[str, list[RenderableType]]]:
    if item.codes:
        heads = ["code", "severity", "findings", "models", *([] if item.first else ["new"])]
        rows = [
            [c.code, c.severity, f"{c.findings:,}", f"{c.files:,}", *([] if item.first else [f"{c.new:,}"])]
            for c in item.codes
        ]
        yield "Findings", [_table(heads, rows, 2)]
    for name, groups in (("By folder", item.teams), ("By format", item.formats), ("Saved by", item.versions)):
        if len(groups) > 1:
            yield name, [_groups(groups)]
    if item.worst:
        yield "Most errors", [words(f"{shown(m.url)}: {m.text}") for m in item.worst]
    if item.reasons:
        rest = item.counts.unusable - sum(number for _, number in item.reasons)
        last = [words(f"{rest:,}: other reasons (-v names all)")] if rest else []
        yield (
            "Cannot be used",
            [*(words(f"{number:,}: {shown(reason)}") for reason, number in item.reasons), *last],
        )
    if not item.first:
        changes = f"{item.worse:,} worse, {item.better:,} better, {item.added:,} added, {item.gone:,} gone"
        models = [words(f"{shown(m.url)}: {m.outcome}, {m.text}") for m in item.changed]
        yield "Since the last sweep", [words(changes), *models]
    if item.outdated:
        models = [words(f"{shown(m.url)}: {shown(m.text)}") for m in item.outdated_models]
        rest = item.outdated - len(models)
        if rest:
            models.append(words(f"and {rest:,} more"))
        yield (
            f"The newest Keras may not load {count(item.outdated, 'model')} (rewriter convert writes them anew)",
            list(models),
        )


def _groups(groups: Sequence[Row]) -> RenderableType:
    rows = [
        [shown(g.name), f"{g.files:,}", f"{g.findings:,}", f"{g.unusable:,}"]
        for g in _first(groups, _MOST_GROUPS)
    ]
    return _table(["", "models", "with findings", "cannot be used"], rows, 1)


def _first(groups: Sequence[Row], most: int) -> list[Row]:
    """The first groups, and the sum of the others as the last one."""
    rest = groups[most:]
    if not rest:
        return list(groups)
    sums = (sum(g.files for g in rest), sum(g.findings for g in rest), sum(g.unusable for g in rest))
    return [*groups[:most], Row(f"{len(rest):,} others", *sums)]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> RenderableType:
    """A table whose first ``left`` columns are words, the others numbers."""
    return table([Column(h, justify="left" if n < left else "right") for n, h in enumerate(heads)], rows)


def data(item: Summary) -> dict[str, Any]:
    """The summary as JSON: the counts first, and the rest as in ``Summary``."""
    given = asdict(item)
    return {**given.pop("counts"), **given}


# -- the page -----------------------------
def page(item: Summary, outcomes: Iterable[Outcome], beside: str | None) -> str:
    """The summary as an HTML page, with the models that are not clean and links to their own pages.

    New ones come first, then those with the most errors; of very many, the first ones are shown.

    Args:
        beside: the folder of the page's file, from which links to local pages start.
    """
    from .html.page import framed

    number = 0

    def some() -> Iterator[Outcome]:
        nonlocal number
        for each in outcomes:
            if each.outcome != CLEAN or each.findings:
                number += 1
                yield each

    models = [
        {
            "url": shown(each.url),
            "link": _link(each.page, beside),
            "outcome": each.outcome,
            "error": shown(each.error),
            "new": each.new and not item.first,
            "findings": each.findings,
        }
        for each in heapq.nsmallest(_MOST_MODELS, some(), _rank)
    ]
    named = (("By folder", item.teams), ("By format", item.formats), ("Saved by", item.versions))
    groups = [(name, _first(rows, _MOST_ROWS)) for name, rows in named]
    left = left_out(item) if item.left_out else ""
    return framed(
        "sweep.html",
        totals(item),
        item=item,
        totals=totals(item),
        left_out=left,
        models=models,
        more=number - len(models),
        groups=groups,
    )


def _rank(each: Outcome) -> tuple[bool, int, str]:
    return not each.new, -sum(finding["severity"] == "error" for finding in each.findings), each.url


def _link(page_: str | None, beside: str | None) -> str | None:
    if page_ is None or "://" in page_ or beside is None:
        return page_
    return quote(os.path.relpath(page_, beside).replace(os.sep, "/"))
