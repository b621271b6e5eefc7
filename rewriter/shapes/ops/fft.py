"""Fourier transforms of (real, imaginary) pairs, and sequences cut into frames."""

from __future__ import annotations

from ...ir.axis import Axis, Role, Value, new_axis
from ...ir.size import Size, floordiv
from ..call import Call, ShapeError, known, op
from ..spatial import resized
from ._operands import pair

Axes = tuple[Axis, ...]


def _rank(value: Value, least: int) -> Axes:
    axes = known(value)
    if len(axes) < least:
        raise ShapeError(f"takes a tensor of rank {least} or more, not {value.text()}")
    return axes


@op("math", "FFT", "FFT2", "IFFT2")
def fft(call: Call) -> tuple[Value, Value]:
    """``fft((real[..., n], imag[..., n])) -> [..., n], [..., n]``."""
    real, imag = pair(call)
    axes = _rank(real, 1 if call.operation.class_name == "FFT" else 2)
    return Value(axes, real.dtype), Value(axes, imag.dtype)


@op("math", "RFFT")
def rfft(call: Call) -> tuple[Value, Value]:
    """``rfft(x[..., n]) -> [..., n//2 + 1], [..., n//2 + 1]``."""
    axes = _rank(call.x, 1)
    length = call.get("fft_length")
    size: Size = axes[-1].size if length is None else call.whole("fft_length", length, 1)
    result = [*axes[:-1], resized(axes[-1], floordiv(size, 2) + 1)]
    return call.like(result), call.like(result)


@op("math", "IRFFT")
def irfft(call: Call) -> Value:
    """``irfft((real[..., n], imag[..., n])) -> [..., 2*(n - 1)]``."""
    real, _ = pair(call)
    axes, length = _rank(real, 1), call.get("fft_length")
    size: Size = 2 * (axes[-1].size - 1) if length is None else call.whole("fft_length", length, 1)
    return Value((*axes[:-1], resized(axes[-1], size)), real.dtype)


@op("math", "STFT")
def stft(call: Call) -> tuple[Value, Value]:
    """``stft(x[..., n]) -> [..., frames, fft_length//2 + 1]`` twice; with ``center``, both ends are padded."""
    axes = _rank(call.x, 1)
    length, stride = call.integer("fft_length", 1), call.integer("sequence_stride", 1)
    padded = axes[-1].size + (length // 2 * 2 if call.flag("center", True) else 0)
    frames = _frames(axes[-1], padded, length, stride)
    result = [*axes[:-1], frames, new_axis(length // 2 + 1, derived=axes[-1])]
    return call.like(result), call.like(result)


def _frames(axis: Axis, total: Size, length: int, stride: int) -> Axis:
    count = floordiv(total - length, stride) + 1
    if isinstance(count, int) and count < 0:
        raise ShapeError(f"{axis} is shorter than a frame of {length}")
    return new_axis(count, Role.TIME, derived=axis)


@op("math", "ISTFT")
def istft(call: Call) -> Value:
    """``istft((real[..., frames, f], imag[..., frames, f])) -> [..., n]``."""
    real, _ = pair(call)
    axes = _rank(real, 2)
    length, stride = call.integer("fft_length", 1), call.integer("sequence_stride", 1)
    given = call.get("length")
    size: Size = (axes[-2].size - 1) * stride + length
    if given is not None:
        size = call.whole("length", given, 0)
    elif call.flag("center", True):
        size = size - length // 2 * 2
    return Value((*axes[:-2], new_axis(size, Role.TIME, derived=axes[-2])), real.dtype)


@op("math", "ExtractSequences")
def extract_sequences(call: Call) -> Value:
    """``extract_sequences(x[..., n], length, stride) -> [..., (n - length)//stride + 1, length]``."""
    axes = _rank(call.x, 1)
    length, stride = call.integer("sequence_length", 1), call.integer("sequence_stride", 1)
    frames = _frames(axes[-1], axes[-1].size, length, stride)
    return call.like([*axes[:-1], frames, new_axis(length, derived=axes[-1])])
