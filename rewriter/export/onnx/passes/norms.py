"""Writes normalisations over the last axes as one operator; a scale and a shift after it become its operands."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..graph import Node, Tensor, array_of
from ._match import Site, is_square, reduced_axes, with_scalar


def rms_normalization(site: Site, node: Node) -> Tensor | None:
    """``x / Sqrt(ReduceMean(x * x) + e)`` -> ``RMSNormalization(x, 1)`` (opset 23); also ``x * Reciprocal(Sqrt(...))``.

    The operator is defined as this quotient (Operators.md, RMSNormalization-23). It takes float32 epsilons only, so
    other types are left.
    """
    found = _over_root(site, node)
    if found is None:
        return None
    x, mean, epsilon = found
    square = site.inner(mean.inputs[0], "Mul", "Pow")
    if square is None or not is_square(square) or square.inputs[0] is not x:
        return None
    return _normalised(site, "RMSNormalization", x, mean, epsilon)


def layer_normalization(site: Site, node: Node) -> Tensor | None:
    """``d / Sqrt(ReduceMean(d * d) + e)``, ``d = x - ReduceMean(x)`` -> ``LayerNormalization(x, 1)`` (opset 17).

    The operator is defined as this quotient (Operators.md, LayerNormalization-17), in float32 by default.
    """
    found = _over_root(site, node)
    if found is None:
        return None
    apart, variance, epsilon = found
    square = site.inner(variance.inputs[0], "Mul", "Pow")
    difference = site.maker(apart, "Sub")
    if square is None or not is_square(square) or square.inputs[0] is not apart or difference is None:
        return None
    x, mean = difference.inputs[0], site.inner(difference.inputs[1], "ReduceMean")
    if x is None or mean is None or mean.inputs[0] is not x or _mean_axes(mean) != _mean_axes(variance):
        return None
    if not site.used_by(apart, node, square):
        return None
    return _normalised(site, "LayerNormalization", x, variance, epsilon)


def norm_scale(site: Site, node: Node) -> Tensor | None:
    """``RMSNormalization(x, 1) * w`` -> ``RMSNormalization(x, w)``, ``LayerNormalization`` alike, ``w`` a constant."""
    found = _norm_and_constant(site, node)
    if found is None:
        return None
    norm, weight = found
    ones = array_of(norm.inputs[1])
    if ones is None or len(norm.inputs) > 2 or not (ones == 1).all():
        return None
    return _with_operands(site, norm, weight)


def norm_shift(site: Site, node: Node) -> Tensor | None:
    """``LayerNormalization(x, w) + b`` -> ``LayerNormalization(x, w, b)``, ``b`` a constant."""
    found = _norm_and_constant(site, node)
    if found is None or found[0].op_type != "LayerNormalization" or len(found[0].inputs) > 2:
        return None
    norm, shift = found
    return _with_operands(site, norm, norm.inputs[1], shift)


def _over_root(site: Site, node: Node) -> tuple[Tensor, Node, float] | None:
    """``x``, the ReduceMean and ``e`` of ``x / Sqrt(ReduceMean(...) + e)``, float32, the mean over the last axes."""
    for x, root in _roots(site, node):
        total = None if root is None else site.inner(root.inputs[0], "Add")
        parts = None if total is None else with_scalar(total)
        if x is None or parts is None or x.dtype != "float32":
            continue
        mean = site.inner(parts[0], "ReduceMean")
        axes = None if mean is None else _mean_axes(mean)
        if mean is None or axes is None or not x.known or parts[1] < 0:
            continue
        sizes = x.sizes[axes[0] :]
        if axes == list(range(x.rank - len(axes), x.rank)) and all(isinstance(s, int) and s for s in sizes):
            return x, mean, parts[1]
    return None


def _roots(site: Site, node: Node) -> Iterator[tuple[Tensor | None, Node | None]]:
    """``x`` and the Sqrt of ``x / Sqrt(...)``, and of ``x * Reciprocal(Sqrt(...))`` with the operands in any order."""
    x, y = node.inputs
    if node.op_type == "Div":
        yield x, site.inner(y, "Sqrt")
        return
    for factor, other in ((x, y), (y, x)):
        inverse = site.inner(other, "Reciprocal")
        yield factor, None if inverse is None else site.inner(inverse.inputs[0], "Sqrt")


def _mean_axes(mean: Node) -> list[int] | None:
    """The axes of a ReduceMean that keeps them; None for another."""
    return reduced_axes(mean) if mean.attributes.get("keepdims", 1) else None


def _normalised(site: Site, op_type: str, x: Tensor, mean: Node, epsilon: float) -> Tensor:
    axes = _mean_axes(mean)
    assert axes is not None
    sizes = [size for size in x.sizes[axes[0] :] if isinstance(size, int)]
    ones = site.builder.constant(np.ones(sizes, np.float32))
    return site.builder.node(op_type, x, ones, axis=axes[0] - x.rank, epsilon=epsilon)


def _norm_and_constant(site: Site, node: Node) -> tuple[Node, Tensor] | None:
    """The normalisation and the constant of a product or sum of both, the constant of the normalised sizes."""
    for place in (0, 1):
        norm = site.inner(node.inputs[place], "LayerNormalization", "RMSNormalization")
        constant = node.inputs[1 - place]
        if norm is None or constant is None or constant.data is None or constant.dtype != "float32":
            continue
        weight = norm.inputs[1]
        assert weight is not None
        sizes = list(constant.sizes)
        while len(sizes) > weight.rank and sizes[0] == 1:
            sizes.pop(0)
        if tuple(sizes) == weight.sizes and constant.rank <= norm.output.rank:
            return norm, site.builder.reshape(constant, sizes)
    return None


def _with_operands(site: Site, norm: Node, *operands: Tensor | None) -> Tensor:
    return site.builder.node(norm.op_type, norm.inputs[0], *operands, **norm.attributes)
