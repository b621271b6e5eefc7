"""Merge layers: Add, Multiply and other elementwise ones, Concatenate, Dot."""

from __future__ import annotations

from functools import partial

from ...ir.axis import Axis, Value, joined_axis, new_axis, record
from ...ir.identities import Identities
from ...ir.size import Size, Truth, same
from ..broadcast import broadcast, fixes_batch, is_number, layouts_differ, leave_open, merging, only_at
from ..call import Call, ShapeError, known, layer
from ..dtypes import integral_to_float, product_type, quotient, result_type
from ..spatial import autocast, masked


@layer("Add", "Maximum", "Minimum")
def elementwise(call: Call) -> Value:
    """``add([x[B, ...], y[B, ...]]) -> [B, ...]``, missing axes inserted at position 1."""
    axes = _merged(call, _operands(call, 1))
    return masked(call.like(axes, _promoted(call)), _common_mask(call, axes))


@layer("Average")
def average(call: Call) -> Value:
    """``average([x[B, ...], y[B, ...]]) -> [B, ...]``, missing axes inserted at position 1."""
    axes = _merged(call, _operands(call, 1))
    return masked(call.like(axes, quotient(_promoted(call))), _common_mask(call, axes))


@layer("Subtract")
def subtract(call: Call) -> Value:
    """``subtract([x[B, ...], y[B, ...]]) -> [B, ...]``, missing axes inserted at position 1."""
    axes = _merged(call, _operands(call, 2, 2))
    return masked(call.like(axes, _promoted(call)), _common_mask(call, axes))


@layer("Multiply")
def multiply(call: Call) -> Value:
    """``multiply([x[B, ...], y[B, ...]]) -> [B, ...]``; its operands keep their own identity."""
    axes = _merged(call, _operands(call, 1), unify=False)
    return masked(call.like(axes, _promoted(call)), _common_mask(call, axes))


@layer("Concatenate")
def concatenate(call: Call) -> Value:
    """``concatenate([x[B, n, C], y[B, m, C]], axis=1) -> [B, n+m, C]``."""
    axes = joined(_operands(call, 1), call.get("axis", -1), call)
    mask = axes[:-1] if any(v.mask is not None for v in call.inputs) else None
    return masked(call.like(axes, _promoted(call)), mask)


def _operands(call: Call, least: int, most: int | None = None) -> list[tuple[Axis, ...]]:
    """The operands' axes. Raises ShapeError where there are too few or too many."""
    axes = [known(value) for value in call.inputs]
    if len(axes) < least or (most is not None and len(axes) > most):
        raise ShapeError(f"takes {least if least == most else 'one or more'} tensors, not {len(axes)}")
    return axes


def _merged(call: Call, operands: list[tuple[Axis, ...]], unify: bool = True) -> tuple[Axis, ...]:
    return broadcast(merging(call.built, operands), operands, unify)


def _promoted(call: Call) -> str:
    """The dtype that the operands are promoted to: floats are cast to the layer's compute dtype, integers are not.

    Keras 3.15 declares the compute dtype for integers too; this rule follows a real run.
    """
    return result_type(*(autocast(call, value) for value in call.inputs))


def _common_mask(call: Call, axes: tuple[Axis, ...]) -> tuple[Axis, ...] | None:
    """The mask of a merge, only where every operand has one; masks are broadcast like their operands."""
    return None if any(value.mask is None for value in call.inputs) else axes[:-1]


def joined(operands: list[tuple[Axis, ...]], axis: object, call: Call) -> tuple[Axis, ...]:
    """The axes of operands of one rank joined along ``axis``, which becomes a new axis of the summed size.

    Raises:
        ShapeError: the ranks or the sizes of another axis differ, or one batch is open and the other a number.
    """
    first = operands[0]
    place = call.axis(axis, len(first))
    total: Size = first[place].size
    result = list(first)
    fixed = ""
    for axes in operands[1:]:
        if len(axes) != len(first):
            raise ShapeError(f"cannot join tensors of rank {len(first)} and {len(axes)}")
        for number, (a, b) in enumerate(zip(result, axes, strict=True)):
            if number == place:
                continue
            if same(a.size, b.size) is Truth.NO:
                raise ShapeError(f"cannot join along axis {place}: axis {number} is {a} here and {b} there")
            if fixes_batch(a, b):
                fixed = fixed or only_at(a, b)
                result[number] = b if isinstance(a.size, int) else a
        total = total + axes[place].size
    parts = [axes[place] for axes in operands]
    result[place] = joined_axis(parts, total) if len(operands) > 1 else first[place]
    record(partial(_one_beside_another, operands, place, result[place]))
    if fixed:
        error = ShapeError(f"cannot join along axis {place}: {fixed}")
        error.by, error.made = call.operation, call.like(result)
        raise error
    return tuple(result)


def _one_beside_another(operands: list[tuple[Axis, ...]], place: int, made: Axis, known: Identities) -> None:
    """The effect of a join on identities: aligned axes except the joined one are the same, unless layouts differ."""
    columns = list(zip(*operands, strict=True))
    known.join(made.origin, (axis.origin for axis in columns[place] if axis.size != 1))
    if layouts_differ(known, columns):
        return
    for number, (first, *others) in enumerate(columns):
        for axis in others:
            one = same(first.size, axis.size) is Truth.YES and not (first.factors or axis.factors)
            if one and number != place:
                known.unify(first.origin, axis.origin)


@layer("Dot")
def dot(call: Call) -> Value:
    """``dot([x[B, M, K], y[B, K, N]], axes=(2, 1)) -> [B, M, N]``; two contracted vectors give ``[B, 1]``."""
    x, y = _operands(call, 2, 2)
    axes = call.get("axes")
    pair = axes if isinstance(axes, (list, tuple)) else (axes, axes)
    if len(pair) != 2:
        raise call.bad("axes", axes, "one axis or two")
    if len(x) < 2 or len(y) < 2:
        raise ShapeError("takes tensors of rank 2 or more")
    i, j = call.axis(pair[0], len(x), "axes"), call.axis(pair[1], len(y), "axes")
    if i == 0 or j == 0:
        raise ShapeError("contracts the batch axis")
    if same(x[i].size, y[j].size) is Truth.NO:
        raise ShapeError(f"contracts {x[i]} with {y[j]}: the sizes differ")
    leave_open(x[i], y[j])
    if call.builds and is_number(x[i]) != is_number(y[j]):
        raise ShapeError(
            f"contracts {x[i]} with {y[j]}: Keras builds it on two numbers or two open sizes only"
        )
    if same(x[0].size, y[0].size) is Truth.NO:
        raise ShapeError(f"the batches are {x[0]} and {y[0]}")
    if fixes_batch(x[0], y[0]):
        raise ShapeError(only_at(x[0], y[0]))
    kept = [*(a for n, a in enumerate(x) if n != i), *(a for n, a in enumerate(y) if n not in (0, j))]
    kinds = [autocast(call, value) for value in call.inputs]
    if call.flag("normalize"):
        kinds = [integral_to_float(kind) for kind in kinds]
    return call.like(kept if len(kept) > 1 else [*kept, new_axis(1)], product_type(*kinds))
