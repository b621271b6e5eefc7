"""Merges consecutive reshapes: ``Reshape(Unsqueeze(x))`` -> ``Reshape(x)``, or ``x`` if it has the sizes already.

A Transpose that only moves axes of size 1 is a reshape. Valid where the target needs no sizes measured at run time.
"""

from __future__ import annotations

from collections.abc import Sequence

from ....ir.size import Size, is_unknown
from ..builder import Builder
from ..graph import Graph, Node, Tensor
from ._axes import is_free
from ._graphs import graphs, put
from .transposes import order

_RESHAPES = frozenset({"Flatten", "Reshape", "Squeeze", "Unsqueeze"})


def merge_reshapes(builder: Builder) -> bool:
    """Merge consecutive reshapes into one, or none."""
    return sum(_merge(builder, graph) for graph in graphs(builder)) > 0


def _merge(builder: Builder, graph: Graph) -> bool:
    changed = False
    own = set(graph.nodes)
    for node in list(graph.nodes):
        if not _is_reshape(node) or not (node.output.users or node.output in graph.outputs):
            continue
        result, start = node.output, _start(node, own)
        if result not in graph.outputs and _alike(start, result):
            graph.replace(result, start)
            changed = True
        elif node.op_type == "Transpose" or start is not node.inputs[0]:
            spec = target(start, result.sizes)
            if spec is not None:
                with builder.inside(graph):
                    builder.scope = node.scope
                    made = builder.node("Reshape", start, spec, as_sizes=result.sizes)
                own.add(graph.nodes[-1])
                put(graph, result, made)
                changed = True
    return changed


def _is_reshape(node: Node) -> bool:
    source = node.inputs[0] if node.inputs else None
    if source is None or source.data is not None or not source.known or not node.output.known:
        return False
    if node.op_type == "Transpose":
        return is_free(source.sizes, order(node))
    return node.op_type in _RESHAPES and node.domain == ""


def _start(node: Node, own: set[Node]) -> Tensor:
    """The operand of the first of the consecutive reshapes that end at a node."""
    while True:
        source = node.inputs[0]
        assert source is not None
        if source.producer not in own or not _is_reshape(source.producer):
            return source
        node = source.producer


def _alike(a: Tensor, b: Tensor) -> bool:
    return a.sizes == b.sizes and not any(is_unknown(size) for size in a.sizes)


def target(x: Tensor, sizes: Sequence[Size]) -> list[int] | None:
    """The target of a Reshape to these sizes; None if it has to be measured or a size is 0."""
    spec = [
        size
        if isinstance(size, int)
        else 0
        if place < x.rank and x.sizes[place] == size and not is_unknown(size)
        else -1
        for place, size in enumerate(sizes)
    ]
    return None if spec.count(-1) > 1 or any(size == 0 for size in (*sizes, *x.sizes)) else spec
