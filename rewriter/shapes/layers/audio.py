"""Audio preprocessing: MelSpectrogram, STFTSpectrogram."""

from __future__ import annotations

from ...ir.axis import Role, Value, merge_axes, new_axis
from ...ir.size import floordiv
from ..call import Call, OpaqueError, ShapeError, layer, positive
from ..spatial import image
from ..windows import window

_MODES = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")
_MAX_FRAME = 2**31


@layer("MelSpectrogram")
def mel_spectrogram(call: Call) -> Value:
    """``mel(x[..., N]) -> [..., num_mel_bins, 1 + N // sequence_stride]``, for an even fft_length.

    ``compute_output_shape`` (Keras 3.15) has one frame more where the stride divides N + 1; this rule follows ``call``.
    """
    axes = call.axes
    if not axes:
        raise ShapeError("takes a signal, not a scalar")
    stride, fft = call.integer("sequence_stride", 1, 512), call.integer("fft_length", 1, 2048)
    # The signal is padded by fft_length // 2 on either side and cut into frames of fft_length.
    frames = floordiv(axes[-1].size - fft % 2, stride) + 1
    mels = new_axis(call.integer("num_mel_bins", 1, 128), Role.FEATURE)
    time = new_axis(positive(frames, "its number of frames"), Role.TIME, derived=axes[-1])
    return call.like([*axes[:-1], mels, time], call.compute_dtype())


@layer("STFTSpectrogram")
def stft_spectrogram(call: Call) -> Value:
    """``stft(x[B, N, C]) -> [B, frames, C*frequencies]``; ``[B, frames, frequencies, C]`` with expand_dims."""
    length = call.integer("frame_length", 1, 256)
    if length > _MAX_FRAME:
        raise OpaqueError("its frames are too long")
    step = call.integer("frame_step", 1) if call.get("frame_step") is not None else length // 2
    if step < 1:
        raise call.bad("frame_length", length, "at least 2 without a frame_step")
    transform = (
        call.integer("fft_length", 1)
        if call.get("fft_length") is not None
        else 1 << (length - 1).bit_length()
    )
    mode = call.text("mode", "log", _MODES)
    padding = call.text("padding", "valid", ("valid", "same"))
    x = image(call, 1)
    frames = positive(window(x.spatial[0].size, length, step, 1, padding), "its number of frames")
    time = new_axis(frames, Role.TIME, derived=x.spatial[0])
    bins = new_axis((transform // 2 + 1) * (2 if mode == "stft" else 1), Role.FEATURE)
    if not call.flag("expand_dims"):
        return call.like(x.join([time], merge_axes([x.channel, bins])), call.compute_dtype())
    axes = (x.batch, x.channel, time, bins) if x.first else (x.batch, time, bins, x.channel)
    return call.like(axes, call.compute_dtype())
