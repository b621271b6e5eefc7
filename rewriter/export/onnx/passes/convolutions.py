"""Folds products and sums with constants around a Conv, ConvTranspose, Gemm or MatMul into its weights and bias.

``Conv(x, w, b) * s + t`` -> ``Conv(x, w*s, b*s + t)``: a BatchNormalization after it has this form.
``Conv(x*s + t, w, b)`` -> ``Conv(x, w*s, b + sum(w*t))``: only for Conv, the sum only without padding. Valid where
``s`` and ``t`` differ by channel at most, the tensors between have no other user, and the weights are not duplicated.
The new weights are computed when they are written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..builder import Builder
from ..graph import Node, Tensor
from ._graphs import graphs, only_user, put

_FLOATS = frozenset({"float16", "float32", "float64"})
_CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})
_PRODUCTS = frozenset({"Gemm", "MatMul"})


def fold_scales(builder: Builder) -> bool:
    """Fold products and sums around convolutions and matrix products into their weights."""
    needed = builder.graph.all_outputs()
    changed = False
    for graph in graphs(builder):
        own, folded = set(graph.nodes), set()
        for node in graph.nodes:
            if node.op_type not in _CONVOLUTIONS | _PRODUCTS or node.domain or not _plain(node):
                continue
            while True:
                follower = only_user(node.output, needed)
                if follower in own and follower is not None and _after(builder, node, follower, needed):
                    result = follower.output
                    for place in range(len(follower.inputs)):
                        follower.set_input(place, None)
                    folded.add(follower)
                    node.output.sizes = result.sizes
                    node.output.stem = result.stem or node.output.stem
                    put(graph, result, node.output)
                    if result in needed:
                        needed.add(node.output)
                elif not _before(builder, node, needed):
                    break
                changed = True
        graph.remove(folded)
    return changed


def drop_zero_biases(builder: Builder) -> bool:
    """Remove the all-zero biases of convolutions: the runtime would add them."""
    changed = False
    for graph in graphs(builder):
        for node in graph.nodes:
            bias = _bias(node) if node.op_type in _CONVOLUTIONS and not node.domain else None
            if bias is not None and bias.data is not None and not bias.data.small.any():
                node.set_input(2, None)
                del node.inputs[2]
                changed = True
    return changed


def _plain(node: Node) -> bool:
    weight = node.inputs[1]
    alone = all(node.attributes.get(name, 1.0) == 1.0 for name in ("alpha", "beta"))
    return weight is not None and weight.data is not None and weight.dtype in _FLOATS and alone


def _constant_side(node: Node, data: Tensor) -> tuple[str, Tensor] | None:
    """The operator (Add, Div, Mul, Sub) and the constant that a node applies to ``data``; None for other nodes."""
    if node.op_type not in ("Add", "Div", "Mul", "Sub") or node.domain:
        return None
    place = 0 if node.inputs[0] is data else 1
    other = node.inputs[1 - place]
    if other is None or other.data is None or (node.op_type in ("Div", "Sub") and place == 1):
        return None
    return node.op_type, other


def _scale_or_shift(builder: Builder, found: tuple[str, Tensor]) -> tuple[str, Tensor]:
    op_type, other = found
    if op_type == "Div":
        return "Mul", builder.node("Reciprocal", other)
    if op_type == "Sub":
        return "Add", builder.node("Neg", other)
    return op_type, other


def _channels(builder: Builder, constant: Tensor, rank: int, axis: int, count: int) -> Tensor | None:
    """The constant as ``[count]`` if it differs only along an axis of a tensor of this rank, else None."""
    if constant.rank > rank:
        return None
    sizes = [1] * (rank - constant.rank) + list(constant.sizes)
    if any(size != 1 for place, size in enumerate(sizes) if place != axis) or sizes[axis] not in (1, count):
        return None
    flat = builder.reshape(constant, [sizes[axis]])
    return flat if sizes[axis] == count else builder.node("Expand", flat, [count])


# -- after -----------------------------
def _result_axis(node: Node) -> tuple[int, int] | None:
    """The channel axis of the result and of the weights; None if they have none."""
    weight, group = node.inputs[1], node.attributes.get("group", 1)
    assert weight is not None
    if node.op_type == "Conv":
        return 1, 0
    if node.op_type == "ConvTranspose":
        return (1, 1) if group == 1 else None
    if weight.rank != 2 or not node.output.known:
        return None
    return node.output.rank - 1, 0 if node.attributes.get("transB") else 1


def _after(builder: Builder, node: Node, follower: Node, needed: set[Tensor]) -> bool:
    """Fold the only user of the result, a product or sum, into the weights; return whether it was folded."""
    axes = _result_axis(node)
    if axes is None or not node.output.known:
        return False
    found = _constant_side(follower, node.output)
    weight, rank = node.inputs[1], node.output.rank
    assert weight is not None
    count = weight.sizes[axes[1]]
    if found is None or not isinstance(count, int) or not follower.output.known:
        return False
    kind, constant = _scale_or_shift(builder, found)
    along = _channels(builder, constant, rank, axes[0], count)
    if along is None or along.data is None or constant.dtype != weight.dtype:
        return False
    bias = _bias(node)
    if kind == "Mul":
        if not _alone(weight, lambda user: _follows(user, found, needed)):
            return False
        shape = [count if n == axes[1] else 1 for n in range(weight.rank)]
        scaled = _product(builder, weight, builder.reshape(along, shape))
        moved = None if bias is None else _product(builder, _wide(builder, bias, count), along)
        if scaled is None or (bias is not None and moved is None):
            return False
        node.set_input(1, scaled)
        if moved is not None:
            node.set_input(2, moved)
    elif node.op_type == "MatMul":
        if rank != 2:
            return False
        node.op_type = "Gemm"
        _set_bias(node, along)
    else:
        total = along if bias is None else builder.node("Add", _wide(builder, bias, count), along)
        if total.data is None:
            return False
        _set_bias(node, total)
    return True


def _follows(user: Node, found: tuple[str, Tensor], needed: set[Tensor]) -> bool:
    """Whether another user of the weights is followed by the same product."""
    follower = only_user(user.outputs[0], needed)
    if follower is None:
        return False
    other = _constant_side(follower, user.outputs[0])
    return other is not None and other[0] == found[0] and other[1] is found[1]


def _alone(weight: Tensor, follows: Callable[[Node], bool]) -> bool:
    """Whether all users of the weights change alike: the weights are then still stored once."""
    return len(weight.users) == 1 or all(
        user.op_type in _CONVOLUTIONS | _PRODUCTS and count == 1 and follows(user)
        for user, count in weight.users.items()
    )


def _bias(node: Node) -> Tensor | None:
    return node.inputs[2] if len(node.inputs) > 2 else None


def _set_bias(node: Node, bias: Tensor) -> None:
    if len(node.inputs) < 3:
        node.inputs.append(None)
    node.set_input(2, bias)


def _wide(builder: Builder, bias: Tensor, count: int) -> Tensor:
    """The bias as ``[count]``; that of a Gemm may broadcast."""
    return bias if bias.sizes == (count,) else builder.node("Expand", builder.reshape(bias, [-1]), [count])


def _product(builder: Builder, weight: Tensor, scale: Tensor) -> Tensor | None:
    if weight.data is None or scale.data is None:
        return None
    made = builder.node("Mul", weight, scale)
    return made if made.data is not None else None


# -- before -----------------------------
def _before(builder: Builder, node: Node, needed: set[Tensor]) -> bool:
    source, weight = node.inputs[0], node.inputs[1]
    assert weight is not None
    if node.op_type != "Conv" or source is None or source.producer is None or not source.known:
        return False
    if only_user(source, needed) is not node or len(weight.users) > 1:
        return False
    feeder = source.producer
    data = next((t for t in feeder.inputs if t is not None and t.data is None), None)
    found = None if data is None or len(feeder.inputs) != 2 else _constant_side(feeder, data)
    if data is None or found is None or not data.known or data.sizes != source.sizes:
        return False
    channels = source.sizes[1]
    if not isinstance(channels, int):
        return False
    kind, constant = _scale_or_shift(builder, found)
    along = _channels(builder, constant, source.rank, 1, channels)
    if along is None or along.data is None or constant.dtype != weight.dtype:
        return False
    spread = _by_group(builder, node, weight, along)
    scaled = None if spread is None else _product(builder, weight, spread)
    if scaled is None:
        return False
    if kind == "Mul":
        node.set_input(1, scaled)
    else:
        if any(node.attributes.get("pads", [])) or node.attributes.get("auto_pad", "NOTSET") not in (
            "NOTSET",
            "VALID",
        ):
            return False
        total = builder.node("ReduceSum", scaled, list(range(1, weight.rank)), keepdims=0)
        bias = _bias(node)
        shifted = total if bias is None else builder.node("Add", bias, total)
        if shifted.data is None:
            return False
        _set_bias(node, shifted)
    node.set_input(0, data)
    return True


def _by_group(builder: Builder, node: Node, weight: Tensor, along: Tensor) -> Tensor | None:
    """``[C]`` shaped to multiply the weights ``[F, C/groups, K...]``: each group of filters has its own channels."""
    group = node.attributes.get("group", 1)
    sizes: Sequence[object] = weight.sizes
    filters, inner = sizes[0], sizes[1]
    if not isinstance(filters, int) or not isinstance(inner, int):
        return None
    ones = [1] * (weight.rank - 2)
    if group == 1:
        return builder.reshape(along, [1, inner, *ones])
    parts = builder.reshape(along, [group, 1, inner])
    repeated = builder.node("Tile", parts, [1, filters // group, 1])
    return builder.reshape(repeated, [filters, inner, *ones]) if repeated.data is not None else None
