"""Pooling: by windows, global and adaptive, in one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Callable

from ...ir.axis import Value, new_axis, unit_axis
from ..call import Call, layer
from ..spatial import SPATIAL_ROLES, autocast, image, resized
from ..windows import window


def _dtype(call: Call) -> str | None:
    """The result's dtype: maxima of integers stay integers, averages have the layer's compute dtype."""
    return autocast(call, call.x) if "Max" in call.operation.class_name else call.compute_dtype()


def _pool(dimensions: int) -> Callable[[Call], Value]:
    def rule(call: Call) -> Value:
        """``pool(x[B, S..., C]) -> [B, S'..., C]``; the channel axis stays."""
        size = call.integers("pool_size", dimensions, 1, 2)
        given = call.get("strides") is not None
        strides = call.integers("strides", dimensions, 1) if given else size
        padding = call.text("padding", "valid", ("valid", "same"))
        x = image(call, dimensions)
        spatial = [
            resized(axis, window(axis.size, k, s, 1, padding), f"a window of {k}")
            for axis, k, s in zip(x.spatial, size, strides, strict=True)
        ]
        return call.like(x.join(spatial, x.channel), _dtype(call))

    return rule


def _global_pool(dimensions: int) -> Callable[[Call], Value]:
    def rule(call: Call) -> Value:
        """``global_pool(x[B, S..., C]) -> [B, C]``, or ``[B, 1..., C]`` with keepdims."""
        x = image(call, dimensions)
        ones = [unit_axis("keepdims", axis) for axis in x.spatial] if call.flag("keepdims") else []
        return call.like(x.join(ones, x.channel), _dtype(call))

    return rule


def _adaptive_pool(dimensions: int) -> Callable[[Call], Value]:
    def rule(call: Call) -> Value:
        """``adaptive_pool(x[B, S..., C]) -> [B, output_size..., C]``."""
        sizes = call.integers("output_size", dimensions, 1)
        x = image(call, dimensions)
        spatial = [
            new_axis(n, role, derived=axis)
            for n, role, axis in zip(sizes, SPATIAL_ROLES[dimensions], x.spatial, strict=True)
        ]
        return call.like(x.join(spatial, x.channel), _dtype(call))

    return rule


for _n in (1, 2, 3):
    layer(f"MaxPooling{_n}D", f"MaxPool{_n}D", f"AveragePooling{_n}D", f"AvgPool{_n}D")(_pool(_n))
    layer(
        f"GlobalMaxPooling{_n}D",
        f"GlobalMaxPool{_n}D",
        f"GlobalAveragePooling{_n}D",
        f"GlobalAvgPool{_n}D",
    )(_global_pool(_n))
    layer(f"AdaptiveMaxPooling{_n}D", f"AdaptiveAveragePooling{_n}D")(_adaptive_pool(_n))
