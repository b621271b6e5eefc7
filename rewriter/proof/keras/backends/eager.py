"""Functions shared by the backends that run a model operation by operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..models import operands


def tensors(model: Any, inputs: Sequence[Any]) -> list[Any]:
    """The inputs of a model as tensors of its dtypes."""
    import keras

    return [
        keras.ops.convert_to_tensor(x, dtype=keras.backend.standardize_dtype(t.dtype))
        for x, t in zip(inputs, keras.tree.flatten(operands(model)), strict=True)
    ]


def run(model: Any, function: Callable[..., list[Any]], inputs: Sequence[Any]) -> list[Any]:
    """The arrays that a function of flat inputs gives."""
    import keras

    return [keras.ops.convert_to_numpy(y) for y in function(*tensors(model, inputs))]


def is_floating(tensor: Any) -> bool:
    """True for a tensor of real floating numbers."""
    import keras

    return bool(keras.ops.is_tensor(tensor)) and "float" in keras.backend.standardize_dtype(tensor.dtype)
