"""How Keras writes the steps of a plan: ops of ``keras.src.ops.numpy``, which cast nothing and add no layer.

A layer would cast its operand to its own dtype policy, and could not change the batch axis. It would also be counted
among the layers of its class, and Keras names the weights by that count.
"""

from __future__ import annotations

from typing import Any

from ...ir.size import Size
from ...rules.lower import Step

_MODULE = "keras.src.ops.numpy"


def spell(step: Step) -> tuple[str, str, dict[str, Any], tuple[Any, ...]]:
    """Module, class name, configuration (without the name) and the other arguments of a step.

    The other arguments follow the tensors; if ``...`` is among them, it marks the place of the tensors.
    """
    module, class_name, config = _spelled(step)
    if step.like is not None:
        return module, class_name, config, (True, ...)
    return module, class_name, config, ([0] * len(step.to),) if class_name == "Slice" else ()


def _spelled(step: Step) -> tuple[str, str, dict[str, Any]]:
    if step.like is not None:
        # `add` of zeros would be simpler, but Keras 3.15 treats an operand with one long axis as a bias
        # (backend/tensorflow/numpy.py, add): with a batch of 8 known, (1, 1, 8) + (8, 1, 1) is (1, 1, 8).
        return _MODULE, "Where", {}
    if step.op == "Reshape":
        return _MODULE, "Reshape", {"newshape": _target(step.to)}
    if step.op == "Transpose":
        return _MODULE, "Transpose", {"axes": list(step.axes)}
    if step.op == "ExpandDims":
        return _MODULE, "ExpandDims", {"axis": _axes(step)}
    if step.op == "Squeeze":
        return _MODULE, "Squeeze", {"axis": _axes(step)}
    if step.op == "Tile":
        return _MODULE, "Tile", {"repeats": list(step.repeats)}
    if step.op == "Repeat":
        return _MODULE, "Repeat", {"repeats": step.repeats[0], "axis": step.axes[0]}
    if step.op == "Slice" and step.axes:
        # Only the shape is used: a bool changes no dtype, and Keras before 3.10 refuses a slice with an open size.
        return _MODULE, "Any", {"axis": list(step.axes), "keepdims": True}
    if step.op == "Slice":
        return "keras.src.ops.core", "Slice", {"shape": _target(step.to)}
    if step.op == "MatMul":
        return _MODULE, "Matmul", {}
    raise ValueError(f"no spelling for {step.op}")


def line(step: Step, names: tuple[str, ...]) -> str:
    """The Keras line that a person would write for a step on operands of these names."""
    name = names[step.operand] if step.operand >= 0 else "y"
    if step.like is not None and step.lengths is not None:
        lengths = f"ops.any({names[step.like]}, axis={_tuple(list(step.lengths.axes))}, keepdims=True)"
        return f"{name} = ops.where(True, {name}, {lengths})"
    if step.op == "Reshape":
        return f"{name} = ops.reshape({name}, {_tuple(_target(step.to))})"
    if step.op == "Transpose":
        return f"{name} = ops.transpose({name}, {_tuple(list(step.axes))})"
    if step.op in ("ExpandDims", "Squeeze"):
        function = "expand_dims" if step.op == "ExpandDims" else "squeeze"
        return f"{name} = ops.{function}({name}, axis={_tuple(list(step.axes))})"
    if step.op == "Tile":
        return f"{name} = ops.tile({name}, {_tuple(list(step.repeats))})"
    if step.op == "Repeat":
        return f"{name} = ops.repeat({name}, {step.repeats[0]}, axis={step.axes[0]})"
    if step.op == "Slice":
        # Keras 3.15 refuses an index with a bare slice on a symbolic tensor (GetItem.compute_output_spec).
        return f"{name} = ops.slice({name}, {_tuple([0] * len(step.to))}, {_tuple(_target(step.to))})"
    if step.op == "MatMul":
        return f"y = ops.matmul({', '.join(names)})"
    raise ValueError(f"no spelling for {step.op}")


def _axes(step: Step) -> int | list[int]:
    """The axes of a step; one axis as a number, which Keras 3.0 accepts too."""
    return step.axes[0] if len(step.axes) == 1 else list(step.axes)


def _target(sizes: tuple[Size, ...]) -> list[int]:
    return [s if isinstance(s, int) else -1 for s in sizes]


def _tuple(numbers: list[int]) -> str:
    return f"({numbers[0]},)" if len(numbers) == 1 else f"({', '.join(map(str, numbers))})"
