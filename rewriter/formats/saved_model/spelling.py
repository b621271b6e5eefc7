"""How TensorFlow writes the steps of a plan. The writer turns the configuration into constants and attributes."""

from __future__ import annotations

from typing import Any

from ...errors import UnsupportedError
from ...ir.graph import Literal
from ...ir.size import Size
from ...rules.lower import Step

MODULE = "tf"


def spell(step: Step) -> tuple[str, str, dict[str, Any], tuple[Any, ...]]:
    """Module, operator, attributes and further arguments of a step.

    Further arguments follow the tensors, or ``...`` among them marks the place of the tensors.

    Raises:
        UnsupportedError: TensorFlow has no single operator for it.
    """
    if step.like is not None:
        return MODULE, "SelectV2", {}, (Literal(True, (), "bool"), ...)
    if step.op == "Repeat":
        return MODULE, "GatherV2", {"batch_dims": 0}, (_repeated(step), Literal(step.axes[0], (), "int32"))
    if step.op == "MatMul":
        return MODULE, "BatchMatMulV2", {}, ()
    if step.op == "Squeeze":
        return MODULE, "Squeeze", {"squeeze_dims": list(step.axes)}, ()
    if step.op == "ExpandDims":
        return MODULE, "ExpandDims", {"axes": list(step.axes)}, ()  # the writer makes one node per axis
    if step.op not in _CONSTANT:
        raise UnsupportedError(f"TensorFlow has no operator for {step.op}")
    vectors = _CONSTANT[step.op](step)
    return MODULE, step.op, {}, tuple(Literal(vector, (len(vector),), "int32") for vector in vectors)


def _repeated(step: Step) -> Literal:
    """The indices for a gather that repeats each entry of an axis."""
    size, times = step.to[step.axes[0]], step.repeats[0]
    if not isinstance(size, int):
        raise UnsupportedError(f"entries repeat only along an axis of known size, not of size {size}")
    return Literal([i // times for i in range(size)], (size,), "int32")


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
