"""Weights ``[h, H]`` of the pixels of an image for each pixel of a resized one, for sizes known only at run time.

In float32 and in TensorFlow's order, so that both round alike. Sources: ``scale_and_translate_op.cc`` and
``resize_bicubic_op.cc`` of TensorFlow 2.21; ``_resize`` computes the same with NumPy for fixed sizes.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ....ir.size import unknown
from ..emitter import Emitter
from ..graph import Tensor

_TABLE = 1024.0
_LEAST = 1000 * float(np.finfo(np.float32).tiny)


def counted(call: Emitter, count: Tensor) -> Tensor:
    """``float32[count]``: 0, 1, 2 …, for a scalar ``count`` of ``int64``."""
    return call.cast(call.positions(count, unknown()), "float32")


def bicubic(call: Emitter, size: Tensor, wanted: Tensor) -> Tensor:
    """``[wanted, size]`` without antialias: places between pixels are rounded to 1/1024. Both sizes are scalars."""
    scale = call.op("Div", call.cast(size, "float32"), call.cast(wanted, "float32"))
    place = call.op("Sub", call.op("Mul", call.op("Add", counted(call, wanted), 0.5), scale), 0.5)
    start = call.op("Floor", place)
    step = call.op("Div", call.op("Round", call.op("Mul", call.op("Sub", place, start), _TABLE)), _TABLE)
    apart = call.op("Sub", call.unsqueeze(counted(call, size), 0), call.unsqueeze(start, 1))
    weights = cubic(call, call.op("Abs", call.op("Sub", apart, call.unsqueeze(step, 1))))
    return call.op("Div", weights, call.reduce("ReduceSum", weights, [1], keepdims=True))


def sampled(call: Emitter, size: Tensor, wanted: Tensor, interpolation: str, antialias: bool) -> Tensor:
    """``[wanted, size]`` of ``tf.image.resize`` with antialias, or by Lanczos's kernels. Both sizes are scalars."""
    scale = call.op("Div", call.cast(wanted, "float32"), call.cast(size, "float32"))
    inverse = call.op("Reciprocal", scale)
    wider = call.op("Max", inverse, 1.0) if antialias else call.constant(1, "float32")
    place = call.op("Mul", call.op("Add", counted(call, wanted), 0.5), inverse)
    middle = call.op("Add", counted(call, size), 0.5)
    apart = call.op("Abs", call.op("Sub", call.unsqueeze(middle, 0), call.unsqueeze(place, 1)))
    weights = KERNELS[interpolation](call, call.op("Mul", apart, call.op("Reciprocal", wider)))
    total = call.reduce("ReduceSum", weights, [1], keepdims=True)
    enough = call.op("GreaterOrEqual", call.op("Abs", total), _LEAST)
    return call.op("Div", weights, call.op("Where", enough, total, call.constant(1, "float32")))


# -- kernels, of distances -----------------------------
def linear(call: Emitter, x: Tensor) -> Tensor:
    return call.op("Max", call.op("Sub", call.constant(1, x.dtype), x), 0.0)


def cubic(call: Emitter, x: Tensor) -> Tensor:
    near = call.op("Sub", call.op("Mul", x, 1.5), 2.5)
    near = call.op("Add", call.op("Mul", call.op("Mul", near, x), x), 1.0)
    far = call.op("Add", call.op("Mul", x, -0.5), 2.5)
    far = call.op("Add", call.op("Mul", call.op("Sub", call.op("Mul", far, x), 4.0), x), 2.0)
    far = call.op("Where", call.op("Less", x, 2.0), far, call.constant(0, x.dtype))
    return call.op("Where", call.op("Less", x, 1.0), near, far)


def _lanczos(radius: float) -> Callable[[Emitter, Tensor], Tensor]:
    def kernel(call: Emitter, x: Tensor) -> Tensor:
        turned = call.op("Mul", x, math.pi)
        waves = call.op("Mul", call.op("Sin", turned), call.op("Sin", call.op("Div", turned, radius)))
        weight = call.op("Div", call.op("Mul", waves, radius), call.op("Mul", turned, turned))
        weight = call.op("Where", call.op("Greater", x, radius), call.constant(0, x.dtype), weight)
        return call.op("Where", call.op("LessOrEqual", x, 1e-3), call.constant(1, x.dtype), weight)

    return kernel


KERNELS: dict[str, Callable[[Emitter, Tensor], Tensor]] = {
    "bilinear": linear,
    "bicubic": cubic,
    "lanczos3": _lanczos(3.0),
    "lanczos5": _lanczos(5.0),
}
