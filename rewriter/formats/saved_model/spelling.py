"""How TensorFlow writes the steps of a plan. The writer turns the configuration into constants and attributes."""

from __future__ import annotations

import itertools
from typing import Any

from ...errors import UnsupportedError
from ...ir.graph import Literal
from ...ir.size import Size
from ...rules.lower import Step
from ..repeated import indices

MODULE = "tf"
_MOST = 2**31 - 1  # the constants are of the type int32


def spell(step: Step) -> tuple[str, str, dict[str, Any], tuple[Any, ...]]:
    """Module, operator, attributes and further arguments of a step.

    Further arguments follow the tensors, or ``...`` among them marks the place of the tensors.

    Raises:
        UnsupportedError: TensorFlow has no single operator for it, or a number does not fit in a constant.
    """
    if step.like is not None:
        return MODULE, "SelectV2", {}, (Literal(True, (), "bool"), ...)
    if step.op == "Repeat":
        return (
            MODULE,
            "GatherV2",
            {"batch_dims": 0},
            (indices(step, "int32"), Literal(step.axes[0], (), "int32")),
        )
    if step.op == "MatMul":
        return MODULE, "BatchMatMulV2", {}, ()
    if step.op == "Squeeze":
        return MODULE, "Squeeze", {"squeeze_dims": list(step.axes)}, ()
    if step.op == "ExpandDims":
        return MODULE, "ExpandDims", {"axes": list(step.axes)}, ()  # the writer makes one node per axis
    if step.op not in _CONSTANT:
        raise UnsupportedError(f"TensorFlow has no operator for {step.op}")
    vectors = _CONSTANT[step.op](step)
    for number in itertools.chain(*vectors):
        if number > _MOST:
            raise UnsupportedError(f"{step.op} needs the number {number:,}, which does not fit in 32 bits")
    return MODULE, step.op, {}, tuple(Literal(vector, (len(vector),), "int32") for vector in vectors)


def _target(sizes: tuple[Size, ...]) -> list[int]:
    return [size if isinstance(size, int) else -1 for size in sizes]


def _slice(step: Step) -> list[list[int]]:
    sizes = _target(step.to)
    return [[0] * len(sizes), sizes]


# The constants that follow the operand of an operator.
_CONSTANT: dict[str, Any] = {
    "Reshape": lambda step: [_target(step.to)],
    "Transpose": lambda step: [list(step.axes)],
    "Tile": lambda step: [list(step.repeats)],
    "Slice": _slice,
}
