"""``shapes`` as text: every node with its class, its shape, its axes and the number of its weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from rich.table import Column
from rich.text import Text

from ..errors import shown
from ..ir.axis import Role, Value
from ..ir.graph import Operation, TensorRef
from ..passes.sites import family_of
from ..results import Shapes
from ..rules.table import Family
from ..shapes.inference import Inference
from ..trusted import sentence
from .layout import fields, line, words
from .layout import table as made_table
from .words import count, sizes_text

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
_DEEPEST = 20
_MOST_REASONS, _MOST_NAMES = 10, 5


@dataclass(frozen=True, slots=True)
class _Row:
    cells: tuple[str, str, str, str, str]
    mark: str
    style: str
    reason: tuple[str, str] = ("", "")  # what is wrong or not known, and at which node


def table(item: Shapes) -> Iterator[RenderableType]:
    """The table of a model; its weights are left out where they are None."""
    path, inference, weights = item.path, item.inference, item.weights
    rows = list(_rows("", inference, weights or {}, 0))
    nodes = [row for row in rows if row.cells[0]]
    multiplies = sum(row.mark == "*" for row in rows)
    counts = [count(len(nodes), "node"), count(multiplies, "multiply")]
    if weights is not None:
        counts.append(count(sum(weights.get(op, 0) for op in inference.graph.operations), "weight"))
    yield line((shown(path), "bold"), f": {', '.join(counts)}")
    graph = inference.graph
    tensors = [
        (label, words(", ".join(_tensors(inference, refs))))
        for label, refs in (("inputs", graph.input_refs()), ("outputs", graph.output_refs()))
    ]
    yield fields(tensors, first=7)
    yield ""
    yield _table(rows, weights is not None)
    yield ""
    yield from _reasons(rows)
    yield words(_legend(rows))
    if item.trust:
        yield words(sentence(item.trust))


def _table(rows: Sequence[_Row], weighed: bool) -> RenderableType:
    heads = [Column(name, overflow="fold") for name in _HEADS]
    heads[0].header = f"  {_HEADS[0]}"
    heads[-2].no_wrap = heads[-1].no_wrap = True
    heads[-1].justify = "right"
    number = len(heads) if weighed else len(heads) - 1
    cells = [
        [Text(text, row.style) for text in (f"{row.mark} {row.cells[0]}", *row.cells[1:])][:number]
        for row in rows
    ]
    return made_table(heads[:number], cells)


def _tensors(inference: Inference, refs: Sequence[TensorRef]) -> Iterator[str]:
    """``features (B, 28, 64)`` for each tensor, no name twice in a row."""
    last = ""
    for ref in refs:
        shape, _ = _value(inference.value(ref))
        yield shape if ref.node == last else f"{shown(ref.node)} {shape}"
        last = ref.node


def _rows(
    prefix: str, inference: Inference, weights: Mapping[str, int], depth: int, stored: str = ""
) -> Iterator[_Row]:
    """Rows of a model and those in it. ``stored`` is its path among the weights, which includes wrappers."""
    for name in inference.graph.order:
        node = inference.graph.nodes[name]
        values = inference.values[name]
        mark = " "
        style = reason = ""
        if name in inference.opaque:
            mark, style, reason = "~", "yellow", inference.opaque[name]
        elif name in inference.faults:
            mark, style, reason = "!", "red", inference.faults[name]
        if family_of(node) is Family.PRODUCT:
            mark, style = "*", style or "bold"
        operation = node.operation
        first = weights.get(stored + operation.name, 0) if node.call == 0 else 0
        texts = [_value(v) for v in values] or [("", "")]
        label = "  " * min(depth, _DEEPEST) + shown(name)
        cells = (label, _class(operation), *texts[0], f"{first:,}" if first else "")
        yield _Row(cells, mark, style, (reason, prefix + shown(name)))
        for shape, axes in texts[1:]:
            yield _Row(("", "", shape, axes, ""), " ", style)
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


def _reasons(rows: list[_Row]) -> Iterator[RenderableType]:
    """Why nodes cannot run or are not known: one paragraph per reason."""
    named: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        reason, node = row.reason
        if reason:
            named.setdefault(("~" if row.style == "yellow" else "!", reason), []).append(node)
    for (mark, reason), nodes in list(named.items())[:_MOST_REASONS]:
        more = f" and {len(nodes) - _MOST_NAMES:,} more" if len(nodes) > _MOST_NAMES else ""
        yield words(f"{mark} {', '.join(nodes[:_MOST_NAMES])}{more}: {reason}")
    if len(named) > _MOST_REASONS:
        yield line(f"  and {len(named) - _MOST_REASONS:,} more reasons")
    if named:
        yield ""


def _legend(rows: list[_Row]) -> str:
    used = {letter for row in rows for letter in row.cells[3].split()}
    axes = ", ".join(f"{letter} {role}" for role, letter in LETTERS.items() if letter in used)
    marks = {row.mark for row in rows}
    signs = [f"axes: {axes}"] if axes else []
    signs += ["* a multiply"] if "*" in marks else []
    signs += ["! does not fit"] if "!" in marks else []
    claimed = "~" in marks or any("~" in row.cells[2] for row in rows)
    signs += ["~ not analysed, or a shape that only the file states"] if claimed else []
    return "; ".join(signs)
