"""Passes that make the graph faster. Each keeps what is computed and returns whether it changed anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..builder import Builder
from .common import share_equal
from .convolutions import drop_zero_biases, fold_scales
from .dead import remove_dead, remove_identities
from .half import compute_in_half, drop_casts
from .layout import choose_layouts
from .pools import pad_inside, pool_globally
from .reshapes import merge_reshapes
from .transposes import cancel_transposes

Pass = Callable[[Builder], bool]

_FIRST: tuple[Pass, ...] = (remove_identities, cancel_transposes, share_equal)
# The passes of a stage repeat until none of them changes anything; layouts are chosen once. A Transpose that
# moves no number becomes a Reshape only afterwards: the choice of layouts needs it.
STAGES: tuple[tuple[Pass, ...], ...] = (
    (*_FIRST, remove_dead),
    (choose_layouts,),
    (*_FIRST, merge_reshapes, fold_scales, pool_globally, pad_inside, remove_dead),
    (drop_zero_biases, remove_dead),
)
HALF: tuple[tuple[Pass, ...], ...] = ((compute_in_half,), (drop_casts, share_equal, remove_dead))
_ONCE = frozenset({choose_layouts, compute_in_half})
_MAX_ROUNDS = 50


def optimise(builder: Builder, stages: Sequence[Sequence[Pass]] = STAGES) -> None:
    """Run the stages in order, each at most 50 times, and sort the nodes."""
    for stage in stages:
        for _ in range(1 if _ONCE & set(stage) else _MAX_ROUNDS):
            changed = [each(builder) for each in stage]
            if not any(changed):
                break
    builder.graph.sort()
