"""Operators with weights, as equivalent Keras layers.

A function of ``PRODUCTS``, called with (node, weights), returns the class of the layer, its configuration in Keras 2
and its weights in the order of ``layer.weights``. Source: ``call`` of these layers in tf_keras 2.21 and
``array_ops.cc``, ``nn_ops.cc`` of TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..messages import NodeDef
from .library import Unable
from .sizes import Ref, Size

Array = np.ndarray[Any, Any]
_LAST = {2: "NHWC", 3: "NDHWC"}
_POOLS = {
    "MaxPool": ("MaxPooling2D", 2), "AvgPool": ("AveragePooling2D", 2),
    "MaxPool3D": ("MaxPooling3D", 3), "AvgPool3D": ("AveragePooling3D", 3),
}  # fmt: skip


class Weight(NamedTuple):
    """A variable of the file with its object number, or numbers computed from a variable or constant (number None)."""

    number: int | None
    shape: tuple[int, ...]
    dtype: str
    load: Callable[[], Array]


class Made(NamedTuple):
    class_name: str
    config: dict[str, Any]
    weights: list[Weight]


def _matmul(node: NodeDef, weights: Sequence[Weight]) -> Made:
    (kernel,) = weights
    if node.attribute("transpose_a") or node.attribute("adj_x") or node.attribute("adj_y"):
        raise Unable(f"it computes {node.op} of a transposed operand")
    if node.attribute("transpose_b"):
        whole = kernel
        kernel = Weight(None, whole.shape[::-1], whole.dtype, lambda: whole.load().T)
    return dense(kernel)


def dense(kernel: Weight) -> Made:
    """``x[..., k] @ kernel[k, n] -> [..., n]``"""
    if len(kernel.shape) != 2:
        raise Unable("it multiplies by a matrix of another rank than 2")
    return Made("Dense", {"units": kernel.shape[1], "activation": "linear", "use_bias": False}, [kernel])


def _conv(node: NodeDef, weights: Sequence[Weight]) -> Made:
    (kernel,) = weights
    if node.op == "DepthwiseConv2dNative":
        config = _window(node, kernel, 2)
        config["depth_multiplier"] = kernel.shape[3]
        return Made("DepthwiseConv2D", config, [kernel])
    rank = 3 if node.op == "Conv3D" else 2
    config = _window(node, kernel, rank)
    return Made(f"Conv{rank}D", {"filters": kernel.shape[-1], **config}, [kernel])


def line(kernel: Weight, dilation: list[int]) -> Made:
    """A dilated Conv1D of ``x[b, t, c]`` along ``t`` with ``kernel[k, c, n]``, without padding."""
    if len(kernel.shape) != 3:
        raise Unable("it computes a convolution in a form that no layer has")
    config = {
        "filters": kernel.shape[2], "kernel_size": [kernel.shape[0]], "strides": [1], "padding": "valid",
        "dilation_rate": dilation, "data_format": "channels_last", "activation": "linear", "use_bias": False,
    }  # fmt: skip
    return Made("Conv1D", config, [kernel])


def grouped(made: Made, channels: int | None) -> Made:
    """A convolution with the number of groups that its kernel implies for an input of ``channels`` channels.

    If the number of channels is unknown, there is one group: Keras refuses the kernel for other numbers of channels.
    """
    if not made.class_name.startswith("Conv") or channels is None:
        return made
    own = made.weights[0].shape[-2]
    if made.class_name.endswith("Transpose") or own == channels:
        return made
    if not own or channels % own:
        raise Unable(f"it computes a convolution of {channels} channels with a kernel for {own}")
    return made._replace(config={**made.config, "groups": channels // own})


def _transposed(node: NodeDef, weights: Sequence[Weight]) -> Made:
    (kernel,) = weights
    rank = 3 if node.op == "Conv3DBackpropInputV2" else 2
    config = _window(node, kernel, rank)
    if max(config["dilation_rate"]) > 1:
        raise Unable(f"it computes {node.op} with dilations")
    config = {"filters": kernel.shape[-2], **config, "output_padding": None}
    return Made(f"Conv{rank}DTranspose", config, [kernel])


def fits(made: Made, x: Ref, shape: Sequence[int | None] | None, sizes: Sequence[int | Size]) -> bool:
    """Whether a transposed convolution layer gives the output ``sizes``; several sizes are possible for one input.

    Source: ``compute_conv_transpose_output_shape`` (``backend/common/backend_utils.py``, Keras 3.15).
    """
    steps = made.config["strides"]
    if shape is None or len(shape) != len(steps) + 2 or len(sizes) != len(shape):
        return False
    for axis, (step, length) in enumerate(zip(steps, made.config["kernel_size"], strict=True), 1):
        more = max(length - step, 0) if made.config["padding"] == "valid" else 0
        size, given = sizes[axis], shape[axis]
        if size != (given * step + more if given is not None else Size(step, ((x, axis),))):
            return False
        if given is None and more:
            return False
    return True


def _window(node: NodeDef, kernel: Weight, rank: int) -> dict[str, Any]:
    steps, dilations = node.attribute("strides"), node.attribute("dilations") or [1] * (rank + 2)
    padding = node.attribute("padding")
    if len(kernel.shape) != rank + 2 or not _inner(steps, rank) or not _inner(dilations, rank):
        raise Unable(f"it computes {node.op} in a form that no layer has")
    if node.attribute("data_format") not in (None, _LAST[rank]) or padding not in ("VALID", "SAME"):
        raise Unable(f"it computes {node.op} with {padding} and {node.attribute('data_format')}")
    if max(steps) > 1 and max(dilations) > 1:
        raise Unable(f"it computes {node.op} with strides and dilations")
    return {
        "kernel_size": list(kernel.shape[:rank]), "strides": steps[1:-1], "padding": padding.lower(),
        "dilation_rate": dilations[1:-1], "data_format": "channels_last", "activation": "linear", "use_bias": False,
    }  # fmt: skip


def _inner(numbers: Any, rank: int) -> bool:
    return isinstance(numbers, list) and len(numbers) == rank + 2 and numbers[0] == numbers[-1] == 1


def _normalization(node: NodeDef, weights: Sequence[Weight]) -> Made:
    if node.attribute("is_training") is not False or node.attribute("data_format") not in (None, "NHWC"):
        raise Unable("it normalizes with batch statistics, or along another axis than the last one")
    epsilon = node.attribute("epsilon")
    config = {"axis": [3], "epsilon": 1e-4 if epsilon is None else epsilon, "center": True, "scale": True}
    return Made("BatchNormalization", config, list(weights))


def _gather(node: NodeDef, weights: Sequence[Weight]) -> Made:
    (table,) = weights
    if node.attribute("batch_dims") or len(table.shape) != 2:
        raise Unable("it gathers rows of a table of another rank than 2")
    return Made("Embedding", {"input_dim": table.shape[0], "output_dim": table.shape[1]}, [table])


def is_product(node: NodeDef, operands: Sequence[Any]) -> bool:
    """Whether an operator is a product with weights; a gather must take rows of a float32 matrix variable."""
    if node.op != "GatherV2":
        return node.op in PRODUCTS
    table, _, axis = operands
    rows = isinstance(axis, np.ndarray) and axis.tolist() in (0, [0]) and not node.attribute("batch_dims")
    return rows and isinstance(table, Weight) and table.dtype == "float32" and len(table.shape) == 2


def _einsum(node: NodeDef, weights: Sequence[Weight]) -> Made:
    """An EinsumDense, such as ``x[b, ..., k], kernel[k, n] -> [b, ..., n]``; the equation's letters name the axes."""
    (kernel,) = weights
    equation = node.attribute("equation")
    taken, _, given = equation.partition("->")
    names = taken.split(",")[-1]
    sizes = dict(zip(names, kernel.shape, strict=True))
    if not equation.replace(",", "").replace("->", "").isalpha() or not given or given[0] in sizes:
        raise Unable(f"it computes Einsum with {equation}")
    shape = [sizes.get(name) for name in given[1:]]
    return Made(
        "EinsumDense", {"equation": equation, "output_shape": shape, "activation": "linear"}, [kernel]
    )


