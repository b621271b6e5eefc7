"""Passes that make the graph faster. Each keeps what is computed and returns whether it changed anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ....errors import VerificationError
from ..builder import Builder
from .common import share_equal
from .convolutions import drop_zero_biases, fold_scales
from .dead import remove_dead, remove_identities
from .fusions import fuse, fuse_late
from .half import compute_in_half, drop_casts
from .layout import choose_layouts
from .pools import pad_inside, pool_globally
from .quantise import compute_in_bytes, store_in_bytes
from .reshapes import merge_reshapes
from .transposes import cancel_transposes


class Pass(Protocol):
    """Changes the graph; returns whether it changed anything."""

    __name__: str

    def __call__(self, builder: Builder, /) -> bool: ...


_FIRST: tuple[Pass, ...] = (remove_identities, cancel_transposes, share_equal)
# The passes of a stage repeat until none of them changes anything; layouts are chosen once. A Transpose that
# moves no number becomes a Reshape only afterwards: fusions and the choice of layouts need it.
STAGES: tuple[tuple[Pass, ...], ...] = (
    (*_FIRST, remove_dead),
    (fuse, *_FIRST, remove_dead),
    (choose_layouts,),
    (*_FIRST, merge_reshapes, fold_scales, pool_globally, pad_inside, remove_dead),
    (drop_zero_biases, fuse_late, merge_reshapes, *_FIRST, remove_dead),
)
HALF: tuple[tuple[Pass, ...], ...] = ((compute_in_half,), (drop_casts, share_equal, remove_dead))
# By the name of the option: what a product with 8 bits has no form for keeps at least its weights in 8 bits.
QUANTISE: dict[str, tuple[tuple[Pass, ...], ...]] = {
    "weights": ((store_in_bytes,), (share_equal, remove_dead)),
    "dynamic": ((compute_in_bytes,), (remove_dead,), (store_in_bytes,), (share_equal, remove_dead)),
}
_ONCE = frozenset({choose_layouts, compute_in_half, compute_in_bytes, store_in_bytes})
_MAX_ROUNDS = 50


def optimise(builder: Builder, stages: Sequence[Sequence[Pass]] = STAGES) -> None:
    """Run the stages in order, each until it changes nothing, and sort the nodes.

    Raises:
        VerificationError: a stage still changes the graph in its last round.
    """
    for stage in stages:
        if _ONCE & set(stage):
            for each in stage:
                each(builder)
        else:
            _repeat(builder, stage)
    builder.graph.sort()


def _repeat(builder: Builder, stage: Sequence[Pass]) -> None:
    changing: list[Pass] = []
    for _ in range(_MAX_ROUNDS):
        changing = [each for each in stage if each(builder)]
        if not changing:
            return
    names = ", ".join(each.__name__ for each in changing)
    raise VerificationError(f"the exported graph still changes after {_MAX_ROUNDS} rounds: {names}")
