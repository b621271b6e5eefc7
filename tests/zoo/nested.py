"""Gates inside nested models, and layers that only their names tell apart."""

from __future__ import annotations

import keras
from keras import layers

from tests.zoo.common import gate
from tests.zoo.squeeze import excite


def block(h: int, w: int, c: int, *, op: bool, name: str = "block") -> keras.Model:
    """A squeeze-and-excitation block as a model of its own."""
    inputs = keras.Input((h, w, c), name="features")
    x = layers.Conv2D(c, 3, padding="same", name="conv")(inputs)
    g = layers.Reshape((1, 1, c), name="expand")(excite(x, c, 4))
    return keras.Model(inputs, gate(x, g, op=op), name=name)


def nested(*, h: int, w: int, c: int, op: bool = True) -> keras.Model:
    """The block inside a model."""
    inputs = keras.Input((h, w, 2), name="image")
    x = layers.Conv2D(c, 1, name="stem")(inputs)
    x = block(h, w, c, op=op)(x)
    return keras.Model(inputs, layers.GlobalAveragePooling2D(name="flat")(x), name="nested")


def nested_twice(*, h: int, w: int, c: int, op: bool = True) -> keras.Model:
    """The block inside a model inside a model."""
    middle_in = keras.Input((h, w, c), name="middle_features")
    middle = keras.Model(middle_in, layers.ReLU(name="act")(block(h, w, c, op=op)(middle_in)), name="middle")
    inputs = keras.Input((h, w, c), name="image")
    return keras.Model(
        inputs, layers.GlobalAveragePooling2D(name="flat")(middle(inputs)), name="nested_twice"
    )


def nested_shared(*, h: int, w: int, c: int, op: bool = True) -> keras.Model:
    """One block called twice, with the same weights."""
    inputs = keras.Input((h, w, c), name="image")
    shared = block(h, w, c, op=op)
    x = shared(layers.ReLU(name="act")(shared(inputs)))
    return keras.Model(inputs, layers.GlobalAveragePooling2D(name="flat")(x), name="nested_shared")


def nested_first(*, h: int, w: int, c: int) -> keras.Model:
    """A channels-first gate by the Multiply layer, inside a Sequential."""
    inner_in = keras.Input((c, h, w), name="features")
    x = layers.BatchNormalization(axis=1, name="norm")(inner_in)
    g = layers.Reshape((c, 1, 1), name="expand")(excite(x, c, 4, first=True))
    inner = keras.Model(inner_in, gate(x, g), name="block")
    flat = layers.GlobalAveragePooling2D(data_format="channels_first", name="flat")
    return keras.Sequential([keras.Input((c, h, w), name="image"), inner, flat], name="nested_first")


def twin_dense(*, t: int, d: int, op: bool = True) -> keras.Model:
    """Two Dense branches of equal shape: only their names keep their weights apart."""
    inputs = keras.Input((t, d), name="signal")
    x = layers.Dense(d, name="left")(inputs)
    p = layers.GlobalAveragePooling1D(name="pool")(inputs)
    g = layers.Dense(d, activation="sigmoid", name="right")(p)
    y = gate(x, layers.Reshape((1, d), name="expand")(g), op=op)
    return keras.Model(inputs, layers.Dense(d, name="head")(y), name="twin_dense")


def twin_gru(*, t: int, d: int, op: bool = True) -> keras.Model:
    """Two GRUs of equal shape: a node between one of them and the gate changes their order by depth."""
    left = keras.Input((t, 2), name="a")
    right = keras.Input((t, 2), name="b")
    x = layers.GRU(d, return_sequences=True, name="first")(left)
    v = layers.GRU(d, name="second")(right)
    y = gate(x, layers.Reshape((1, d), name="expand")(v), op=op)
    return keras.Model([left, right], layers.GlobalAveragePooling1D(name="flat")(y), name="twin_gru")
