"""Operators with weights, as layers of Keras that compute the same.

``made(node, x, weights)`` gives the class of the layer, its configuration in Keras 2 and its weights in the order of
``layer.weights``. Source: ``call`` of these layers in tf_keras 2.21 and ``array_ops.cc``, ``nn_ops.cc`` of TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..messages import NodeDef
from .library import Unable

Array = np.ndarray[Any, Any]


class Weight(NamedTuple):
    """A variable of the file by the number of its object, or numbers that were computed of one."""

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
        raise Unable("it multiplies with a matrix of another rank than 2")
    return Made("Dense", {"units": kernel.shape[1], "activation": "linear", "use_bias": False}, [kernel])


def _conv(node: NodeDef, weights: Sequence[Weight]) -> Made:
    (kernel,) = weights
    config = _window(node, kernel)
    if node.op == "DepthwiseConv2dNative":
        config["depth_multiplier"] = kernel.shape[3]
        return Made("DepthwiseConv2D", config, [kernel])
    return Made("Conv2D", {"filters": kernel.shape[3], **config}, [kernel])


def _window(node: NodeDef, kernel: Weight) -> dict[str, Any]:
    steps, dilations = node.attribute("strides"), node.attribute("dilations") or [1, 1, 1, 1]
    padding = node.attribute("padding")
    if len(kernel.shape) != 4 or not _plane(steps) or not _plane(dilations):
        raise Unable(f"it computes {node.op} in a form that no layer has")
    if node.attribute("data_format") not in (None, "NHWC") or padding not in ("VALID", "SAME"):
        raise Unable(f"it computes {node.op} with {padding} and {node.attribute('data_format')}")
    if max(steps) > 1 and max(dilations) > 1:
        raise Unable(f"it computes {node.op} with strides and dilations")
    return {
        "kernel_size": list(kernel.shape[:2]), "strides": steps[1:3], "padding": padding.lower(),
        "dilation_rate": dilations[1:3], "data_format": "channels_last", "activation": "linear", "use_bias": False,
    }  # fmt: skip


def _plane(numbers: Any) -> bool:
    return isinstance(numbers, list) and len(numbers) == 4 and numbers[0] == numbers[3] == 1


def _normalization(node: NodeDef, weights: Sequence[Weight]) -> Made:
    if node.attribute("is_training") is not False or node.attribute("data_format") not in (None, "NHWC"):
        raise Unable("it normalizes by the batch, or along another axis than the last one")
    epsilon = node.attribute("epsilon")
    config = {"axis": [3], "epsilon": 1e-4 if epsilon is None else epsilon, "center": True, "scale": True}
    return Made("BatchNormalization", config, list(weights))


def _gather(node: NodeDef, weights: Sequence[Weight]) -> Made:
    (table,) = weights
    if node.attribute("batch_dims") or len(table.shape) != 2:
        raise Unable("it takes rows of a table of another rank than 2")
    return Made("Embedding", {"input_dim": table.shape[0], "output_dim": table.shape[1]}, [table])


def _einsum(node: NodeDef, weights: Sequence[Weight]) -> Made:
    """``x[b, ..., k], kernel[k, n] -> [b, ..., n]``, the axes by their letters."""
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


# Operator -> the number of its operand that is no weight, those that are, and the layer.
PRODUCTS: dict[str, tuple[int, tuple[int, ...], Callable[[NodeDef, Sequence[Weight]], Made]]] = {
    "MatMul": (0, (1,), _matmul), "BatchMatMul": (0, (1,), _matmul), "BatchMatMulV2": (0, (1,), _matmul),
    "Conv2D": (0, (1,), _conv), "DepthwiseConv2dNative": (0, (1,), _conv),
    "Einsum": (0, (1,), _einsum), "FusedBatchNormV3": (0, (1, 2, 3, 4), _normalization),
    "ResourceGather": (1, (0,), _gather),
}  # fmt: skip
WITH_BIAS = frozenset({"Dense", "Conv2D", "DepthwiseConv2D"})


def pooled(node: NodeDef) -> Made | None:
    """``MaxPool`` and ``AvgPool`` as layers; None for other operators."""
    if node.op not in ("MaxPool", "AvgPool"):
        return None
    size, steps, padding = (node.attribute(name) for name in ("ksize", "strides", "padding"))
    if not _plane(size) or not _plane(steps) or padding not in ("VALID", "SAME"):
        raise Unable(f"it computes {node.op} in a form that no layer has")
    if node.attribute("data_format") not in (None, "NHWC"):
        raise Unable(f"it computes {node.op} with {node.attribute('data_format')}")
    config = {"pool_size": size[1:3], "strides": steps[1:3], "padding": padding.lower()}
    class_name = "MaxPooling2D" if node.op == "MaxPool" else "AveragePooling2D"
    return Made(class_name, {**config, "data_format": "channels_last"}, [])
