"""Normalisation layers: every axis stays; batch and group normalisation hint that their axis is the channels."""

from __future__ import annotations

from functools import partial
from typing import Any

from ...ir.axis import Axis, Role, Value, record
from ...ir.identities import Identities
from ..broadcast import Convention, broadcast
from ..call import Call, ShapeError, layer
from ..spatial import kept


# SyncBatchNormalization is in files of Keras 2 only.
@layer("BatchNormalization", "SyncBatchNormalization")
def batch_normalization(call: Call) -> Value:
    """``batch_norm(x[B, S..., C], axis=-1) -> [B, S..., C]``."""
    _hint_channel(call.axes, _one(call))
    return kept(call)


@layer("GroupNormalization")
def group_normalization(call: Call) -> Value:
    """``group_norm(x[B, S..., C], groups) -> [B, S..., C]``; ``groups=-1`` is one per channel."""
    axes = call.axes
    groups = call.integer("groups", -1, 32)
    if groups == 0:
        raise call.bad("groups", groups, "a positive number or -1")
    place = _one(call)
    channel = axes[place]
    if groups > 0 and isinstance(channel.size, int) and channel.size % groups:
        raise ShapeError(f"{channel} cannot be split into {groups} groups")
    _hint_channel(axes, place)
    return kept(call)


@layer("LayerNormalization", "UnitNormalization")
def layer_normalization(call: Call) -> Value:
    """``layer_norm(x[...], axis=-1) -> [...]``."""
    _several(call)
    return kept(call)


@layer("RMSNormalization")
def rms_normalization(call: Call) -> Value:
    """``rms_norm(x[...], axis=-1) -> [...]``; the result has no mask.

    The scale has the sizes of the normalised axes but is broadcast against the operand's last axes
    (``_rms_normalization`` in ``keras/src/ops/nn.py``, Keras 3.15): with another axis it cannot run, or runs wrongly.
    """
    axes = call.axes
    value = call.get("axis", -1)
    numbers = [call.whole("axis", n) for n in value] if isinstance(value, (list, tuple)) else [value]
    scale = tuple(axes[call.axis(number, len(axes))] for number in sorted(numbers))
    return call.like(broadcast(Convention.NUMPY, [axes, scale], unify=False), call.compute_dtype())


def _one(call: Call) -> int:
    """The configured axis; in files of Keras 2 it is a list of one."""
    value: Any = call.get("axis", -1)
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    return call.axis(value, len(call.axes))


def _several(call: Call) -> None:
    value = call.get("axis", -1)
    for number in value if isinstance(value, (list, tuple)) else (value,):
        call.axis(number, len(call.axes))


def _hint_channel(axes: tuple[Axis, ...], place: int) -> None:
    # The other axis of a tensor of rank 2 is the features of a vector, which can have any role.
    if place:
        record(partial(_note_others, axes, place))
        axes[place].origin.hint(Role.CHANNEL if len(axes) > 2 else Role.FEATURE)


def _note_others(axes: tuple[Axis, ...], place: int, known: Identities) -> None:
    """Note a conflict where another axis of the tensor is already its channels."""
    for axis in axes:
        other = known.identity(axis) != known.identity(axes[place])
        if other and axis.size != 1 and known.role(axis.origin) is Role.CHANNEL:
            known.note(
                f"{known.axis_text(axes[place])} is used as the channels, beside {known.axis_text(axis)}"
            )
