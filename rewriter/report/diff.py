"""``repair --diff``: the change as a unified view of the nodes, each with what it takes and gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from rich.console import RenderableType

from ..errors import shown
from ..ir.axis import Value
from ..passes.changes import Change, Changes, State
from ..results import Result
from .layout import columns, filled, line, words
from .words import operand_name, sizes_text

_COLOURS = {"+": "green", "-": "red", " ": ""}
_MOST_FOLLOWING = 20

Row = tuple[str, str]


def text(item: Result, width: int) -> Iterator[RenderableType]:
    """The change that a repair would make."""
    assert item.changes is not None
    if not item.changes.nodes:
        yield line((shown(item.path), "bold"), ": no change")
        return
    yield from (line((f"--- {shown(item.path)}", "bold")), line(("+++ repaired", "bold")))
    for hunk in _hunks(item.changes.nodes):
        yield from _hunk(hunk, _meanings(hunk, item), width)
    yield from _following(item.changes, width)
    yield from ("", line("Nothing was written."))


def _hunks(nodes: Sequence[Change]) -> list[list[Change]]:
    """Each changed node of the model with the inserted ones that lead to it."""
    hunks: list[list[Change]] = []
    waiting: dict[str, Change] = {}
    for change in nodes:
        waiting[change.node] = change
        if change.before is None:
            continue
        hunk = {change.node}
        for node in reversed(waiting):
            if node in hunk:
                state = waiting[node].after
                hunk |= {o.source for o in state.operands if o.source in waiting} if state else set()
        hunks.append([waiting.pop(node) for node in list(waiting) if node in hunk])
    return [*hunks, list(waiting.values())] if waiting else hunks


def _meanings(hunk: Sequence[Change], item: Result) -> str:
    """``channel-gate: b h w c, b c -> b h w c`` for every rule that made a hunk."""
    chosen = {f.node: f.choice for f in item.findings if f.choice is not None}
    said = [(c.rule, c.equation) for c in hunk if c.inserted]
    said += [(chosen[c.node].rule, chosen[c.node].equation) for c in hunk if c.node in chosen]
    return "; ".join(dict.fromkeys(f"{rule}: {equation}" for rule, equation in said))


def _hunk(hunk: Sequence[Change], meaning: str, width: int) -> Iterator[RenderableType]:
    yield from ("", words((f"@@ {meaning}", "cyan")))
    rows = [row for change in hunk for row in _rows(change)]
    first = max(columns(name) for _, (name, _) in rows)
    for sign, (name, shape) in rows:
        row = f"{sign} {filled(name, first)}  {shape}".rstrip()
        parts = [row]
        if columns(row) > width and shape:
            indent = " " * (len(name) - len(name.lstrip()) + 2)
            parts = [f"{sign} {name}", f"{sign} {indent}{shape}"]
        yield from (line((part, _COLOURS[sign])) for part in parts)


def _rows(change: Change) -> list[tuple[str, Row]]:
    before, after = _state_rows(change.node, change.before), _state_rows(change.node, change.after)
    rows: list[tuple[str, Row]] = []
    for what, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if what == "equal":
            rows += [(" ", row) for row in before[a:b]]
        else:
            rows += [("-", row) for row in before[a:b]] + [("+", row) for row in after[c:d]]
    return rows


def _state_rows(node: str, state: State | None) -> list[Row]:
    if state is None:
        return []
    operands = [(f"    {operand_name(o)}", _shape(o.value)) for o in state.operands]
    return [(shown(node), shown(state.op)), *operands, ("    gives", _shape(state.result))]


def _shape(value: Value | None) -> str:
    if value is None:
        return "the operands do not fit"
    return "shape not known" if value.sizes is None else sizes_text(value.sizes)


def _following(item: Changes, width: int) -> Iterator[RenderableType]:
    """The nodes behind the changed ones whose results get another shape."""
    if not item.follow:
        return
    yield from ("", line("Other shapes that change with it:"))
    for node, before, after in item.follow[:_MOST_FOLLOWING]:
        shapes = f"{_shape(before)} -> {_shape(after)}"
        row = f"  {shown(node)}  {shapes}"
        yield from map(line, [row] if columns(row) <= width else [f"  {shown(node)}", f"      {shapes}"])
    if len(item.follow) > _MOST_FOLLOWING:
        yield line(f"  ... and {len(item.follow) - _MOST_FOLLOWING} more")
