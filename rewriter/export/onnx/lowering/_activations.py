"""The functions of ``keras.activations`` in ONNX, by name; layers and ops with the same function share them.

Source: ``keras/src/activations/activations.py`` and ``keras/src/backend/tensorflow/nn.py``, Keras 3.15.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ....ir.graph import Operation
from ..dtypes import FLOATS
from ..emitter import Emitter
from ..graph import Tensor
from ..refusal import Refused

Activation = Callable[..., Tensor]


def relu(
    call: Emitter,
    x: Tensor,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
) -> Tensor:
    """``max(x, 0)``, with a slope below the threshold and a limit above."""
    if threshold == 0 and max_value is None:
        return call.op("LeakyRelu", x, alpha=negative_slope) if negative_slope else call.op("Relu", x)
    y = x
    if threshold:
        y = call.op("Where", call.op("Greater", x, threshold), x, call.constant(0, x.dtype))
    elif max_value is None:
        y = call.op("Relu", x)
    if max_value is not None:
        y = call.op("Clip", y, call.constant(0, x.dtype), call.constant(max_value, x.dtype))
    if negative_slope:
        below = call.op("Neg", x)
        below = call.op("Relu", call.op("Add", below, threshold) if threshold else below)
        y = call.op("Sub", y, call.op("Mul", below, negative_slope))
    return y


def relu6(call: Emitter, x: Tensor) -> Tensor:
    return relu(call, x, max_value=6.0)


def leaky_relu(call: Emitter, x: Tensor, negative_slope: float = 0.2) -> Tensor:
    # TensorFlow converts integers to float32 here (tf.nn.leaky_relu).
    x = x if x.dtype in FLOATS else call.cast(x, "float32")
    return call.op("LeakyRelu", x, alpha=float(negative_slope))


def softmax(call: Emitter, x: Tensor, axis: int | None = -1) -> Tensor:
    """``softmax(x[...], axis)``; None is over all axes."""
    return _along(call, "Softmax", x, axis)


def log_softmax(call: Emitter, x: Tensor, axis: int | None = -1) -> Tensor:
    return _along(call, "LogSoftmax", x, axis)


def _along(call: Emitter, op_type: str, x: Tensor, axis: int | None) -> Tensor:
    if axis is not None:
        return call.op(op_type, x, axis=axis)
    flat = call.op(op_type, call.op("Reshape", x, [-1]), axis=0)
    return call.op("Reshape", flat, call.op("Shape", x), as_sizes=x.sizes)


def elu(call: Emitter, x: Tensor, alpha: float = 1.0) -> Tensor:
    return call.op("Elu", x, alpha=float(alpha))


def celu(call: Emitter, x: Tensor, alpha: float = 1.0) -> Tensor:
    # Celu supports float32 only (Operators.md).
    return call.cast(call.op("Celu", call.cast(x, "float32"), alpha=float(alpha)), x.dtype)


def selu(call: Emitter, x: Tensor) -> Tensor:
    return call.op("Selu", x)


def softplus(call: Emitter, x: Tensor) -> Tensor:
    return call.op("Softplus", x)


def softsign(call: Emitter, x: Tensor) -> Tensor:
    return call.op("Softsign", x)


def soft_shrink(call: Emitter, x: Tensor, threshold: float = 0.5) -> Tensor:
    return call.op("Shrink", x, bias=float(threshold), lambd=float(threshold))


def hard_shrink(call: Emitter, x: Tensor, threshold: float = 0.5) -> Tensor:
    return call.op("Shrink", x, bias=0.0, lambd=float(threshold))


def sparse_plus(call: Emitter, x: Tensor) -> Tensor:
    """0 up to -1, ``(x + 1)**2 / 4`` up to 1, x above."""
    raised = call.op("Add", x, 1.0)
    curve = call.op("Mul", call.op("Mul", raised, raised), 0.25)
    middle = call.op("Where", call.op("Less", x, 1.0), curve, x)
    return call.op("Where", call.op("LessOrEqual", x, -1.0), call.constant(0, x.dtype), middle)


def sparse_sigmoid(call: Emitter, x: Tensor) -> Tensor:
    """0 up to -1, ``(x + 1) / 2`` up to 1, 1 above."""
    line = call.op("Mul", call.op("Add", x, 1.0), 0.5)
    return call.op("Clip", line, call.constant(0, x.dtype), call.constant(1, x.dtype))


def sigmoid(call: Emitter, x: Tensor) -> Tensor:
    return call.op("Sigmoid", x)


def log_sigmoid(call: Emitter, x: Tensor) -> Tensor:
    return call.op("Neg", call.op("Softplus", call.op("Neg", x)))


def silu(call: Emitter, x: Tensor) -> Tensor:
    return call.op("Mul", x, call.op("Sigmoid", x))


def gelu(call: Emitter, x: Tensor, approximate: bool = False) -> Tensor:
    """The operator from opset 20 on, written out before."""
    if call.opset >= 20:
        return call.op("Gelu", x, approximate="tanh" if approximate else None)
    if approximate:
        cubed = call.op("Mul", call.op("Mul", call.op("Mul", x, x), x), 0.044715)
        inner = call.op("Tanh", call.op("Mul", call.op("Add", x, cubed), math.sqrt(2 / math.pi)))
    else:
        inner = call.op("Erf", call.op("Div", x, math.sqrt(2)))
    return call.op("Mul", call.op("Mul", x, call.op("Add", inner, 1.0)), 0.5)


def glu(call: Emitter, x: Tensor, axis: int = -1) -> Tensor:
    """``glu(x[..., 2*n]) -> [..., n]``: the first half gated by the second."""
    size = x.sizes[axis]
    if not isinstance(size, int):
        raise Refused("the axis of a glu has no fixed size")
    half = size // 2
    gate = call.op("Sigmoid", call.slice(x, axis, half, size))
    return call.op("Mul", call.slice(x, axis, 0, half), gate)


def tanh(call: Emitter, x: Tensor) -> Tensor:
    return call.op("Tanh", x)


def tanh_shrink(call: Emitter, x: Tensor) -> Tensor:
    return call.op("Sub", x, call.op("Tanh", x))


def hard_tanh(call: Emitter, x: Tensor) -> Tensor:
    return call.op("Clip", x, call.constant(-1, x.dtype), call.constant(1, x.dtype))


def hard_sigmoid(call: Emitter, x: Tensor) -> Tensor:
    """``relu6(x + 3) / 6``."""
    return call.op("HardSigmoid", x, alpha=1 / 6, beta=0.5)


def hard_silu(call: Emitter, x: Tensor) -> Tensor:
    return call.op("Mul", x, hard_sigmoid(call, x))


def exponential(call: Emitter, x: Tensor) -> Tensor:
    return call.op("Exp", x)


def linear(call: Emitter, x: Tensor) -> Tensor:
    return x


def mish(call: Emitter, x: Tensor) -> Tensor:
    return call.op("Mul", x, call.op("Tanh", call.op("Softplus", x)))


def squareplus(call: Emitter, x: Tensor, b: float = 4) -> Tensor:
    """``(x + sqrt(x**2 + b)) / 2``."""
    root = call.op("Sqrt", call.op("Add", call.op("Mul", x, x), float(b)))
    return call.op("Mul", call.op("Add", x, root), 0.5)


def threshold(call: Emitter, x: Tensor, threshold: float = 1.0, default_value: float = 0.0) -> Tensor:
    """x above the threshold, another value elsewhere."""
    return call.op("Where", call.op("Greater", x, float(threshold)), x, call.constant(default_value, x.dtype))


def sparsemax(call: Emitter, x: Tensor, axis: int = -1) -> Tensor:
    """The projection onto the simplex along an axis (Martins and Astudillo, 2016, algorithm 1)."""
    axis %= x.rank
    count = call.size(x, axis)
    wanted = count if isinstance(count, Tensor) else call.constant([count], "int64")
    ordered, _ = call.several(
        "TopK", [(x.dtype, x.sizes), ("int64", x.sizes)], x, wanted, axis=axis, largest=1, sorted=1
    )
    total = call.op("CumSum", ordered, call.constant(axis, "int64"))
    ones = call.expand(call.constant(1, x.dtype), x.sizes)
    places = call.op("CumSum", ones, call.constant(axis, "int64"))
    margin = call.op("Sub", ordered, call.op("Div", call.op("Sub", total, 1.0), places))
    support = call.op("Greater", margin, 0.0)
    kept = call.reduce("ReduceSum", call.cast(support, x.dtype), [axis], keepdims=True)
    # Keras sums the running totals over the support; the algorithm uses the last of them.
    inside = call.op("Where", support, total, call.constant(0, x.dtype))
    level = call.op("Div", call.op("Sub", call.reduce("ReduceSum", inside, [axis], keepdims=True), 1.0), kept)
    return call.op("Relu", call.op("Sub", x, level))


ACTIVATIONS: dict[str, Activation] = {
    function.__name__: function
    for function in (
        relu, relu6, leaky_relu, softmax, log_softmax, elu, celu, selu, softplus, softsign, soft_shrink, hard_shrink,
        sparse_plus, sparse_sigmoid, sigmoid, log_sigmoid, silu, gelu, glu, tanh, tanh_shrink, hard_tanh,
        hard_sigmoid, hard_silu, exponential, linear, mish, squareplus, threshold, sparsemax,
    )
} | {"swish": silu, "hard_swish": hard_silu}  # fmt: skip


def activated(call: Emitter, x: Tensor, key: str = "activation") -> Tensor:
    """The layer's configured activation of ``x``; ``x`` itself if it has none.

    Raises:
        Refused: the activation is not one of Keras.
    """
    return activation_of(call, x, call.get(key))


def activation_of(call: Emitter, x: Tensor, value: Any) -> Tensor:
    """A serialised activation of ``x``: None, a name, or a Keras object."""
    if value is None:
        return x
    if isinstance(value, str):
        return _named(value)(call, x)
    if not isinstance(value, dict):
        raise call.bad("activation", value, "a function of keras.activations")
    config, class_name = value.get("config"), value.get("class_name")
    if class_name == "function" and isinstance(config, str):
        return _named(config)(call, x)
    if str(value.get("module", "")).startswith("keras.src.activations") and isinstance(config, dict):
        options = {k: v for k, v in config.items() if k not in ("name", "dtype")}
        return _named(str(class_name).lower())(call, x, **options)
    if str(value.get("module", "")).startswith("keras.layers") and isinstance(config, dict):
        operation = Operation(str(config.get("name", class_name)), "layer", str(class_name), config)
        result = call.apply(operation, x, at="activation")
        return result if isinstance(result, Tensor) else x
    raise Refused(f"its activation {class_name!r} is not one of Keras")


def _named(name: str) -> Activation:
    found = ACTIVATIONS.get(name)
    if found is None:
        raise Refused(f"its activation {name!r} is not one of keras.activations")
    return found
