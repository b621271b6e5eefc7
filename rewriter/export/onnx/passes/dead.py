"""Removes nodes without users, and Identity nodes."""

from __future__ import annotations

from ..builder import Builder
from ..graph import Graph, Node, Tensor


def remove_dead(builder: Builder) -> bool:
    """``x -> f(x)`` without a user -> nothing."""
    removed = 0
    graphs = [builder.graph]
    graphs += [body for _, node in builder.graph.walk() for body in node.bodies]
    needed = builder.graph.all_outputs()
    for graph in graphs:
        removed += _sweep(graph, needed)
    return removed > 0


def _sweep(graph: Graph, needed: set[Tensor]) -> int:
    dead: set[Node] = set()
    own = set(graph.nodes)
    waiting = [node for node in graph.nodes if not _used(node, needed)]
    while waiting:
        node = waiting.pop()
        if node in dead or _used(node, needed):
            continue
        dead.add(node)
        producers = [t.producer for t in node.inputs if t is not None and t.producer is not None]
        for body in node.bodies:
            for _, inner in body.walk():
                for place in range(len(inner.inputs)):
                    inner.set_input(place, None)
        for place in range(len(node.inputs)):
            node.set_input(place, None)
        waiting += [p for p in producers if p in own]
    if dead:
        graph.nodes = [node for node in graph.nodes if node not in dead]
    return len(dead)


def _used(node: Node, needed: set[Tensor]) -> bool:
    return any(tensor.users or tensor in needed for tensor in node.outputs)


def remove_identities(builder: Builder) -> bool:
    """``y = Identity(x)`` -> users of y take x; it stays where a graph output needs its own name."""
    changed = False
    for graph, node in list(builder.graph.walk()):
        if node.op_type != "Identity" or node.domain:
            continue
        source, result = node.inputs[0], node.output
        if source is None:
            continue
        if result not in graph.outputs:
            if result.users:
                builder.graph.replace(result, source)
                changed = True
        elif (
            source.producer is not None
            and source.producer in graph.nodes
            and source not in graph.outputs
            and graph is builder.graph
        ):
            # The operand of the Identity takes the output's name.
            source.name, result.name = result.name, ""
            source.sizes = result.sizes if result.known else None
            builder.graph.replace(result, source)
            changed = True
    return changed
