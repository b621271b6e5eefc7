"""Constant folding: operators on constants, computed with NumPy as TensorFlow does."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..messages import NodeDef
from .library import MOST, Unable

Array = np.ndarray[Any, Any]
_MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
# Elementwise, in the type of their operands; TensorFlow requires equal types.
_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "AddV2": np.add, "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "RealDiv": np.divide, "Neg": np.negative,
    "Log": np.log, "Exp": np.exp, "Sqrt": np.sqrt, "Square": np.square, "Maximum": np.maximum, "Minimum": np.minimum,
    "Pow": np.power, "Rsqrt": lambda x: (1 / np.sqrt(x)).astype(x.dtype), "Abs": np.abs, "Floor": np.floor,
    "Ceil": np.ceil, "FloorDiv": np.floor_divide, "FloorMod": np.mod, "Equal": np.equal, "NotEqual": np.not_equal,
    "Less": np.less, "LessEqual": np.less_equal, "Greater": np.greater, "GreaterEqual": np.greater_equal,
    "LogicalAnd": np.logical_and, "LogicalOr": np.logical_or, "LogicalNot": np.logical_not, "SelectV2": np.where,
}  # fmt: skip


def folded(node: NodeDef, operands: Sequence[Array]) -> Array:
    """The result of an operator on constants. Raises Unable for an operator that is not computed here."""
    if node.op not in _ELEMENTWISE and node.op not in _MOVES:
        raise Unable(f"it computes {node.op} of constants")
    try:
        if _grown(node, operands) > MOST:
            raise Unable(f"it computes {node.op} of constants with too many numbers")
        with np.errstate(all="ignore"):
            found = np.asarray(
                _ELEMENTWISE[node.op](*operands)
                if node.op in _ELEMENTWISE
                else _MOVES[node.op](node, *operands)
            )
    except (IndexError, TypeError, ValueError):
        raise Unable(f"it computes {node.op} of constants that do not fit") from None
    if not np.isfinite(found).all():
        raise Unable(f"it computes {node.op} of constants with results that are not finite")
    return found


def parts(node: NodeDef, operands: Sequence[Array]) -> list[Array]:
    """The results of ``Split`` or ``Unpack`` on constants. Raises Unable."""
    axis, x = (
        (operands[0].item(), operands[1])
        if node.op == "Split"
        else (node.attribute("axis") or 0, operands[0])
    )
    count = node.attribute("num_split" if node.op == "Split" else "num")
    if not -x.ndim <= axis < x.ndim or not count or x.shape[axis] % count:
        raise Unable(f"it computes {node.op} of constants that do not fit")
    if node.op == "Unpack" and count != x.shape[axis]:
        raise Unable("it computes Unpack of constants that do not fit")
    found = np.split(x, count, axis)
    return found if node.op == "Split" else [np.squeeze(part, axis) for part in found]


def _grown(node: NodeDef, operands: Sequence[Array]) -> float:
    """The maximum count of numbers in the result, computed before the result."""
    if node.op in _ELEMENTWISE:
        return math.prod(np.broadcast_shapes(*(operand.shape for operand in operands)))
    if node.op == "Fill":
        return float(np.prod(operands[0].astype("float64")))
    if node.op in ("GatherV2", "ResourceGather"):
        return float(operands[0].size) * operands[1].size
    if node.op == "Tile":
        return operands[0].size * float(np.prod(operands[1].astype("float64")))
    return sum(operand.size for operand in operands)


def _squeeze(node: NodeDef, x: Array) -> Array:
    axes = node.attribute("squeeze_dims")
    return np.squeeze(x, tuple(axes) if axes else None)


def _slice(node: NodeDef, x: Array, begin: Array, end: Array, strides: Array) -> Array:
    masks = {name: node.attribute(name) or 0 for name in _MASKS}
    parts: list[Any] = []
    for k, (start, stop, step) in enumerate(zip(begin.tolist(), end.tolist(), strides.tolist(), strict=True)):
        has = {name for name, mask in masks.items() if mask >> k & 1}
        if "ellipsis_mask" in has:
            parts.append(Ellipsis)
        elif "new_axis_mask" in has:
            parts.append(None)
        elif "shrink_axis_mask" in has:
            parts.append(start)
        else:
            parts.append(
                slice(None if "begin_mask" in has else start, None if "end_mask" in has else stop, step)
            )
    found: Array = x[tuple(parts)]
    return found


def _pack(node: NodeDef, *parts: Array) -> Array:
    return np.stack(parts, node.attribute("axis") or 0)


def _range(node: NodeDef, start: Array, stop: Array, step: Array) -> Array:
    first, last, by = start.item(), stop.item(), step.item()
    if start.dtype.kind != "i" or by == 0 or abs((last - first) / by) > MOST:
        raise Unable("it computes a range that is not of integers, or is too long")
    return np.arange(first, last, by, dtype=start.dtype)


def _fill(node: NodeDef, shape: Array, value: Array) -> Array:
    return np.full(shape.tolist(), value)


def _take(node: NodeDef, table: Array, places: Array, axis: Any = 0) -> Array:
    if node.attribute("batch_dims") or (places < 0).any():
        raise Unable(f"it computes {node.op} of constants with batch axes or negative indices")
    found: Array = np.take(table, places, int(axis))
    return found


def _cast(node: NodeDef, x: Array) -> Array:
    dtype = node.attribute("DstT")
    if dtype not in ("float32", "float64", "int32", "int64", "bool"):
        raise Unable(f"it computes a constant of type {dtype}")
    return x.astype(dtype)


def _band(node: NodeDef, x: Array, lower: Array, upper: Array) -> Array:
    """A matrix with zeros outside a band of ``lower`` and ``upper`` diagonals; a negative count keeps all."""
    rows, columns = np.ogrid[: x.shape[-2], : x.shape[-1]]
    kept = ((lower < 0) | (rows - columns <= lower)) & ((upper < 0) | (columns - rows <= upper))
    return np.where(kept, x, np.zeros((), x.dtype))


_MOVES: dict[str, Callable[..., Any]] = {
    "Transpose": lambda node, x, axes: np.transpose(x, axes.tolist()),
    "ExpandDims": lambda node, x, axis: np.expand_dims(x, int(axis)),
    "Reshape": lambda node, x, shape: np.reshape(x, shape.tolist()),
    "ConcatV2": lambda node, *parts: np.concatenate(parts[:-1], int(parts[-1])),
    "Fill": _fill, "GatherV2": _take, "Range": _range, "ResourceGather": _take, "Squeeze": _squeeze,
    "StridedSlice": _slice, "Pack": _pack, "Cast": _cast, "MatrixBandPart": _band,
    "Tile": lambda node, x, multiples: np.tile(x, multiples.tolist()),
}  # fmt: skip
