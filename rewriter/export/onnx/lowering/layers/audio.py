"""Audio preprocessing: MelSpectrogram through ONNX's STFT, STFTSpectrogram through its convolutions."""

from __future__ import annotations

import numpy as np

from .....ir.graph import Operation
from .....ir.size import product
from ...emitter import Emitter
from ...graph import Array, Tensor
from ...registry import layer
from .._spectrum import precise, window_of
from .._windows import Window, convolve

_EPSILON = 1e-7


@layer("STFTSpectrogram")
def stft_spectrogram(call: Emitter) -> Tensor:
    """``stft(x[B, N, C]) -> [B, frames, C*frequencies]``, or ``[B, frames, frequencies, C]`` with expand_dims."""
    mode = call.text("mode", "log")
    real = _frequencies(call, "vars/0", "real_kernel") if mode != "imag" else None
    imaginary = None
    if mode != "real":
        imaginary = _frequencies(call, "vars/0" if real is None else "vars/1", "imag_kernel")
    if real is None or imaginary is None:
        only = imaginary if real is None else real
        assert only is not None
        return _laid(call, only)
    if mode == "angle":
        angle = Operation("arctan2", "op", "Arctan2", {}, "keras.src.ops.numpy")
        return _laid(call, call.apply(angle, imaginary, real))
    if mode == "stft":
        return _laid(call, call.concat([real, imaginary], 2))
    power = call.op("Add", call.op("Mul", real, real), call.op("Mul", imaginary, imaginary))
    if mode == "psd":
        # All frequencies but the first and the last count twice.
        inner = call.slice(power, 2, 1, -1)
        return _laid(call, call.op("Add", power, call.pad(inner, [0, 0, 1, 0], [0, 0, 1, 0])))
    least = call.constant(_EPSILON, power.dtype)
    y = _laid(call, call.op("Sqrt", call.op("Max", power, least)))
    return y if mode == "magnitude" else call.op("Log", call.op("Max", y, least))


def _frequencies(call: Emitter, path: str, name: str) -> Tensor:
    """``x[B, N, C] -> [B, C, frequencies, frames]``: a convolution of every channel."""
    x = call.x if call.channels_first() else call.transpose(call.x, [0, 2, 1])
    batch, channels, length = x.sizes
    given = call.get("frame_step")
    step = call.whole("frame_step", given, 1) if given else call.integer("frame_length", 1, 256) // 2
    window = Window([step], call.text("padding", "valid"), [1], first=True)
    rows = call.reshape(x, [batch * channels, 1, length])
    y = convolve(call, rows, call.weight(path, name), None, window)
    return call.reshape(y, [batch, channels, *y.sizes[1:]])


def _laid(call: Emitter, x: Tensor) -> Tensor:
    """``[B, C, frequencies, frames]`` in the layer's output layout."""
    first = call.channels_first()
    if call.flag("expand_dims"):
        return call.transpose(x, [0, 1, 3, 2] if first else [0, 3, 2, 1])
    batch, channels, bins, frames = x.sizes
    flat = call.reshape(x, [batch, channels * bins, frames])
    return flat if first else call.transpose(flat, [0, 2, 1])


@layer("MelSpectrogram")
def mel_spectrogram(call: Emitter) -> Tensor:
    """``mel(x[..., N]) -> [..., num_mel_bins, frames]``."""
    dtype = "float64" if call.compute == "float64" else "float32"
    x = call.cast(call.x, dtype)
    size, stride = call.integer("fft_length", 1, 2048), call.integer("sequence_stride", 1, 512)
    ahead, half = x.sizes[:-1], size // 2
    rows = call.reshape(call.cast(x, precise(dtype, size)), [product(ahead), x.sizes[-1]])
    rows = call.op("Pad", rows, [0, half, 0, half], mode="reflect")
    power = _power(call, rows, size, stride)
    exponent = call.number("mag_exp", 2.0)
    power = call.cast(power, dtype)
    energy = power if exponent == 2 else call.op("Pow", power, exponent / 2)
    mel = call.op("MatMul", energy, call.constant(_mel_matrix(call, size // 2 + 1), dtype))
    if call.flag("power_to_db", True):
        mel = _decibels(call, mel)
    bins = call.integer("num_mel_bins", 1, 128)
    return call.cast(
        call.reshape(call.transpose(mel, [0, 2, 1]), [*ahead, bins, call.sizes[-1]]), call.compute
    )


def _power(call: Emitter, signal: Tensor, size: int, stride: int) -> Tensor:
    """``signal[B, N] -> [B, frames, frequencies]``: the squared magnitude of the spectrum of every frame."""
    window = window_of(call, size)
    spectrum = call.op(
        "STFT",
        call.unsqueeze(signal, 2),
        call.constant(stride, "int64"),
        None if window is None else call.constant(window, signal.dtype),
        call.constant(size, "int64"),
        as_sizes=[signal.sizes[0], call.sizes[-1], size // 2 + 1, 2],
        onesided=1,
    )
    return call.reduce("ReduceSum", call.op("Mul", spectrum, spectrum), [-1])


def _decibels(call: Emitter, x: Tensor) -> Tensor:
    """``10 * log10(max(x, min_power) / max(ref_power, min_power))``, at most ``top_db`` below the maximum."""
    least = call.number("min_power", 1e-10)
    reference = 10 * np.log10(max(abs(call.number("ref_power", 1.0)), least))
    y = call.op("Log", call.op("Max", x, call.constant(least, x.dtype)))
    y = call.op("Sub", call.op("Mul", y, 10 / np.log(10)), float(reference))
    top = call.reduce("ReduceMax", y, None)
    return call.op("Max", y, call.op("Sub", top, call.number("top_db", 80.0)))


def _mel_matrix(call: Emitter, bins: int) -> Array:
    """``[frequencies, mels]``: triangles of equal width on the mel scale (``linear_to_mel_weight_matrix``)."""

    def mel(hertz: Array) -> Array:
        return 1127.0 * np.log(1 + hertz / 700.0)

    rate = call.number("sampling_rate", 16000)
    lowest, highest = call.number("min_freq", 20.0), call.get("max_freq")
    highest = float(highest if highest else int(rate / 2))
    count = call.integer("num_mel_bins", 1, 128)
    places = mel(np.linspace(0, rate / 2, bins)[1:])[:, None]
    edges = np.linspace(mel(np.asarray(lowest)), mel(np.asarray(highest)), count + 2)
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    matrix = np.maximum(0, np.minimum((places - low) / (middle - low), (high - places) / (high - middle)))
    return np.pad(matrix, ((1, 0), (0, 0)))
