"""Shared parts of the builders: an architecture with its sizes, large random weights, gates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import layers

Sizes = dict[str, int]


@dataclass(frozen=True)
class Architecture:
    """A builder with its sizes; ``equal`` are the sizes of the twin, ``large`` marks a model that loads for seconds."""

    build: Callable[..., keras.Model]
    sizes: Sizes = field(default_factory=dict)
    equal: Sizes | None = None
    large: bool = False

    def model(self, twin: bool = False) -> keras.Model:
        """The model, with the same weights each time."""
        keras.backend.clear_session()
        sizes = self.equal if twin else self.sizes
        if sizes is None:
            raise ValueError(f"{self.build.__name__} has no twin")
        return randomise(self.build(**sizes))


def randomise(model: keras.Model, seed: int = 7) -> keras.Model:
    """Assign random weights: kernels with gain 1.5 over the root of the fan-in, other values away from 0 and 1."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if "int" in variable.dtype or "seed" in variable.name:
            continue
        noise = rng.normal(0.0, 1.0, variable.shape)
        if "variance" in variable.name:
            values = 0.5 + np.abs(noise)
        elif "gamma" in variable.name:
            values = 1.0 + 0.3 * noise
        elif len(variable.shape) < 2:
            values = 0.3 * noise
        else:
            depthwise = len(variable.shape) > 2 and variable.shape[-1] == 1
            fan_in = np.prod(variable.shape[:-2] if depthwise else variable.shape[:-1])
            values = 1.5 * noise / np.sqrt(fan_in)
        variable.assign(values.astype(variable.dtype))
    return model


def pool(x: Any, **options: Any) -> Any:
    """pool(x[B, S..., C]) -> [B, C]: the mean over the positions."""
    kinds = {
        3: layers.GlobalAveragePooling1D,
        4: layers.GlobalAveragePooling2D,
        5: layers.GlobalAveragePooling3D,
    }
    return kinds[len(x.shape)](**options)(x)


def factors(x: Any, channels: int, hidden: int = 4) -> Any:
    """factors(x[B, K]) -> [B, C]: two Dense layers, the second with a sigmoid."""
    return layers.Dense(channels, activation="sigmoid")(layers.Dense(hidden, activation="relu")(x))


def excite(x: Any, hidden: int = 4) -> Any:
    """excite(x[B, S..., C]) -> [B, S..., C]: squeeze-and-excitation."""
    channels = x.shape[-1]
    gate = layers.Reshape((1,) * (len(x.shape) - 2) + (channels,))(factors(pool(x), channels, hidden))
    return layers.Multiply()([x, gate])
