"""The pictures of the documentation, drawn from the findings of the code: the operands before and after a repair."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PICTURES_FOLDER = ROOT / "docs" / "pictures"

_CELL, _ROW, _LABEL, _GAP = 108, 34, 120, 10
_WIDTH, _HEIGHT = 630, 284
_COLOURS = {
    "batch": "#dbe4ff",
    "height": "#d3f9d8",
    "width": "#d3f9d8",
    "channel": "#ffe8cc",
    "feature": "#ffe8cc",
}
_PLAIN, _WRONG, _RIGHT, _INK, _DIM = "#f1f3f5", "#e03131", "#2b8a3e", "#212529", "#868e96"
_FONT = "font-family='ui-monospace, SFMono-Regular, Menlo, Consolas, monospace'"

# The axes of an operand, with their sizes; an empty role marks an inserted axis of size 1.
Axes = Sequence[tuple[str, str]]


def gate() -> str:
    """The gate of ``models/batch_misaligned.keras``: its operands as they align, before and after the repair."""
    import rewriter

    report = rewriter.check(ROOT / "models" / "batch_misaligned.keras")
    (finding,) = report.findings
    data, factors = (_axes(operand.value.axes) for operand in finding.operands)
    first = finding.candidates[0]
    repaired = [factors[0], *[("", "1")] * (len(data) - len(factors)), *factors[1:]]
    names = [operand.source for operand in finding.operands]
    aligned = [("", "")] * (len(data) - len(factors)) + list(factors)
    wrong = next(k for k, (one, other) in enumerate(zip(data, aligned, strict=True)) if _clash(one, other))
    parts = [
        _title(26, f"{finding.code} {finding.kind}: {finding.kind.summary}", _WRONG),
        *_row(44, names[0], data),
        *_row(44 + _ROW + _GAP, names[1], aligned, wrong),
        _title(172, f"rewriter repair: {first.rule}, {first.equation}", _RIGHT),
        *_row(190, names[0], data),
        *_row(190 + _ROW + _GAP, "Reshape", repaired),
    ]
    return _page(
        parts, "A gate whose batch meets the width, and the same gate with the Reshape that it lacked"
    )


def _axes(axes: Sequence[object]) -> list[tuple[str, str]]:
    return [(str(axis.role), str(axis.size)) for axis in axes]  # type: ignore[attr-defined]


def _clash(one: tuple[str, str], other: tuple[str, str]) -> bool:
    return bool(other[1]) and other[1] not in ("1", one[1])


def _title(y: int, text: str, colour: str) -> str:
    return f"<text x='20' y='{y}' font-size='15' font-weight='bold' fill='{colour}' {_FONT}>{escape(text)}</text>"


def _row(y: int, name: str, axes: Axes, wrong: int = -1) -> Iterator[str]:
    middle = y + _ROW // 2 + 5
    yield f"<text x='20' y='{middle}' font-size='14' fill='{_INK}' {_FONT}>{escape(name)}</text>"
    for place, (role, size) in enumerate(axes):
        if not size:
            continue
        x = 20 + _LABEL + place * (_CELL + _GAP)
        edge, thick = (_WRONG, 3) if place == wrong else (_DIM, 1)
        dashed = " stroke-dasharray='4 3'" if not role else ""
        yield (
            f"<rect x='{x}' y='{y}' width='{_CELL}' height='{_ROW}' rx='5' fill='{_COLOURS.get(role, _PLAIN)}' "
            f"stroke='{edge}' stroke-width='{thick}'{dashed}/>"
        )
        text = f"{role}={size}" if role else size
        yield (
            f"<text x='{x + _CELL // 2}' y='{middle}' font-size='13' text-anchor='middle' fill='{_INK}' "
            f"{_FONT}>{escape(text)}</text>"
        )


def _page(parts: Sequence[str], title: str) -> str:
    head = f"<svg xmlns='http://www.w3.org/2000/svg' width='{_WIDTH}' height='{_HEIGHT}'"
    head += f" viewBox='0 0 {_WIDTH} {_HEIGHT}' role='img'>"
    card = f"<rect x='0.5' y='0.5' width='{_WIDTH - 1}' height='{_HEIGHT - 1}' rx='10'"
    card += " fill='#ffffff' stroke='#ced4da'/>"
    return "\n".join([head, f"<title>{escape(title)}</title>", card, *parts, "</svg>", ""])


PICTURES: dict[Path, Callable[[], str]] = {PICTURES_FOLDER / "gate.svg": gate}
