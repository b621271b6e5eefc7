"""What ``explain`` adds to a page: each node where tensors meet, and the result of every rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ...errors import shown
from ...passes.seen import Seen
from ...passes.sites import Site
from ...results import Explanation
from ...rules.table import Rule
from ...shapes.broadcast import Convention
from ..explain import Attempt, attempts
from ..picture.model import Mark, Picture
from ..picture.scenes import near
from ..words import UNCHANGED, convention_text, operand_names, steps_text
from .findings import Meeting, meeting, shown_long

_MOST_PICTURES = 24


@dataclass(frozen=True, slots=True)
class Held:
    """One equation compared with the operands."""

    rule: str
    equation: str
    fits: bool
    text: list[str]


@dataclass(slots=True)
class Sheet:
    """A node: how its operands meet, and the result of each rule. ``alike`` are nodes with the same explanation."""

    node: str
    op: str
    convention: str
    meeting: Meeting
    held: list[Held] = field(default_factory=list)
    other_ranks: int = 0
    alike: list[str] = field(default_factory=list)
    picture: Picture | None = None


def sheets(item: Explanation, rules: Sequence[Rule], seen: Seen) -> list[Sheet]:
    """The nodes to explain, those that are alike once. A node with a finding has its picture there, not here."""
    found: dict[tuple[str, ...], Sheet] = {}
    findings = {f.node for f in item.analysis.findings}
    for site in item.sites:
        own = site.name if site.name in findings else ""
        key = (
            own,
            site.node.operation.class_name,
            str(site.convention),
            *(o.value.text() for o in site.operands),
        )
        if key in found:
            found[key].alike.append(shown(site.name))
        else:
            found[key] = made = _sheet(site, rules)
            if not own and len(found) <= _MOST_PICTURES:
                made.picture = near(seen, site.path, site.operands, Mark.INFO)
    return list(found.values())


def _sheet(site: Site, rules: Sequence[Rule]) -> Sheet:
    op = shown(site.node.operation.class_name)
    made = Sheet(shown(site.name), op, convention_text(site), meeting(site.operands, site.convention))
    if (
        site.convention is Convention.NONE
        or any(v.axes is None for v in site.values)
        or len(site.operands) != 2
    ):
        return made
    operands = [v.axes or () for v in site.values]
    names = operand_names(site.operands)
    for attempt in attempts(operands, site.convention, rules):
        if attempt.other_rank:
            made.other_ranks += 1
            continue
        fits = attempt.candidate is not None
        text = list(_text(attempt, names))
        made.held.append(Held(shown(attempt.rule.name), str(attempt.equation), fits, text))
    made.held.sort(key=lambda held: not held.fits)
    return made


def _text(attempt: Attempt, names: Sequence[str]) -> Iterator[str]:
    if attempt.failure is not None:
        yield shown_long(attempt.failure.reason)
    if attempt.candidate is not None:
        steps = attempt.candidate.plan.steps
        yield from steps_text(steps, names) if steps else [UNCHANGED]
