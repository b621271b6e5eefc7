"""Merge layers: Add, Multiply and their kin, Concatenate, Dot."""

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
    """A merge has a mask where every operand has one: what any of them keeps."""
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
    ("Multiply", "Mul"),
    ("Maximum", "Max"),
    ("Minimum", "Min"),
):
    layer(_name)(_elementwise(_op_type))


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
    """The mask of an operand at every one of its places; all of them where it has none."""
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
