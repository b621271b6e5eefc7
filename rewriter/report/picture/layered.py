"""Layered drawings by fast-sugiyama, within its limits.

A graph that would take too long to draw, or would not be clear, gets a simpler drawing: its longest links have no
bends. A still larger graph is drawn in rows, in its own order.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Literal, TypeVar

import networkx as nx

Point = tuple[float, float]
Pair = tuple[int, int]
_T = TypeVar("_T")

# fast-sugiyama 0.5 needs half a second for this many bends, and minutes for ten times as many. It moves the
# boxes of a row one by one, and looks for the rows with the shortest links: too slow for wider rows.
_MOST_BENDS, _MOST_BOXES, _MOST_IN_A_ROW, _MOST_COMPARED = 15_000, 30_000, 6_000, 100
# It recurses for each box of a path, with less than 1 kB a call: a small stack would crash the process.
_STACK = 64 << 20


@dataclass(slots=True)
class Drawing:
    """The place of each box of one component, its row counted from 0, and the bends of each link, from above."""

    places: dict[int, Point] = field(default_factory=dict)
    ways: dict[Pair, list[Point]] = field(default_factory=dict)


def layered(pairs: Sequence[Pair], spacing: float) -> list[Drawing]:
    """A drawing of each component of a graph without a cycle. A box with only very long links can be missing.

    Args:
        pairs: the links, each once.
        spacing: the least distance of two boxes in a row.
    """
    if not pairs:
        return []
    rank = _ranks(pairs, late=True)
    size = _Size.of(rank, pairs)
    ranking: Literal["minimize", "up"] = "minimize"
    if size.bends > _MOST_BENDS or size.widest > _MOST_COMPARED:
        rank = _ranks(pairs, late=False)
        pairs = _short(rank, pairs)
        size, ranking = _Size.of(rank, pairs), "up"
    if size.boxes > _MOST_BOXES or size.widest > _MOST_IN_A_ROW:
        return [_rows(rank, spacing)]
    from fast_sugiyama import from_edges

    boxes = sorted({box for pair in pairs for box in pair})
    number = {box: k for k, box in enumerate(boxes)}  # without gaps: bends get the numbers after the boxes

    def draw() -> list[tuple[list[tuple[int, Point]], list[Pair]]]:
        numbered = [(number[a], number[b]) for a, b in pairs]
        layouts: Any = from_edges(
            numbered,
            vertex_spacing=spacing,
            dummy_vertices=True,
            dummy_size=1.0,
            ranking_type=ranking,
            transpose=size.widest <= _MOST_COMPARED,
        )
        return [(positions, edges) for positions, _, _, edges in layouts]

    found = _with_stack(draw)
    result = []
    for positions, edges in found:
        top = max(y for _, (_, y) in positions)
        at = {k: (x, float(round((top - y) / spacing))) for k, (x, y) in positions}
        ways = {(boxes[a], boxes[b]): way for (a, b), way in _ways(edges, at, len(boxes))}
        result.append(Drawing({boxes[k]: point for k, point in at.items() if k < len(boxes)}, ways))
    return result


@dataclass(frozen=True, slots=True)
class _Size:
    """The size of a drawing: boxes and bends, only the bends, and the most of both in one row."""

    boxes: int
    bends: int
    widest: int

    @classmethod
    def of(cls, rank: dict[int, int], pairs: Sequence[Pair]) -> _Size:
        change = [0] * (
            max(rank.values()) + 2
        )  # how many more or fewer bends a row has than the one above it
        for a, b in pairs:
            change[rank[a] + 1] += 1
            change[rank[b]] -= 1
        rows = Counter(rank.values())
        in_row = [bends + rows[row] for row, bends in enumerate(accumulate(change))]
        return cls(sum(in_row), sum(in_row) - len(rank), max(in_row))


def _ranks(pairs: Sequence[Pair], late: bool) -> dict[int, int]:
    """The row of each box: one below the lowest that leads to it.

    Args:
        late: place a box without incoming links just above the first box that it leads to, not in the first row.
    """
    graph: nx.DiGraph[int] = nx.DiGraph(pairs)
    rank = {box: row for row, boxes in enumerate(nx.topological_generations(graph)) for box in boxes}
    for box, above in graph.in_degree():
        if late and not above:
            rank[box] = min(rank[other] for other in graph.successors(box)) - 1
    return rank


def _short(rank: dict[int, int], pairs: Sequence[Pair]) -> list[Pair]:
    """The links to the next row, which have no bends and keep the rows in order, and the shortest other links."""
    kept, bends = set(), 0
    for pair in sorted(pairs, key=lambda pair: rank[pair[1]] - rank[pair[0]]):
        more = rank[pair[1]] - rank[pair[0]] - 1
        if bends + more <= _MOST_BENDS:
            bends += more
            kept.add(pair)
    return [pair for pair in pairs if pair in kept]


def _rows(rank: dict[int, int], spacing: float) -> Drawing:
    """Boxes in their rows from left to right, in their order."""
    filled: Counter[int] = Counter()
    drawing = Drawing()
    for box, row in sorted(rank.items()):
        drawing.places[box] = (filled[row] * spacing, float(row))
        filled[row] += 1
    return drawing


def _ways(edges: Sequence[Pair], at: dict[int, Point], boxes: int) -> Iterator[tuple[Pair, list[Point]]]:
    """The bends of each link, from its chain of numbers."""
    following = {a: b for a, b in edges if a >= boxes}
    for a, b in edges:
        if a >= boxes:
            continue
        way = []
        while b >= boxes:
            way.append(at[b])
            b = following[b]
        yield (a, b), way


def _with_stack(work: Callable[[], _T]) -> _T:
    """The result of ``work``, run on a thread with a large stack."""
    before = threading.stack_size(_STACK)
    try:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(work).result()
    finally:
        threading.stack_size(before)
