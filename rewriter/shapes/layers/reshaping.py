"""Reshaping layers: Reshape, Flatten, Permute, RepeatVector, UpSampling, ZeroPadding, Cropping.

They cast floats to the layer's compute dtype; integers keep theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ...ir.axis import Value, merge_axes, new_axis, unit_axis
from ..broadcast import holds_batch
from ..call import Call, Configured, ShapeError, layer, need_rank
from ..facts import transposed
from ..reshape import reshape
from ..spatial import Image, autocast, image, resized

_MAX_RANK = 253  # TensorFlow's 254, less the batch


@layer("Reshape")
def reshape_layer(call: Call) -> Value:
    """``reshape(x[B, ...], target_shape) -> [B, *target_shape]``; a -1 is computed.

    Raises:
        ShapeError: also if axes other than the first hold the batch, and the target has no -1: one batch size only.
    """
    axes = call.axes
    if not axes:
        raise ShapeError("takes a tensor with a batch axis")
    target = call.get("target_shape")
    if not isinstance(target, (list, tuple)):
        raise call.bad("target_shape", target, "a list of whole numbers")
    if len(target) > _MAX_RANK:
        raise call.bad("target_shape", f"a list of {len(target)}", f"at most {_MAX_RANK} sizes")
    sizes = [-1 if size is None else call.whole("target_shape", size, -1) for size in target]
    if sizes.count(-1) > 1:
        raise call.bad("target_shape", target, "at most one -1")
    stray = next((axis for axis in axes[1:] if holds_batch(axis)), None)
    if stray is not None and -1 not in sizes:
        raise ShapeError(
            f"its target has {math.prod(sizes)} elements for each sample, and it takes {stray}, which holds the batch: "
            "one batch size only"
        )
    return call.like([axes[0], *reshape(axes[1:], sizes)], autocast(call, call.x))


@layer("Flatten")
def flatten(call: Call) -> Value:
    """``flatten(x[B, S..., C]) -> [B, S*...*C]``; with channels first, the channels are first moved to the end."""
    axes = call.axes
    if not axes:
        raise ShapeError("takes a tensor with a batch axis")
    rest = axes[1:]
    if call.channels_first() and rest:
        rest = (*rest[1:], rest[0])
    merged = merge_axes(rest, "Flatten") if rest else unit_axis("Flatten")
    return call.like([axes[0], merged], autocast(call, call.x))


@layer("Permute")
def permute(call: Call) -> Value:
    """``permute(x[B, 1, 2, 3], dims=(2, 3, 1)) -> [B, 2, 3, 1]``."""
    value = call.get("dims")
    if not isinstance(value, (list, tuple)):
        raise call.bad("dims", value, "a list of whole numbers")
    dims = [call.whole("dims", d, 1) for d in value]
    if sorted(dims) != list(range(1, len(dims) + 1)):
        raise call.bad("dims", value, f"a permutation of 1 to {len(dims)}")
    need_rank(call.x, len(dims) + 1)
    return replace(transposed(call.x, [0, *dims]), dtype=autocast(call, call.x))


@layer("RepeatVector")
def repeat_vector(call: Call) -> Value:
    """``repeat_vector(x[B, F], n) -> [B, n, F]``; the new axis gets no role: only its use shows whether it is time.

    With ``n=1`` it is a unit axis that the author wrote, as with ``expand_dims(x, 1)``.
    """
    batch, feature = need_rank(call.x, 2)
    count = call.integer("n", 1)
    new = unit_axis("RepeatVector") if count == 1 else new_axis(count)
    return call.like([batch, new, feature], autocast(call, call.x))


@layer("UpSampling1D")
def up_sampling_1d(call: Call) -> Value:
    """``upsample(x[B, T, C], size) -> [B, T*size, C]``."""
    factor = call.integer("size", 1, 2)
    x = image(call, 1, first=False)
    return call.like(
        x.join([resized(x.spatial[0], x.spatial[0].size * factor)], x.channel), autocast(call, call.x)
    )


def _up_sampling(dimensions: int) -> Callable[[Call], Value]:
    def rule(call: Call) -> Value:
        """``upsample(x[B, S..., C], size) -> [B, S*size..., C]``."""
        factors = call.integers("size", dimensions, 1, 2)
        x = image(call, dimensions)
        spatial = [resized(axis, axis.size * k) for axis, k in zip(x.spatial, factors, strict=True)]
        return call.like(x.join(spatial, x.channel), autocast(call, call.x))

    return rule


def pairs(call: Configured, name: str, value: Any, dimensions: int) -> list[tuple[int, int]]:
    """What is added or cropped before and after each spatial axis, from one number, one for each axis, or pairs."""
    if dimensions == 1 and isinstance(value, (list, tuple)):
        value = [value]
    values = value if isinstance(value, (list, tuple)) else [value] * dimensions
    if len(values) != dimensions:
        raise call.bad(name, value, f"{dimensions} pairs of whole numbers")
    result = []
    for item in values:
        pair = item if isinstance(item, (list, tuple)) else (item, item)
        if len(pair) != 2:
            raise call.bad(name, value, f"{dimensions} pairs of whole numbers")
        result.append((call.whole(name, pair[0], 0), call.whole(name, pair[1], 0)))
    return result


def _ends(dimensions: int, name: str, default: Any, sign: int) -> Callable[[Call], Value]:
    def rule(call: Call) -> Value:
        """``pad(x[B, S..., C], (a, b)...) -> [B, S+a+b..., C]``; cropping gives ``S-a-b``."""
        given = pairs(call, name, call.get(name, default), dimensions)
        # Cropping1D has no data_format: one that a file states anyway must not change the layout.
        x: Image = image(call, dimensions, first=False if (dimensions, sign) == (1, -1) else None)
        spatial = [
            resized(axis, axis.size + sign * (before + after), name)
            for axis, (before, after) in zip(x.spatial, given, strict=True)
        ]
        return call.like(x.join(spatial, x.channel), autocast(call, call.x))

    return rule


for _n in (2, 3):
    layer(f"UpSampling{_n}D")(_up_sampling(_n))
for _n in (1, 2, 3):
    layer(f"ZeroPadding{_n}D")(_ends(_n, "padding", 1, +1))
    layer(f"Cropping{_n}D")(_ends(_n, "cropping", 1 if _n != 2 else 0, -1))
