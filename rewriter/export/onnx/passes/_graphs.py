"""What passes share: every graph with the bodies in it, and taking a tensor's place."""

from __future__ import annotations

from ..builder import Builder
from ..graph import Graph, Node, Tensor


def graphs(builder: Builder) -> list[Graph]:
    """The model's graph and every body in it."""
    return [builder.graph, *(body for _, node in builder.graph.walk() for body in node.bodies)]


def put(graph: Graph, old: Tensor, new: Tensor) -> None:
    """Let ``new``, which a node of this graph makes and which has no name yet, take the place of ``old``."""
    if old in graph.outputs:
        new.name, old.name = old.name, ""
    new.stem = new.stem or old.stem
    graph.replace(old, new)


def only_user(tensor: Tensor, needed: set[Tensor]) -> Node | None:
    """The node that alone uses a tensor, once; None where it has other users or is needed as it is."""
    if tensor in needed or len(tensor.users) != 1:
        return None
    user, count = next(iter(tensor.users.items()))
    return user if count == 1 else None
