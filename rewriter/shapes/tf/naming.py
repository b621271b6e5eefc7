"""How a node of TensorFlow is called here: what it says by a constant becomes configuration, as in Keras and ONNX.

An axis that is a tensor of its own is not an operand of a join, and a sum says over which axes it goes. A product of
matrices that takes one of them transposed is an operator of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

REDUCTIONS = "All Any EuclideanNorm Max Mean Min Prod Sum"
_AXIS_OF = frozenset([*REDUCTIONS.split(), "ArgMax", "ArgMin", "ExpandDims"])
# The operators that join: the place of the input that is the axis, from the front or from the end.
_JOINS = {"ConcatV2": -1, "Concat": 0}
# Products of matrices, with the attributes by which they take an operand transposed.
_PRODUCTS = {
    "MatMul": ("transpose_a", "transpose_b"),
    "BatchMatMul": ("adj_x", "adj_y"),
    "BatchMatMulV2": ("adj_x", "adj_y"),
    "BatchMatMulV3": ("adj_x", "adj_y"),
}
# The outputs of operators with several, as functions call them; all others with a rule have one, or one list.
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
    """``places`` are the inputs that are operands."""

    class_name: str
    config: dict[str, Any]
    places: tuple[int, ...]
    opaque: str = ""


def named(op: str, config: Mapping[str, Any], constants: Mapping[int, Any], count: int) -> Named:
    """The name, configuration and operands of a node.

    Args:
        config: its attributes.
        constants: the numbers of its inputs, where they are constants; None where not.
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
