"""Images with conditions: skips of a U-Net, styles, segmentations, expert kernels, attention by rows and columns."""

from __future__ import annotations

import keras
from keras import layers, ops

from tools.architectures.parts import Architecture, excite, pool


def excited_unet(h: int, w: int, c: int) -> keras.Model:
    """A skip with a gate per channel and a map of half the resolution; a condition scales the bottleneck."""
    image, condition = keras.Input((2 * h, 2 * w, 3)), keras.Input((4,))
    skip = layers.Conv2D(c, 3, padding="same", activation="relu")(image)
    x = layers.Conv2D(c, 3, padding="same")(layers.MaxPooling2D()(skip))
    x = layers.Multiply()([x, layers.Reshape((1, 1, c))(layers.Dense(c)(condition))])
    spot = layers.Conv2D(1, 1, activation="sigmoid")(x)
    skip = layers.Multiply()([excite(skip), layers.UpSampling2D()(spot)])
    x = layers.Concatenate()([layers.UpSampling2D()(x), skip])
    return keras.Model([image, condition], layers.Conv2D(2, 1)(x), name="excited_unet")


def modulated(h: int, w: int, c: int) -> keras.Model:
    """StyleGAN: a style scales the channels before a convolution, its norm divides the result; noise per position."""
    image, style, noise = keras.Input((h, w, 3)), keras.Input((5,)), keras.Input((h, w))
    x = layers.Conv2D(c, 3, padding="same")(image)
    s = layers.Dense(c)(style)
    x = layers.Multiply()([x, layers.Reshape((1, 1, c))(s)])
    x = layers.Conv2D(c, 3, padding="same")(x)
    norm = ops.rsqrt(1.0 + ops.sum(ops.square(s), axis=-1, keepdims=True))
    x = layers.Multiply()([x, layers.Reshape((1, 1, 1))(norm)])
    x = layers.Multiply()([x, layers.Reshape((h, w, 1))(layers.Activation("sigmoid")(noise))])
    return keras.Model([image, style, noise], layers.Conv2D(2, 1)(x), name="modulated")


def instance_style(h: int, w: int, c: int) -> keras.Model:
    """AdaIN: statistics over the positions with kept axes, then scale and offset from a style."""
    image, style = keras.Input((h, w, 3)), keras.Input((5,))
    x = layers.Conv2D(c, 3, padding="same")(image)
    x = x - ops.mean(x, axis=(1, 2), keepdims=True)
    x = x * ops.rsqrt(1e-3 + ops.mean(ops.square(x), axis=(1, 2), keepdims=True))
    x = x * layers.Reshape((1, 1, c))(layers.Dense(c)(style)) + layers.Reshape((1, 1, c))(
        layers.Dense(c)(style)
    )
    return keras.Model([image, style], layers.Conv2D(2, 1)(x), name="instance_style")


def segmented(h: int, w: int, c: int) -> keras.Model:
    """SPADE: scale and offset at each position, from a coarser map of classes."""
    image, classes = keras.Input((2 * h, 2 * w, 3)), keras.Input((h, w, 4))
    x = layers.BatchNormalization()(layers.Conv2D(c, 3, padding="same")(image))
    scale = layers.UpSampling2D()(layers.Conv2D(c, 1)(classes))
    offset = layers.UpSampling2D()(layers.Conv2D(c, 1)(classes))
    x = layers.Add()([layers.Multiply()([x, scale]), offset])
    return keras.Model([image, classes], layers.Conv2D(2, 1)(x), name="segmented")


def dynamic_kernels(h: int, w: int, c: int, k: int) -> keras.Model:
    """Several convolutions, weighted by a softmax."""
    image = keras.Input((h, w, 3))
    made = ops.stack([layers.Conv2D(c, 3, padding="same")(image) for _ in range(k)], axis=1)
    share = layers.Dense(k, activation="softmax")(pool(image))
    x = ops.sum(layers.Multiply()([made, layers.Reshape((k, 1, 1, 1))(share)]), axis=1)
    return keras.Model(image, layers.Dense(3)(pool(x)), name="dynamic_kernels")


def turned_attention(h: int, w: int, c: int) -> keras.Model:
    """Coordinate attention as published: rows and columns through one convolution, a Permute before and after."""
    image = keras.Input((h, w, 3))
    x = layers.Conv2D(c, 3, padding="same")(image)
    rows = ops.mean(x, axis=2, keepdims=True)
    columns = layers.Permute((2, 1, 3))(ops.mean(x, axis=1, keepdims=True))
    both = layers.Conv2D(4, 1, activation="relu")(layers.Concatenate(axis=1)([rows, columns]))
    rows = layers.Conv2D(c, 1, activation="sigmoid")(both[:, :h])
    columns = layers.Permute((2, 1, 3))(layers.Conv2D(c, 1, activation="sigmoid")(both[:, h:]))
    x = layers.Multiply()([layers.Multiply()([x, rows]), columns])
    return keras.Model(image, layers.Dense(3)(pool(x)), name="turned_attention")


def place_and_channel(h: int, w: int, c: int) -> keras.Model:
    """Dual attention: a softmax over pairs of positions and one over pairs of channels, each times the image."""
    image = keras.Input((h, w, 3))
    x = layers.Conv2D(c, 3, padding="same")(image)
    flat = layers.Reshape((h * w, c))(x)
    places = layers.Softmax()(layers.Dot(axes=(2, 2))([flat, flat]))
    by_place = layers.Reshape((h, w, c))(layers.Dot(axes=(2, 1))([places, flat]))
    channels = layers.Softmax()(layers.Dot(axes=(1, 1))([flat, flat]))
    by_channel = layers.Reshape((h, w, c))(layers.Dot(axes=(2, 2))([flat, channels]))
    y = layers.Add()([layers.Multiply()([x, by_place]), layers.Multiply()([x, by_channel])])
    return keras.Model(image, layers.Dense(3)(pool(y)), name="place_and_channel")


ARCHITECTURES: dict[str, Architecture] = {
    "excited U-Net": Architecture(excited_unet, {"h": 3, "w": 5, "c": 7}, {"h": 2, "w": 2, "c": 4}),
    "StyleGAN": Architecture(modulated, {"h": 5, "w": 7, "c": 11}, {"h": 6, "w": 6, "c": 6}),
    "AdaIN": Architecture(instance_style, {"h": 5, "w": 7, "c": 11}, {"h": 6, "w": 6, "c": 6}),
    "SPADE": Architecture(segmented, {"h": 2, "w": 3, "c": 5}, {"h": 4, "w": 4, "c": 8}),
    "dynamic kernels": Architecture(
        dynamic_kernels, {"h": 5, "w": 7, "c": 11, "k": 3}, {"h": 4, "w": 4, "c": 4, "k": 4}
    ),
    "turned attention": Architecture(turned_attention, {"h": 5, "w": 7, "c": 11}, {"h": 6, "w": 6, "c": 6}),
    "dual attention": Architecture(place_and_channel, {"h": 3, "w": 5, "c": 7}, {"h": 2, "w": 3, "c": 6}),
}
