"""The order of a model's nodes, and what they reach; nested nodes count as the outermost nodes that hold them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from ..ir.graph import Graph, Path


class Places:
    """The nodes of a model by their paths."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._keys: dict[Path, tuple[int, ...]] = {}

    def key(self, path: Path) -> tuple[int, ...]:
        """A sort key: producers first, a model's nodes at the place of its first call."""
        if path not in self._keys:
            self._keys[path] = self._position(path)
        return self._keys[path]

    def _position(self, path: Path) -> tuple[int, ...]:
        graph = self.graph
        result: list[int] = []
        *outer, name = path
        for part in outer:
            operation = graph.operations.get(part)
            calls = [i for i, n in enumerate(graph.order) if graph.nodes[n].operation.name == part]
            if operation is None or operation.graph is None or not calls:
                return tuple(result)
            result.append(calls[0])
            graph = operation.graph
        return (*result, graph.place[name]) if name in graph.place else tuple(result) or (-1,)

    def enclosing(self, path: Path) -> list[str]:
        """The nodes of the outermost model that are this node, or hold it."""
        return self.graph.enclosing(path)

    def below(self, paths: Iterable[Path]) -> set[str]:
        """The nodes of the outermost model that some nodes reach; for nested nodes, those that hold them too."""
        starts = [(path, self.enclosing(path)) for path in paths]
        found = self._spread((n for _, names in starts for n in names), self.graph.nx.successors)
        return found | {n for path, names in starts if len(path) > 1 for n in names}

    def above(self, names: Iterable[str]) -> set[str]:
        """The nodes of the outermost model that reach some of its nodes, and these nodes themselves."""
        names = list(names)
        return self._spread(names, self.graph.nx.predecessors) | set(names)

    @staticmethod
    def _spread(names: Iterable[str], neighbours: Callable[[str], Iterator[str]]) -> set[str]:
        """Everything that is a neighbour of these nodes, or of their neighbours, and so on."""
        found: set[str] = set()
        waiting = deque(names)
        while waiting:
            for other in neighbours(waiting.popleft()):
                if other not in found:
                    found.add(other)
                    waiting.append(other)
        return found

    def some_above(self, paths: Iterable[Path], most: int) -> dict[str, list[Path]]:
        """For each node of the outermost model, up to ``most`` of these nodes that reach it, producers first."""
        starting: dict[str, list[Path]] = {}
        for path in paths:
            for name in self.enclosing(path):
                starting.setdefault(name, []).append(path)
        result: dict[str, list[Path]] = {}
        for name in self.graph.order:
            found: dict[Path, None] = {}
            for before in self.graph.nx.predecessors(name):
                found.update(dict.fromkeys((*result.get(before, ()), *starting.get(before, ()))))
            # Of a nested model's nodes, one can be below another in the same outermost node.
            found.update(dict.fromkeys(p for p in starting.get(name, ()) if len(p) > 1))
            if found:
                result[name] = sorted(found, key=self.key)[:most]
        return result
