"""What is said where no reading is listed or none asked for: repairs that are no node to insert, and limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..ir.axis import SPATIAL, Axis, Role
from ..ir.size import Truth, same
from .placements import MAX_RANK

Axes = tuple[Axis, ...]


def unlisted(operands: Sequence[Axes]) -> str:
    """Why the list of readings is empty, and what could be meant besides."""
    return "no rule describes a product of such operands" + besides(operands)


def besides(operands: Sequence[Axes]) -> str:
    """What could be meant that no node inserted here does, as the rest of a sentence, or ""."""
    if not operands:
        return ""
    return next((f"; {text}" for look in _LOOKS if (text := look(operands))), "")


def _too_many_axes(operands: Sequence[Axes]) -> str:
    longest = max(map(len, operands), default=0)
    if longest <= MAX_RANK:
        return ""
    return f"with {longest} axes only the rules are tried, not every other placement: state yours with --at"


def _several(operands: Sequence[Axes]) -> str:
    if len(operands) < 3:
        return ""
    return "of three operands or more each one has to fit the largest: state another equation with --at"


def _projection(operands: Sequence[Axes]) -> str:
    places = _differing(operands)
    x, y = operands[0], operands[-1]
    if places != [len(x) - 1] or {x[-1].role, y[-1].role} & SPATIAL:
        return ""
    return (
        f"a projection from {x[-1].size} to {y[-1].size} would be a new Dense layer, whose weights the file does not "
        "have"
    )


def _positions(operands: Sequence[Axes]) -> str:
    places = _differing(operands)
    x, y = operands[0], operands[-1]
    if not places or any(not ({x[p].role, y[p].role} & SPATIAL) for p in places):
        return ""
    sizes = " and ".join(f"{x[p].size} against {y[p].size}" for p in places)
    return f"{sizes}: one side may be cropped or padded, or have lost a stride, and nothing shows which"


def _batches(operands: Sequence[Axes]) -> str:
    x, y = operands[0], operands[-1]
    if _differing(operands) != [0] or not x[0].role is y[0].role is Role.BATCH:
        return ""
    return f"batches of {x[0].size} and {y[0].size} samples: neither is made of the other"


_LOOKS: tuple[Callable[[Sequence[Axes]], str], ...] = (
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
