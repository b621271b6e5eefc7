"""Layers that keep every axis: activations, dropout and noise."""

from __future__ import annotations

from collections.abc import Callable

from ...ir.axis import Role, Value
from ..call import Call, layer, need_rank
from ..spatial import SPATIAL_ROLES, autocast, hint_all, image, kept

# ThresholdedReLU is in files of Keras 2 only.
ACTIVATIONS = ("Activation", "LeakyReLU", "PReLU", "ELU", "ThresholdedReLU")
REGULARIZATION = ("ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise")


@layer(*ACTIVATIONS)
def activation(call: Call) -> Value:
    """``f(x[...]) -> [...]``."""
    return kept(call)


@layer("ReLU", *REGULARIZATION)
def passed(call: Call) -> Value:
    """``f(x[...]) -> [...]``; integers stay integers."""
    return kept(call, autocast(call, call.x))


@layer("Softmax")
def softmax(call: Call) -> Value:
    """``softmax(x[...], axis=-1) -> [...]``."""
    call.axis_tuple(call.get("axis", -1), len(call.axes))
    return kept(call)


@layer("SpatialDropout1D")
def spatial_dropout_1d(call: Call) -> Value:
    """``dropout(x[B, T, C]) -> [B, T, C]``."""
    hint_all(need_rank(call.x, 3)[1:], (*SPATIAL_ROLES[1], Role.CHANNEL))
    return passed(call)


def _spatial_dropout(dimensions: int) -> Callable[[Call], Value]:
    def rule(call: Call) -> Value:
        """``dropout(x[B, S..., C]) -> [B, S..., C]``; drops whole channels."""
        image(call, dimensions)
        return passed(call)

    return rule


for _n in (2, 3):
    layer(f"SpatialDropout{_n}D")(_spatial_dropout(_n))
