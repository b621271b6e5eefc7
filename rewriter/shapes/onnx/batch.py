"""Which axis is the batch: in ONNX only an operator says it."""

from __future__ import annotations

from ...ir.axis import Axis, Known, Role, record


def takes_as_batch(axis: Axis) -> None:
    """An operator takes the axis as the batch; it stays what it is known to be. One of size 1 is often inserted."""
    if axis.factors or axis.size == 1:
        return

    def play(known: Known) -> None:
        if known.role(axis.origin) is Role.UNKNOWN:
            known.hint(axis.origin, Role.BATCH)

    record(play)
