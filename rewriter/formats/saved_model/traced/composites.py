"""Layers that TensorFlow computes by many operators, some of them on shapes: known by the node that ends them.

A composite takes the tensors from which it is computed, and nothing else of its nodes is looked at then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..functions import node_of
from ..messages import NodeDef
from .folding import Array
from .library import numbers
from .products import Made, Weight, dense


class Composite(NamedTuple):
    """A layer on the first of the tensors that it takes.

    Attributes:
        takes: the tensor and its weights, as the file names them.
        epsilon: None for a product.
        scales: weights that are given to its result. Where there are some, one of them has to have one axis: the
            operators do not say that it is the last axis alone along which is normalized, and this does.
    """

    takes: tuple[str, ...]
    epsilon: float | None = None
    scales: tuple[str, ...] | None = None

    def made(self, weights: list[Weight]) -> Made:
        if self.epsilon is None:
            return dense(weights[0])
        config = {"axis": [-1], "epsilon": self.epsilon, "center": False, "scale": False}
        return Made("LayerNormalization", config, [])


def composite(nodes: Mapping[str, NodeDef], node: NodeDef) -> Composite | None:
    """The composite that a node ends; None where it ends none."""
    if node.op != "Reshape" or len(node.taken) != 2:
        return None
    reader = _Reader(nodes)
    return reader.product(*node.taken) or reader.normalization(node)


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
        return Composite((x, kernel)) if x == measured and self._known(axis) == 0 else None

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
            return Composite((x,), epsilon)
        end, start = self._range(front, x), self._range(last, x)
        if end is None or start is None or end[0] is not None or start[1] is not None or end[1] != start[0]:
            return None
        result = f"{node.name}:output:0"
        users = [
            each.taken for each in self.nodes.values() if each.op in ("Mul", "AddV2") and result in each.taken
        ]
        return Composite((x,), epsilon, tuple(t for taken in users for t in taken if t != result))

    def _range(self, tensor: str | None, x: str) -> tuple[int | None, int | None] | None:
        """From which axis of ``x`` to which a number is the product of the sizes; None for the first and the last."""
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
        """The axes of ``x`` whose sizes a number is the product of."""
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
        """What the node of a tensor takes, where it is this operator."""
        node = self.nodes.get(node_of(tensor or ""))
        if node is None or node.op != op or len(node.taken) != count:
            return [None] * count
        return list(node.taken)

    def _known(self, tensor: str | None) -> Array | None:
        """A constant, or constants one after the other."""
        node = self.nodes.get(node_of(tensor or ""))
        if node is not None and node.op == "Const":
            return numbers(node)
        if node is None or node.op != "ConcatV2":
            return None
        parts = [numbers(self.nodes[node_of(t)]) for t in node.taken if self._is_known(t)]
        return np.concatenate(parts[:-1]) if len(parts) == len(node.taken) > 1 else None

    def _is_known(self, tensor: str) -> bool:
        return node_of(tensor) in self.nodes and self.nodes[node_of(tensor)].op == "Const"
