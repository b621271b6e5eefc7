"""Normalisation over axes, for layers and ops alike. All but ``unit_norm`` use float32 at least, as Keras does."""

from __future__ import annotations

from collections.abc import Sequence

from ....ir.size import Size
from ..emitter import Emitter
from ..graph import Tensor
from ..refusal import Refused


def at_least_float32(call: Emitter, x: Tensor) -> Tensor:
    return call.cast(x, "float64" if x.dtype == "float64" else "float32")


def moments(call: Emitter, x: Tensor, axes: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Mean and variance over axes, which stay with size 1."""
    mean = call.reduce("ReduceMean", x, axes, keepdims=True)
    apart = call.op("Sub", x, mean)
    return mean, call.reduce("ReduceMean", call.op("Mul", apart, apart), axes, keepdims=True)


def layer_norm(
    call: Emitter,
    x: Tensor,
    gamma: Tensor | None,
    beta: Tensor | None,
    axes: Sequence[int],
    epsilon: float,
) -> Tensor:
    """``(x - mean) / sqrt(variance + epsilon) * gamma + beta`` over axes; gamma and beta have their sizes.

    The operator if the axes are the last ones and have fixed sizes; written out otherwise.
    """
    wide = at_least_float32(call, x)
    sizes = [wide.sizes[a] for a in axes]
    trailing = list(axes) == list(range(x.rank - len(axes), x.rank)) and all(
        isinstance(s, int) for s in sizes
    )
    if trailing:
        scale = call.expand(call.constant(1, wide.dtype), sizes) if gamma is None else gamma
        scale = call.cast(call.reshape(scale, sizes), wide.dtype)
        shift = None if beta is None else call.cast(call.reshape(beta, sizes), wide.dtype)
        y = call.op("LayerNormalization", wide, scale, shift, axis=axes[0] - x.rank, epsilon=epsilon)
        return call.cast(y, x.dtype)
    mean, variance = moments(call, wide, axes)
    return call.cast(scaled(call, wide, mean, variance, gamma, beta, axes, epsilon), x.dtype)


def scaled(
    call: Emitter,
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    gamma: Tensor | None,
    beta: Tensor | None,
    axes: Sequence[int],
    epsilon: float,
) -> Tensor:
    """``x * inv + (beta - mean * inv)`` with ``inv = gamma / sqrt(variance + epsilon)``; gamma's axes are ``axes``."""
    inverse = call.op("Reciprocal", call.op("Sqrt", call.op("Add", variance, epsilon)))
    if gamma is not None:
        inverse = call.op("Mul", inverse, along(call, call.cast(gamma, x.dtype), axes, x))
    shift = call.op("Neg", call.op("Mul", mean, inverse))
    if beta is not None:
        shift = call.op("Add", along(call, call.cast(beta, x.dtype), axes, x), shift)
    return call.op("Add", call.op("Mul", x, inverse), shift)


def along(call: Emitter, weight: Tensor, axes: Sequence[int], x: Tensor) -> Tensor:
    """A weight with the sizes of some axes of ``x``, in their order, shaped to broadcast along them."""
    if list(axes) == list(range(x.rank - len(axes), x.rank)):
        return weight
    sizes: list[Size] = [1] * x.rank
    for place, size in zip(axes, weight.sizes, strict=True):
        sizes[place] = size
    first = min(axes)
    return call.reshape(weight, sizes[first:])


def rms_norm(call: Emitter, x: Tensor, scale: Tensor | None, axes: Sequence[int], epsilon: float) -> Tensor:
    """``x / sqrt(mean(x**2) + epsilon) * scale``; the scale applies to the last axes, whichever were normalised.

    Where these are the last axes, with fixed sizes, a fusion writes it as one operator.
    """
    wide = at_least_float32(call, x)
    square = call.reduce("ReduceMean", call.op("Mul", wide, wide), axes, keepdims=True)
    y = call.op("Div", wide, call.op("Sqrt", call.op("Add", square, epsilon)))
    if scale is not None:
        y = call.op("Mul", y, call.cast(scale, wide.dtype))
    return call.cast(y, x.dtype)


def unit_norm(call: Emitter, x: Tensor, axes: Sequence[int], epsilon: float = 1e-12) -> Tensor:
    """``x / max(sqrt(sum(x**2)), epsilon)``."""
    square = call.reduce("ReduceSum", call.op("Mul", x, x), axes, keepdims=True)
    length = call.op("Max", call.op("Sqrt", square), call.constant(epsilon, x.dtype))
    return call.op("Div", x, length)


def group_norm(
    call: Emitter,
    x: Tensor,
    gamma: Tensor | None,
    beta: Tensor | None,
    axis: int,
    groups: int,
    epsilon: float,
) -> Tensor:
    """Normalises groups of channels: ``[B, S..., (g c)] -> [B, S..., g, c]``, over all axes but B and g."""
    channels = x.sizes[axis]
    if not isinstance(channels, int):
        raise Refused("the number of channels is not fixed")
    count = channels if groups == -1 else groups
    inner = channels // count
    split = (*x.sizes[:axis], count, inner, *x.sizes[axis + 1 :])
    wide = at_least_float32(call, call.reshape(x, split))
    mean, variance = moments(call, wide, [n for n in range(1, wide.rank) if n != axis])
    shape = [count, inner]
    scale = None if gamma is None else call.reshape(gamma, shape)
    shift = None if beta is None else call.reshape(beta, shape)
    y = scaled(call, wide, mean, variance, scale, shift, [axis, axis + 1], epsilon)
    return call.reshape(call.cast(y, x.dtype), x.sizes)
