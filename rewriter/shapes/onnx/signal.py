"""Signals and their spectra (https://onnx.ai/onnx/operators/onnx__DFT.html, onnx__STFT.html)."""

from __future__ import annotations

from ...ir.axis import Role, Value, new_axis
from ...ir.size import Size, floordiv, unknown
from ..call import Call, known, need_rank, onnx_op
from ._operands import number, operand, optional


@onnx_op("DFT")
def dft(call: Call) -> Value:
    """``dft(x[..., n, 1 or 2]) -> [..., n, 2]``; with ``onesided``, ``n // 2 + 1`` frequencies."""
    x = operand(call, 0)
    axes = list(known(x))
    stated = optional(call, 2)
    place: Size | None = call.whole("axis", call.get("axis", 1)) if stated is None else number(stated)
    if stated is None and "axis" not in call.config and call.integer("opset", 0, 20) >= 20:
        place = -2
    length = optional(call, 1)
    whole = number(length) if length is not None else None
    last = new_axis(1 if call.flag("onesided") and call.flag("inverse") else 2)
    if not isinstance(place, int):
        return Value((*(new_axis(unknown()) for _ in axes[:-1]), last), x.dtype)
    place = call.axis(place, len(axes))
    size: Size = axes[place].size if length is None else unknown() if whole is None else whole
    if call.flag("onesided"):
        if not call.flag("inverse"):
            size = floordiv(size, 2) + 1
        elif length is None:
            size = (size - 1) * 2
    old = axes[place]
    axes[place] = old if size == old.size else new_axis(size, old.role, derived=old)
    return Value((*axes[:-1], last), x.dtype)


@onnx_op("STFT")
def stft(call: Call) -> Value:
    """``stft(x[b, n], step, window[w], w) -> [b, (n - w) // step + 1, w // 2 + 1, 2]``."""
    x = operand(call, 0)
    axes = need_rank(x, 2, 3)
    step, window, length = number(operand(call, 1)), optional(call, 2), optional(call, 3)
    width: Size | None = need_rank(window, 1)[0].size if window is not None else None
    if width is None and length is not None:
        width = number(length)
    bins: Size = unknown() if width is None else width
    frames: Size = unknown()
    if isinstance(step, int) and step > 0 and width is not None:
        frames = floordiv(axes[1].size - width, step) + 1
    if call.flag("onesided", True):
        bins = floordiv(bins, 2) + 1
    return Value(
        (axes[0], new_axis(frames, Role.TIME, derived=axes[1]), new_axis(bins), new_axis(2)), x.dtype
    )


@onnx_op("HannWindow", "HammingWindow", "BlackmanWindow")
def window(call: Call) -> Value:
    """``window(n) -> [n]``."""
    size = number(operand(call, 0))
    return Value((new_axis(unknown() if size is None else size),), "float32")


@onnx_op("MelWeightMatrix")
def mel_weights(call: Call) -> Value:
    """``mel_weights(bins, n, ...) -> [n // 2 + 1, bins]``."""
    bins, length = number(operand(call, 0)), number(operand(call, 1))
    rows = unknown() if length is None else floordiv(length, 2) + 1
    return Value((new_axis(rows), new_axis(unknown() if bins is None else bins)), "float32")
