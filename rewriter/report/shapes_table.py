"""``shapes`` as text: every node with its class, its shape, its axes and the number of its weights."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..errors import RewriterError, shown
from ..formats.keras_v3 import KerasArchive
from ..formats.keras_weights import parameter_counts
from ..formats.source import open_model
from ..ir.axis import Role, Value
from ..passes.sites import is_multiply
from ..shapes.infer import Inference, infer
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
_NARROWEST_NODE, _NARROWEST_SHAPE, _WIDEST_CLASS, _WIDEST_AXES = 16, 14, 18, 14


@dataclass(frozen=True, slots=True)
class _Row:
    cells: tuple[str, str, str, str, str]
    mark: str
    styles: tuple[str, ...]


def of_file(path: str | os.PathLike[str], width: int) -> str:
    """The table of a model in a file."""
    with open_model(path) as source:
        weights = None
        if isinstance(source, KerasArchive):
            try:
                weights = parameter_counts(source)
            except RewriterError:
                weights = None  # shapes does not need them; repair says what is wrong with them
        return table(source.path, infer(source.graph), weights, width)


def table(path: str, inference: Inference, weights: Mapping[str, int] | None, width: int) -> str:
    """The table of a model. ``weights`` is left out where it is None."""
    rows = list(_rows("", inference, weights or {}, 0))
    multiplies = sum(row.mark == "*" for row in rows)
    total = sum(weights.get(op, 0) for op in inference.graph.operations) if weights is not None else None
    counts = [count(len(rows), "node"), count(multiplies, "multiply")]
    counts += [count(total, "weight")] if total is not None else []
    lines = [f"{paint(shown(path), 'bold')}: {', '.join(counts)}", ""]
    shown_columns = 5 if weights is not None else 4
    widths = _widths(rows, shown_columns, width)
    lines.append(paint(_line(_HEADS[:shown_columns], " ", widths)[0].rstrip(), "dim"))
    for row in rows:
        cells = _line(row.cells[:shown_columns], row.mark, widths)
        lines += [paint(cell.rstrip(), *row.styles) if row.styles else cell.rstrip() for cell in cells]
    return "\n".join([*lines, "", *_legend(rows, width)]) + "\n"


def _rows(prefix: str, inference: Inference, weights: Mapping[str, int], depth: int) -> Iterator[_Row]:
    for name in inference.graph.order:
        node = inference.graph.nodes[name]
        values = inference.values[name]
        mark = " "
        styles: tuple[str, ...] = ()
        if name in inference.opaque:
            mark, styles = "~", ("yellow",)
        elif name in inference.faults:
            mark, styles = "!", ("red",)
        if is_multiply(node):
            mark, styles = "*", styles or ("bold",)
        operation = node.operation
        first = weights.get(prefix + operation.name, 0) if node.call == 0 else 0
        texts = [_value(v) for v in values] or [("", "")]
        label = "  " * min(depth, _DEEPEST) + shown(name)
        yield _Row(
            (label, shown(operation.class_name), *texts[0], f"{first:,}" if first else ""), mark, styles
        )
        for shape, axes in texts[1:]:
            yield _Row(("", "", shape, axes, ""), " ", styles)
        seen = set()
        for sub, inner in inference.inner.get(name, ()):
            if sub not in seen and node.call == 0:
                seen.add(sub)
                yield from _rows(f"{prefix}{sub}/", inner, weights, depth + 1)


def _value(value: Value) -> tuple[str, str]:
    if value.sizes is None:
        return "not known", ""
    letters = " ".join(LETTERS[a.role] for a in value.axes or ())
    return sizes_text(value.sizes) + ("~" if value.claimed else ""), letters


def _widths(rows: list[_Row], number: int, width: int) -> list[int]:
    """Widths of the columns: what their cells need, the node's and then the shape's cut down to fit."""
    need = [max(columns(cells[i]) for cells in [_HEADS, *(r.cells for r in rows)]) for i in range(number)]
    over = 2 + sum(need) + _GAP * (number - 1) - width
    least_of = ((3, _WIDEST_AXES), (1, _WIDEST_CLASS), (0, max(_NARROWEST_NODE, need[0] // 2)))
    for i, least in (*least_of, (2, _NARROWEST_SHAPE), (0, _NARROWEST_NODE)):
        cut = min(max(over, 0), max(need[i] - least, 0))
        need[i] -= cut
        over -= cut
    return need


def _line(cells: tuple[str, ...], mark: str, widths: list[int]) -> list[str]:
    """One row; a cell that is too long goes on below."""
    parts = [_fold(cell, w) for cell, w in zip(cells, widths, strict=True)]
    lines = []
    for k in range(max(map(len, parts))):
        texts = [p[k] if k < len(p) else "" for p in parts]
        padded = [pad(t, w, right=i == 4) for i, (t, w) in enumerate(zip(texts, widths, strict=True))]
        lines.append(f"{mark if k == 0 else ' '} {(' ' * _GAP).join(padded)}")
    return lines


def _fold(text: str, width: int) -> list[str]:
    if columns(text) <= width:
        return [text]
    indent = " " * min(len(text) - len(text.lstrip()) + 2, width // 2)
    folded = textwrap.wrap(
        text, width, subsequent_indent=indent, drop_whitespace=True, break_on_hyphens=False
    )
    return [text[: len(text) - len(text.lstrip())] + folded[0].lstrip(), *folded[1:]] if folded else [""]


def _legend(rows: list[_Row], width: int) -> list[str]:
    used = {letter for row in rows for letter in row.cells[3].split()}
    axes = ", ".join(f"{letter} {role}" for role, letter in LETTERS.items() if letter in used)
    marks = {row.mark for row in rows}
    signs = [f"axes: {axes}"] if axes else []
    signs += ["* a multiply"] if "*" in marks else []
    signs += ["! cannot run as it stands"] if "!" in marks else []
    claimed = "~" in marks or any("~" in row.cells[2] for row in rows)
    signs += ["~ not analysed, or a shape that only the file states"] if claimed else []
    return wrapped("; ".join(signs), width, 0, 2)
