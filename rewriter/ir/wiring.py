"""A graph's nodes and edges at one moment: a report draws the model as it was before the rewriting.

Rewriting replaces a graph's edges and its table of nodes; a ``Wiring`` keeps the earlier ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import networkx as nx

from .graph import Graph, Node, Path, TensorRef


@dataclass(frozen=True, slots=True)
class Wiring:
    """The nodes of a graph by name, its edges as ``Graph.nx`` holds them, and the nodes that give its outputs.

    Do not read a node's arguments from here: they are the present ones.
    """

    nodes: Mapping[str, Node]
    edges: nx.MultiDiGraph[str]
    outputs: tuple[TensorRef, ...]

    @classmethod
    def of(cls, graph: Graph) -> Wiring:
        """A graph as it is now. Only the table of its nodes is copied."""
        return cls(dict(graph.nodes), graph.nx, tuple(graph.output_refs()))


def wirings(graphs: Iterable[tuple[Path, Graph]]) -> dict[Path, Wiring]:
    """The wiring of each graph by its path; for a repeated path, that of the first graph."""
    result: dict[Path, Wiring] = {}
    for path, graph in graphs:
        if path not in result:
            result[path] = Wiring.of(graph)
    return result
