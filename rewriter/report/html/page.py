"""What a page shows of each model, and the page around it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ...errors import shown
from ...formats.registry import format_of
from ...passes.codes import Severity
from ...passes.seen import Seen
from ...results import Explanation, Report, Result
from ...rules.table import Rule
from ...version import __version__
from .. import command
from ..palette import variables
from ..picture.model import Picture
from ..picture.svg import svg
from ..picture.whole import Whole, small, whole
from ..templating import ascii_only, asset, render
from .findings import Card, card
from .proof import Proof, proof
from .sites import Sheet, sheets

# The most nodes of a graph that is drawn in a page without a script, such as in a notebook.
_SMALL = 40


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of the summary."""

    name: str
    text: str


@dataclass(slots=True)
class Item:
    """One model on the page. ``number`` distinguishes the anchors of several models."""

    path: str
    command: str
    facts: list[Fact] = field(default_factory=list)
    cards: list[Card] = field(default_factory=list)
    sheets: list[Sheet] = field(default_factory=list)
    proof: Proof | None = None
    whole: Whole | None = None
    whole_of: str = "The whole graph"
    picture: Picture | None = None
    verdict: str = ""
    state: str = "clean"
    error: str = ""
    repair: str = ""
    number: int = 1

    @classmethod
    def of(cls, item: Report | Explanation, rules: Sequence[Rule], script: bool = True) -> Item:
        """What is shown of a result.

        Args:
            script: whether the page has a script, which draws the whole graph.
        """
        if isinstance(item, Explanation):
            return _explained(item, rules, script)
        return _reported(item, rules, script)

    @classmethod
    def unusable(cls, path: str, reason: str) -> Item:
        return cls(shown(path), "check", error=shown(reason), state="error", verdict="cannot be used")

    @property
    def graph(self) -> dict[str, Any] | None:
        """The data of the whole graph, with the findings in it."""
        if self.whole is None:
            return None
        found = [
            [*self.whole.found[card.path], card.anchor]
            for card in self.cards
            if card.path in self.whole.found
        ]
        return {**self.whole.data(), "findings": found}


def document(items: Sequence[Item]) -> str:
    """A page of its own."""
    for number, item in enumerate(items, 1):
        item.number = number
        for place, each in enumerate(item.cards, 1):
            each.anchor = f"finding-{number}-{place}"
    script = asset("graph.js") if any(item.whole is not None for item in items) else ""
    title = items[0].path if len(items) == 1 else f"{len(items)} models"
    return framed("page.html", title, script, items=items, svg=svg, roles=_ROLES)


def framed(template: str, title: str, script: str = "", **values: Any) -> str:
    """A page of a template that extends ``frame.html``."""
    style = _style()
    page = render(
        template,
        title=title,
        version=__version__,
        style=style,
        script=script,
        policy=_policy(style, script),
        **values,
    )
    return ascii_only(page)


def embedded(item: Report | Explanation, rules: Sequence[Rule]) -> str:
    """A part of another page, with its styles and without a script."""
    shown_item = Item.of(item, rules, script=False)
    shown_item.number = id(item)  # different anchors for all reports in a notebook
    for place, each in enumerate(shown_item.cards, 1):
        each.anchor = f"finding-{shown_item.number}-{place}"
    page = render("fragment.html", item=shown_item, style=_style(), svg=svg, roles=_ROLES)
    return ascii_only(page)


_ROLES = ("batch", "channel", "height", "width", "depth", "time", "feature", "unknown")


def _style() -> str:
    """The style sheets, with the colours of both schemes."""
    light, dark = variables(dark=False), variables(dark=True)
    scheme = (
        f".rw{{{light}}}@media (prefers-color-scheme:dark){{.rw{{{dark}}}}}@media print{{.rw{{{light}}}}}"
    )
    return f"\n{scheme}\n{asset('picture.css')}\n{asset('report.css')}"


