"""Where boxes stand and how links run: a layered drawing, made by fast-sugiyama."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import UnsupportedError

# In pixels: a box, what is free beside it, and from one row to the next.
BOX_WIDTH, BOX_HEIGHT = 204, 44
GAP, ROW = 32, 106
_SPACING = BOX_WIDTH + GAP

Point = tuple[float, float]
Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Placed:
    """The centre of each box, the bends of each link that has any, and the size of the whole."""

    centres: list[Point]
    bends: dict[Pair, list[Point]]
    width: float
    height: float


def place(count: int, links: Sequence[Pair]) -> Placed:
    """Lay out boxes 0 to ``count`` - 1, each link from above to below.

    Args:
        links: pairs of boxes, without a cycle; a pair may occur more than once.

    Raises:
        UnsupportedError: the library is not installed.
    """
    pairs = list(dict.fromkeys(pair for pair in links if pair[0] != pair[1]))
    linked = sorted({box for pair in pairs for box in pair})
    number = {box: k for k, box in enumerate(linked)}
    centres: dict[int, Point] = {}
    bends: dict[Pair, list[Point]] = {}
    left = 0.0
    bottom = 0.0
    if pairs:
        for positions, edges in _layouts([(number[a], number[b]) for a, b in pairs]):
            where = dict(positions)
            low, high = min(x for x, _ in where.values()), max(x for x, _ in where.values())
            top = max(y for _, y in where.values())
            at = {k: (x - low + left, round((top - y) / _SPACING) * ROW) for k, (x, y) in where.items()}
            own = {linked[k]: at[k] for k in at if k < len(linked)}
            ways = {(linked[a], linked[b]): way for (a, b), way in _ways(edges, at, len(linked)).items()}
            if _turned(pairs, own, ways):
                middle = 2 * left + high - low
                own = {box: (middle - x, y) for box, (x, y) in own.items()}
                ways = {pair: [(middle - x, y) for x, y in way] for pair, way in ways.items()}
            centres |= own
            bends |= ways
            left += high - low + _SPACING
            bottom = max(bottom, max(y for _, y in at.values()))
    for box in range(count):
        if box not in number:
            centres[box] = (left, 0.0)
            left += _SPACING
    shift = BOX_WIDTH / 2
    placed = [(centres[box][0] + shift, centres[box][1] + BOX_HEIGHT / 2) for box in range(count)]
    moved = {
        pair: [(x + shift, y + BOX_HEIGHT / 2) for x, y in points] for pair, points in bends.items() if points
    }
    width = max(left - GAP, BOX_WIDTH) if count else 0.0
    return Placed(placed, moved, width, bottom + BOX_HEIGHT if count else 0.0)


def _turned(pairs: Sequence[Pair], centres: dict[int, Point], bends: dict[Pair, list[Point]]) -> bool:
    """True where more links come into their boxes from right to left than from left to right, in their order."""
    score = 0
    before: dict[int, float] = {}
    for a, b in pairs:
        if b not in centres:
            continue
        x = (bends.get((a, b)) or [centres[a]])[-1][0]
        if b in before and x != before[b]:
            score += 1 if x > before[b] else -1
        before[b] = x
    return score < 0


def _layouts(pairs: list[Pair]) -> list[tuple[Any, Any]]:
    """The positions and edges of each component; bends are boxes with numbers of their own."""
    try:
        from fast_sugiyama import from_edges
    except ImportError:
        raise UnsupportedError(
            "pictures need the extra html: pip install 'rewriter[html]' (fast-sugiyama is not installed)"
        ) from None
    found = from_edges(pairs, vertex_spacing=_SPACING, dummy_vertices=True, dummy_size=1.0)
    return [(positions, edges) for positions, _, _, edges in found]


def _ways(edges: Sequence[Pair], at: dict[int, Point], real: int) -> dict[Pair, list[Point]]:
    """The bends of each link, from the chain of boxes that stands for it."""
    following = {a: b for a, b in edges if a >= real}
    result: dict[Pair, list[Point]] = {}
    for a, b in edges:
        if a >= real:
            continue
        way = []
        while b >= real:
            way.append(at[b])
            b = following[b]
        result[a, b] = way
    return result
