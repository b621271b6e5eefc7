"""The places of boxes and links, in pixels: the drawings of ``layered``, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .layered import Pair, Point, layered

# The size of a box, the space beside it, and the distance of two rows.
BOX_WIDTH, BOX_HEIGHT = 204, 44
GAP, ROW = 32, 106
_SPACING = BOX_WIDTH + GAP


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
    """
    pairs = list(dict.fromkeys(pair for pair in links if pair[0] != pair[1]))
    centres: dict[int, Point] = {}
    bends: dict[Pair, list[Point]] = {}
    left = bottom = 0.0
    for drawing in layered(pairs, _SPACING):
        points = [*drawing.places.values(), *(point for way in drawing.ways.values() for point in way)]
        low, high = min(x for x, _ in points), max(x for x, _ in points)
        turned = _is_turned(pairs, drawing.places, drawing.ways)

        def at(
            point: Point, low: float = low, high: float = high, left: float = left, turned: bool = turned
        ) -> Point:
            x = high - point[0] if turned else point[0] - low
            return x + left, point[1] * ROW

        centres |= {box: at(point) for box, point in drawing.places.items()}
        bends |= {pair: list(map(at, way)) for pair, way in drawing.ways.items() if way}
        left += high - low + _SPACING
        bottom = max(bottom, max(y for _, y in points) * ROW)
    for box in range(count):
        if box not in centres:
            centres[box] = (left, 0.0)
            left += _SPACING
    shift = BOX_WIDTH / 2, BOX_HEIGHT / 2
    return Placed(
        [_moved(centres[box], shift) for box in range(count)],
        {pair: [_moved(point, shift) for point in way] for pair, way in bends.items()},
        max(left - GAP, BOX_WIDTH) if count else 0.0,
        bottom + BOX_HEIGHT if count else 0.0,
    )


def _moved(point: Point, by: Point) -> Point:
    return point[0] + by[0], point[1] + by[1]


def _is_turned(pairs: Sequence[Pair], places: dict[int, Point], ways: dict[Pair, list[Point]]) -> bool:
    """True if more links come into their boxes from right to left than from left to right, in their order."""
    score = 0
    before: dict[int, float] = {}
    for a, b in pairs:
        if a not in places or b not in places:
            continue
        x = (ways.get((a, b)) or [places[a]])[-1][0]
        if b in before and x != before[b]:
            score += 1 if x > before[b] else -1
        before[b] = x
    return score < 0