def _policy(style: str, script: str) -> str:
    """The content security policy: nothing is loaded, and only this style and this script apply."""
    policy = f"default-src 'none'; style-src {_hash(style)}; base-uri 'none'; form-action 'none'"
    return f"{policy}; script-src {_hash(script)}" if script else policy


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


# -- what is shown of each result -----------------------------
def _reported(item: Report, rules: Sequence[Rule], script: bool) -> Item:
    v = item.verdicts
    facts = [
        Fact("Format", format_of(item.format).reported if item.format else "parts of a model in memory"),
        Fact("Nodes", f"{item.nodes:,}"),
        Fact("Multiplies", f"{item.multiplies:,}"),
        Fact("Proven right", f"{v.right:,}"),
        Fact("Proven wrong", f"{v.wrong:,}"),
        Fact("Ambiguous", f"{v.ambiguous:,}"),
        Fact("Not analysed", f"{v.not_analysed:,}"),
        *_ran(item.trust),
    ]
    done = isinstance(item, Result) and _is_done(item)
    made = Item(
        shown(item.path),
        "repair" if isinstance(item, Result) else "check",
        facts,
        [card(f, rules, item.seen, done, item) for f in item.findings],
    )
    made.verdict, made.state = _verdict(item)
    if isinstance(item, Result):
        made.proof = proof(item)
    elif not command.undecided(item):
        made.repair = command.of_report(item)
    _graph(made, item.seen, item, script)
    return made


def _is_done(item: Result) -> bool:
    """True if there is a repaired model: in a file, or in memory."""
    return item.output is not None or item.model is not None or bool(item.parts)


def _verdict(item: Report) -> tuple[str, str]:
    """The status of a result in one line, and its colour."""
    if isinstance(item, Result):
        if _is_done(item):
            number = len(item.inserted)
            if not number:
                return "nothing to repair", "clean"
            return f"repaired: {number:,} {'node' if number == 1 else 'nodes'} inserted", "clean"
        if item.changes is not None:
            return "nothing written: a dry run", "info"
        return f"nothing written: {len(item.undecided):,} undecided", "error"
    if not item.findings:
        return "no findings", "clean"
    counts = [
        f"{number:,} {severity}{'s' if number > 1 and severity is not Severity.INFO else ''}"
        for severity in Severity
        if (number := sum(f.severity is severity for f in item.findings))
    ]
    worst = next(severity for severity in Severity if any(f.severity is severity for f in item.findings))
    return ", ".join(counts), str(worst)


def _graph(made: Item, seen: Seen | None, item: Report, script: bool) -> None:
    """Add the whole graph: the repaired one if there is one, else the graph that was read."""
    if seen is None:
        return
    if script:
        inserted = item.inserted if isinstance(item, Result) else ()
        repaired = bool(inserted) and seen.after is not None
        made.whole = whole(seen, item.findings, inserted, repaired)
        made.whole_of = "The whole graph, as repaired" if repaired else "The whole graph"
    elif not item.findings:
        made.picture = small(seen, item.findings, _SMALL)


def _ran(trusted: Sequence[str]) -> list[Fact]:
    return [Fact("Code that ran", shown(", ".join(trusted)))] if trusted else []


def _explained(item: Explanation, rules: Sequence[Rule], script: bool) -> Item:
    seen = Seen.alone(item.analysis)
    made = Item(shown(item.path), "explain")
    made.sheets = sheets(item, rules, seen)
    findings = [f for f in item.analysis.findings if item.node is None or f.node == item.node]
    made.cards = [card(f, rules, seen, False, item) for f in findings]
    number = sum(1 + len(sheet.alike) for sheet in made.sheets)
    made.facts = [
        Fact("Nodes explained", f"{number:,}"),
        Fact("Findings", f"{len(findings):,}"),
        *_ran(item.trust),
    ]
    made.verdict = f"{len(findings) or 'no'} {'finding' if len(findings) == 1 else 'findings'}"
    made.state = "error" if findings else "clean"
    if script:
        made.whole = whole(seen, item.analysis.findings)
    return made
