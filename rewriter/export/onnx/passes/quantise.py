"""Weights in 8 bits: products compute in float32 as before, or on operands of 8 bits too.

A channel's weights become whole numbers from -127 to 127 times a scale, so that the largest magnitude is 127. A Cast
and a Mul make floats of them, once, when the file is loaded; ``lowering/_quantised.py`` says why not DequantizeLinear.
Products of whole numbers take the weights plus 128, as uint8: where uint8 meets int8, ONNX Runtime's sums saturate on
processors without VNNI.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ....ir.size import Size
from ..builder import Builder
from ..graph import Array, Data, Node, Tensor
from ._graphs import put

# Weights of fewer numbers stay as they are: their scales and nodes would take what they save.
_LEAST = 1024
_HIGH, _ZERO = 127, 128
_TINY = 1e-30  # a channel of smaller magnitudes is stored as zeros
# Operators with weights, and the places of these.
_WEIGHTS = {
    "Conv": (1,),
    "ConvTranspose": (1,),
    "GRU": (1, 2),
    "Gemm": (1,),
    "LSTM": (1, 2),
    "MatMul": (0, 1),
    "RNN": (1, 2),
}


def store_in_bytes(builder: Builder) -> bool:
    """``MatMul(x, W)`` -> ``MatMul(x, Cast(W8) * scale)``, and alike for every operator with weights.

    The last pass of both options: it adds a warning where the graph has no weights in 8 bits.
    """
    changed = _each(builder, _Bytes(builder).store)
    if not changed and not any(t.dtype in ("int8", "uint8") for t in builder.graph.constants()):
        builder.warnings.append(f"nothing is quantised: no product has {_LEAST:,} weights of float32 or more")
    return changed


def compute_in_bytes(builder: Builder) -> bool:
    """``MatMul(x, W)`` -> ``MatMulInteger(DynamicQuantizeLinear(x), W8) * scales``; alike for Gemm and Conv."""
    return _each(builder, _Bytes(builder).compute)


def _each(builder: Builder, change: Callable[[Node], bool]) -> bool:
    """Offer the nodes of the model's graph to ``change``; bodies stay as they are."""
    changed = False
    for node in list(builder.graph.nodes):
        builder.scope = node.scope
        changed = (not node.domain and change(node)) or changed
    builder.graph.sort()
    return changed


