"""How ONNX writes the steps of a plan.

The configuration holds the attributes of the older opsets (``shape``, ``axes``, ``repeats``). The writer turns those
that are inputs in the model's opset into inputs.
"""

from __future__ import annotations

from typing import Any

from ...errors import UnsupportedError
from ...ir.graph import Literal
from ...ir.size import Size
from ...rules.lower import Step
from .reader import MODULE

_MOST_INDICES = 1 << 22


def spell(step: Step) -> tuple[str, str, dict[str, Any], tuple[Any, ...]]:
    """Module, operator, attributes and further arguments of a step.

    Further arguments follow the tensors, or ``...`` among them marks the place of the tensors.

    Raises:
        UnsupportedError: ONNX has no single operator for it.
    """
    if step.like is not None:
        return MODULE, "Where", {}, (Literal(True, (), "bool"), ...)
    if step.op == "Repeat":
        return MODULE, "Gather", {"axis": step.axes[0]}, (_repeated(step),)
    name, config = _spelled(step)
    return MODULE, name, config, ()


def _repeated(step: Step) -> Literal:
    """The indices for a gather that repeats each entry of an axis."""
    size, times = step.to[step.axes[0]], step.repeats[0]
    if not isinstance(size, int):
        raise UnsupportedError(f"ONNX repeats entries only along an axis of known size, not of size {size}")
    if size > _MOST_INDICES:
        raise UnsupportedError(f"repeating an axis to {size:,} entries needs an index in the file for each")
    return Literal([i // times for i in range(size)], (size,), "int64")


def _spelled(step: Step) -> tuple[str, dict[str, Any]]:
    if step.op == "Reshape":
        return "Reshape", {"shape": _target(step.to)}
    if step.op == "Transpose":
        return "Transpose", {"perm": list(step.axes)}
    if step.op == "ExpandDims":
        return "Unsqueeze", {"axes": list(step.axes)}
    if step.op == "Squeeze":
        return "Squeeze", {"axes": list(step.axes)}
    if step.op == "Tile":
        return "Tile", {"repeats": list(step.repeats)}
    if step.op == "Slice":
        sizes = _target(step.to)
        places = [i for i, size in enumerate(sizes) if size >= 0]
        return "Slice", {"starts": [0] * len(places), "ends": [sizes[i] for i in places], "axes": places}
    if step.op == "MatMul":
        return "MatMul", {}
    raise UnsupportedError(f"ONNX has no operator for {step.op}")


def _target(sizes: tuple[Size, ...]) -> list[int]:
    return [size if isinstance(size, int) else -1 for size in sizes]
