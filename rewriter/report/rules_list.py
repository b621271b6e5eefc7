"""The table of rules as text and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from ..rules.table import Kind, Rule
from .console import pad, paint
from .words import count, wrapped

EFFECTS = {
    Kind.PLACE: "only adds or moves axes",
    Kind.REPEAT: "repeats data",
    Kind.TURN: "gives the result another layout",
    Kind.CONTRACT: "sums, or gives the result another rank",
}


def text(rules: Sequence[Rule], width: int) -> str:
    """One paragraph a rule."""
    lines = []
    for rule in rules:
        source = "" if rule.source == "built in" else f" [{rule.source}]"
        lines += wrapped(f"{paint(pad(rule.name, 14), 'bold')}  {rule.summary}{source}", width, 0, 16)
        lines += [f"{'':16}{equation}" for equation in rule.equations]
    lines += ["", *wrapped(f"{count(len(rules), 'rule')}. A page for each: rewriter explain RULE", width)]
    return "\n".join(lines) + "\n"


def markdown(rules: Sequence[Rule]) -> str:
    """The table of docs/rules.md."""
    lines = ["| rule | equations | what it is | effect |", "|---|---|---|---|"]
    for rule in rules:
        equations = "<br>".join(f"`{e}`" for e in rule.equations)
        summary = rule.summary.replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {rule.name} | {equations} | {summary} | {EFFECTS[rule.kind]} |")
    return "\n".join(lines) + "\n"
