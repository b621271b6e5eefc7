"""The table of fusions: patterns that one ONNX operator computes, faster than its parts in ONNX Runtime.

A fusion is a function of the last node of its pattern; it returns the tensor that replaces the node's result, or None
where the pattern is another. Tensors inside the pattern must have no other user. Operators newer than the file's opset
are not used. ``python tools/bench.py fusions`` measures the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from ..builder import Builder
from ..graph import Graph, Node, Tensor
from ..sizes import BROADCAST
from ._graphs import graphs
from ._match import Site
from .attention import attention
from .copies import broadcast_operands, resized
from .gelus import gelu
from .norms import layer_normalization, norm_scale, norm_shift, rms_normalization
from .products import dense_rows, joined_products, unstacked_heads
from .rotary import rotary_embedding


class Fusion(NamedTuple):
    """A row: the function, the operators that end its pattern, the opset of the operator that it makes."""

    function: Callable[[Site, Node], Tensor | None]
    ends: Collection[str]
    since: int
    until: int | None = None  # the last opset in which ONNX Runtime 1.32 has a kernel for the operator
    half: bool = True  # also before half precision, in which a softmax would keep its products in float32


# Before the others: attention then meets heads without a Transpose.
HEADS = (Fusion(unstacked_heads, ("Gather",), 17),)
FUSIONS = (
    Fusion(layer_normalization, ("Div", "Mul"), 17),  # before the next row, which is a part of it
    Fusion(rms_normalization, ("Div", "Mul"), 23),
    Fusion(norm_scale, ("Mul",), 17),
    Fusion(norm_shift, ("Add",), 17),
    Fusion(gelu, ("Mul", "Div"), 20),
    Fusion(rotary_embedding, ("Add",), 23, half=False),
    Fusion(attention, ("MatMul",), 23, until=24, half=False),
)
# After the others: attention takes products of rank 3, reshapes that remain meet products, and layouts are chosen.
LATE = (
    Fusion(dense_rows, ("Add",), 17),
    Fusion(joined_products, ("MatMul",), 17),
    Fusion(broadcast_operands, BROADCAST, 17),
    Fusion(resized, ("Reshape",), 17),
)
# Operators that the lowerings use and that older opsets do not have.
_FIRST_OPSET = {"BitCast": 26, "CumProd": 26}


def fuse(builder: Builder) -> bool:
    """Apply every fusion of the tables but the last whose operator the opset has, in all graphs.

    An operator may have a kernel in an older opset only: the graph then moves to that opset, unless one was asked for.
    """
    return _apply(builder, HEADS) or _apply(builder, FUSIONS)


def fuse_late(builder: Builder) -> bool:
    """Apply the last table's fusions, in all graphs."""
    return _apply(builder, LATE)


def _apply(builder: Builder, table: tuple[Fusion, ...]) -> bool:
    needed = builder.graph.all_outputs()
    rows = [row for row in table if _applies(builder, row)]
    return sum(_fuse(builder, graph, needed, rows) for graph in graphs(builder)) > 0


def _fuse(builder: Builder, graph: Graph, needed: set[Tensor], rows: list[Fusion]) -> bool:
    site = Site(builder, graph, needed)
    changed = False
    for node in graph.nodes[::-1]:  # the last product in a row comes first
        for row in rows:
            if (
                node.op_type not in row.ends
                or node.domain
                or not (node.output.users or node.output in needed)
            ):
                continue
            before = len(graph.nodes)
            with builder.inside(graph):
                builder.scope = node.scope
                made = row.function(site, node)
            site.own.update(graph.nodes[before:])
            if made is None:
                continue
            if row.until is not None:
                builder.opset = min(builder.opset, row.until)
            site.put(node.output, made)
            changed = True
            break
    return changed


def _applies(builder: Builder, row: Fusion) -> bool:
    if row.since > builder.opset or (builder.half and not row.half):
        return False
    if row.until is None or builder.opset <= row.until:
        return True
    newest = max((_FIRST_OPSET.get(node.op_type, 0) for _, node in builder.graph.walk()), default=0)
    return not builder.fixed and newest <= row.until
