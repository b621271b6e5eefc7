"""Helpers of the passes: all graphs of a model, replacing a tensor, the only user of a tensor."""

from __future__ import annotations

from ..builder import Builder
from ..graph import Graph, Node, Tensor


def graphs(builder: Builder) -> list[Graph]:
    """The model's graph and every body in it."""
    return [builder.graph, *(body for _, node in builder.graph.walk() for body in node.bodies)]


def put(graph: Graph, old: Tensor, new: Tensor) -> None:
    """Replace ``old`` by ``new``, an unnamed result of a node in this graph; an output keeps its name."""
    if old in graph.outputs:
        new.name, old.name = old.name, ""
    new.stem = new.stem or old.stem
    graph.replace(old, new)


def only_user(tensor: Tensor, needed: set[Tensor]) -> Node | None:
    """The only user of a tensor, if it uses the tensor once; None for other tensors and those in ``needed``."""
    if tensor in needed or len(tensor.users) != 1:
        return None
    user, count = next(iter(tensor.users.items()))
    return user if count == 1 else None
