"""FiLM: scale and shift per channel, both from a conditioning vector."""

from __future__ import annotations

import keras
from keras import layers

from tests.zoo.common import gate


def film(*, h: int, w: int, c: int, e: int = 4, swap: bool = False) -> keras.Model:
    """Images (B, H, W, C), with operations for the arithmetic."""
    image = keras.Input((h, w, 2), name="image")
    condition = keras.Input((e,), name="condition")
    x = layers.Conv2D(c, 3, padding="same", name="stem")(image)
    gamma = layers.Reshape((1, 1, c), name="gamma_expand")(layers.Dense(c, name="gamma")(condition))
    beta = layers.Reshape((1, 1, c), name="beta_expand")(layers.Dense(c, name="beta")(condition))
    y = gate(x, gamma, op=True, swap=swap) + beta
    return keras.Model([image, condition], layers.Conv2D(3, 1, name="mix")(y), name="film")


def film_sequence(*, t: int, d: int, e: int = 4) -> keras.Model:
    """Sequences (B, T, D): RepeatVector repeats the scale, layers do the arithmetic."""
    signal = keras.Input((t, 2), name="signal")
    condition = keras.Input((e,), name="condition")
    x = layers.GRU(d, return_sequences=True, name="encoder")(signal)
    gamma = layers.RepeatVector(t, name="spread")(layers.Dense(d, name="gamma")(condition))
    beta = layers.Reshape((1, d), name="beta_expand")(layers.Dense(d, name="beta")(condition))
    y = layers.Add(name="shift")([gate(x, gamma), beta])
    return keras.Model(
        [signal, condition], layers.GlobalAveragePooling1D(name="flat")(y), name="film_sequence"
    )


def film_dict(*, h: int, w: int, c: int, e: int = 4) -> keras.Model:
    """The inputs and the outputs are dictionaries; the product itself is one of the outputs."""
    inputs = {"image": keras.Input((h, w, 2), name="image"), "condition": keras.Input((e,), name="condition")}
    x = layers.Conv2D(c, 3, padding="same", name="stem")(inputs["image"])
    gamma = layers.Dense(c, name="gamma")(inputs["condition"])
    y = gate(x, layers.Reshape((1, 1, c), name="expand")(gamma), op=True)
    outputs = {"scaled": y, "factors": gamma, "score": layers.GlobalMaxPooling2D(name="flat")(y)}
    return keras.Model(inputs, outputs, name="film_dict")
