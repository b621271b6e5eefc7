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
from ..repeated import indices
from .reader import MODULE


def spell(step: Step) -> tuple[str, str, dict[str, Any], tuple[Any, ...]]:
    """Module, operator, attributes and further arguments of a step.

    Further arguments follow the tensors, or ``...`` among them marks the place of the tensors.

    Raises:
        UnsupportedError: ONNX has no single operator for it.
    """
    if step.like is not None:
        return MODULE, "Where", {}, (Literal(True, (), "bool"), ...)
    if step.op == "Repeat":
        return MODULE, "Gather", {"axis": step.axes[0]}, (indices(step, "int64"),)
    name, config = _spelled(step)
    return MODULE, name, config, ()


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
