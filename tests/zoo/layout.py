"""One branch channels last, the other channels first."""

from __future__ import annotations

import keras
from keras import layers

from tests.zoo.common import gate


def layout(*, h: int, w: int, c: int, op: bool = False, swap: bool = False) -> keras.Model:
    """The batch normalisation states that the branch is channels first; a Permute turns it to channels last."""
    last = keras.Input((h, w, 2), name="last")
    first = keras.Input((c, h, w), name="first")
    x = layers.Conv2D(c, 3, padding="same", name="stem")(last)
    y = layers.BatchNormalization(axis=1, name="norm")(first)
    y = layers.Activation("sigmoid", name="squash")(y)
    z = gate(x, layers.Permute((2, 3, 1), name="turn")(y), op=op, swap=swap)
    return keras.Model([last, first], layers.GlobalAveragePooling2D(name="flat")(z), name="layout")


def layout_first(*, h: int, w: int, c: int, op: bool = True) -> keras.Model:
    """The main branch is channels first, and so is everything after the product."""
    first = keras.Input((c, h, w), name="first")
    last = keras.Input((h, w, 2), name="last")
    x = layers.BatchNormalization(axis=1, name="norm")(first)
    g = layers.Conv2D(c, 1, activation="sigmoid", name="stem")(last)
    z = gate(x, layers.Permute((3, 1, 2), name="turn")(g), op=op)
    z = layers.BatchNormalization(axis=1, name="after")(z)
    flat = layers.GlobalAveragePooling2D(data_format="channels_first", name="flat")
    return keras.Model([first, last], flat(z), name="layout_first")


def bare_layout(*, h: int, w: int, c: int) -> keras.Model:
    """Two inputs and a Permute, no layer that names an axis, nothing after the product."""
    last = keras.Input((h, w, c), name="last")
    first = keras.Input((c, h, w), name="first")
    return keras.Model(
        [last, first], gate(last, layers.Permute((2, 3, 1), name="turn")(first)), name="bare_layout"
    )
