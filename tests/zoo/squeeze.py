"""Squeeze-and-excitation: one factor per channel, computed from the pooled map."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from tests.zoo.common import gate

POOLING = {
    1: layers.GlobalAveragePooling1D,
    2: layers.GlobalAveragePooling2D,
    3: layers.GlobalAveragePooling3D,
}
CONV = {1: layers.Conv1D, 2: layers.Conv2D, 3: layers.Conv3D}


def excite(x: Any, c: int, r: int, *, tag: str = "", first: bool = False, **kwargs: Any) -> Any:
    """excite(x[B, S..., C]) -> [B, C]: pool, squeeze to r features, expand to c factors."""
    data_format = "channels_first" if first else "channels_last"
    p = POOLING[len(x.shape) - 2](data_format=data_format, name=f"pool{tag}", **kwargs)(x)
    p = layers.Dense(r, activation="relu", name=f"squeeze{tag}", **kwargs)(p)
    return layers.Dense(c, activation="sigmoid", name=f"excite{tag}", **kwargs)(p)


def se(
    *,
    space: tuple[int, ...],
    c: int,
    r: int = 4,
    op: bool = False,
    swap: bool = False,
    names: tuple[str, str] | None = None,
) -> keras.Model:
    """Channels last, any number of spatial axes; a Reshape gives the gate the shape (1, ..., 1, C)."""
    scale, expand = names or ("scale", "expand")
    rank = len(space)
    inputs = keras.Input((*space, 2), name="image")
    x = CONV[rank](c, 3, padding="same", name="stem")(inputs)
    g = layers.Reshape((1,) * rank + (c,), name=expand)(excite(x, c, r))
    y = gate(x, g, name=scale, op=op, swap=swap)
    y = POOLING[rank](name="flat")(CONV[rank](3, 1, name="mix")(y))
    return keras.Model(inputs, layers.Dense(2, name="head")(y), name="se")


def se_first(
    *, space: tuple[int, ...], c: int, r: int = 4, op: bool = False, swap: bool = False
) -> keras.Model:
    """Channels first: a Reshape gives the gate the shape (C, 1, ..., 1)."""
    rank = len(space)
    inputs = keras.Input((c, *space), name="image")
    x = layers.BatchNormalization(axis=1, name="norm")(inputs)
    g = layers.Reshape((c,) + (1,) * rank, name="expand")(excite(x, c, r, first=True))
    y = gate(x, g, op=op, swap=swap)
    y = POOLING[rank](data_format="channels_first", name="flat")(layers.Activation("relu", name="act")(y))
    return keras.Model(inputs, layers.Dense(2, name="head")(y), name="se_first")


def se_keepdims(*, h: int, w: int, c: int, op: bool = True) -> keras.Model:
    """The pooling keeps its axes, so the gate needs no Reshape."""
    inputs = keras.Input((h, w, 2), name="image")
    x = layers.Conv2D(c, 3, padding="same", name="stem")(inputs)
    p = layers.GlobalAveragePooling2D(keepdims=True, name="pool")(x)
    g = layers.Dense(c, activation="sigmoid", name="excite")(p)
    y = gate(x, g, op=op)
    return keras.Model(inputs, layers.GlobalMaxPooling2D(name="flat")(y), name="se_keepdims")


def se_mixed(*, h: int, w: int, c: int, op: bool = True) -> keras.Model:
    """Every layer computes in float16 over float32 weights; the head is float32."""
    kind = {"dtype": "mixed_float16"}
    inputs = keras.Input((h, w, 2), name="image")
    x = layers.Conv2D(c, 3, padding="same", name="stem", **kind)(inputs)
    g = layers.Reshape((1, 1, c), name="expand", **kind)(excite(x, c, 4, **kind))
    y = gate(x, g, op=op, **({} if op else kind))
    y = layers.GlobalAveragePooling2D(name="flat", **kind)(y)
    return keras.Model(inputs, layers.Dense(2, name="head", dtype="float32")(y), name="se_mixed")


def se_first_mixed(*, h: int, w: int, c: int) -> keras.Model:
    """Channels first with the Multiply layer, in float16."""
    kind = {"dtype": "mixed_float16"}
    inputs = keras.Input((c, h, w), name="image")
    x = layers.BatchNormalization(axis=1, name="norm", **kind)(inputs)
    g = layers.Reshape((c, 1, 1), name="expand", **kind)(excite(x, c, 4, first=True, **kind))
    y = gate(x, g, **kind)
    return keras.Model(
        inputs, layers.GlobalAveragePooling2D(data_format="channels_first", name="flat", **kind)(y)
    )


def excite_twice(*, h: int, w: int, c: int, op: bool = True, blocks: int = 2) -> keras.Model:
    """Several squeeze-and-excitation blocks one after the other."""
    inputs = x = keras.Input((h, w, 2), name="image")
    for k in range(1, blocks + 1):
        x = layers.Conv2D(c, 3, padding="same", name=f"conv{k}")(x)
        g = layers.Reshape((1, 1, c), name=f"expand{k}")(excite(x, c, 4, tag=str(k)))
        x = gate(x, g, name=f"scale{k}", op=op)
    return keras.Model(inputs, layers.GlobalAveragePooling2D(name="flat")(x), name="excite_twice")
