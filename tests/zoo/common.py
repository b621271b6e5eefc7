"""Shared parts of the builders: the multiply itself, in either spelling, and reproducible weights."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers
from keras.src.ops.numpy import Multiply as MultiplyOp


def gate(x: Any, g: Any, *, name: str = "scale", op: bool = False, swap: bool = False, **kwargs: Any) -> Any:
    """gate(x[...], g[...]) -> [...]: multiply, as the layer or as the operation, in either operand order."""
    pair = (g, x) if swap else (x, g)
    if op:
        return MultiplyOp(name=name)(*pair)
    return layers.Multiply(name=name, **kwargs)(list(pair))


def randomise(model: keras.Model, seed: int = 7) -> keras.Model:
    """Give every weight its own random values: exchanged weights of two layers always show."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            randomise(layer, seed + 1)
    for variable in model.variables:
        if "int" in variable.dtype or "seed" in variable.name:
            continue
        values = rng.normal(0.0, 0.5, variable.shape)
        if "variance" in variable.name:
            values = 0.5 + np.abs(values)
        variable.assign(values.astype("float32"))
    return model
