"""An axis whose entries are repeated, for the formats that have no operator for it: a gather with written indices."""

from __future__ import annotations

from ..errors import UnsupportedError
from ..ir.graph import Literal
from ..rules.lower import Step

_MOST_INDICES = 1 << 22


def indices(step: Step, dtype: str) -> Literal:
    """The indices of a gather that repeats each entry of an axis.

    Raises:
        UnsupportedError: the size of the axis is not known, or the file would hold too many indices.
    """
    size, times = step.to[step.axes[0]], step.repeats[0]
    if not isinstance(size, int):
        raise UnsupportedError(f"entries repeat only along an axis of known size, not of size {size}")
    if size > _MOST_INDICES:
        raise UnsupportedError(f"repeating an axis to {size:,} entries needs an index in the file for each")
    return Literal([i // times for i in range(size)], (size,), dtype)
