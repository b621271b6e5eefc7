"""Gates over positions: CBAM, shared and three-operand multiplies, statistics that lose their axis."""

from __future__ import annotations

import keras
from keras import layers, ops

from tests.zoo.common import gate
from tests.zoo.squeeze import excite


def cbam(*, h: int, w: int, c: int, op: bool = False, swap: bool = False) -> keras.Model:
    """A channel gate, then a spatial gate lifted from (B, H, W) by ExpandDims."""
    inputs = keras.Input((h, w, 2), name="image")
    x = layers.Conv2D(c, 3, padding="same", name="stem")(inputs)
    g = layers.Reshape((1, 1, c), name="expand")(excite(x, c, 4))
    x = gate(x, g, name="channel_scale", op=op, swap=swap)
    m = layers.Activation("sigmoid", name="squash")(ops.mean(x, axis=-1))
    y = gate(x, ops.expand_dims(m, -1), name="spatial_scale", op=op, swap=swap)
    y = layers.GlobalAveragePooling2D(name="flat")(layers.Conv2D(3, 1, name="mix")(y))
    return keras.Model(inputs, y, name="cbam")


def spatial_conv(*, h: int, w: int, c: int, op: bool = False, swap: bool = False) -> keras.Model:
    """The map is a convolution with one filter, reshaped to (H, W) for an output and back for the gate."""
    inputs = keras.Input((h, w, 2), name="image")
    x = layers.Conv2D(c, 3, padding="same", name="stem")(inputs)
    m = layers.Conv2D(1, 1, activation="sigmoid", name="score")(x)
    m = layers.Reshape((h, w), name="map")(m)
    y = gate(x, layers.Reshape((h, w, 1), name="lift")(m), op=op, swap=swap)
    return keras.Model(inputs, [layers.GlobalAveragePooling2D(name="flat")(y), m], name="spatial_conv")


def spatial_first(*, h: int, w: int, c: int, op: bool = False) -> keras.Model:
    """Channels first: (B, C, H, W) times a map lifted to (B, 1, H, W)."""
    inputs = keras.Input((c, h, w), name="image")
    x = layers.BatchNormalization(axis=1, name="norm")(inputs)
    m = layers.Activation("sigmoid", name="squash")(ops.mean(x, axis=1))
    y = gate(x, layers.Reshape((1, h, w), name="lift")(m), op=op)
    return keras.Model(inputs, layers.GlobalAveragePooling2D(data_format="channels_first", name="flat")(y))


def shared_multiply(*, h: int, w: int, c: int) -> keras.Model:
    """One Multiply layer called twice, each time with a spatial map."""
    inputs = keras.Input((h, w, 2), name="image")
    scale = layers.Multiply(name="scale")
    outputs = []
    for side in ("left", "right"):
        x = layers.Conv2D(c, 3, padding="same", name=f"{side}_stem")(inputs)
        m = layers.Reshape((h, w), name=f"{side}_map")(layers.Conv2D(1, 1, name=f"{side}_score")(x))
        y = scale([x, layers.Reshape((h, w, 1), name=f"{side}_lift")(m)])
        outputs.append(layers.GlobalAveragePooling2D(name=f"{side}_flat")(y))
    return keras.Model(inputs, outputs, name="shared_multiply")


def three_operands(*, h: int, w: int, c: int) -> keras.Model:
    """Multiply of the features, a channel gate and a spatial gate at once."""
    inputs = keras.Input((h, w, 2), name="image")
    x = layers.Conv2D(c, 3, padding="same", name="stem")(inputs)
    g = layers.Reshape((1, 1, c), name="expand")(excite(x, c, 4))
    m = layers.Reshape((h, w), name="map")(layers.Conv2D(1, 1, activation="sigmoid", name="score")(x))
    y = layers.Multiply(name="scale")([x, g, layers.Reshape((h, w, 1), name="lift")(m)])
    return keras.Model(inputs, layers.GlobalAveragePooling2D(name="flat")(y), name="three_operands")


def mean_gate(*, h: int, w: int, c: int) -> keras.Model:
    """Features scaled by their own spatial mean, kept as (B, 1, 1, C) by keepdims."""
    inputs = keras.Input((h, w, 2), name="image")
    x = layers.Conv2D(c, 3, padding="same", name="stem")(inputs)
    y = gate(x, ops.mean(x, axis=(1, 2), keepdims=True), op=True)
    return keras.Model(inputs, y, name="mean_gate")


def spatial_mean(*, h: int, w: int, c: int) -> keras.Model:
    """Features scaled by their own channel mean, kept as (B, H, W, 1) by keepdims."""
    inputs = keras.Input((h, w, 2), name="image")
    x = layers.Conv2D(c, 3, padding="same", name="stem")(inputs)
    y = gate(x, ops.mean(x, axis=-1, keepdims=True), op=True, swap=True)
    return keras.Model(inputs, y, name="spatial_mean")


def unet_gate(*, h: int, w: int, c: int, by: tuple[int, int] = (2, 2), op: bool = False) -> keras.Model:
    """Attention U-Net: a coarse gate, repeated to the size of the skip connection, scales it."""
    skip = keras.Input((h * by[0], w * by[1], 2), name="skip")
    coarse = keras.Input((h, w, 3), name="coarse")
    x = layers.Conv2D(c, 3, padding="same", name="stem")(skip)
    theta = layers.Conv2D(4, 1, strides=by, name="theta")(x)
    phi = layers.Conv2D(4, 1, name="phi")(coarse)
    psi = layers.Activation("relu", name="join")(layers.Add(name="sum")([theta, phi]))
    psi = layers.Conv2D(1, 1, activation="sigmoid", name="psi")(psi)
    y = gate(x, layers.UpSampling2D(by, name="resample")(psi), op=op)
    return keras.Model([skip, coarse], layers.Conv2D(3, 1, name="mix")(y), name="unet_gate")


def unet_time(*, t: int, c: int, by: int = 3) -> keras.Model:
    """The same over time: a coarse gate per step, repeated by UpSampling1D."""
    inputs = keras.Input((t * by, 2), name="signal")
    x = layers.Conv1D(c, 3, padding="same", name="stem")(inputs)
    g = layers.AveragePooling1D(by, name="coarser")(x)
    g = layers.Conv1D(c, 1, activation="sigmoid", name="coarse")(g)
    y = gate(x, layers.UpSampling1D(by, name="resample")(g), op=True)
    return keras.Model(inputs, layers.GlobalAveragePooling1D(name="flat")(y), name="unet_time")
