"""Where a model multiplies: the nodes that the passes look at, with their convention and operands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..ir.axis import Value
from ..ir.graph import Graph, Node, TensorRef, leaves
from ..shapes.broadcast import Convention
from ..shapes.call import Call
from ..shapes.infer import Inference
from .finding import LITERAL, Operand

# What multiplies: (kind of operation, class name) -> how its operands meet.
MULTIPLIES: dict[tuple[str, str], Convention] = {
    ("layer", "Multiply"): Convention.MERGE,
    ("op", "Multiply"): Convention.NUMPY,
}

_MOVES = frozenset(
    {
        "Reshape",
        "Flatten",
        "Permute",
        "RepeatVector",
        "Dropout",
        "Identity",
        "Transpose",
        "ExpandDims",
        "Squeeze",
    }
)
_MAX_MOVES = 8


@dataclass(frozen=True, slots=True)
class Site:
    """A multiply in one context (a nested model can be called on operands of different shapes).

    An operand's number is its position among the node's tensor arguments, literal ones included.
    """

    path: str
    node: Node
    inference: Inference
    convention: Convention
    operands: tuple[Operand, ...]

    @property
    def values(self) -> list[Value]:
        return [operand.value for operand in self.operands]

    @property
    def recorded(self) -> tuple[int | None, ...] | None:
        """The result's shape as the file records it where it is used."""
        return self.inference.graph.recorded.get((self.node.name, 0))


def is_multiply(node: Node) -> Convention | None:
    """The convention of a node that multiplies, else None."""
    if node.operation.opaque:
        return None
    return MULTIPLIES.get((node.operation.kind, node.operation.class_name))


def sites(inference: Inference) -> Iterator[Site]:
    """Every multiply of a model and of the models in it, producers first."""
    for prefix, item in inference.walk():
        for name in item.graph.order:
            node = item.graph.nodes[name]
            convention = is_multiply(node)
            if convention is not None:
                yield _site(prefix, item, node, item.calls[name], convention)


def operands_of(node: Node, call: Call, graph: Graph, prefix: str = "") -> list[Operand]:
    """The tensor operands of a call, in order."""
    given = leaves((node.args, node.kwargs))
    return [
        Operand(prefix + leaf.node, value, _is_softmax(graph, leaf))
        if isinstance(leaf, TensorRef)
        else Operand(LITERAL, value)
        for leaf, value in zip(given, leaves((call.args, call.kwargs)), strict=True)
        if isinstance(value, Value)
    ]


def _is_softmax(graph: Graph, ref: TensorRef) -> bool:
    """True where a softmax made the tensor and only its axes were moved since."""
    for _ in range(_MAX_MOVES):
        operation = graph.nodes[ref.node].operation
        if operation.class_name == "Softmax" or operation.config.get("activation") == "softmax":
            return True
        if operation.class_name not in _MOVES:
            return False
        refs = graph.nodes[ref.node].refs()
        if len(refs) != 1:
            return False
        ref = refs[0]
    return False


def _site(prefix: str, inference: Inference, node: Node, call: Call, convention: Convention) -> Site:
    return Site(
        prefix + node.name,
        node,
        inference,
        convention,
        tuple(operands_of(node, call, inference.graph, prefix)),
    )
