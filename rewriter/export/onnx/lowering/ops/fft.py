"""Fourier transforms of (real, imaginary) pairs, and sequences cut into frames."""

from __future__ import annotations

from typing import Any

import numpy as np

from .....ir.size import Size, floordiv, product
from ...emitter import Emitter
from ...graph import Array, Tensor
from ...registry import op
from .._spectrum import precise, window_of
from ._operands import argument, as_tensor, places

_WIDTHS = ("float32", "float64")


def _complex(call: Emitter) -> Tensor:
    """``(real[...], imag[...]) -> [..., 2]``."""
    given = argument(call, 0, "x")
    if not isinstance(given, (list, tuple)) or len(given) != 2:
        raise call.bad("x", given, "two tensors, the real and the imaginary part")
    parts = [as_tensor(call, part) for part in given]
    if any(part.dtype not in _WIDTHS for part in parts) or parts[0].dtype != parts[1].dtype:
        raise call.refuse(f"TensorFlow has no complex numbers of {parts[0].dtype} and {parts[1].dtype}")
    return call.concat([call.unsqueeze(part, part.rank) for part in parts], parts[0].rank)


def _real(call: Emitter) -> Tensor:
    x = as_tensor(call, argument(call, 0, "x"))
    if x.dtype not in _WIDTHS:
        raise call.refuse(f"TensorFlow has no complex numbers of {x.dtype}")
    return x


def transformed(call: Emitter, x: Tensor, axis: int, onesided: bool = False, inverse: bool = False) -> Tensor:
    """``dft(x[..., n, 2 or 1]) -> [..., n or n//2 + 1, 2]`` along an axis."""
    dtype = x.dtype
    x = call.cast(x, precise(dtype, x.sizes[axis]))
    sizes: list[Size] = [*x.sizes[:-1], 2]
    if onesided:
        sizes[axis] = floordiv(x.sizes[axis], 2) + 1
    single = x.rank == 2
    if single:
        x, axis = call.unsqueeze(x, 0), axis + 1
    flags: dict[str, Any] = {"onesided": int(onesided), "inverse": int(inverse)}
    wide: list[Size] = [1, *sizes] if single else sizes
    if call.opset >= 20:
        y = call.op("DFT", x, None, call.constant(axis, "int64"), as_sizes=wide, **flags)
    else:
        y = call.op("DFT", x, axis=axis, as_sizes=wide, **flags)
    return call.cast(call.squeeze(y, 0) if single else y, dtype)


def _pair(call: Emitter, x: Tensor) -> tuple[Tensor, Tensor]:
    """``[..., 2] -> [...], [...]``."""
    one, two = (call.op("Gather", x, call.constant(n, "int64"), axis=x.rank - 1) for n in (0, 1))
    return one, two


@op("math", "FFT")
def fft(call: Emitter) -> tuple[Tensor, Tensor]:
    """``fft((real[..., n], imag[..., n])) -> [..., n], [..., n]``."""
    x = _complex(call)
    return _pair(call, transformed(call, x, x.rank - 2))


@op("math", "FFT2", "IFFT2")
def fft2(call: Emitter) -> tuple[Tensor, Tensor]:
    """``fft2((real[..., n, m], imag[..., n, m])) -> [..., n, m], [..., n, m]``, and the inverse."""
    x = _complex(call)
    inverse = call.operation.class_name == "IFFT2"
    for axis in (x.rank - 2, x.rank - 3):
        x = transformed(call, x, axis, inverse=inverse)
    return _pair(call, x)


def _fitted(call: Emitter, x: Tensor, axis: int, length: int) -> Tensor:
    """``x`` with an axis cropped or zero-padded to a length."""
    size = x.sizes[axis]
    if size == length:
        return x
    if not isinstance(size, int) or size < length:
        missing = [0] * x.rank
        missing[axis] = length - size if isinstance(size, int) else length
        x = call.pad(x, [0] * x.rank, missing)
    if x.sizes[axis] == length:
        return x
    sizes: list[Size] = [*x.sizes[:axis], length, *x.sizes[axis + 1 :]]
    return call.op("Slice", x, [0], [length], [axis], as_sizes=sizes)


@op("math", "RFFT")
def rfft(call: Emitter) -> tuple[Tensor, Tensor]:
    """``rfft(x[..., n]) -> [..., n//2 + 1], [..., n//2 + 1]``."""
    x = _real(call)
    length = call.get("fft_length")
    if length is not None:
        x = _fitted(call, x, x.rank - 1, call.whole("fft_length", length, 1))
    return _pair(call, transformed(call, call.unsqueeze(x, x.rank), x.rank - 1, onesided=True))


