"""Copies along an axis: none before an operator that broadcasts, and Resize where the copies lie side by side."""

from __future__ import annotations

from ....ir.size import is_unknown
from ..graph import Node, Tensor
from ._match import Site


def broadcast_operands(site: Site, node: Node) -> Tensor | None:
    """``a[B, T, C] * Tile(b[B, T, 1])`` -> ``a * b`` (opset 17), also for Expand; ``a`` has the axes of the result.

    Only where single numbers are copied: ONNX Runtime 1.32 is slower without a copy of runs of numbers (1.1 to 1.2).
    """
    operands = list(node.inputs)
    for place, tensor in enumerate(operands):
        short = _short(site, tensor)
        others = [other for n, other in enumerate(operands) if n != place]
        if short is not None and _broadcasts(node, short, others):
            operands[place] = short
    if operands == list(node.inputs):
        return None
    return site.builder.node(node.op_type, *operands, **node.attributes)


def _short(site: Site, tensor: Tensor | None) -> Tensor | None:
    """The operand of an Expand or a Tile that made axes of 1 longer, the last one too, or put axes in front."""
    stretch = site.maker(tensor, "Expand", "Tile")
    short = None if stretch is None else stretch.inputs[0]
    if tensor is None or short is None or not tensor.known or not short.known:
        return None
    if short.rank and (short.sizes[-1] != 1 or tensor.sizes[-1] == 1):
        return None
    pairs = zip(short.sizes[::-1], tensor.sizes[::-1], strict=False)
    alike = all(a == 1 or (a == b and not is_unknown(a)) for a, b in pairs)
    return short if alike and short.rank <= tensor.rank else None


def _broadcasts(node: Node, short: Tensor, others: list[Tensor | None]) -> bool:
    """Whether the result keeps its sizes: each axis that ``short`` does not have, another operand has."""
    if not node.output.known:
        return False
    given = [other.sizes for other in others if other is not None and other.known]
    for back, size in enumerate(reversed(node.output.sizes), 1):
        if back <= short.rank and short.sizes[-back] == size:
            continue
        if is_unknown(size) or not any(back <= len(sizes) and sizes[-back] == size for sizes in given):
            return False
    return True


def resized(site: Site, node: Node) -> Tensor | None:
    """``Reshape(Expand(x[B, C, L, 1], n), [B, C, n*L])`` -> Resize (opset 17): single numbers are copied slowly."""
    spread = site.inner(node.inputs[0], "Expand")
    apart = None if spread is None else site.inner(spread.inputs[0], "Reshape", "Unsqueeze")
    x = None if apart is None else apart.inputs[0]
    if spread is None or apart is None or x is None or not x.known or not node.output.known:
        return None
    wide, narrow = spread.output.sizes, apart.output.sizes
    times = wide[-1] if wide else 1
    if (
        x.dtype != "float32"
        or x.rank not in (3, 4)
        or not isinstance(times, int)
        or any(map(is_unknown, wide))
        or narrow != (*x.sizes, 1)
        or wide != (*x.sizes, times)
        or node.output.sizes != (*x.sizes[:-1], x.sizes[-1] * times)
    ):
        return None
    scales = site.builder.constant([1.0] * (x.rank - 1) + [float(times)], "float32")
    modes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return site.builder.node("Resize", x, None, scales, **modes, as_sizes=node.output.sizes)