class _Bytes:
    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.narrowed: dict[tuple[Tensor, tuple[int, ...], str], tuple[Tensor, Array] | None] = {}
        self.operands: dict[Tensor, list[Tensor]] = {}

    # -- weights alone -----------------------------
    def store(self, node: Node) -> bool:
        if node.op_type == "Gather":
            return self._store_table(node)
        changed = False
        for place in _WEIGHTS.get(node.op_type, ()):
            weights = node.inputs[place]
            made = None if weights is None else self._narrow(weights, _summed(node, place, weights), "int8")
            if made is not None:
                whole, scale = made
                floats = self.builder.unfolded_cast(whole, "float32")
                node.set_input(place, self.builder.node("Mul", floats, scale))
                changed = True
        return changed

    def _store_table(self, node: Node) -> bool:
        """``Gather(table[V, D], places[...])``: each row has a scale, and only the taken ones become floats."""
        table, places = node.inputs
        if (
            table is None
            or places is None
            or table.rank != 2
            or node.attributes.get("axis", 0) not in (0, -2)
        ):
            return False
        made = self._narrow(table, (1,), "int8")
        if made is None or places.data is not None:
            return False
        rows = self.builder.cast(self.builder.node("Gather", made[0], places, axis=0), "float32")
        scales = self.builder.node("Gather", self.builder.constant(made[1]), places, axis=0)
        put(self.builder.graph, node.output, self.builder.node("Mul", rows, scales))
        return True

    # -- products of whole numbers -----------------------------
    def compute(self, node: Node) -> bool:
        if node.op_type not in ("Conv", "Gemm", "MatMul") or not _is_plain(node):
            return False
        x, weights, *rest = node.inputs
        if x is None or weights is None or x.data is not None or x.dtype != "float32" or x.rank < 2:
            return False
        made = self._narrow(weights, _summed(node, 1, weights), "uint8")
        if made is None:
            return False
        whole, scale = made
        sizes = node.output.sizes
        if node.op_type == "Conv":
            channel = (-1, *[1] * (weights.rank - 2))
            y = self._product("ConvInteger", x, whole, scale.reshape(channel), sizes, node.attributes)
        else:
            channel = (-1,)
            if node.attributes.get("transB"):
                whole = self.builder.node("Transpose", whole, perm=[1, 0])
            if weights.rank == 2:
                scale = scale.reshape(-1)
            y = self._product("MatMulInteger", x, whole, scale, sizes, {})
        if rest and rest[0] is not None:
            bias = self.builder.reshape(rest[0], channel) if node.op_type == "Conv" else rest[0]
            y = self.builder.node("Add", y, bias, as_sizes=sizes)
        put(self.builder.graph, node.output, y)
        return True

    def _product(
        self,
        op_type: str,
        x: Tensor,
        whole: Tensor,
        scale: Array,
        sizes: Sequence[Size],
        attributes: dict[str, Any],
    ) -> Tensor:
        if x not in self.operands:
            results = [("uint8", x.sizes), ("float32", ()), ("uint8", ())]
            self.operands[x] = self.builder.several("DynamicQuantizeLinear", results, x)
        rounded, of_x, zero = self.operands[x]
        middle = self.builder.constant(_ZERO, "uint8")
        y = self.builder.node(
            op_type, rounded, whole, zero, middle, as_dtype="int32", as_sizes=sizes, **attributes
        )
        scales = self.builder.node("Mul", of_x, scale)
        return self.builder.node("Mul", self.builder.cast(y, "float32"), scales, as_sizes=sizes)

    # -- both -----------------------------
    def _narrow(self, weights: Tensor, summed: tuple[int, ...], dtype: str) -> tuple[Tensor, Array] | None:
        """Weights as whole numbers, plus 128 in uint8, and their scales, of size 1 along the summed axes.

        None for other tensors, for few numbers, and where one is not finite.
        """
        key = (weights, summed, dtype)
        if key not in self.narrowed:
            self.narrowed[key] = self._made(weights, summed, dtype)
        return self.narrowed[key]

    def _made(self, weights: Tensor, summed: tuple[int, ...], dtype: str) -> tuple[Tensor, Array] | None:
        data = weights.data
        if data is None or data.dtype != "float32" or data.count < _LEAST or len(data.shape) < 2:
            return None
        largest = np.abs(data.load()).max(summed, keepdims=True)
        if not np.isfinite(largest).all():
            return None
        scale = np.where(largest > _TINY, largest / np.float32(_HIGH), np.float32(1))
        shift = _ZERO if dtype == "uint8" else 0

        def load() -> Array:
            return (np.clip(np.rint(data.load() / scale), -_HIGH, _HIGH) + shift).astype(dtype)

        return self.builder.stored(Data(data.shape, dtype, load), weights.stem or "weights"), scale


def _summed(node: Node, place: int, weights: Tensor) -> tuple[int, ...]:
    """The axes of weights that a product sums over: they share a scale. Of a convolution also those of its window."""
    axes = range(weights.rank)
    if node.op_type in ("Conv", "ConvTranspose"):
        channel = 0 if node.op_type == "Conv" else 1
        return tuple(axis for axis in axes if axis != channel)
    if node.op_type == "Gemm":
        return (1,) if node.attributes.get("transB") else (0,)
    if node.op_type == "MatMul":
        return (axes[-1],) if place == 0 or weights.rank < 2 else (axes[-2],)
    return (
        axes[-1],
    )  # W[directions, gates, features] and R[directions, gates, units] of the recurrent operators


def _is_plain(node: Node) -> bool:
    return not node.attributes.get("transA") and all(
        node.attributes.get(n, 1.0) == 1.0 for n in ("alpha", "beta")
    )