def _inverse_real(call: Emitter, x: Tensor, length: int | None) -> Tensor:
    """``irfft(x[..., m, 2]) -> [..., length]``, of ``2*(m - 1)`` numbers unless a length is given.

    The other half of the spectrum is the conjugate of this half, reversed.
    """
    axis = x.rank - 2
    if length is not None:
        x = _fitted(call, x, axis, length // 2 + 1)
        last = -1 if length % 2 else -2
        size: Size = length
    else:
        last, size = -2, 2 * (x.sizes[axis] - 1)
    if size != 1:
        rest: list[Size] = [*x.sizes[:axis], size - (length // 2 + 1 if length else x.sizes[axis]), 2]
        half = call.op("Slice", x, [last], [0], [axis], [-1], as_sizes=rest)
        half = call.op("Mul", half, call.constant([1, -1], x.dtype))
        whole: list[Size] = [*x.sizes[:axis], size, 2]
        x = call.op("Concat", x, half, axis=axis, as_sizes=whole)
    return _pair(call, transformed(call, x, axis, inverse=True))[0]


@op("math", "IRFFT")
def irfft(call: Emitter) -> Tensor:
    """``irfft((real[..., m], imag[..., m])) -> [..., 2*(m - 1)]``."""
    length = call.get("fft_length")
    return _inverse_real(
        call, _complex(call), None if length is None else call.whole("fft_length", length, 1)
    )


# -- frames -----------------------------
@op("math", "STFT")
def stft(call: Emitter) -> tuple[Tensor, Tensor]:
    """``stft(x[..., n]) -> [..., frames, fft_length//2 + 1]`` twice; centred frames overlap both ends."""
    x = _real(call)
    size, stride = call.integer("fft_length", 1), call.integer("sequence_stride", 1)
    rows = call.reshape(call.cast(x, precise(x.dtype, size)), [product(x.sizes[:-1]), x.sizes[-1]])
    if call.flag("center", True):
        rows = call.op("Pad", rows, [0, size // 2, 0, size // 2], mode="reflect")
    window = window_of(call, size)
    bins = size // 2 + 1
    y = call.op(
        "STFT",
        call.unsqueeze(rows, 2),
        call.constant(stride, "int64"),
        None if window is None else call.constant(window, rows.dtype),
        call.constant(size, "int64"),
        as_sizes=[rows.sizes[0], call.sizes[-2], bins, 2],
        onesided=1,
    )
    real, imaginary = _pair(call, call.cast(y, x.dtype))
    return call.reshape(real, call.sizes), call.reshape(imaginary, call.sizes)


@op("math", "ISTFT")
def istft(call: Emitter) -> Tensor:
    """``istft((real[..., frames, f], imag[..., frames, f])) -> [..., n]``: overlapping frames added up."""
    x = _complex(call)
    size, stride = call.integer("fft_length", 1), call.integer("sequence_stride", 1)
    frames = _inverse_real(call, x, size)
    window = window_of(call, size)
    if window is not None:
        frames = call.op("Mul", frames, call.constant(_undone(window, stride), frames.dtype))
    ahead, count = frames.sizes[:-2], frames.sizes[-2]
    columns = call.transpose(call.reshape(frames, [product(ahead), count, size]), [0, 2, 1])
    # Overlapping frames are added by a transposed convolution with the identity.
    kernel = call.constant(np.eye(size).reshape(size, 1, size), frames.dtype)
    total = (count - 1) * stride + size
    y = call.op(
        "ConvTranspose",
        columns,
        kernel,
        kernel_shape=[size],
        strides=[stride],
        as_sizes=[product(ahead), 1, total],
    )
    start = size // 2 if call.flag("center", True) else 0
    length = call.get("length")
    if length is not None:
        end: int | None = start + call.whole("length", length, 0)
        if isinstance(total, int) and end is not None and end > total:
            raise call.refuse("its frames cover less than the given length")
    else:
        end = -start if start else None
    y = call.slice(y, 2, start, end)
    return call.reshape(y, call.sizes)


def _undone(window: Array, stride: int) -> Array:
    """The window divided by the sum of its squares in all overlapping frames (``inverse_stft_window_fn``)."""
    size = len(window)
    overlaps = -(-size // stride)
    squares = np.pad(window**2, (0, overlaps * stride - size)).reshape(overlaps, stride).sum(axis=0)
    with np.errstate(all="ignore"):
        return np.asarray(window / np.tile(squares, overlaps)[:size])


@op("math", "ExtractSequences")
def extract_sequences(call: Emitter) -> Tensor:
    """``extract_sequences(x[..., n], length, stride) -> [..., (n - length)//stride + 1, length]``."""
    x = as_tensor(call, argument(call, 0, "x"))
    length, stride = call.integer("sequence_length", 1), call.integer("sequence_stride", 1)
    count = call.sizes[-2]
    starts = call.op("Mul", places(call, call.builder.size(count, x), count), stride)
    index = call.op("Add", call.unsqueeze(starts, 1), np.arange(length))
    return call.op("Gather", x, index, axis=x.rank - 1, as_sizes=call.sizes)
