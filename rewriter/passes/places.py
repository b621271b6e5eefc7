"""Where nodes stand in a model, and what they reach: nodes of nested models by the outermost nodes that hold them."""

from __future__ import annotations

from ..ir.graph import Graph


class Places:
    """The nodes of a model by their paths (``inner/scale``); what was looked up is kept."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._number = {name: number for number, name in enumerate(graph.order)}
        self._keys: dict[str, tuple[int, ...]] = {}
        self._reached: dict[str, set[str]] = {}
        self._calls: dict[str, list[str]] = {}
        for name in graph.order:
            self._calls.setdefault(graph.nodes[name].operation.name, []).append(name)

    def key(self, path: str) -> tuple[int, ...]:
        """A sort key: producers first, a model's nodes at the place of its first call."""
        if path not in self._keys:
            self._keys[path] = self._position(path)
        return self._keys[path]

    def _position(self, path: str) -> tuple[int, ...]:
        graph = self.graph
        result: list[int] = []
        *outer, name = path.split("/")
        for part in outer:
            operation = graph.operations.get(part)
            calls = [i for i, n in enumerate(graph.order) if graph.nodes[n].operation.name == part]
            if operation is None or operation.graph is None or not calls:
                return tuple(result)
            result.append(calls[0])
            graph = operation.graph
        if graph is self.graph:
            return (self._number.get(name, -1),)
        return (*result, graph.order.index(name)) if name in graph.nodes else tuple(result)

    def tops(self, path: str) -> list[str]:
        """The nodes of the outermost model that are this node, or hold it."""
        first, inside, _ = path.partition("/")
        return self._calls.get(first, []) if inside else [first] if first in self._number else []

    def below(self, path: str) -> set[str]:
        """The nodes of the outermost model that a node reaches, those that hold it included."""
        known = self._reached.get(path)
        if known is None:
            tops = self.tops(path)
            known = set(tops if "/" in path else ()).union(*(self.graph.descendants(top) for top in tops))
            self._reached[path] = known
        return known

    def reaches(self, source: str, target: str) -> bool:
        """True where a node stands below another."""
        below = self.below(source)
        return source != target and any(top in below for top in self.tops(target))
