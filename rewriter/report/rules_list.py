"""The table of rules as text and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType

from ..rules.table import Kind, Rule
from .layout import fields, line, words
from .words import count

EFFECTS = {
    Kind.PLACE: "only adds or moves axes",
    Kind.REPEAT: "repeats data",
    Kind.TURN: "gives the result another layout",
    Kind.CONTRACT: "sums, or gives the result another rank",
}


def text(rules: Sequence[Rule]) -> Iterator[RenderableType]:
    """One paragraph per rule."""
    rows = []
    for rule in rules:
        source = "" if rule.source == "built in" else f" [{rule.source}]"
        equations = "".join(f"\n{equation}" for equation in rule.equations)
        rows.append((rule.name, words(f"{rule.summary}{source}", (equations, "dim"))))
    yield fields(rows, 0, max(len(rule.name) for rule in rules))
    yield ""
    yield line(f"{count(len(rules), 'rule')}. A page for each: rewriter explain RULE")


def markdown(rules: Sequence[Rule]) -> str:
    """The table of docs/rules.md."""
    lines = ["| rule | equations | what it is | effect |", "|---|---|---|---|"]
    for rule in rules:
        equations = "<br>".join(f"`{e}`" for e in rule.equations)
        summary = rule.summary.replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {rule.name} | {equations} | {summary} | {EFFECTS[rule.kind]} |")
    return "\n".join(lines) + "\n"
