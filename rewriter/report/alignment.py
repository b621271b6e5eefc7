"""How the operands of a multiply meet, drawn as a table: a column for each axis of the result."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from ..errors import shown
from ..ir.axis import Axis, Role
from ..passes.evidence import weigh
from ..passes.finding import Operand
from ..shapes.broadcast import Column, Convention, Fit, align, crosses, fit
from .layout import GAP, columns, filled, line
from .words import operand_names, value_text

_LONGEST_NAME = 24
_WORST = "does not fit"


def alignment(operands: Sequence[Operand], convention: Convention, width: int, indent: int = 2) -> list[Text]:
    """The operands one below the other, aligned as in the operation, with a mark under what does not fit.

    If that is too wide: a line for each axis of the result. If the operation is not elementwise: only the operands.
    """
    names = operand_names(operands)
    if convention is Convention.NONE or any(o.value.axes is None for o in operands):
        return _listed(names, operands, width, indent)
    axes = [o.value.axes or () for o in operands]
    meeting = align(convention, axes)
    marks = [problem(column, axes, meeting) for column in meeting]
    return _table(names, meeting, marks, width, indent) or _by_axis(names, meeting, marks, indent)


def problem(column: Column, operands: Sequence[tuple[Axis, ...]], meeting: Sequence[Column]) -> str:
    """What is wrong where the axes of a column meet, in a few words, or ""."""
    present = [a for a in column if a is not None]
    reference = next((a for a in present if a.size != 1), None)
    for axis in present:
        if reference is None or axis is reference:
            continue
        how = fit(reference, axis)
        if how in (Fit.NEVER, Fit.BY_LUCK, Fit.FIXED) or crosses(reference, axis, operands):
            return _WORST
        if how is Fit.UNPROVEN:
            return "may differ"
        if axis.size != 1 and weigh([("", reference, axis)], operands).contradictions:
            return "different axes"
    batches = [c for c in meeting if any(a is not None and a.role is Role.BATCH for a in c)]
    if len(batches) > 1 and column is not batches[0] and any(column is c for c in batches):
        return "not the batch's place"
    return ""


def _table(
    names: Sequence[str], meeting: Sequence[Column], marks: Sequence[str], width: int, indent: int
) -> list[Text]:
    """The table; empty if it does not fit into the width."""
    cells = [[axis_text(column[k]) for column in meeting] for k in range(len(names))]
    widths = [max((columns(row[i]) for row in cells), default=0) for i in range(len(meeting))]
    first = max(map(columns, names))
    legend: list[Text] = []
    if first > _LONGEST_NAME:
        letters = [chr(ord("a") + k) for k in range(len(names))]
        legend = [
            line(f"{' ' * indent}{letter} = {name}") for letter, name in zip(letters, names, strict=True)
        ]
        names, first = letters, 1
    if indent + first + sum(widths) + GAP * len(widths) > width:
        return []
    lines = [line(_row(name, first, row, widths, indent)) for name, row in zip(names, cells, strict=True)]
    if any(marks):
        text = max(filter(None, marks), key=lambda m: m == _WORST)
        row = ["^" * max(columns(r[i]) for r in cells) if m == text else "" for i, m in enumerate(marks)]
        under = _row("", first, row, widths, indent).rstrip()
        if columns(under) + 1 + len(text) > width:
            lines += [line((under, "red")), line((text.rjust(columns(under)), "red"))]
        else:
            lines.append(line((f"{under} {text}", "red")))
    return [*legend, *lines]


def _row(name: str, first: int, row: Sequence[str], widths: Sequence[int], indent: int) -> str:
    gap = " " * GAP
    return (" " * indent + gap.join([filled(name, first), *map(filled, row, widths)])).rstrip()


def _by_axis(
    names: Sequence[str], meeting: Sequence[Column], marks: Sequence[str], indent: int
) -> list[Text]:
    lines: list[Text] = []
    for place, (column, mark) in enumerate(zip(meeting, marks, strict=True)):
        lines.append(line(f"{' ' * indent}axis {place}:", (f"  {mark}" if mark else "", "red")))
        lines += [
            line(f"{' ' * (indent + 2)}{axis_text(axis)}  {name}")
            for name, axis in zip(names, column, strict=True)
            if axis is not None
        ]
    return lines


def _listed(names: Sequence[str], operands: Sequence[Operand], width: int, indent: int) -> list[Text]:
    first = min(max(map(columns, names), default=0), _LONGEST_NAME)
    lines: list[Text] = []
    for name, operand in zip(names, operands, strict=True):
        text = "shape not known" if operand.value.axes is None else value_text(operand.value)
        row = f"{' ' * indent}{filled(name, first)}  {text}"
        parts = [row] if columns(row) <= width else [f"{' ' * indent}{name}", f"{' ' * (indent + 2)}{text}"]
        lines += map(line, parts)
    return lines


def axis_text(axis: Axis | None) -> str:
    """``height=28``; only the size if the role is not known."""
    if axis is None:
        return ""
    return shown(axis if axis.role is not Role.UNKNOWN else axis.size)
