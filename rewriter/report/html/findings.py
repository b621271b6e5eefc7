"""One finding as a page shows it: how the operands meet, the readings, the evidence, and the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import shown
from ...ir.axis import Axis
from ...ir.graph import Path
from ...passes.candidate import Candidate
from ...passes.finding import Finding, Operand
from ...passes.ranking import CRITERIA
from ...passes.seen import Seen
from ...results import Explanation, Report
from ...rules.table import Rule
from ...shapes.broadcast import Convention, align
from .. import command
from ..alignment import problem
from ..picture.model import Part, Picture, Shape, part_of, shape_of, shape_of_sizes
from ..picture.scenes import after, before
from ..words import complaint, convention_of, op_text, operand_names, rule_summary, steps_text

_MOST_READINGS = 12
_MOST_COMPARED = 5


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of an operand, aligned with the others; None where it has no axis."""

    name: str
    cells: tuple[Part | None, ...]


@dataclass(frozen=True, slots=True)
class Meeting:
    """Operands one below the other. ``marks`` says what is wrong at each axis; empty if they are not aligned."""

    rows: list[Row]
    marks: list[str]

    @property
    def aligned(self) -> bool:
        return bool(self.marks)

    @property
    def wrong(self) -> str:
        """What is wrong, without repetitions."""
        return next((mark for mark in self.marks if mark), "")


@dataclass(frozen=True, slots=True)
class Reading:
    """One thing that the node can mean."""

    rule: str
    summary: str
    equation: str
    steps: list[str]
    evidence: list[str]
    output: Shape
    chosen: bool
    first: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """The evidence of several readings: a row for each kind, and which one decides."""

    readings: list[str]
    rows: list[tuple[str, list[int], bool]]


@dataclass(slots=True)
class Card:
    """A finding."""

    path: Path
    node: str
    op: str
    code: str
    kind: str
    severity: str
    summary: str
    message: str
    convention: str
    meeting: Meeting
    chosen: Reading | None
    others: list[Reading]
    more: int
    why: str
    trail: list[tuple[str, str]]
    upstream: list[str]
    comparison: Comparison | None
    before: Picture | None
    after: Picture | None
    after_caption: str
    done: bool
    command: str
    anchor: str = ""


def card(
    item: Finding,
    rules: Sequence[Rule],
    seen: Seen | None,
    done: bool = False,
    report: Report | Explanation | None = None,
) -> Card:
    """What is shown of a finding.

    Args:
        done: whether the repair is done.
        report: the report of the finding, for a command that chooses a reading.
    """
    names = operand_names(item.operands)
    choice = item.choice
    others = [c for c in item.candidates if choice is None or c.plan != choice.plan]
    drawn = choice or (others[0] if others and not item.elsewhere else None)
    caption = (
        "As repaired" if done else "With what is inserted" if choice is not None else "With the first reading"
    )
    return Card(
        item.path,
        shown(item.node),
        op_text(item),
        item.code,
        str(item.kind),
        str(item.severity),
        item.kind.summary,
        shown_long(complaint(item)),
        convention_of(item.convention, item.op),
        meeting(item.operands, item.convention),
        None if choice is None else _reading(choice, item, rules, names),
        [_reading(c, item, rules, names) for c in others[:_MOST_READINGS]],
        max(0, len(others) - _MOST_READINGS),
        item.why,
        [(d.stage.name, d.stage.account.replace("`", "")) for d in item.decision.trail()],
        [
            f"{shown(a.node)}: {shown(a.argument)} = {shown(a.after)} in place of {shown(a.before)}"
            for a in item.upstream
        ],
        _comparison(item, choice, others),
        before(seen, item) if seen is not None else None,
        after(seen, item, drawn) if seen is not None and drawn is not None else None,
        caption,
        done,
        command.repair(report, [item]) if report and command.first_reading(item) is not None else "",
    )


def shown_long(text: str) -> str:
    """A sentence of this package with names in it, made safe. It may be longer than a name."""
    return " ".join(shown(word) for word in text.split())


def meeting(operands: Sequence[Operand], convention: Convention) -> Meeting:
    """How operands are aligned, and what does not fit."""
    names = operand_names(operands)
    shapes = [shape_of(o.value) for o in operands]
    if convention is Convention.NONE or any(shape is None for shape in shapes):
        return Meeting([Row(name, shape or ()) for name, shape in zip(names, shapes, strict=True)], [])
    axes: list[tuple[Axis, ...]] = [o.value.axes or () for o in operands]
    columns = align(convention, axes)
    rows = [
        Row(name, tuple(None if column[k] is None else part_of(column[k]) for column in columns))  # type: ignore[arg-type]
        for k, name in enumerate(names)
    ]
    return Meeting(rows, [problem(column, axes, columns) for column in columns])


def _reading(item: Candidate, finding: Finding, rules: Sequence[Rule], names: Sequence[str]) -> Reading:
    axes = item.match.output()
    output = (
        tuple(map(part_of, axes)) if len(axes) == len(item.plan.output) else shape_of_sizes(item.plan.output)
    )
    return Reading(
        shown(item.rule),
        shown(rule_summary(item.rule, rules)),
        item.equation,
        steps_text(item.plan.steps, names),
        [shown_long(text) for text in item.evidence],
        output,
        item is finding.choice,
        item is finding.first,
    )


def _comparison(item: Finding, choice: Candidate | None, others: Sequence[Candidate]) -> Comparison | None:
    """The evidence in which the first readings differ; a row for each kind."""
    compared = [*([choice] if choice is not None else []), *others][:_MOST_COMPARED]
    if len(compared) < 2:
        return None
    rows = []
    for criterion in CRITERIA:
        values = [int(criterion.value(candidate)) for candidate in compared]
        if criterion.decides and len(set(values)) > 1:
            rows.append((criterion.prefers, values, criterion is item.decision.evidence))
    return Comparison([f"{shown(c.rule)}: {c.equation}" for c in compared], rows) if rows else None