# Operator -> the position of its input operand, the positions of its weights, and the function that makes the layer.
PRODUCTS: dict[str, tuple[int, tuple[int, ...], Callable[[NodeDef, Sequence[Weight]], Made]]] = {
    "MatMul": (0, (1,), _matmul), "BatchMatMul": (0, (1,), _matmul), "BatchMatMulV2": (0, (1,), _matmul),
    "Conv2D": (0, (1,), _conv), "Conv3D": (0, (1,), _conv), "DepthwiseConv2dNative": (0, (1,), _conv),
    "Conv2DBackpropInput": (2, (1,), _transposed), "Conv3DBackpropInputV2": (2, (1,), _transposed),
    "Einsum": (0, (1,), _einsum), "FusedBatchNormV3": (0, (1, 2, 3, 4), _normalization),
    "GatherV2": (1, (0,), _gather), "ResourceGather": (1, (0,), _gather),
}  # fmt: skip
_WITH_BIAS = frozenset(["Conv1D", "Conv2D", "Conv2DTranspose", "Conv3D", "Conv3DTranspose", "Dense"])


def size_of_bias(made: Made) -> int | None:
    """The number of a layer's output channels if it can have a bias, else None."""
    if made.class_name == "DepthwiseConv2D":
        *_, channels, multiplier = made.weights[0].shape
        return channels * multiplier
    return made.config.get("units", made.config.get("filters")) if made.class_name in _WITH_BIAS else None


def pooled(node: NodeDef) -> Made | None:
    """A pool as a layer; None for other operators."""
    name, rank = _POOLS.get(node.op, ("", 0))
    if not name:
        return None
    size, steps, padding = (node.attribute(name) for name in ("ksize", "strides", "padding"))
    if not _inner(size, rank) or not _inner(steps, rank) or padding not in ("VALID", "SAME"):
        raise Unable(f"it computes {node.op} in a form that no layer has")
    if node.attribute("data_format") not in (None, _LAST[rank]):
        raise Unable(f"it computes {node.op} with {node.attribute('data_format')}")
    config = {"pool_size": size[1:-1], "strides": steps[1:-1], "padding": padding.lower()}
    return Made(name, {**config, "data_format": "channels_last"}, [])
