"""Helpers of the Fourier transforms of frames: their windows, and a type of sufficient precision."""

from __future__ import annotations

import numpy as np

from ....ir.size import Size
from ..emitter import Emitter
from ..graph import Array, Tensor


def precise(dtype: str, size: Size) -> str:
    """The type to transform ``size`` numbers in.

    Where ``size`` is not a power of 2, ONNX Runtime 1.31 uses a convolution, which loses four digits of a float32.
    """
    return dtype if isinstance(size, int) and size & (size - 1) == 0 else "float64"


def window_of(call: Emitter, size: int) -> Array | None:
    """The window in the middle of ``size`` numbers; None for no window."""
    length, kind = call.get("sequence_length"), call.get("window", "hann")
    length = size if length is None else call.whole("sequence_length", length, 1)
    if kind is None:
        return None
    if isinstance(kind, str):
        # TensorFlow's windows are periodic for an even length only (``_raised_cosine_window``).
        turn = 2 * np.pi * np.arange(length) / max(length - length % 2, 1)
        named = {"hann": 0.5 - 0.5 * np.cos(turn), "hamming": 0.54 - 0.46 * np.cos(turn)}
        window = named.get(kind) if length > 1 else np.ones(1)
    else:
        window = np.asarray(kind.literal if isinstance(kind, Tensor) else kind, np.float64)
    if window is None or window.shape != (length,):
        raise call.bad("window", kind, f"hann, hamming or {length} numbers")
    before = (size - length) // 2
    return np.pad(window, (before, size - length - before))
