"""Merges nodes that compute the same from the same operands."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..builder import Builder
from ..graph import Graph, Node, Tensor
from ._graphs import graphs

# Operators with other results on each run.
_RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)


def share_equal(builder: Builder) -> bool:
    """``f(x), f(x)`` -> one ``f(x)``."""
    builder.graph.sort()
    return sum(_share(graph) for graph in graphs(builder)) > 0


def _share(graph: Graph) -> bool:
    known: dict[Any, Node] = {}
    changed = False
    for node in graph.nodes:
        if node.bodies or node.op_type in _RANDOM:
            continue
        earlier = known.setdefault(_key(node), node)
        if earlier is node or any(t in graph.outputs for t in node.outputs):
            continue
        for old, new in zip(node.outputs, earlier.outputs, strict=True):
            changed = changed or bool(old.users)
            graph.replace(old, new)
    return changed


def _key(node: Node) -> Any:
    attributes = tuple((name, _plain(value)) for name, value in sorted(node.attributes.items()))
    types = tuple(t.dtype for t in node.outputs)
    return node.op_type, node.domain, attributes, tuple(map(_operand, node.inputs)), types


def _operand(tensor: Tensor | None) -> int:
    return 0 if tensor is None else id(tensor)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    return repr(value)
