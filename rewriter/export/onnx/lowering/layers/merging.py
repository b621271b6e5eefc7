"""Merge layers: Add, Multiply and other elementwise merges, Concatenate, Dot."""

from __future__ import annotations

from collections.abc import Callable

from .....ir.size import product
from .....shapes.dtypes import result_type
from ...emitter import Emitter
from ...graph import Tensor
from ...registry import layer
from .._normalization import unit_norm


def _aligned(call: Emitter) -> list[Tensor]:
    """The operands with missing axes inserted at position 1, as the layers do."""
    rank = max(t.rank for t in call.inputs)
    return [call.unsqueeze(t, *range(1, 1 + rank - t.rank)) for t in call.inputs]


def _chain(call: Emitter, op_type: str) -> Tensor:
    first, *rest = _aligned(call)
    result = first
    for other in rest:
        dtype = result_type(result.dtype, other.dtype)
        result = call.op(op_type, call.cast(result, dtype), call.cast(other, dtype))
    return _with_mask(call, result)


def _with_mask(call: Emitter, result: Tensor) -> Tensor:
    """The result with a mask if every operand has one: true where any of them is."""
    masks = [t.mask for t in call.inputs]
    if any(t is result for t in call.inputs) and len(masks) > 1:
        result = call.identity(result)
    found = [m for m in masks if m is not None]
    if found and len(found) == len(masks) and len(masks) > 1:
        mask = found[0]
        for other in found[1:]:
            mask = call.op("Or", mask, other)
        result.mask = mask
    return result


def _elementwise(op_type: str) -> Callable[[Emitter], Tensor]:
    def lowering(call: Emitter) -> Tensor:
        """``merge([x[B, ...], y[B, ...]]) -> [B, ...]``."""
        return _chain(call, op_type)

    return lowering


for _name, _op_type in (
    ("Add", "Add"),
    ("Subtract", "Sub"),
):
    layer(_name)(_elementwise(_op_type))


def _masks(call: Emitter, operands: list[Tensor]) -> list[Tensor | None]:
    """The mask of each operand as ``[B, T, 1]``. Keras drops the mask of an operand that gets new axes."""
    found: list[Tensor | None] = []
    for given, operand in zip(call.inputs, operands, strict=True):
        mask = given.mask if given is operand else None
        if mask is not None and mask.rank != operand.rank - 1:
            raise call.refuse("the mask of an operand does not have an entry for each of its vectors")
        found.append(None if mask is None else call.unsqueeze(mask, mask.rank))
    return found


@layer("Multiply")
def multiply(call: Emitter) -> Tensor:
    """``multiply([x[B, ...], y[B, ...]]) -> [B, ...]``; masked elements count as 1, the result is 0 where all are.

    Source: ``layers/merging/multiply.py``, Keras 3.15.
    """
    operands = _aligned(call)
    masks = _masks(call, operands)
    if all(mask is None for mask in masks):
        return _chain(call, "Mul")
    filled = [
        x if mask is None else call.op("Where", mask, x, call.constant(1, x.dtype))
        for x, mask in zip(operands, masks, strict=True)
    ]
    result = filled[0]
    for other in filled[1:]:
        dtype = result_type(result.dtype, other.dtype)
        result = call.op("Mul", call.cast(result, dtype), call.cast(other, dtype))
    result = _with_mask(call, result)
    whole = [mask for mask in masks if mask is not None]
    if len(whole) < len(masks):
        return result
    any_of = whole[0]
    for mask in whole[1:]:
        any_of = call.op("Or", any_of, mask)
    kept = result.mask
    result = call.op("Where", any_of, result, call.constant(0, result.dtype))
    result.mask = kept
    return result


def _extreme(op_type: str) -> Callable[[Emitter], Tensor]:
    def lowering(call: Emitter) -> Tensor:
        """``merge([x[B, ...], y[B, ...]]) -> [B, ...]``; the other operand replaces masked elements.

        Source: ``_apply_merge_op_and_or_mask`` of ``layers/merging/base_merge.py``, Keras 3.15.
        """
        operands = _aligned(call)
        masks = _masks(call, operands)
        if all(mask is None for mask in masks):
            return _chain(call, op_type)
        dtype = result_type(*(x.dtype for x in operands))
        result, kept = call.cast(operands[0], dtype), masks[0]
        for x, mask in zip(operands[1:], masks[1:], strict=True):
            other = call.cast(x, dtype)
            other = other if mask is None else call.op("Where", mask, other, result)
            result = result if kept is None else call.op("Where", kept, result, other)
            kept = None if mask is None or kept is None else call.op("Or", kept, mask)
            result = call.op(op_type, result, other)
        return _with_mask(call, result)

    return lowering


layer("Maximum")(_extreme("Max"))
layer("Minimum")(_extreme("Min"))


@layer("Average")
def average(call: Emitter) -> Tensor:
    """``average([x[B, ...], y[B, ...]]) -> [B, ...]``."""
    total = _chain(call, "Add")
    result = call.op("Div", call.cast(total, call.dtype), len(call.inputs))
    result.mask = total.mask
    return result


@layer("Concatenate")
def concatenate(call: Emitter) -> Tensor:
    """``concatenate([x[B, n, C], y[B, m, C]], axis=1) -> [B, n+m, C]``."""
    axis = call.axis(call.get("axis", -1), call.x.rank)
    given = call.inputs
    result = call.concat([call.cast(t, call.dtype) for t in given], axis)
    if result is given[0] or all(t.mask is None for t in given):
        return result
    whole = [_whole_mask(call, t) for t in given]
    joined = call.cast(call.concat(whole, axis), "int32")
    result.mask = call.cast(call.reduce("ReduceMax", joined, [-1]), "bool")
    return result


def _whole_mask(call: Emitter, x: Tensor) -> Tensor:
    """The mask of an operand, broadcast to its sizes; all true if it has none."""
    if x.mask is None:
        return call.expand(call.constant(True), x.sizes)
    mask = x.mask if x.mask.rank == x.rank else call.unsqueeze(x.mask, x.mask.rank)
    return call.expand(mask, x.sizes)


@layer("Dot")
def dot(call: Emitter) -> Tensor:
    """``dot([x[B, M, K], y[B, K, N]], axes=(2, 1)) -> [B, M, N]``; two vectors give ``[B, 1]``."""
    x, y = (call.cast(t, call.dtype) for t in call.inputs)
    axes = call.get("axes")
    pair = axes if isinstance(axes, (list, tuple)) else (axes, axes)
    i, j = call.axis(pair[0], x.rank), call.axis(pair[1], y.rank)
    if call.flag("normalize"):
        x, y = unit_norm(call, x, [i], 1e-7), unit_norm(call, y, [j], 1e-7)
    x = call.transpose(x, [*(n for n in range(x.rank) if n != i), i])
    y = call.transpose(y, [0, j, *(n for n in range(1, y.rank) if n != j)])
    rows = call.reshape(x, [x.sizes[0], product(x.sizes[1:-1]), x.sizes[-1]])
    columns = call.reshape(y, [y.sizes[0], y.sizes[1], product(y.sizes[2:])])
    return call.reshape(call.op("MatMul", rows, columns), call.sizes)
