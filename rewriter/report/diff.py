"""``repair --diff``: a unified diff of the model before and after, one line per node.

    --- a/model.keras
    +++ b/model.keras
    @@ -3,4 +3,5 @@ channel-gate: b h w c, b c -> b h w c
     excite = Dense(squeeze) -> (B, 16)
    +scale_channel_gate_reshape = Reshape(excite) -> (B, 1, 1, 16)
    -scale = Multiply(features, excite) -> does not fit
    +scale = Multiply(features, scale_channel_gate_reshape) -> (B, 10, 12, 16)

A line is never wrapped: ``diff``, ``patch`` and editors need one line for each node.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from rich.console import RenderableType

from ..errors import shown
from ..ir.axis import Value
from ..ir.graph import Path, path_text
from ..passes.changes import State
from ..passes.finding import LITERAL, Operand
from ..results import Result
from . import layout
from .words import sizes_text

_CONTEXT = 3
_COLOURS = {"+": "green", "-": "red"}


def text(item: Result) -> Iterator[RenderableType]:
    """The change that a repair would make."""
    assert item.changes is not None
    name = shown(item.path)
    if not item.changes.nodes:
        yield layout.line((name, "bold"), ": no change")
        return
    place = name.lstrip("/")
    yield layout.line((f"--- a/{place}", "bold"))
    yield layout.line((f"+++ b/{place}", "bold"))
    yield from _hunks(item.changes.old, item.changes.new, meanings(item))


def meanings(item: Result) -> dict[Path, str]:
    """``channel-gate: b h w c, b c -> b h w c`` for each node that a rule changed or inserted."""
    assert item.changes is not None
    said = {f.path: f"{f.choice.rule}: {f.choice.equation}" for f in item.findings if f.choice is not None}
    return said | {c.path: f"{c.rule}: {c.equation}" for c in item.changes.nodes if c.inserted}


def _hunks(
    old: Mapping[Path, State], new: Mapping[Path, State], meant: Mapping[Path, str]
) -> Iterator[RenderableType]:
    before, after = (tuple(nodes.items()) for nodes in (old, new))
    lines = [[line(path, state) for path, state in nodes] for nodes in (before, after)]
    matcher = difflib.SequenceMatcher(None, lines[0], lines[1], autojunk=False)
    for group in matcher.get_grouped_opcodes(_CONTEXT):
        first, last = group[0], group[-1]
        rows: list[RenderableType] = []
        rules: list[str] = []
        for what, a, b, c, d in group:
            if what == "equal":
                rows += [layout.line(f" {text}") for text in lines[0][a:b]]
                continue
            rows += [layout.line((f"-{text}", _COLOURS["-"])) for text in lines[0][a:b]]
            rows += [layout.line((f"+{text}", _COLOURS["+"])) for text in lines[1][c:d]]
            rules += [meant[path] for path, _ in (*before[a:b], *after[c:d]) if path in meant]
        place = f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@"
        yield layout.line((" ".join([place, "; ".join(dict.fromkeys(rules))]).rstrip(), "cyan"))
        yield from rows


def _range(start: int, stop: int) -> str:
    """Lines of one side, as a unified diff counts them: from 1, and the line before where there are none."""
    length = stop - start
    return f"{start + 1 if length else start}" + (f",{length}" if length != 1 else "")


def line(path: Path, state: State) -> str:
    """``scale = Multiply(features, gate) -> (B, 10, 12, 16)``."""
    options = [f"{name}={value}" for name, value in state.options]
    arguments = ", ".join([*map(_operand, state.operands), *options])
    return f"{shown(path_text(path))} = {shown(state.op)}({arguments}) -> {_shape(state.result)}"


def _operand(item: Operand) -> str:
    if item.source == LITERAL:
        return f"constant{_shape(item.value)}"
    return shown(item.source)


def _shape(value: Value | None) -> str:
    if value is None:
        return "does not fit"
    return "not known" if value.sizes is None else sizes_text(value.sizes)
