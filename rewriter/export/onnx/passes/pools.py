"""Replaces reductions and Pads with pooling operators, to which ONNX Runtime's convolutions pass on their own layout.

``ReduceMean`` over all spatial axes of channels-first images -> ``GlobalAveragePool``; ``ReduceMax`` alike.
``MaxPool(Pad(x))`` with zeros around non-negative numbers -> ``MaxPool(x, pads=...)``. Valid where the padding is
smaller than the window: each window then contains an element of ``x``, which is not smaller than the zeros.
``Conv(Pad(x))`` with zeros -> ``Conv(x, pads=...)``: a Conv pads with zeros itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..builder import Builder
from ..graph import Node, Tensor
from ..sizes import numbers
from ._graphs import graphs, only_user, put
from ._match import reduced_axes

_POOLS = {"ReduceMax": "GlobalMaxPool", "ReduceMean": "GlobalAveragePool"}
_NOT_NEGATIVE = frozenset({"Abs", "HardSigmoid", "Relu", "Sigmoid", "Softmax", "Softplus"})
_STAYS_SO = frozenset({"AveragePool", "MaxPool", "Reshape", "Transpose"})


def pool_globally(builder: Builder) -> bool:
    """Write reductions over the spatial axes as global pooling."""
    changed = False
    for graph in graphs(builder):
        for node in list(graph.nodes):
            x = node.inputs[0] if node.op_type in _POOLS else None
            if x is None or not x.known or x.rank not in (4, 5) or x.dtype not in ("float16", "float32"):
                continue
            places = list(range(2, x.rank))
            if reduced_axes(node) != places or not (node.output.users or node.output in graph.outputs):
                continue
            with builder.inside(graph):
                builder.scope = node.scope
                y = builder.node(_POOLS[node.op_type], x)
                if not node.attributes.get("keepdims", 1):
                    y = builder.node("Squeeze", y, places)
            put(graph, node.output, y)
            changed = True
    return changed


def pad_inside(builder: Builder) -> bool:
    """Move the zeros of a Pad into the Conv or MaxPool after it where this changes no result."""
    needed = builder.graph.all_outputs()
    changed = False
    for graph in graphs(builder):
        for node in graph.nodes:
            padded = node.inputs[0] if node.op_type in ("Conv", "MaxPool") and not node.domain else None
            source = padded.producer if padded is not None and only_user(padded, needed) is node else None
            stated = None if source is None else _zeros_around(source)
            if source is None or stated is None:
                continue
            pads = _of_convolution(node, stated) if node.op_type == "Conv" else _of_pool(node, source, stated)
            if pads is None:
                continue
            node.set_input(0, source.inputs[0])
            node.attributes["auto_pad"], node.attributes["pads"] = "NOTSET", pads
            changed = True
    return changed


def _zeros_around(pad: Node) -> list[int] | None:
    """How many zeros a Pad puts before and after each axis but the first two, where it puts none; else None."""
    if (
        pad.op_type != "Pad"
        or pad.domain
        or pad.attributes.get("mode", "constant") != "constant"
        or len(pad.inputs) > 3
    ):
        return None
    fill = pad.inputs[2] if len(pad.inputs) > 2 else None
    if fill is not None and (fill.data is None or fill.data.small.any()):
        return None
    stated = numbers(pad.inputs[1])
    if stated is None or min(stated) < 0:
        return None
    before, after = stated[: len(stated) // 2], stated[len(stated) // 2 :]
    return None if any((*before[:2], *after[:2])) else [*before[2:], *after[2:]]


def _of_convolution(node: Node, stated: Sequence[int]) -> list[int] | None:
    """The pads of a Conv that pads with these zeros too; None if its own padding depends on the sizes."""
    own = node.attributes.get("pads", [0] * len(stated))
    if node.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or min(own) < 0:
        return None
    return [a + b for a, b in zip(own, stated, strict=True)]


def _of_pool(node: Node, pad: Node, stated: Sequence[int]) -> list[int] | None:
    """The pads of a MaxPool without padding that has these zeros around non-negative numbers; else None."""
    window = node.attributes["kernel_shape"]
    shorter = all(n < k for n, k in zip(stated, [*window, *window], strict=True))
    return (
        list(stated)
        if shorter and node.attributes.get("auto_pad") == "VALID" and _not_negative(pad.inputs[0])
        else None
    )


def _not_negative(tensor: Tensor | None) -> bool:
    node = tensor.producer if tensor is not None else None
    while node is not None and node.op_type in _STAYS_SO and not node.domain:
        above = node.inputs[0]
        node = above.producer if above is not None else None
    return node is not None and node.op_type in _NOT_NEGATIVE and not node.domain
