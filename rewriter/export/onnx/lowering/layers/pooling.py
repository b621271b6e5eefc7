"""Pooling: by windows, global and adaptive, in one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Callable

from ...emitter import Emitter
from ...graph import Tensor
from ...registry import layer
from .._windows import adaptive_pool, pool


def _pool(dimensions: int, kind: str) -> Callable[[Emitter], Tensor]:
    def lowering(call: Emitter) -> Tensor:
        """``pool(x[B, S..., C]) -> [B, S'..., C]``."""
        size = call.integers("pool_size", dimensions, 1, 2)
        strides = size if call.get("strides") is None else call.integers("strides", dimensions, 1)
        padding = call.text("padding", "valid")
        return pool(
            call, call.x, kind, size=size, strides=strides, padding=padding, first=call.channels_first()
        )

    return lowering


def _global(kind: str) -> Callable[[Emitter], Tensor]:
    def lowering(call: Emitter) -> Tensor:
        """``global_pool(x[B, S..., C]) -> [B, C]``, or ``[B, 1..., C]`` with keepdims."""
        x = call.x
        places = list(range(2, x.rank)) if call.channels_first() else list(range(1, x.rank - 1))
        return call.reduce(kind, x, places, keepdims=call.flag("keepdims"))

    return lowering


@layer("GlobalAveragePooling1D", "GlobalAvgPool1D")
def global_average_1d(call: Emitter) -> Tensor:
    """``global_average(x[B, T, C]) -> [B, C]`` over the unmasked steps."""
    x = call.x
    mask = call.optional(1, "mask")
    if mask is None:
        mask = x.mask
    if mask is None:
        return _global("ReduceMean")(call)
    first, keep = call.channels_first(), call.flag("keepdims")
    steps = [2 if first else 1]
    kept = call.unsqueeze(call.cast(mask, "bool"), 1 if first else 2)
    total = call.reduce("ReduceSum", call.op("Where", kept, x, call.constant(0, x.dtype)), steps, keep)
    return call.op("Div", total, call.reduce("ReduceSum", call.cast(kept, x.dtype), steps, keep))


def _adaptive(dimensions: int, kind: str) -> Callable[[Emitter], Tensor]:
    def lowering(call: Emitter) -> Tensor:
        """``adaptive_pool(x[B, S..., C]) -> [B, output_size..., C]``."""
        size = call.integers("output_size", dimensions, 1)
        return adaptive_pool(call, call.x, kind, size=size, first=call.channels_first())

    return lowering


for _n in (1, 2, 3):
    layer(f"MaxPooling{_n}D", f"MaxPool{_n}D")(_pool(_n, "MaxPool"))
    layer(f"AveragePooling{_n}D", f"AvgPool{_n}D")(_pool(_n, "AveragePool"))
    layer(f"GlobalMaxPooling{_n}D", f"GlobalMaxPool{_n}D")(_global("ReduceMax"))
    layer(f"AdaptiveMaxPooling{_n}D")(_adaptive(_n, "MaxPool"))
    layer(f"AdaptiveAveragePooling{_n}D")(_adaptive(_n, "AveragePool"))
for _n in (2, 3):
    layer(f"GlobalAveragePooling{_n}D", f"GlobalAvgPool{_n}D")(_global("ReduceMean"))
