"""A finding as text: in one line, in a few lines, or in full."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from ..errors import shown
from ..passes.candidate import Candidate
from ..passes.finding import Finding
from ..rules.table import Rule
from ..shapes.broadcast import Convention
from .alignment import alignment
from .command import first_reading
from .layout import fields, indented, line, words
from .words import COLOURS, complaint, convention_of, op_text, operand_names, rule_summary, steps_text

# How many readings are listed for a person to choose from: in the short form, in the long one, and beside a choice.
_MOST_SHORT, _MOST, _MOST_BESIDE = 3, 8, 3


def head(path: str, item: Finding, text: str | None = None) -> Text:
    """``model.keras: block/scale: RW002 the batch meets width=12 at axis 2``; without a path it starts at the node."""
    said = complaint(item).partition("; ")[0] if text is None else text
    place = ((shown(path), "bold"), ": ") if path else ()
    return line(
        *place, (shown(item.node), "bold"), ": ",
        (item.code, f"bold {COLOURS[item.severity]}"), f" {said}" if said else "",
    )  # fmt: skip


def short(path: str, item: Finding, width: int, done: bool = False) -> Iterator[RenderableType]:
    """What is wrong, how the operands meet, what is inserted and why: eight lines for a finding of two operands.

    Args:
        done: whether the repair is done.
    """
    yield head(path, item)
    yield from alignment(item.operands, item.convention, width, 4)
    rows: list[tuple[str, RenderableType]] = []
    effect = complaint(item).partition("; ")[2]
    if effect and not done:
        rows.append(("effect", words(effect)))
    chosen = item.choice
    if chosen is not None:
        steps = "; ".join(steps_text(chosen.plan.steps, operand_names(item.operands)))
        rows.append(("inserted" if done else "insert", words(steps)))
        rows.append(("computes", words((chosen.equation, "bold"), f" ({chosen.rule})")))
    elif item.candidates:
        rows.append(("could be", words(*_readings(item.candidates))))
    why = item.why if chosen is None else _brief(item.why.removeprefix(f"{chosen.rule} is "), width - 12)
    rows.append(("why", words(why)))
    yield fields(rows)


def _readings(candidates: Sequence[Candidate]) -> list[str | tuple[str, str]]:
    """``1 b h w c, b c -> b h w c (channel-gate)``, one line per reading, and how many more there are."""
    parts: list[str | tuple[str, str]] = []
    for number, candidate in enumerate(candidates[:_MOST_SHORT], 1):
        parts += ["\n" if parts else "", f"{number} ", (candidate.equation, "bold"), f" ({candidate.rule})"]
    more = len(candidates) - _MOST_SHORT
    return [*parts, f"\nand {more} more: -v lists them"] if more > 0 else parts


def _brief(why: str, width: int) -> str:
    """As many parts of a reason as one line holds, at least the first."""
    first, *others = why.split("; ")
    for other in others:
        if len(first) + 2 + len(other) > width:
            break
        first = f"{first}; {other}"
    return first


def full(
    path: str, item: Finding, rules: Sequence[Rule], width: int, done: bool = False
) -> Iterator[RenderableType]:
    """All that is known of a finding: the convention, the evidence, and the other readings."""
    yield head(path, item, f"{item.kind}: {item.kind.summary} ({item.severity})")
    yield ""
    yield from alignment(item.operands, item.convention, width, 4)
    yield ""
    rows: list[tuple[str, RenderableType]] = [
        ("node", words((shown(item.node), "bold"), f" ({op_text(item)})"))
    ]
    if item.convention is not Convention.NONE:
        rows.append(("operator", words(convention_of(item.convention, item.op))))
    rows.append(("wrong", words(complaint(item))))
    names = operand_names(item.operands)
    chosen = item.choice
    if chosen is not None:
        rows.append(("computes", meaning(chosen, rules)))
        steps = steps_text(chosen.plan.steps, names)
        rows.append(("inserted" if done else "insert", words("\n".join(steps))))
        rows.append(("evidence", words("\n".join(chosen.evidence))))
    rows.append(("why", words(item.why)))
    yield fields(rows)
    others = [c for c in item.candidates if chosen is None or c.plan != chosen.plan]
    if others:
        yield ""
        yield from _others(item, others, rules, names)


def meaning(item: Candidate, rules: Sequence[Rule], note: str = "") -> Text:
    """``b h w c, b c -> b h w c  (channel-gate: one factor per channel)``."""
    return words((item.equation, "bold"), f"  ({_rule_text(item.rule, rules)})", note)


def _rule_text(name: str, rules: Sequence[Rule]) -> str:
    summary = rule_summary(name, rules)
    return f"{name}: {summary}" if summary else name


def _others(
    item: Finding, others: Sequence[Candidate], rules: Sequence[Rule], names: Sequence[str]
) -> Iterator[RenderableType]:
    """The candidates that were not chosen, the first-ranked one first."""
    yield line("  Other readings:" if item.choice is not None else "  Readings:")
    most = _MOST if item.choice is None else _MOST_BESIDE
    first = first_reading(item)
    for number, candidate in enumerate(others[:most], 1):
        note = "  [what --mode best takes]" if candidate is item.first and candidate is first else ""
        details = [*steps_text(candidate.plan.steps, names), f"evidence: {'; '.join(candidate.evidence)}"]
        body = words(meaning(candidate, rules, note), *(f"\n{text}" for text in details))
        yield fields([(f"{number}", body)], 3, 2, 1)
    if len(others) > most:
        yield indented(words(f"and {len(others) - most} more (--format json lists all)"), 6)
