"""Merges consecutive Transposes: ``Transpose(Transpose(x, p), q)`` -> ``Transpose(x, p[q])``, or ``x``."""

from __future__ import annotations

from ..builder import Builder
from ..graph import Node


def order(node: Node) -> list[int]:
    """The permutation of a Transpose."""
    found = node.attributes.get("perm")
    if found is None:
        rank = node.output.rank
        return list(range(rank))[::-1]
    return list(found)


def cancel_transposes(builder: Builder) -> bool:
    """Merge two Transposes into one, or none, in the model's graph (not in bodies)."""
    changed = False
    graph = builder.graph
    for node in list(graph.nodes):
        if node.op_type != "Transpose" or node.inputs[0] is None:
            continue
        source = node.inputs[0]
        perm = order(node)
        before = source.producer
        if before is not None and before.op_type == "Transpose" and before.inputs[0] is not None:
            earlier = order(before)
            node.attributes["perm"] = perm = [earlier[p] for p in perm]
            node.set_input(0, before.inputs[0])
            changed = True
        if perm == list(range(len(perm))) and node.output not in graph.outputs and node.output.users:
            assert node.inputs[0] is not None
            graph.replace(node.output, node.inputs[0])
            changed = True
        elif perm == list(range(len(perm))) and node.output in graph.outputs:
            node.op_type = "Identity"
            node.attributes = {}
            changed = True
    return changed
