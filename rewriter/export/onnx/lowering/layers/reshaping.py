"""Reshaping layers: Reshape, Flatten, Permute, RepeatVector, ZeroPadding, Cropping."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .....shapes.layers.reshaping import pairs
from ...emitter import Emitter
from ...graph import Tensor
from ...registry import layer
from .._resize import resized
from .._windows import from_first, to_first


@layer("Reshape")
def reshape(call: Emitter) -> Tensor:
    """``reshape(x[B, ...], target_shape) -> [B, *target_shape]``."""
    return call.reshape(call.x, call.sizes)


@layer("Flatten")
def flatten(call: Emitter) -> Tensor:
    """``flatten(x[B, S..., C]) -> [B, S*...*C]``; channels first are moved to the end before."""
    x = call.x
    if call.channels_first() and x.rank > 1:
        x = call.transpose(x, [0, *range(2, x.rank), 1])
    return call.reshape(x, call.sizes)


@layer("Permute")
def permute(call: Emitter) -> Tensor:
    """``permute(x[B, 1, 2, 3], dims=(2, 3, 1)) -> [B, 2, 3, 1]``."""
    return call.transpose(call.x, [0, *call.get("dims")])


@layer("RepeatVector")
def repeat_vector(call: Emitter) -> Tensor:
    """``repeat_vector(x[B, F], n) -> [B, n, F]``."""
    return call.op("Tile", call.unsqueeze(call.x, 1), [1, call.integer("n", 1), 1])


def _ends(dimensions: int, name: str, default: Any, sign: int) -> Callable[[Emitter], Tensor]:
    def lowering(call: Emitter) -> Tensor:
        """``pad(x[B, S..., C], (a, b)...) -> [B, S+a+b..., C]``; cropping removes as much."""
        given = pairs(call, name, call.get(name, default), dimensions)
        first = call.channels_first() if (dimensions, sign) != (1, -1) else False
        x = call.x
        places = range(2, x.rank) if first else range(1, x.rank - 1)
        before, after = [0] * x.rank, [0] * x.rank
        for place, (start, end) in zip(places, given, strict=True):
            before[place], after[place] = start, end
        if sign > 0:
            return call.pad(x, before, after)
        for place in places:
            if before[place] or after[place]:
                x = call.slice(x, place, before[place], -after[place] if after[place] else None)
        return x

    return lowering


for _n in (1, 2, 3):
    layer(f"ZeroPadding{_n}D")(_ends(_n, "padding", 1, +1))
    layer(f"Cropping{_n}D")(_ends(_n, "cropping", 1 if _n != 2 else 0, -1))


def _repeated(call: Emitter, x: Tensor, places: Sequence[int], factors: Sequence[int]) -> Tensor:
    """``repeat(x[a, b], 2, axis=1) -> [a, 2*b]``, for several axes."""
    wanted = [size * dict(zip(places, factors, strict=True)).get(n, 1) for n, size in enumerate(x.sizes)]
    if x.dtype in ("float16", "float32") and places[0] > 1:
        scales = [float(dict(zip(places, factors, strict=True)).get(n, 1)) for n in range(x.rank)]
        return call.op(
            "Resize",
            x,
            None,
            call.constant(scales, "float32"),
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
            as_sizes=wanted,
        )
    new = [place + n + 1 for n, place in enumerate(places)]
    spread = call.unsqueeze(x, *new)
    times = iter(factors)
    target = [next(times) if n in new else 1 for n in range(spread.rank)]
    sizes = [t if n in new else s for n, (t, s) in enumerate(zip(target, spread.sizes, strict=True))]
    return call.reshape(call.op("Expand", spread, target, as_sizes=sizes), wanted)


@layer("UpSampling1D")
def up_sampling_1d(call: Emitter) -> Tensor:
    """``upsample(x[B, T, C], size) -> [B, T*size, C]``."""
    return _repeated(call, call.x, [1], [call.integer("size", 1, 2)])


@layer("UpSampling2D", "UpSampling3D")
def up_sampling(call: Emitter) -> Tensor:
    """``upsample(x[B, S..., C], size) -> [B, S*size..., C]``; images can also be interpolated."""
    x, first = call.x, call.channels_first()
    factors = call.integers("size", x.rank - 2, 1, 2)
    interpolation = call.text("interpolation", "nearest").lower()
    if interpolation == "nearest":
        places = list(range(2, x.rank))
        return from_first(call, _repeated(call, to_first(call, x, first), places, factors), first)
    spatial = x.sizes[2:] if first else x.sizes[1:-1]
    wanted = [size * factor for size, factor in zip(spatial, factors, strict=True)]
    return call.cast(resized(call, x, wanted, interpolation, first=first), call.compute)
