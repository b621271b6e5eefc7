"""What trained weights demand of a layer's operand: its channels, its features, its element count.

A layer's configuration says how many features it makes, not how many it takes: that is in the shapes of its variables.
Where the file's weights are known (``Operation.weights``), an operand that they do not fit is a fault of the node.
Source of the variables' order: ``build`` of each class, Keras 3.15.
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir.axis import Axis
from ..ir.graph import Operation
from ..ir.size import Size, Truth, same
from .call import Call, ShapeError

Shape = tuple[int, ...]
Demand = Callable[[Call, Shape], None]

# Class name -> (the variable that tells, what it demands).
DEMANDS: dict[str, tuple[str, Demand]] = {}


def check_weights(call: Call) -> None:
    """Hold a call's operand against the weights of the layer, where the file has them.

    Raises:
        ShapeError: the weights were trained on another shape.
    """
    operation = call.operation
    if not operation.weights or _is_quantized(operation):
        return
    demand = DEMANDS.get(operation.class_name)
    shape = operation.weights.get(demand[0]) if demand is not None else None
    if demand is not None and shape is not None and call.x.axes is not None:
        demand[1](call, shape)


def _is_quantized(operation: Operation) -> bool:
    """True where kernels are stored packed (int4) or scaled: their shapes say something else."""
    policy = str(operation.config.get("dtype"))
    return bool(operation.config.get("quantization_config")) or "int" in policy or "float8" in policy


def _demand(variable: str, *class_names: str) -> Callable[[Demand], Demand]:
    def register(demand: Demand) -> Demand:
        for name in class_names:
            DEMANDS[name] = (variable, demand)
        return demand

    return register


def _takes(axis: Axis, wanted: Size) -> None:
    if same(axis.size, wanted) is Truth.NO:
        raise ShapeError(f"its weights were trained on {wanted}, and it takes {axis}")


@_demand("vars/0", "Dense")
def _rows(call: Call, kernel: Shape) -> None:
    """``kernel[K, units]``."""
    if len(kernel) == 2:
        _takes(call.axes[-1], kernel[0])


@_demand("cell/vars/0", "SimpleRNN", "GRU", "LSTM", "RNN")
def _recurrent(call: Call, kernel: Shape) -> None:
    """``kernel[F, k*units]``."""
    if len(kernel) == 2:
        _takes(call.axes[-1], kernel[0])


def _channel(call: Call) -> Axis:
    return call.axes[1 if call.channels_first() else -1]


@_demand("vars/0", "Conv1D", "Conv2D", "Conv3D")
def _convolution(call: Call, kernel: Shape) -> None:
    """``kernel[..., C/groups, filters]``."""
    if len(kernel) == len(call.axes):
        _takes(_channel(call), kernel[-2] * call.integer("groups", 1, 1))


@_demand("vars/0", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def _transposed(call: Call, kernel: Shape) -> None:
    """``kernel[..., filters, C]``."""
    if len(kernel) == len(call.axes):
        _takes(_channel(call), kernel[-1])


@_demand("vars/0", "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D")
def _depthwise(call: Call, kernel: Shape) -> None:
    """``kernel[..., C, multiplier]``."""
    if len(kernel) == len(call.axes):
        _takes(_channel(call), kernel[-2])


@_demand("cell/vars/0", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
def _recurrent_convolution(call: Call, kernel: Shape) -> None:
    """``kernel[..., C, 4*filters]`` on ``x[B, T, ..., C]``."""
    if len(kernel) == len(call.axes) - 1:
        _takes(call.axes[2 if call.channels_first() else -1], kernel[-2])


@_demand("vars/0", "BatchNormalization", "SyncBatchNormalization")
def _batch_normalization(call: Call, gamma: Shape) -> None:
    """``gamma[C]``, or the moving mean in its place."""
    if len(gamma) == 1:
        _takes(call.axes[call.axis(call.get("axis", -1), len(call.axes))], gamma[0])


@_demand("vars/0", "GroupNormalization")
def _group_normalization(call: Call, gamma: Shape) -> None:
    if len(gamma) == 1:
        _takes(call.axes[call.axis(call.get("axis", -1), len(call.axes))], gamma[0])


@_demand("vars/0", "LayerNormalization", "RMSNormalization")
def _layer_normalization(call: Call, gamma: Shape) -> None:
    """``gamma`` over the normalised axes."""
    axes = call.axis_tuple(call.get("axis", -1), len(call.axes))
    if len(axes) == len(gamma):
        for number, size in zip(axes, gamma, strict=True):
            _takes(call.axes[number], size)


@_demand("vars/0", "PReLU")
def _slopes(call: Call, alpha: Shape) -> None:
    """``alpha`` over all axes but the batch, 1 where shared."""
    if len(alpha) == len(call.axes) - 1:
        for axis, size in zip(call.axes[1:], alpha, strict=True):
            if size != 1:
                _takes(axis, size)


@_demand("_query_dense/vars/0", "GroupQueryAttention")
@_demand("query_dense/vars/0", "MultiHeadAttention")
def _projection(call: Call, kernel: Shape) -> None:
    """``kernel[D, heads, key_dim]`` of the query."""
    if len(kernel) == 3:
        _takes(call.axes[-1], kernel[0])


@_demand("vars/0", "EinsumDense")
def _einsum(call: Call, kernel: Shape) -> None:
    """The letters that the operand and the kernel share."""
    equation = call.text("equation").replace(" ", "")
    left, arrow, _ = equation.partition("->")
    operand, comma, letters = left.partition(",")
    if not arrow or not comma or "." in letters or len(letters) != len(kernel):
        return
    sizes = dict(zip(letters, kernel, strict=True))
    known = operand.removeprefix("...") if operand.startswith("...") else operand
    if "." in known or len(known) > len(call.axes):
        return
    for letter, axis in zip(reversed(known), reversed(call.axes), strict=False):
        if letter in sizes:
            _takes(axis, sizes[letter])
