"""Reshape by row-major factorisation, which maps axes of the result to axes of the operand."""

from __future__ import annotations

from collections.abc import Sequence

from ..ir.axis import Axis, AxisFacts, Role, merge_axes, new_axis, unit_axis
from ..ir.size import Size, Truth, divide, floordiv, is_beyond, is_unknown, product, same, unknown
from .call import ShapeError

_SPLIT = AxisFacts(split=True)


def reshape(axes: Sequence[Axis], target: Sequence[Size]) -> tuple[Axis, ...]:
    """``reshape(x[a, b, c], target) -> [target]``; one entry of ``target`` may be -1, which is computed.

    An axis that the factorisation locates keeps its identity, unit axes are inserted and dropped freely, and merged
    axes become factors.

    Raises:
        ShapeError: the element counts differ, or the -1 has no integer value.
    """
    sizes = resolve(axes, target)
    return factorise(axes, sizes)


def resolve(axes: Sequence[Axis], target: Sequence[Size]) -> list[Size]:
    """The target with its -1 computed. Raises ShapeError where the element counts differ."""
    sizes = list(target)
    total = product(a.size for a in axes)
    holes = [i for i, size in enumerate(sizes) if size == -1]
    if len(holes) > 1:
        raise ShapeError(f"a target shape with more than one -1: {list(map(str, sizes))}")
    rest = product(s for i, s in enumerate(sizes) if i not in holes)
    # Pairs of samples: a target with the batch once, or not at all, fits at one batch alone.
    pairs = sum(axis.role is Role.BATCH for axis in axes) > 1 and not is_unknown(rest)
    if is_beyond(total) or is_beyond(rest):
        raise ShapeError("more elements than a tensor can have")
    if holes:
        quotient = divide(total, rest) if rest != 0 else None
        if quotient is None:
            if isinstance(total, int) and isinstance(rest, int):
                raise ShapeError(
                    f"{total} elements cannot be reshaped to {_text(target)}: {rest} does not divide them"
                )
            if pairs:
                raise ShapeError(f"{total} elements cannot be reshaped to {_text(target)} at every batch")
            # The model runs only where the quotient is an integer, and then it is this one.
            quotient = floordiv(total, rest) if isinstance(rest, int) and rest > 0 else unknown()
        sizes[holes[0]] = quotient
    elif pairs and same(total, rest) is Truth.UNKNOWN:
        raise ShapeError(f"{total} elements cannot be reshaped to {_text(target)} at every batch")
    elif same(total, rest) is Truth.NO:
        raise ShapeError(f"{total} elements cannot be reshaped to {_text(target)}, which has {rest}")
    return sizes


def factorise(axes: Sequence[Axis], sizes: Sequence[Size]) -> tuple[Axis, ...]:
    """The axes of a row-major reshape to ``sizes``; each is traced to source axes where the boundaries coincide."""
    source = [leaf for axis in axes for leaf in axis.flat() if leaf.size != 1]
    result: list[Axis] = []
    take = 0
    pending: list[int] = []
    have: Size = 1
    want: Size = 1
    start = 0
    for size in sizes:
        if size == 1:
            result.append(unit_axis("Reshape"))
            continue
        pending.append(len(result))
        result.append(new_axis(size, facts=_SPLIT))
        want = want * size
        while same(have, want) is not Truth.YES and take < len(source) and not _exceeds(have, want):
            have = have * source[take].size
            take += 1
        if same(have, want) is Truth.YES:
            _assign(result, pending, source[start:take])
            pending, start, have, want = [], take, 1, 1
    return tuple(result)


def _assign(result: list[Axis], places: list[int], segment: Sequence[Axis]) -> None:
    """Assign a segment of source axes to places of the same product: one place merges them, several split one axis."""
    if len(places) == 1:
        result[places[0]] = merge_axes(segment)
    elif len(segment) == 1:
        for place in places:
            result[place] = new_axis(result[place].size, derived=segment[0], facts=_SPLIT)


def _exceeds(have: Size, want: Size) -> bool:
    if isinstance(have, int) and isinstance(want, int):
        return have >= want
    if is_unknown(have) or is_unknown(want):
        return same(have, want) is Truth.YES
    difference = have - want
    return (
        isinstance(difference, int)
        and difference > 0
        or (not isinstance(difference, int) and difference.minimum is not None and difference.minimum > 0)
    )


def _text(target: Sequence[Size]) -> str:
    return "(" + ", ".join(map(str, target)) + ")"
