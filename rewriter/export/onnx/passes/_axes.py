"""How a node changes when the axes of its operands are reordered: one rule for each kind of operator.

An order is a permutation: axis ``n`` of the reordered tensor is axis ``order[n]`` of the original. The order from
``[B, H, W, C]`` to ``[B, C, H, W]`` is ``[0, 3, 1, 2]``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ....ir.size import Size
from ..graph import Node
from ..sizes import numbers

Order = list[int]
# From a rank to the order of tensors of that rank; the identity below rank 3.
Orders = Callable[[int], Order]


@dataclass(slots=True)
class Reordered:
    """A node on reordered operands.

    Attributes:
        data: the positions of the reordered operands.
        spread: the positions of operands of lower rank that broadcast: they get axes of 1 in front, then the order.
        results: the order of each result; None if unchanged.
        attributes: attributes with new values.
        listed: operands (by position) with new integer values.
        picked: run-time operands (by position) with an entry for each axis, and the entries to select.
        taken: the elements to select from the first result, where it has an entry for each axis.
    """

    data: list[int]
    results: list[Order | None]
    spread: list[int] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    listed: dict[int, list[int]] = field(default_factory=dict)
    picked: dict[int, list[int]] = field(default_factory=dict)
    taken: list[int] | None = None


_Rule = Callable[[Node, Order, Orders], "Reordered | None"]

_ELEMENTWISE = (
    "Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast Ceil Celu "
    "Clip Cos Cosh Div Dropout Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish Identity "
    "IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round "
    "Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Sub Sum Swish Tan Tanh ThresholdedRelu Where Xor"
)
_REDUCTIONS = (
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum "
    "ReduceSumSquare"
)
# Operators whose only axis is an attribute, with its default.
_ALONG = {"Hardmax": -1, "LogSoftmax": -1, "LpNormalization": -1, "Softmax": -1, "Split": 0, "TopK": -1}


def reordered(node: Node, orders: Orders) -> Reordered | None:
    """The node on reordered operands; None where it needs them unchanged."""
    first = next((t for t in node.inputs if t is not None and t.known and t.rank >= 3), None)
    rule = _RULES.get(node.op_type) if node.domain == "" else None
    if rule is None or first is None or not all(t.known for t in node.outputs):
        return None
    found = rule(node, orders(first.rank), orders)
    if found is None or not found.data:
        return None
    for result, order in zip(node.outputs, found.results, strict=True):
        if order is not None and order != orders(result.rank):
            return None
    return found


def without(order: Order, axes: Sequence[int]) -> Order | None:
    """The order of the axes that remain after some are dropped; None for the identity."""
    kept = [axis for axis in order if axis not in axes]
    left = [sorted(kept).index(axis) for axis in kept]
    return None if left == sorted(left) else left


def is_free(sizes: Sequence[Size], order: Sequence[int]) -> bool:
    """Whether the order only moves axes of size 1, so that no number moves."""
    long = [axis for axis in order if sizes[axis] != 1]
    return long == sorted(long)


def _elementwise(node: Node, order: Order, orders: Orders) -> Reordered | None:
    rank = node.output.rank
    data: list[int] = []
    spread: list[int] = []
    for place, tensor in enumerate(node.inputs):
        if tensor is None or (tensor.known and tensor.rank == 0):
            continue
        if not tensor.known:
            return None
        (data if tensor.rank == rank else spread).append(place)
    return Reordered(data, [orders(rank)] * len(node.outputs), spread)


def _along(node: Node, order: Order, orders: Orders) -> Reordered:
    axis = node.attributes.get("axis", _ALONG[node.op_type]) % len(order)
    return Reordered([0], [order] * len(node.outputs), attributes={"axis": order.index(axis)})


def _concat(node: Node, order: Order, orders: Orders) -> Reordered | None:
    if not all(t is not None and t.known and t.rank == len(order) for t in node.inputs):
        return None
    axis = order.index(node.attributes["axis"] % len(order))
    return Reordered(list(range(len(node.inputs))), [order], attributes={"axis": axis})


def _arg(node: Node, order: Order, orders: Orders) -> Reordered:
    axis = node.attributes.get("axis", 0) % len(order)
    result = order if node.attributes.get("keepdims", 1) else without(order, [axis])
    return Reordered([0], [result], attributes={"axis": order.index(axis)})


def _gather(node: Node, order: Order, orders: Orders) -> Reordered | None:
    indices = node.inputs[1]
    if node.inputs[0] is None or indices is None or not indices.known or indices.rank > 1:
        return None
    if node.inputs[0].rank != len(order):
        return None
    axis = node.attributes.get("axis", 0) % len(order)
    result = order if indices.rank else without(order, [axis])
    return Reordered([0], [result], attributes={"axis": order.index(axis)})


def _reduce(node: Node, order: Order, orders: Orders) -> Reordered | None:
    axes = node.attributes.get("axes")
    given = node.inputs[1] if len(node.inputs) > 1 else None
    if axes is None and given is not None:
        axes = numbers(given)
        if axes is None:
            return None
    if not axes and node.attributes.get("noop_with_empty_axes"):
        return None
    dropped = [a % len(order) for a in axes] if axes else list(range(len(order)))
    result = order if node.attributes.get("keepdims", 1) else without(order, dropped)
    found = Reordered([0], [result])
    moved = sorted(order.index(a) for a in dropped)
    if given is not None:
        found.listed[1] = moved
    elif axes:
        found.attributes["axes"] = moved
    return found


def _slice(node: Node, order: Order, orders: Orders) -> Reordered | None:
    axes = numbers(node.inputs[3]) if len(node.inputs) > 3 else None
    starts = node.inputs[1]
    if axes is None:
        if len(node.inputs) > 3 and node.inputs[3] is not None:
            return None
        if starts is None or not starts.known or not isinstance(starts.sizes[0], int) or len(node.inputs) < 4:
            return None
        axes = list(range(starts.sizes[0]))
    return Reordered([0], [order], listed={3: [order.index(a % len(order)) for a in axes]})


def _pad(node: Node, order: Order, orders: Orders) -> Reordered | None:
    rank = len(order)
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        axes = numbers(node.inputs[3])
        return axes and Reordered([0], [order], listed={3: [order.index(a % rank) for a in axes]}) or None
    return _each_axis(node, 1, [*order, *(rank + axis for axis in order)], Reordered([0], [order]))


def _each_axis(node: Node, place: int, wanted: list[int], found: Reordered) -> Reordered | None:
    """``found`` with the entries of an operand (one for each axis) reordered; None if their number differs."""
    given = node.inputs[place]
    if given is None or not given.known or given.sizes != (len(wanted),):
        return None
    known = numbers(given)
    if known is None:
        found.picked[place] = wanted
    else:
        found.listed[place] = [known[n] for n in wanted]
    return found


def _expand(node: Node, order: Order, orders: Orders) -> Reordered | None:
    x, rank = node.inputs[0], node.output.rank
    if x is None or x.rank != rank:
        return None
    return _each_axis(node, 1, order, Reordered([0], [order]))


def _tile(node: Node, order: Order, orders: Orders) -> Reordered | None:
    return _each_axis(node, 1, order, Reordered([0], [order]))


def _squeeze(node: Node, order: Order, orders: Orders) -> Reordered | None:
    axes = numbers(node.inputs[1]) if len(node.inputs) > 1 else None
    if axes is None:
        return None
    dropped = [a % len(order) for a in axes]
    return Reordered([0], [without(order, dropped)], listed={1: sorted(order.index(a) for a in dropped)})


def _unsqueeze(node: Node, order: Order, orders: Orders) -> Reordered | None:
    axes = numbers(node.inputs[1])
    if axes is None:
        return None
    result = orders(node.output.rank)
    added = [a % len(result) for a in axes]
    if (without(result, added) or list(range(len(order)))) != order:
        return None
    return Reordered([0], [result], listed={1: sorted(result.index(a) for a in added)})


def _reshape(node: Node, order: Order, orders: Orders) -> Reordered | None:
    """A reshape that keeps batch and channels and only changes the axes between them; else None."""
    x, y = node.inputs[0], node.output
    if x is None or y.rank < 3 or numbers(node.inputs[1]) is None or node.attributes.get("allowzero"):
        return None
    result = orders(y.rank)
    longer = max(order, result, key=len)
    channels = (x.rank - 1, y.rank - 1) if longer[1] == len(longer) - 1 else (1, 1)
    if x.sizes[0] != y.sizes[0] or x.sizes[channels[0]] != y.sizes[channels[1]]:
        return None
    spec: list[int] = []
    for place, axis in enumerate(result):
        size = y.sizes[axis]
        spec.append(size if isinstance(size, int) else 0 if place == 0 else -1)
    if spec.count(-1) > 1 or any(size == 0 for size in (*x.sizes, *y.sizes)):
        return None
    return Reordered([0], [result], listed={1: spec})


def _shape(node: Node, order: Order, orders: Orders) -> Reordered:
    rank = len(order)
    wanted = range(rank)[node.attributes.get("start", 0) : node.attributes.get("end", rank)]
    places = [order.index(axis) for axis in wanted]
    if places and places == list(range(places[0], places[-1] + 1)):
        return Reordered([0], [None], attributes={"start": places[0], "end": places[-1] + 1})
    return Reordered([0], [None], attributes={"start": 0, "end": rank}, taken=places)


def _transpose(node: Node, order: Order, orders: Orders) -> Reordered:
    perm = node.attributes.get("perm") or list(range(len(order)))[::-1]
    return Reordered([0], [None], attributes={"perm": [order.index(axis) for axis in perm]})


_RULES: dict[str, _Rule] = {
    **dict.fromkeys(_ELEMENTWISE.split(), _elementwise),
    **dict.fromkeys(_REDUCTIONS.split(), _reduce),
    **dict.fromkeys(_ALONG, _along),
    "ArgMax": _arg,
    "ArgMin": _arg,
    "Concat": _concat,
    "Expand": _expand,
    "Gather": _gather,
    "Pad": _pad,
    "Reshape": _reshape,
    "Shape": _shape,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
