"""``ReduceMean`` over all places of channels-first images -> ``GlobalAveragePool``; ``ReduceMax`` alike.

The runtime's convolutions hand their own layout on to a pooling, but not to a reduction.
"""

from __future__ import annotations

from ..builder import Builder
from ..graph import Node
from ..sizes import numbers
from ._graphs import graphs, put

_POOLS = {"ReduceMax": "GlobalMaxPool", "ReduceMean": "GlobalAveragePool"}


def pool_globally(builder: Builder) -> bool:
    """Write reductions over the spatial axes as global pooling."""
    changed = False
    for graph in graphs(builder):
        for node in list(graph.nodes):
            x = node.inputs[0] if node.op_type in _POOLS else None
            if x is None or not x.known or x.rank not in (4, 5) or x.dtype not in ("float16", "float32"):
                continue
            places = list(range(2, x.rank))
            if _axes(node) != places or not (node.output.users or node.output in graph.outputs):
                continue
            with builder.inside(graph):
                builder.scope = node.name.rpartition("/")[0]
                y = builder.node(_POOLS[node.op_type], x)
                if not node.attributes.get("keepdims", 1):
                    y = builder.node("Squeeze", y, places)
            put(graph, node.output, y)
            changed = True
    return changed


def _axes(node: Node) -> list[int] | None:
    axes = node.attributes.get("axes")
    if axes is None:
        axes = numbers(node.inputs[1]) if len(node.inputs) > 1 else None
    rank = node.inputs[0].rank if node.inputs[0] is not None else 0
    return None if not axes else sorted(a % rank for a in axes)
