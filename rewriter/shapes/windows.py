"""Sizes of one spatial axis after a sliding window: convolution, pooling and transposed convolution.

Pure arithmetic on ``Size``. A result below 1 is returned unchanged: the caller, which has the axis, reports it.
Source: ``compute_conv_output_shape``, ``compute_pooling_output_shape`` in ``keras/src/ops/operation_utils.py`` and
``compute_conv_transpose_output_shape`` in ``keras/src/backend/common/backend_utils.py`` (Keras 3.15).
"""

from __future__ import annotations

from ..ir.size import Size, ceildiv, floordiv


def extent(kernel: int, dilation: int = 1) -> int:
    """How many positions a kernel spans: ``extent(3, 2) == 5``."""
    return dilation * (kernel - 1) + 1


def window(size: Size, kernel: int, stride: int = 1, dilation: int = 1, padding: str = "valid") -> Size:
    """``window(n, k, s, d, "valid") -> (n - d*(k-1) - 1) // s + 1``; ``"same"`` and ``"causal"``: ``ceil(n / s)``.

    Raises:
        ValueError: an unknown padding, or a stride below 1.
    """
    if padding in ("same", "causal"):
        return ceildiv(size, stride)
    if padding != "valid":
        raise ValueError(f"unknown padding {padding!r}")
    return floordiv(size - extent(kernel, dilation), stride) + 1


def transposed(
    size: Size,
    kernel: int,
    stride: int = 1,
    dilation: int = 1,
    padding: str = "valid",
    output_padding: int | None = None,
) -> Size:
    """``transposed(n, k, s, 1, "valid") -> (n-1)*s + max(k, s)``; ``"same"``: ``n*s``.

    With ``output_padding`` p: ``(n-1)*s + k + p`` for ``"valid"``, ``(n-1)*s + k % 2 + p`` for ``"same"``; k is the
    kernel's extent.

    Raises:
        ValueError: an unknown padding.
    """
    span = extent(kernel, dilation)
    if padding == "valid":
        extra = max(span, stride) - span if output_padding is None else output_padding
        return (size - 1) * stride + span + extra
    if padding != "same":
        raise ValueError(f"unknown padding {padding!r}")
    return size * stride if output_padding is None else (size - 1) * stride + span % 2 + output_padding
