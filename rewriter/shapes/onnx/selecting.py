"""Elements selected by their values: their number is known only when the model runs."""

from __future__ import annotations

from ...ir.axis import Value, new_axis
from ...ir.size import product, unknown
from ..call import Call, known, onnx_op
from ._operands import operand, vector


@onnx_op("NonZero")
def non_zero(call: Call) -> Value:
    """``non_zero(x[...]) -> [rank, k]``."""
    return Value((new_axis(len(known(operand(call, 0))) or 1), new_axis(unknown())), "int64")


@onnx_op("Compress")
def compress(call: Call) -> Value:
    """``compress(x[a, b], which[n], axis=0) -> [k, b]``; without an axis ``[k]``."""
    x = operand(call, 0)
    axes = list(known(x))
    if call.config.get("axis") is None:
        return Value(vector(unknown()), x.dtype)
    place = call.axis(call.get("axis"), len(axes))
    axes[place] = new_axis(unknown(), axes[place].role, derived=axes[place])
    return Value(tuple(axes), x.dtype)


@onnx_op("Unique")
def unique(call: Call) -> list[Value]:
    """``unique(x[a, b]) -> [k], first[k], where[a*b], counts[k]``; along an axis ``[k, b], [k], [a], [k]``."""
    x = operand(call, 0)
    axes, count = list(known(x)), new_axis(unknown())
    whole = new_axis(product(a.size for a in axes))
    if call.config.get("axis") is not None:
        place = call.axis(call.get("axis"), len(axes))
        whole = axes[place]
        axes[place] = count
    else:
        axes = [count]
    return [Value(tuple(axes), x.dtype), *(Value((axis,), "int64") for axis in (count, whole, count))]


@onnx_op("NonMaxSuppression")
def non_max_suppression(call: Call) -> Value:
    """``non_max_suppression(boxes[b, n, 4], scores[b, c, n], ...) -> [k, 3]``."""
    return Value((new_axis(unknown()), new_axis(3)), "int64")


@onnx_op("ImageDecoder")
def image_decoder(call: Call) -> Value:
    """``decoded(bytes[n]) -> [h, w, c]``."""
    channels = new_axis(1) if call.text("pixel_format", "RGB") == "Grayscale" else new_axis(3)
    return Value((new_axis(unknown()), new_axis(unknown()), channels), "uint8")
