"""``shapes`` as text: every node with its class, its shape, its axes and the number of its weights."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..errors import shown
from ..ir.axis import Role, Value
from ..ir.graph import Operation, TensorRef
from ..passes.sites import family_of
from ..results import Shapes
from ..rules.table import Family
from ..shapes.inference import Inference
from .console import columns, pad, paint
from .words import count, sizes_text, wrapped

# The letters that the equations use for an axis of each role.
LETTERS = {
    Role.BATCH: "b",
    Role.CHANNEL: "c",
    Role.HEIGHT: "h",
    Role.WIDTH: "w",
    Role.DEPTH: "z",
    Role.TIME: "t",
    Role.FEATURE: "f",
    Role.UNKNOWN: "?",
}
_HEADS = ("node", "class", "shape", "axes", "weights")
_GAP = 2
_DEEPEST = 20
_MOST_REASONS, _MOST_NAMES = 10, 5
# Where a cell that is too long goes on in the next line: a name after these or before a capital, a shape after a comma.
_NAME_BREAKS = re.compile(r"(?<=[ _/\-.(])(?=\S)|(?<=[a-z])(?=[A-Z])")
_SHAPE_BREAKS = re.compile(r"(?<=, )")
_BREAKS = (_NAME_BREAKS, _NAME_BREAKS, _SHAPE_BREAKS, _SHAPE_BREAKS, _SHAPE_BREAKS)
_NARROWEST = (16, 13, 14, 14, 0)  # of the five columns, the node's without what nested models are indented by
_TRIALS = 8


@dataclass(frozen=True, slots=True)
class _Row:
    cells: tuple[str, str, str, str, str]
    mark: str
    styles: tuple[str, ...]
    reason: tuple[str, str] = ("", "")  # what is wrong or not known, and of which node


def table(item: Shapes, width: int) -> str:
    """The table of a model; its weights are left out where they are None."""
    path, inference, weights = item.path, item.inference, item.weights
    rows = list(_rows("", inference, weights or {}, 0))
    nodes = [row for row in rows if row.cells[0]]
    multiplies = sum(row.mark == "*" for row in rows)
    counts = [count(len(nodes), "node"), count(multiplies, "multiply")]
    if weights is not None:
        counts.append(count(sum(weights.get(op, 0) for op in inference.graph.operations), "weight"))
    lines = [f"{paint(shown(path), 'bold')}: {', '.join(counts)}"]
    graph = inference.graph
    for label, refs in (("inputs", graph.input_refs()), ("outputs", graph.output_refs())):
        lines += _listed(label, list(_tensors(inference, refs)), width)
    lines.append("")
    shown_columns = 5 if weights is not None else 4
    widths = _widths(rows, shown_columns, width)
    lines.append(paint(_line(_HEADS[:shown_columns], " ", widths)[0].rstrip(), "dim"))
    for row in rows:
        cells = _line(row.cells[:shown_columns], row.mark, widths)
        lines += [paint(cell.rstrip(), *row.styles) if row.styles else cell.rstrip() for cell in cells]
    return "\n".join([*lines, "", *_reasons(rows, width), *_legend(rows, width)]) + "\n"


def _tensors(inference: Inference, refs: Sequence[TensorRef]) -> Iterator[str]:
    """``features (B, 28, 64)`` for each tensor, no name twice in a row."""
    last = ""
    for ref in refs:
        shape, _ = _value(inference.value(ref))
        yield shape if ref.node == last else f"{shown(ref.node)} {shape}"
        last = ref.node


def _listed(label: str, items: Sequence[str], width: int) -> list[str]:
    """``  inputs   a (B, 3), b (B, 5)``, broken between items."""
    lines, line = [], f"  {label:<8}"
    for number, item in enumerate(items):
        comma = "," if number + 1 < len(items) else ""
        if line.strip() != label and columns(line) + columns(item) + 2 > width:
            lines.append(line)
            line = " " * 10
        line += f" {item}{comma}"
    return [*lines, line]


def _rows(
    prefix: str, inference: Inference, weights: Mapping[str, int], depth: int, stored: str = ""
) -> Iterator[_Row]:
    """Rows of a model and those in it. ``stored`` is its path among the weights, which names wrappers too."""
    for name in inference.graph.order:
        node = inference.graph.nodes[name]
        values = inference.values[name]
        mark = " "
        styles: tuple[str, ...] = ()
        reason = ""
        if name in inference.opaque:
            mark, styles, reason = "~", ("yellow",), inference.opaque[name]
        elif name in inference.faults:
            mark, styles, reason = "!", ("red",), inference.faults[name]
        if family_of(node) is Family.PRODUCT:
            mark, styles = "*", styles or ("bold",)
        operation = node.operation
        first = weights.get(stored + operation.name, 0) if node.call == 0 else 0
        texts = [_value(v) for v in values] or [("", "")]
        label = "  " * min(depth, _DEEPEST) + shown(name)
        cells = (label, _class(operation), *texts[0], f"{first:,}" if first else "")
        yield _Row(cells, mark, styles, (reason, prefix + shown(name)))
        for shape, axes in texts[1:]:
            yield _Row(("", "", shape, axes, ""), " ", styles)
        seen = set()
        for sub, inner in inference.inner.get(name, ()):
            if sub not in seen and node.call == 0:
                seen.add(sub)
                below = f"{stored}{operation.name}/" + ("" if operation.graph is not None else f"{sub}/")
                yield from _rows(f"{prefix}{sub}/", inner, weights, depth + 1, below)


def _class(operation: Operation) -> str:
    """``Dense``, ``TimeDistributed(Dense)``."""
    held = next((c for c in operation.children.values() if isinstance(c, Operation)), None)
    name = shown(operation.class_name)
    return name if held is None else f"{name}({shown(held.class_name)})"


def _value(value: Value) -> tuple[str, str]:
    if value.sizes is None:
        return "not known", ""
    letters = " ".join(LETTERS[a.role] for a in value.axes or ())
    return sizes_text(value.sizes) + ("~" if value.claimed else ""), letters


def _widths(rows: list[_Row], number: int, width: int) -> list[int]:
    """Widths of the columns: what their cells need, cut down to fit where that makes the fewest lines."""
    need = [max(columns(cells[i]) for cells in [_HEADS, *(r.cells for r in rows)]) for i in range(number)]
    over = 2 + sum(need) + _GAP * (number - 1) - width
    indent = max((len(r.cells[0]) - len(r.cells[0].lstrip()) for r in rows), default=0)
    cut = min(max(over, 0), max(need[3] - _NARROWEST[3], 0))
    need[3] -= cut
    over -= cut
    if over <= 0:
        return need
    least = [_NARROWEST[0] + min(indent, _NARROWEST[0]), *_NARROWEST[1:3]]
    spare = [max(n - m, 0) for n, m in zip(need, least, strict=False)]
    lengths = Counter(tuple(columns(cell) for cell in r.cells[:3]) for r in rows)
    step = max(over // _TRIALS, 1)
    best = (math.inf, spare)
    for node in {*range(0, min(spare[0], over), step), min(spare[0], over)}:
        for kind in {*range(0, min(spare[1], over - node), step), min(spare[1], over - node)}:
            cuts = [node, kind, min(spare[2], over - node - kind)]
            if sum(cuts) < min(over, sum(spare)):
                continue
            widths = [n - cut for n, cut in zip(need, cuts, strict=False)]
            best = min(best, (_lines(lengths, widths), cuts))
    return [*(n - cut for n, cut in zip(need, best[1], strict=False)), *need[3:]]


def _lines(lengths: Mapping[tuple[int, ...], int], widths: list[int]) -> int:
    """About how many lines cells of these lengths make; what goes on is indented by two."""
    return sum(
        times
        * max(1 if n <= w else 1 + math.ceil((n - w) / (w - 2)) for n, w in zip(cells, widths, strict=True))
        for cells, times in lengths.items()
    )


def _line(cells: tuple[str, ...], mark: str, widths: list[int]) -> list[str]:
    """One row; a cell that is too long goes on below."""
    parts = [_fold(cell, w, breaks) for cell, w, breaks in zip(cells, widths, _BREAKS, strict=False)]
    lines = []
    for k in range(max(map(len, parts))):
        texts = [p[k] if k < len(p) else "" for p in parts]
        padded = [pad(t, w, right=i == 4) for i, (t, w) in enumerate(zip(texts, widths, strict=True))]
        lines.append(f"{mark if k == 0 else ' '} {(' ' * _GAP).join(padded)}")
    return lines


def _fold(text: str, width: int, breaks: re.Pattern[str]) -> list[str]:
    """A cell in lines of its width, broken where words begin; what goes on is indented further."""
    if columns(text) <= width:
        return [text]
    start = len(text) - len(text.lstrip())
    indent = " " * min(start + 2, width // 2)
    lines, line = [], text[: min(start, width // 2)]
    for piece in breaks.split(text[start:]):
        if line.strip() and columns(line) + columns(piece.rstrip()) > width:
            lines.append(line.rstrip())
            line = indent
        for letter in piece:
            if columns(line) + columns(letter) > width and letter != " ":
                lines.append(line.rstrip())
                line = indent
            line += letter
    return [*lines, line.rstrip()]


def _reasons(rows: list[_Row], width: int) -> list[str]:
    """Why nodes cannot run or are not known: one paragraph a reason."""
    named: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        reason, node = row.reason
        if reason:
            named.setdefault(("~" if "yellow" in row.styles else "!", reason), []).append(node)
    lines = []
    for (mark, reason), nodes in list(named.items())[:_MOST_REASONS]:
        more = f" and {len(nodes) - _MOST_NAMES:,} more" if len(nodes) > _MOST_NAMES else ""
        lines += wrapped(f"{mark} {', '.join(nodes[:_MOST_NAMES])}{more}: {reason}", width, 0, 2)
    if len(named) > _MOST_REASONS:
        lines.append(f"  and {len(named) - _MOST_REASONS:,} more reasons")
    return [*lines, ""] if lines else []


def _legend(rows: list[_Row], width: int) -> list[str]:
    used = {letter for row in rows for letter in row.cells[3].split()}
    axes = ", ".join(f"{letter} {role}" for role, letter in LETTERS.items() if letter in used)
    marks = {row.mark for row in rows}
    signs = [f"axes: {axes}"] if axes else []
    signs += ["* a multiply"] if "*" in marks else []
    signs += ["! does not fit"] if "!" in marks else []
    claimed = "~" in marks or any("~" in row.cells[2] for row in rows)
    signs += ["~ not analysed, or a shape that only the file states"] if claimed else []
    return wrapped("; ".join(signs), width, 0, 2)
