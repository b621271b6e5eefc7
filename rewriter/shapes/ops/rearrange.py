"""einops-style rearrangement."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from ...ir.axis import Value
from ...ir.size import Size, divide, floordiv, product, unknown
from ..call import Call, Configured, ShapeError, op
from ..facts import transposed
from ..reshape import reshape

_TOKEN = re.compile(r"\w+|\([\w\s]*\)")


@op("einops", "Rearrange")
def rearrange(call: Call) -> Value:
    """``rearrange(x[b, h*k, c], "b (h k) c -> b c h k", k=2) -> [b, c, h, k]``."""
    pattern = call.arg(1, "pattern")
    if not isinstance(pattern, str) or pattern.count("->") != 1:
        raise call.bad("pattern", pattern, "text with one ->")
    left, right = (groups(side) for side in pattern.split("->"))
    axes = call.axes
    if len(left) != len(axes):
        raise ShapeError(f"pattern {pattern!r} for a tensor of rank {len(axes)}")
    lengths = {k: v for k, v in call.kwargs.items() if k not in ("tensor", "pattern")}
    names = [name for group in left for name in group]
    parts = reshape(
        axes, [s for g, a in zip(left, axes, strict=True) for s in group_sizes(call, g, a.size, lengths)]
    )
    if sorted(names) != sorted(name for group in right for name in group) or len(set(names)) != len(names):
        raise call.bad("pattern", pattern, "the same distinct names on both sides")
    named = dict(zip(names, parts, strict=True))
    order = [names.index(name) for group in right for name in group]
    moved = transposed(replace(call.x, axes=parts), order)
    sizes = [product(named[n].size for n in group) for group in right]
    made = replace(moved, axes=reshape([named[names[i]] for i in order], sizes))
    return made if len(sizes) == len(order) else replace(made, facts=replace(made.facts, moved=()))


def groups(side: str) -> list[list[str]]:
    """The names of one side of a pattern, by axis."""
    return [re.findall(r"\w+", token) for token in _TOKEN.findall(side)]


def group_sizes(call: Configured, group: list[str], size: Size, lengths: dict[str, Any]) -> list[Size]:
    """The size of each name in a group that is one axis; at most one of them may be missing from ``lengths``."""
    given = [call.whole(name, lengths[name], 1) if name in lengths else None for name in group]
    if len(group) == 1:
        return [size]
    if given.count(None) > 1:
        raise ShapeError(f"the sizes of {group} cannot be computed from {size}")
    total = product(n for n in given if n is not None)
    rest = divide(size, total)
    if rest is None:
        if isinstance(size, int):
            raise ShapeError(f"{size} cannot be split into {group}: {total} does not divide it")
        rest = floordiv(size, total) if isinstance(total, int) else unknown()
    return [rest if n is None else n for n in given]
