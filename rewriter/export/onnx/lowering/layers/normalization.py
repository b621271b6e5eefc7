"""Normalisation layers, with the trained statistics."""

from __future__ import annotations

from ...emitter import Emitter
from ...graph import Tensor
from ...registry import layer
from .._normalization import along, at_least_float32, group_norm, layer_norm, rms_norm, scaled, unit_norm


def _axes(call: Emitter) -> list[int]:
    value = call.get("axis", -1)
    values = value if isinstance(value, (list, tuple)) else (value,)
    return [call.axis(v, call.x.rank) for v in values]


def _variables(call: Emitter) -> tuple[Tensor | None, Tensor | None, int]:
    """gamma, beta and how many of them exist."""
    names = [name for name, option in (("gamma", "scale"), ("beta", "center")) if call.flag(option, True)]
    found = {name: call.weight(f"vars/{n}", name, "float32") for n, name in enumerate(names)}
    return found.get("gamma"), found.get("beta"), len(found)


@layer("BatchNormalization", "SyncBatchNormalization")
def batch_normalization(call: Emitter) -> Tensor:
    """``batch_norm(x[B, S..., C], axis=-1) -> [B, S..., C]``: a product and a sum with constants."""
    gamma, beta, count = _variables(call)
    mean = call.weight(f"vars/{count}", "moving_mean", "float32")
    variance = call.weight(f"vars/{count + 1}", "moving_variance", "float32")
    axes = _axes(call)
    x = at_least_float32(call, call.x)
    mean, variance = (along(call, call.cast(t, x.dtype), axes, x) for t in (mean, variance))
    y = scaled(call, x, mean, variance, gamma, beta, axes, call.number("epsilon", 1e-3))
    return call.cast(y, call.compute)


@layer("LayerNormalization")
def layer_normalization(call: Emitter) -> Tensor:
    """``layer_norm(x[...], axis=-1) -> [...]``."""
    x, epsilon = call.x, call.number("epsilon", 1e-3)
    axes = sorted(_axes(call))
    if call.flag("rms_scaling"):
        gamma = _in_order(call, call.weight("vars/0", "gamma", "float32"))
        return call.cast(_by_variance(call, x, gamma, axes, epsilon), call.compute)
    gamma_, beta = (None if v is None else _in_order(call, v) for v in _variables(call)[:2])
    return call.cast(layer_norm(call, x, gamma_, beta, axes, epsilon), call.compute)


def _in_order(call: Emitter, weight: Tensor) -> Tensor:
    """A weight over the axes as numbered in the configuration, reshaped to their order in ``x``.

    Source: ``LayerNormalization.build`` sorts the numbers as configured, ``-1`` before ``1``; ``_layer_normalization``
    in ``keras/src/ops/nn.py`` reshapes the weight and does not transpose it (Keras 3.15).
    """
    axis = call.get("axis", -1)
    numbers = sorted(axis) if isinstance(axis, (list, tuple)) else [axis]
    places = [call.axis(number, call.x.rank) for number in numbers]
    sizes = dict(zip(places, weight.sizes, strict=True))
    return call.reshape(weight, [sizes[place] for place in sorted(sizes)])


def _by_variance(call: Emitter, x: Tensor, gamma: Tensor, axes: list[int], epsilon: float) -> Tensor:
    """``x / sqrt(variance + epsilon) * gamma``, which Keras calls ``rms_scaling``."""
    from .._normalization import moments

    wide = at_least_float32(call, x)
    _, variance = moments(call, wide, axes)
    y = call.op("Div", wide, call.op("Sqrt", call.op("Add", variance, epsilon)))
    return call.op("Mul", y, along(call, call.cast(gamma, wide.dtype), axes, wide))


@layer("GroupNormalization")
def group_normalization(call: Emitter) -> Tensor:
    """``group_norm(x[B, S..., C], groups) -> [B, S..., C]``."""
    gamma, beta, _ = _variables(call)
    groups, epsilon = call.integer("groups", -1, 32), call.number("epsilon", 1e-3)
    return call.cast(group_norm(call, call.x, gamma, beta, _axes(call)[0], groups, epsilon), call.compute)


@layer("RMSNormalization")
def rms_normalization(call: Emitter) -> Tensor:
    """``rms_norm(x[...], axis=-1) -> [...]``."""
    scale = call.weight("vars/0", "scale")
    return rms_norm(call, call.x, scale, sorted(_axes(call)), call.number("epsilon", 1e-6))


@layer("UnitNormalization")
def unit_normalization(call: Emitter) -> Tensor:
    """``unit_norm(x[...], axis=-1) -> [...]``: of length 1 along the axes."""
    return unit_norm(call, call.x, _axes(call))
