"""The minimum cut of a network by Dinic's method: levels of a breadth-first search and flows along them.

Source: E. A. Dinic, Algorithm for solution of a problem of maximum flow in networks with power estimation (1970).
"""

from __future__ import annotations

from collections import deque

ENDLESS = 1 << 62


class Network:
    """Numbered nodes and edges with capacities; node 0 is the source, node 1 the sink."""

    SOURCE, SINK = 0, 1

    def __init__(self) -> None:
        self._edges: list[list[int]] = [[], []]
        self._to: list[int] = []
        self._room: list[int] = []

    def node(self) -> int:
        self._edges.append([])
        return len(self._edges) - 1

    def edge(self, start: int, end: int, capacity: int) -> None:
        """Add an edge. A cut with ``start`` on the source's side and ``end`` on the sink's pays its capacity."""
        if start == end or not capacity:
            return
        for a, b, room in ((start, end, capacity), (end, start, 0)):
            self._edges[a].append(len(self._to))
            self._to.append(b)
            self._room.append(room)

    def cut(self) -> set[int]:
        """The nodes on the source's side of a minimum cut, the smallest such set."""
        while True:
            levels = self._levels()
            if self.SINK not in levels:
                return set(levels)
            self._fill(levels)

    def _levels(self) -> dict[int, int]:
        levels = {self.SOURCE: 0}
        waiting = deque([self.SOURCE])
        while waiting:
            node = waiting.popleft()
            for edge in self._edges[node]:
                if self._room[edge] and self._to[edge] not in levels:
                    levels[self._to[edge]] = levels[node] + 1
                    waiting.append(self._to[edge])
        return levels

    def _fill(self, levels: dict[int, int]) -> None:
        """Send flow along edges to the next level until no path to the sink is left."""
        untried = {node: list(self._edges[node]) for node in levels}
        path: list[int] = []
        node = self.SOURCE
        while True:
            if node == self.SINK:
                least = min(self._room[edge] for edge in path)
                for edge in path:
                    self._room[edge] -= least
                    self._room[edge ^ 1] += least
                first = next(n for n, edge in enumerate(path) if not self._room[edge])
                node = self._to[path[first] ^ 1]
                del path[first:]
            edges = untried[node]
            while edges and not (
                self._room[edges[-1]] and levels.get(self._to[edges[-1]]) == levels[node] + 1
            ):
                edges.pop()
            if edges:
                path.append(edges[-1])
                node = self._to[edges[-1]]
            elif not path:
                return
            else:
                node = self._to[path.pop() ^ 1]
                untried[node].pop()
