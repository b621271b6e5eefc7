"""Shapes that a function computes: integers, some of which are unknown sizes of tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..messages import NodeDef
from .folding import Array, folded
from .library import Unable

_MOST = 64  # sizes in one vector
_LARGEST = 2**31 - 1


class Ref(NamedTuple):
    """A tensor of the model: an output of a call of a layer."""

    layer: str
    call: int
    output: int


class Size(NamedTuple):
    """A product: ``factor`` times the sizes in ``of``, each given by a tensor and an axis."""

    factor: int
    of: tuple[tuple[Ref, int], ...]


class Sizes(NamedTuple):
    """A vector of sizes, or a scalar size. ``of``: the tensor whose full shape the vector is, or None."""

    parts: tuple[int | Size, ...]
    scalar: bool
    dtype: str
    of: Ref | None = None


def shape_of(ref: Ref, shape: Sequence[int | None], dtype: str) -> Sizes | Array:
    """``tf.shape(x)``, with known sizes as numbers. Raises Unable."""
    parts = tuple(Size(1, ((ref, axis),)) if size is None else size for axis, size in enumerate(shape))
    return _found(Sizes(parts, False, dtype, ref))


def computed(node: NodeDef, operands: Sequence[Any]) -> Sizes | Array | None:
    """The result of an operator on sizes and constants; None if it is not a vector of sizes. Raises Unable."""
    known = [_sizes(operand) for operand in operands]
    make = _MADE.get(node.op)
    if make is None or any(each is None for each in known):
        return None
    result = make(node, known)
    return None if result is None or len(result.parts) > _MOST else _found(result)


def _found(sizes: Sizes) -> Sizes | Array:
    if any(isinstance(part, int) and abs(part) > _LARGEST for part in sizes.parts):
        raise Unable("it computes with sizes that are too large")
    if any(isinstance(part, Size) for part in sizes.parts):
        return sizes
    array = np.array(sizes.parts, sizes.dtype)
    return array.reshape(()) if sizes.scalar else array


def _sizes(operand: Any) -> Sizes | None:
    if isinstance(operand, Sizes):
        return operand
    whole = isinstance(operand, np.ndarray) and operand.dtype in ("int32", "int64") and operand.ndim < 2
    if not whole or operand.size > _MOST:
        return None
    return Sizes(tuple(operand.reshape(-1).tolist()), operand.ndim == 0, operand.dtype.name)


def _places(node: NodeDef, sizes: Sizes, others: Sequence[Sizes], take: Callable[..., Array]) -> Sizes | None:
    """The result on sizes of an operator that only moves numbers: it is applied to their positions."""
    if any(isinstance(part, Size) for each in others for part in each.parts):
        return None
    places = np.arange(len(sizes.parts), dtype="int64")
    found = take(places.reshape(()) if sizes.scalar else places, *(_found(each) for each in others))
    if found.ndim > 1:
        return None
    return Sizes(tuple(sizes.parts[k] for k in found.reshape(-1).tolist()), found.ndim == 0, sizes.dtype)


def _moved(node: NodeDef, operands: Sequence[Sizes]) -> Sizes | None:
    first, *others = operands
    return _places(node, first, others, lambda *arrays: folded(node, arrays))


def _cast(node: NodeDef, operands: Sequence[Sizes]) -> Sizes | None:
    dtype = node.attribute("DstT")
    return operands[0]._replace(dtype=dtype, of=None) if dtype in ("int32", "int64") else None


def _joined(node: NodeDef, operands: Sequence[Sizes]) -> Sizes | None:
    *vectors, axis = operands
    if axis.parts not in ((0,), (-1,)) or not vectors or any(each.scalar for each in vectors):
        return None
    return Sizes(tuple(part for each in vectors for part in each.parts), False, vectors[0].dtype)


def _packed(node: NodeDef, operands: Sequence[Sizes]) -> Sizes | None:
    if node.attribute("axis") or not operands or not all(each.scalar for each in operands):
        return None
    return Sizes(tuple(each.parts[0] for each in operands), False, operands[0].dtype)


def _multiplied(node: NodeDef, operands: Sequence[Sizes]) -> Sizes | None:
    a, b = operands
    if len(a.parts) != 1 or len(b.parts) != 1:
        return None
    product = _product([*a.parts, *b.parts])
    return None if product is None else Sizes((product,), a.scalar and b.scalar, a.dtype)


def _prod(node: NodeDef, operands: Sequence[Sizes]) -> Sizes | None:
    sizes, axis = operands
    if sizes.scalar or axis.parts not in ((0,), (-1,)):
        return None
    product = _product(sizes.parts)
    return None if product is None else Sizes((product,), not node.attribute("keep_dims"), sizes.dtype)


def _product(parts: Sequence[int | Size]) -> int | Size | None:
    """The product of sizes; None if it is too large."""
    factor = math.prod(part.factor if isinstance(part, Size) else part for part in parts)
    of = tuple(each for part in parts if isinstance(part, Size) for each in part.of)
    if len(of) > _MOST or abs(factor) > _LARGEST:
        return None
    return Size(factor, of) if of else factor


_MADE: dict[str, Callable[[NodeDef, Any], Sizes | None]] = {
    **dict.fromkeys(("StridedSlice", "GatherV2", "Reshape", "ExpandDims", "Squeeze"), _moved),
    "Cast": _cast, "ConcatV2": _joined, "Mul": _multiplied, "Pack": _packed, "Prod": _prod,
}  # fmt: skip
