"""Kernels of Keras 1, and those that Theano convolves with, in the form of Keras 3.

Source: ``preprocess_weights_for_loading`` in ``keras/engine/saving.py`` (Keras 2.2, which turns the kernels of Theano)
and in ``saving/legacy/hdf5_format.py`` (tf_keras 2.21).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ....errors import BadFileError, UnsupportedError, shown
from ...variables import Variable
from .constructs import Construct
from .transforms import flipped, joined, made, turned

CONSTRUCTS = (
    Construct("kernels of Keras 1 with dim_ordering='th'", "axes in the order of Keras 3", "keras_1_kernels"),
    Construct(
        "an LSTM or GRU of Keras 1 with weights by gate",
        "kernel, recurrent kernel and bias",
        "keras_1_recurrent",
    ),
    Construct(
        "kernels of a model that Theano trained", "turned: Theano convolves, TensorFlow correlates", "theano"
    ),
    Construct(
        "padding='same' of a model that Theano trained, with strides or an even kernel",
        "refused: Theano pads other sides",
        "what_keras_3_computes_otherwise_is_refused",
    ),
)

_PADDED = re.compile(r"(Separable|Depthwise)?Conv\dD(Transpose)?|ConvLSTM2D|(Max|Average)Pooling\dD")
_AXES = {"Conv1D": 1, "Conv2D": 2, "Conv3D": 3, "Conv2DTranspose": 2, "ConvLSTM2D": 2}
# i, c, f, o in Keras 1 and i, f, c, o since.
_LSTM = (0, 2, 1, 3)
_GRU = (0, 1, 2)


def check_padding(layers: Iterable[dict[str, Any]]) -> None:
    """Raises UnsupportedError for a layer that Theano pads on other sides than TensorFlow.

    Both pad alike where windows of an odd size move by one. Versions of Keras differ in whether Theano's means count
    what is padded.
    """
    for layer in layers:
        class_name, config = layer["class_name"], layer["config"]
        if not (
            _PADDED.fullmatch(class_name) and isinstance(config, dict) and config.get("padding") == "same"
        ):
            continue
        window = _numbers(config.get("kernel_size", config.get("pool_size")))
        steps = _numbers(config.get("strides")) or (window if "Pooling" in class_name else [])
        if (
            class_name.startswith("Average")
            or class_name.endswith("Transpose")
            or any(n % 2 == 0 for n in window)
            or any(n != 1 for n in steps)
        ):
            raise UnsupportedError(
                f"{shown(config.get('name', class_name))!r} has padding='same', and Theano, which trained the model, "
                "pads other sides than TensorFlow"
            )


def _numbers(value: Any) -> list[int]:
    values = value if isinstance(value, (list, tuple)) else [value]
    return [number for number in values if isinstance(number, int)]


def translated(
    class_name: str, config: dict[str, Any], variables: list[Variable], era: int, backend: str
) -> list[Variable]:
    """A layer's own variables in the order and form of Keras 2 with TensorFlow. Raises BadFileError."""
    if era == 1:
        variables = _of_keras_1(class_name, config, variables)
    if backend == "theano":
        if "DepthwiseConv" in class_name or "SeparableConv" in class_name:
            raise UnsupportedError(f"the kernels of a {class_name} that Theano trained are not read")
        axes = tuple(range(_AXES.get(class_name, 0)))
        count = 2 if class_name == "ConvLSTM2D" else 1
        variables = [flipped(v, axes) if k < count and axes else v for k, v in enumerate(variables)]
    return variables


def _of_keras_1(class_name: str, config: dict[str, Any], variables: list[Variable]) -> list[Variable]:
    if class_name in ("LSTM", "ConvLSTM2D") and len(variables) == 12:
        variables = _gates(variables, _LSTM)
    elif class_name == "GRU" and len(variables) == 9:
        variables = _gates(variables, _GRU)
    if not variables:
        return variables
    first_axis = config.get("data_format") == "channels_first"
    kernel = variables[0]
    if class_name == "Conv1D":
        return [_conv_1d(kernel, config), *variables[1:]]
    if class_name == "Conv2D" and first_axis:
        return [turned(kernel, (2, 3, 1, 0)), *variables[1:]]
    if class_name == "Conv3D" and first_axis:
        return [turned(kernel, (2, 3, 4, 1, 0)), *variables[1:]]
    if class_name == "Conv2DTranspose":
        return [turned(kernel, (2, 3, 0, 1) if first_axis else (0, 1, 3, 2)), *variables[1:]]
    if class_name == "ConvLSTM2D" and first_axis:
        return [*(turned(v, (2, 3, 1, 0)) for v in variables[:2]), *variables[2:]]
    if "SeparableConv" in class_name and first_axis:
        raise UnsupportedError("the kernels of a SeparableConvolution2D with dim_ordering='th' are not read")
    return variables


def _gates(variables: list[Variable], order: tuple[int, ...]) -> list[Variable]:
    """Join the kernels, recurrent kernels and biases of the gates: one of each for all gates."""
    return [joined([variables[3 * gate + part] for gate in order]) for part in range(3)]


def _conv_1d(kernel: Variable, config: dict[str, Any]) -> Variable:
    """The kernel in the form of Keras 2: Keras 1 has four axes, before 1.2 in another order. Raises BadFileError."""
    size, filters = config.get("kernel_size"), config.get("filters")
    size = size[0] if isinstance(size, (list, tuple)) and size else size
    if len(kernel.shape) != 4:
        raise BadFileError("the kernel of a Convolution1D of Keras 1 does not have four axes")
    if kernel.shape[:2] != (size, 1) or kernel.shape[3] != filters:
        if kernel.shape[0] != filters or kernel.shape[2:] != (size, 1):
            raise BadFileError(f"the kernel of a Convolution1D has the shape {kernel.shape}")
        kernel = turned(kernel, (2, 3, 1, 0))
    shape = (kernel.shape[0], *kernel.shape[2:])
    return made([kernel], shape, lambda array: array[:, 0])
