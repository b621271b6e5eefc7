"""Which axis is the batch: in ONNX only an operator says it."""

from __future__ import annotations

from ...ir.axis import Axis, Role


def takes_as_batch(axis: Axis) -> None:
    """An operator takes the axis as the batch; it stays what it is known to be. One of size 1 is often inserted."""
    if axis.role is Role.UNKNOWN and not axis.factors and axis.size != 1:
        axis.origin.hint(Role.BATCH)
