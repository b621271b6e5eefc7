"""Remarks on a node without a usable reading: repairs that insert no node, and limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..ir.axis import SPATIAL, Axis, Role
from ..ir.size import Truth, same
from .candidate import Remark, remark
from .placements import MAX_RANK

Axes = tuple[Axis, ...]


def besides(operands: Sequence[Axes]) -> tuple[Remark, ...]:
    """What may be meant although no inserted node does it: one remark, or none."""
    found = (look(operands) for look in _LOOKS if operands)
    return next(((item,) for item in found if item is not None), ())


def _too_many_axes(operands: Sequence[Axes]) -> Remark | None:
    longest = max(map(len, operands), default=0)
    return remark("many-axes", axes=longest) if longest > MAX_RANK else None


def _several(operands: Sequence[Axes]) -> Remark | None:
    return remark("several-operands") if len(operands) > 2 else None


def _projection(operands: Sequence[Axes]) -> Remark | None:
    places = _differing(operands)
    x, y = operands[0], operands[-1]
    if places != [len(x) - 1] or {x[-1].role, y[-1].role} & SPATIAL:
        return None
    return remark("projection", sizes=(x[-1].size, y[-1].size))


def _positions(operands: Sequence[Axes]) -> Remark | None:
    places = _differing(operands)
    x, y = operands[0], operands[-1]
    if not places or any(not ({x[p].role, y[p].role} & SPATIAL) for p in places):
        return None
    return remark("positions", sizes=[(x[p].size, y[p].size) for p in places])


def _batches(operands: Sequence[Axes]) -> Remark | None:
    x, y = operands[0], operands[-1]
    if _differing(operands) != [0] or not x[0].role is y[0].role is Role.BATCH:
        return None
    return remark("batches", sizes=(x[0].size, y[0].size))


_LOOKS: tuple[Callable[[Sequence[Axes]], Remark | None], ...] = (
    _too_many_axes,
    _several,
    _projection,
    _positions,
    _batches,
)


def _differing(operands: Sequence[Axes]) -> list[int]:
    """The places at which two operands of one rank have sizes that do not fit."""
    if len(operands) != 2 or len(operands[0]) != len(operands[1]):
        return []
    pairs = enumerate(zip(*operands, strict=True))
    return [i for i, (a, b) in pairs if 1 not in (a.size, b.size) and same(a.size, b.size) is Truth.NO]
