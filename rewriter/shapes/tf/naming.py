"""Names and configuration of TensorFlow nodes: constant inputs become configuration, as in Keras and ONNX.

The axis of a join is not an operand, and a reduction states its axes. A matrix product with a transposed operand is an
operator of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

REDUCTIONS = "All Any EuclideanNorm Max Mean Min Prod Sum"
_AXIS_OF = frozenset([*REDUCTIONS.split(), "ArgMax", "ArgMin", "ExpandDims"])
# The operators that join: the place of the axis among the inputs, from the front or from the end.
_JOINS = {"ConcatV2": -1, "Concat": 0}
# Matrix products, with the attributes that transpose an operand.
_PRODUCTS = {
    "MatMul": ("transpose_a", "transpose_b"),
    "BatchMatMul": ("adj_x", "adj_y"),
    "BatchMatMulV2": ("adj_x", "adj_y"),
    "BatchMatMulV3": ("adj_x", "adj_y"),
}
# Operators with several outputs, and the outputs' names in functions; all others with a rule have one, or one list.
_NORMALIZED = ("y", "batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2")
SEVERAL: dict[str, tuple[str, ...]] = {
    "FusedBatchNorm": _NORMALIZED,
    "FusedBatchNormV2": _NORMALIZED,
    "FusedBatchNormV3": (*_NORMALIZED, "reserve_space_3"),
    "MaxPoolWithArgmax": ("output", "argmax"),
    "SoftmaxCrossEntropyWithLogits": ("loss", "backprop"),
    "SparseSoftmaxCrossEntropyWithLogits": ("loss", "backprop"),
    "TopK": ("values", "indices"),
    "TopKV2": ("values", "indices"),
}
TRANSPOSED = "(transposed)"


@dataclass(frozen=True, slots=True)
class Named:
    """A node's name and configuration; ``places`` are the inputs that are operands, ``opaque`` why it has no rule."""

    class_name: str
    config: dict[str, Any]
    places: tuple[int, ...]
    opaque: str = ""


def named(op: str, config: Mapping[str, Any], constants: Mapping[int, Any], count: int) -> Named:
    """The name, configuration and operands of a node.

    Args:
        config: its attributes.
        constants: the numbers of its inputs, by place; None where an input is not a constant.
        count: how many inputs it has.
    """
    own, places = dict(config), tuple(range(count))
    if op in _AXIS_OF and constants.get(1) is not None:
        own["axis"] = constants[1]
    if op in _JOINS and count:
        place = _JOINS[op] % count
        axis = constants.get(place)
        places = tuple(number for number in places if number != place)
        if not isinstance(axis, int):
            return Named(op, own, places, "the axis along which it joins is known only when it runs")
        own["axis"] = axis
    if any(own.get(attribute) for attribute in _PRODUCTS.get(op, ())):
        return Named(f"{op}{TRANSPOSED}", own, places)
    return Named(op, own, places)
