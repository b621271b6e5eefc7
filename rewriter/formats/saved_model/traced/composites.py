"""Layers that TensorFlow computes with many operators, some of them on shapes. The last node identifies the layer.

A composite records the tensors from which it is computed; its inner nodes are then skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..functions import node_of
from ..messages import NodeDef
from .folding import Array
from .library import Unable, numbers
from .products import PRODUCTS, Made, Weight, dense, line

_DILATED = frozenset({"Conv2D", "DepthwiseConv2dNative"})


class Composite(NamedTuple):
    """A layer that is applied to the first tensor of ``takes``.

    Attributes:
        takes: the input tensor and the weights, with their names in the file.
        made: makes the layer from its weights.
        scales: tensors that are combined with the result. If not None, one of them must be a variable with one axis:
            only this shows that the last axis alone is normalized.
        padding: (before, after) numbers of zeros that pad each axis of the input tensor.
    """

    takes: tuple[str, ...]
    made: Callable[[list[Weight]], Made]
    scales: tuple[str, ...] | None = None
    padding: tuple[tuple[int, int], ...] = ()


def composite(nodes: Mapping[str, NodeDef], node: NodeDef) -> Composite | None:
    """The composite that ends in a node, or None."""
    reader = _Reader(nodes)
    if node.op == "Reshape" and len(node.taken) == 2:
        return reader.product(*node.taken) or reader.normalization(node)
    if node.op == "Mul" and len(node.taken) == 2:
        return reader.gelu(*node.taken)
    if node.op == "AddV2" and len(node.taken) == 2:
        return reader.scaled_normalization(*node.taken)
    if node.op == "BatchToSpaceND" and len(node.taken) == 3:
        return reader.dilated(*node.taken)
    return None


def _dense(weights: list[Weight]) -> Made:
    return dense(weights[0])


def _normalization(epsilon: float) -> Callable[[list[Weight]], Made]:
    config = {"axis": [-1], "epsilon": epsilon, "center": False, "scale": False}
    return lambda weights: Made("LayerNormalization", config, [])


def _scaled(epsilon: float, size: int) -> Callable[[list[Weight]], Made]:
    def made(weights: list[Weight]) -> Made:
        if any(weight.shape != (size,) for weight in weights):
            raise Unable("its normalization has weights of another size")
        config = {"axis": [-1], "epsilon": epsilon, "center": True, "scale": True}
        return Made("LayerNormalization", config, weights)

    return made


def _convolution(conv: NodeDef, dilation: list[int]) -> Callable[[list[Weight]], Made]:
    def made(weights: list[Weight]) -> Made:
        if len(dilation) == 1:
            return line(weights[0], dilation)
        found = PRODUCTS[conv.op][2](conv, weights)
        return found._replace(config={**found.config, "dilation_rate": dilation})

    return made


class _Reader:
    def __init__(self, nodes: Mapping[str, NodeDef]) -> None:
        self.nodes = nodes

    def product(self, product: str, shape: str) -> Composite | None:
        """``x[..., k] @ kernel[k, n] -> [..., n]``, of ``x[rows, k]`` (``tensordot`` in ``math_ops.py``, 2.21)."""
        rows, kernel = self._taken(product, "MatMul", 2)
        sizes, _, _ = self._taken(shape, "ConcatV2", 3)
        of, free, axis = self._taken(sizes, "GatherV2", 3)
        (measured,) = self._taken(of, "Shape", 1)
        x, _ = self._taken(rows, "Reshape", 2)
        kept = self._known(free)
        if kernel is None or x is None or kept is None or kept.tolist() != list(range(kept.size)):
            return None
        multiplies = self.nodes[node_of(product)]
        if multiplies.attribute("transpose_a") or multiplies.attribute("transpose_b"):
            return None
        moved, order = self._taken(x, "Transpose", 2)
        if moved is not None:
            permutation = self._known(order)
            if permutation is None or permutation.tolist() != list(range(kept.size + 1)):
                return None
            x = moved
        return Composite((x, kernel), _dense) if x == measured and self._known(axis) == 0 else None

    def normalization(self, node: NodeDef) -> Composite | None:
        """``(x - mean) / sqrt(variance + epsilon)`` along the last axis, of ``x[1, rows, k, 1]``.

        Source: ``LayerNormalization.call`` of TensorFlow 2.4, which multiplies sizes one by one, and of tf_keras 2.21.
        """
        normalized, shape = node.taken
        whole, scale, offset, *_ = self._taken(normalized, "FusedBatchNormV3", 5)
        x, rows = self._taken(whole, "Reshape", 2)
        (measured,) = self._taken(shape, "Shape", 1)
        before, front, last, after = self._taken(rows, "Pack", 4)
        if x is None or x != measured or self._filled(scale) != 1 or self._filled(offset) != 0:
            return None
        fused = self.nodes[node_of(normalized)]
        trains = fused.attribute("is_training") is not False
        if not trains or fused.attribute("data_format") != "NCHW" or not normalized.endswith(":y:0"):
            return None
        if self._known(before) != 1 or self._known(after) != 1:
            return None
        epsilon = fused.attribute("epsilon")
        epsilon = 1e-4 if epsilon is None else epsilon
        rest, own = self._axes(front, x), self._axes(last, x)
        if own is not None and rest is not None and len(own) == 1 and sorted(rest) == list(range(own[0])):
            return Composite((x,), _normalization(epsilon))
        end, start = self._range(front, x), self._range(last, x)
        if end is None or start is None or end[0] is not None or start[1] is not None or end[1] != start[0]:
            return None
        result = f"{node.name}:output:0"
        users = [
            each.taken for each in self.nodes.values() if each.op in ("Mul", "AddV2") and result in each.taken
        ]
        return Composite(
            (x,), _normalization(epsilon), tuple(t for taken in users for t in taken if t != result)
        )

    def scaled_normalization(self, a: str, b: str) -> Composite | None:
        """``x * inv + (-mean * inv + beta)`` with ``inv = rsqrt(variance + epsilon) * gamma``, along the last axis.

        Source: ``LayerNormalization.call`` of Keras 3.15, ``moments`` in ``backend/tensorflow/nn.py``.
        """
        x, scale = self._taken(a, "Mul", 2)
        moved, shift = self._taken(b, "AddV2", 2)
        negative, again = self._taken(moved, "Mul", 2)
        (mean,) = self._taken(negative, "Neg", 1)
        root, gamma = self._taken(scale, "Mul", 2)
        (more,) = self._taken(root, "Rsqrt", 1)
        variance, small = self._taken(more, "AddV2", 2)
        squares, axes = self._taken(variance, "Mean", 2)
        first, centre = self._taken(squares, "SquaredDifference", 2)
        (stopped,) = self._taken(centre, "StopGradient", 1)
        own, same_axes = self._taken(mean, "Mean", 2)
        epsilon = self._float(small)
        if x is None or x != first or x != own or scale != again or mean != stopped or epsilon is None:
            return None
        if not all(self._keeps_the_last(tensor, of) for tensor, of in ((mean, same_axes), (variance, axes))):
            return None
        vectors = [self._vector(tensor) for tensor in (gamma, shift)]
        (by, size), (offset, other) = vectors
        if by is None or offset is None or size != other:
            return None
        return Composite((x, by, offset), _scaled(float(epsilon), size))

    def _keeps_the_last(self, tensor: str | None, axes: str | None) -> bool:
        """Whether a mean is over the last axis and keeps it (``keep_dims``)."""
        found = self._known(axes)
        node = self.nodes[node_of(tensor or "")]
        return found is not None and found.tolist() in (-1, [-1]) and node.attribute("keep_dims") is True

    def _vector(self, tensor: str | None) -> tuple[str | None, int]:
        """(tensor, size) for a tensor that is reshaped to a vector along the last axis; else (None, 0)."""
        source, shape = self._taken(tensor, "Reshape", 2)
        sizes = self._known(shape)
        if sizes is None or sizes.ndim != 1 or not sizes.size or (sizes[:-1] != 1).any() or sizes[-1] < 2:
            return None, 0
        return source, int(sizes[-1])

    def gelu(self, a: str, b: str) -> Composite | None:
        """``(0.5 * x) * erfc(-x * sqrt(0.5))`` (``gelu`` in ``nn_ops.py``, 2.21)."""
        (scaled,) = self._taken(b, "Erfc", 1)
        half, x = self._taken(a, "Mul", 2)
        negative, root = self._taken(scaled, "Mul", 2)
        (same,) = self._taken(negative, "Neg", 1)
        if x is None or x != same or self._float(half) != 0.5 or self._float(root) != np.float32(0.5**0.5):
            return None
        return Composite((x,), lambda weights: Made("Activation", {"activation": "gelu"}, []))

    def dilated(self, y: str, blocks: str, crops: str) -> Composite | None:
        """A dilated convolution that is computed in phases (``with_space_to_batch`` in ``nn_ops.py``, 2.21).

        The input is padded with zeros, and numbers at the end of the result are cropped. The composite uses less
        padding at the end instead of the crop.
        """
        (squeezed,) = self._taken(y, "Squeeze", 1)
        conv = self.nodes.get(node_of(squeezed or y))
        if conv is None or conv.op not in _DILATED or len(conv.taken) != 2:
            return None
        given: str | None
        kernel: str | None
        given, kernel = conv.taken
        if squeezed is not None:
            given, _ = self._taken(given, "ExpandDims", 2)
            kernel, axis = self._taken(kernel, "ExpandDims", 2)
            if kernel is None or self._known(axis) != 0 or conv.op != "Conv2D":
                return None
        x, own_blocks, padding = self._taken(given, "SpaceToBatchND", 3)
        block, same, zeros, cut = (self._known(each) for each in (blocks, own_blocks, padding, crops))
        if x is None or kernel is None or block is None or zeros is None or cut is None:
            return None
        if same is None or same.tolist() != block.tolist() or conv.attribute("padding") != "VALID":
            return None
        sizes = (1 if squeezed is not None else 2,)
        if block.shape != sizes or zeros.shape != cut.shape or zeros.shape != (*sizes, 2):
            return None
        if set(conv.attribute("strides")) != {1} or set(conv.attribute("dilations") or [1]) != {1}:
            return None
        ends = zeros - cut
        if cut[:, 0].any() or (ends < 0).any():
            return None
        around = ((0, 0), *((before, after) for before, after in ends.tolist()), (0, 0))
        return Composite((x, kernel), _convolution(conv, block.tolist()), padding=around)

    def _float(self, tensor: str | None) -> Any:
        """The value of a float32 scalar constant; None for anything else."""
        found = self._known(tensor)
        return None if found is None or found.ndim or found.dtype != np.float32 else found[()]

    def _range(self, tensor: str | None, x: str) -> tuple[int | None, int | None] | None:
        """(start, stop) if a number is the product of the sizes of these axes of ``x``; each is None if it is open."""
        sliced, axis = self._taken(tensor, "Prod", 2)
        of, *bounds = self._taken(sliced, "StridedSlice", 4)
        (measured,) = self._taken(of, "Shape", 1)
        known = [self._known(bound) for bound in bounds]
        if (
            measured != x
            or self._known(axis) is None
            or any(each is None or each.size != 1 for each in known)
        ):
            return None
        node = self.nodes[node_of(sliced or "")]
        if any(node.attribute(name) for name in ("ellipsis_mask", "new_axis_mask", "shrink_axis_mask")):
            return None
        start, stop, step = (int(each.reshape(-1)[0]) for each in known if each is not None)
        if step != 1 or start < 0 or (stop < 0 and not node.attribute("end_mask")):
            return None
        first = None if node.attribute("begin_mask") or not start else start
        return first, None if node.attribute("end_mask") else stop

    def _filled(self, tensor: str | None) -> Any:
        _, value = self._taken(tensor, "Fill", 2)
        return self._known(value)

    def _axes(self, tensor: str | None, x: str) -> list[int] | None:
        """The axes of ``x`` if a number is the product of their sizes; else None."""
        waiting, found = [tensor], []
        while waiting:
            each = waiting.pop()
            node = self.nodes.get(node_of(each or ""))
            if node is not None and node.op == "Mul" and len(waiting) < len(self.nodes):
                waiting += node.taken
            elif node is not None and node.op == "Const":
                if numbers(node) != 1:
                    return None
            else:
                of, *bounds = self._taken(each, "StridedSlice", 4)
                (measured,) = self._taken(of, "Shape", 1)
                begin = self._known(bounds[0])
                alone = node is not None and node.attribute("shrink_axis_mask") == 1
                masks = node is not None and (node.attribute("begin_mask") or node.attribute("new_axis_mask"))
                if measured != x or begin is None or begin.size != 1 or not alone or masks:
                    return None
                found.append(int(begin.reshape(-1)[0]))
        return found

    def _taken(self, tensor: str | None, op: str, count: int) -> list[str | None]:
        """The ``count`` inputs of a tensor's node if it is this operator; else ``count`` times None."""
        node = self.nodes.get(node_of(tensor or ""))
        if node is None or node.op != op or len(node.taken) != count:
            return [None] * count
        return list(node.taken)

    def _known(self, tensor: str | None) -> Array | None:
        """The value of a constant, or of a concatenation of constants; else None."""
        node = self.nodes.get(node_of(tensor or ""))
        if node is not None and node.op == "Const":
            return numbers(node)
        if node is None or node.op != "ConcatV2":
            return None
        parts = [numbers(self.nodes[node_of(t)]) for t in node.taken if self._is_known(t)]
        return np.concatenate(parts[:-1]) if len(parts) == len(node.taken) > 1 else None

    def _is_known(self, tensor: str) -> bool:
        return node_of(tensor) in self.nodes and self.nodes[node_of(tensor)].op == "Const"
