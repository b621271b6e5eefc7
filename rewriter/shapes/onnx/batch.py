"""Which axis is the batch: an ONNX file does not state it, so it is inferred from the operators."""

from __future__ import annotations

from ...ir.axis import Axis, Known, Role, record


def takes_as_batch(axis: Axis) -> None:
    """Hint that an operator uses the axis as the batch; a known role stays. No hint for size 1: often inserted."""
    if axis.factors or axis.size == 1:
        return

    def play(known: Known) -> None:
        if known.role(axis.origin) is Role.UNKNOWN:
            known.hint(axis.origin, Role.BATCH)

    record(play)
