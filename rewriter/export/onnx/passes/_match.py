"""What a fusion sees of a graph: the node that makes a tensor, constants in products, sizes that stay the same."""

from __future__ import annotations

from collections.abc import Sequence

from ....ir.size import Size
from ..builder import Builder
from ..graph import Graph, Node, Tensor, array_of
from ..sizes import numbers
from ._graphs import only_user, put


class Site:
    """A graph with what a fusion may look at; nodes made with ``builder`` go to this graph."""

    def __init__(self, builder: Builder, graph: Graph, needed: set[Tensor]) -> None:
        self.builder = builder
        self.graph = graph
        self.needed = needed
        self.own = set(graph.nodes)

    def maker(self, tensor: Tensor | None, *op_types: str) -> Node | None:
        """The node of this graph that makes a tensor, if it has one of these types."""
        node = None if tensor is None else tensor.producer
        if node is None or node not in self.own or node.domain or node.op_type not in op_types:
            return None
        return node

    def inner(self, tensor: Tensor | None, *op_types: str) -> Node | None:
        """The same, where the tensor is used once and so is not needed after the fusion."""
        node = self.maker(tensor, *op_types)
        return node if node is not None and tensor is not None and only_user(tensor, self.needed) else None

    def put(self, old: Tensor, new: Tensor) -> None:
        """Replace a result by a new tensor, and take the nodes that only made the old one off their operands."""
        if old in self.needed:
            self.needed.add(new)
        new.sizes = old.sizes
        put(self.graph, old, new)
        waiting = [old.producer]
        while waiting:
            node = waiting.pop()
            if node not in self.own or node is None or any(t.users or t in self.needed for t in node.outputs):
                continue
            waiting += [t.producer for t in node.inputs if t is not None]
            for place in range(len(node.inputs)):
                node.set_input(place, None)

    def shape(self, sizes: Sequence[Size], *operands: Tensor) -> Tensor:
        """Sizes as ``int64[n]``, measured on the model's inputs or on the operands of the node that needs them.

        Not ``builder.shape``: what it measured before can be a later tensor, or no longer in the graph.
        """
        builder, parts = self.builder, []
        for size in sizes:
            if isinstance(size, int):
                parts.append(builder.constant([size], "int64"))
                continue
            holders = (*builder.graph.inputs, *operands)
            tensor = next(t for t in holders if t.known and size in t.sizes)
            axis = tensor.sizes.index(size)
            parts.append(builder.node("Shape", tensor, start=axis, end=axis + 1))
        return builder.node("Concat", *parts, axis=0)

    def used_by(self, tensor: Tensor, *nodes: Node) -> bool:
        """Whether only these nodes use a tensor."""
        return tensor not in self.needed and set(tensor.users) <= set(nodes)


def scalar(tensor: Tensor | None) -> float | None:
    """The number of a constant with one element, of any rank; None for other tensors."""
    values = array_of(tensor)
    return (
        float(values.item()) if values is not None and values.size == 1 and values.dtype.kind == "f" else None
    )


def with_scalar(node: Node) -> tuple[Tensor, float] | None:
    """The tensor and the number of a sum or product with one of each, and which keeps the tensor's rank."""
    for place in (1, 0):
        other, value = node.inputs[1 - place], scalar(node.inputs[place])
        if value is not None and other is not None and other.data is None and keeps_rank(node, other):
            return other, value
    return None


def keeps_rank(node: Node, tensor: Tensor) -> bool:
    return tensor.known and node.output.known and tensor.rank == node.output.rank


def scaled(node: Node) -> tuple[Tensor, float] | None:
    """``x * s`` or ``x / s`` with a number: ``x`` and the factor."""
    if node.op_type == "Div":
        x, value = node.inputs[0], scalar(node.inputs[1])
        if x is None or x.data is not None or not value or not keeps_rank(node, x):
            return None
        return x, 1 / value
    return with_scalar(node) if node.op_type == "Mul" else None


def is_square(node: Node | None) -> bool:
    """Whether a node is ``x * x`` or ``x ** 2``."""
    if node is None:
        return False
    if node.op_type == "Mul":
        return node.inputs[0] is node.inputs[1]
    return node.op_type == "Pow" and scalar(node.inputs[1]) == 2.0


def reduced_axes(node: Node) -> list[int] | None:
    """The axes of a reduction that states them, sorted and not negative; None for another."""
    listed = node.attributes.get("axes")
    if listed is None and len(node.inputs) > 1:
        listed = numbers(node.inputs[1])
    x = node.inputs[0]
    if not listed or x is None or not x.known:
        return None
    return sorted(axis % x.rank for axis in listed)


def near(value: float, wanted: float) -> bool:
    """Whether a constant is a number as far as float32 can hold it."""
    return abs(value - wanted) <= 2.0**-22 * abs(wanted)
