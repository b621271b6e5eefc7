"""Gates on images and volumes, and operations on their features."""

from __future__ import annotations

import keras
from keras import layers, ops

from tools.architectures.parts import Architecture, excite, factors, pool

IMAGE, IMAGE_EQUAL = {"h": 5, "w": 7, "c": 11}, {"h": 6, "w": 6, "c": 6}


def efficientnet(size: int) -> keras.Model:
    """EfficientNetB0 without its head."""
    return keras.applications.EfficientNetB0(
        weights=None, include_top=False, pooling="avg", input_shape=(size, size, 3)
    )


def mobilenet(size: int) -> keras.Model:
    """MobileNetV3Small without its head."""
    return keras.applications.MobileNetV3Small(
        weights=None, include_top=False, pooling="avg", input_shape=(size, size, 3)
    )


def cbam_resnet(h: int, w: int, c: int) -> keras.Model:
    """Two residual blocks, each with channel attention and spatial attention."""
    image = keras.Input((h, w, 3))
    x = layers.Conv2D(c, 3, padding="same")(image)
    for _ in range(2):
        y = layers.BatchNormalization()(layers.Conv2D(c, 3, padding="same")(x))
        hidden, out = layers.Dense(4, activation="relu"), layers.Dense(c)
        means, peaks = out(hidden(pool(y))), out(hidden(layers.GlobalMaxPooling2D()(y)))
        gate = layers.Activation("sigmoid")(layers.Add()([means, peaks]))
        y = layers.Multiply()([y, layers.Reshape((1, 1, c))(gate)])
        maps = [ops.mean(y, axis=-1, keepdims=True), ops.max(y, axis=-1, keepdims=True)]
        spot = layers.Conv2D(1, 7, padding="same", activation="sigmoid")(layers.Concatenate()(maps))
        y = layers.Multiply()([y, spot])
        x = layers.Activation("relu")(layers.Add()([x, y]))
    return keras.Model(image, layers.Dense(3)(pool(x)), name="cbam_resnet")


def spatial_attention(h: int, w: int, c: int) -> keras.Model:
    """A spatial map, flattened for its softmax; the flat map is also an output."""
    image = keras.Input((h, w, 3))
    x = layers.Conv2D(c, 3, padding="same", activation="relu")(image)
    spot = layers.Softmax()(layers.Flatten()(layers.Conv2D(1, 1)(x)))
    y = layers.Multiply()([x, layers.Reshape((h, w, 1))(spot)])
    return keras.Model(image, [layers.Dense(3)(pool(y)), spot], name="spatial_attention")


def attention_unet(h: int, w: int, c: int) -> keras.Model:
    """Two levels; a coarse gate scales each skip connection."""
    image = keras.Input((4 * h, 4 * w, 2))
    skips, x = [], image
    for level in range(2):
        x = layers.Conv2D(c * (level + 1), 3, padding="same", activation="relu")(x)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(c * 3, 3, padding="same", activation="relu")(x)
    for skip in reversed(skips):
        theta = layers.Conv2D(c, 2, strides=2)(skip)
        joined = layers.Activation("relu")(layers.Add()([theta, layers.Conv2D(c, 1)(x)]))
        psi = layers.Conv2D(1, 1, activation="sigmoid")(joined)
        skip = layers.Multiply()([skip, layers.UpSampling2D()(psi)])
        x = layers.Concatenate()([layers.UpSampling2D()(x), skip])
        x = layers.Conv2D(skip.shape[-1], 3, padding="same", activation="relu")(x)
    return keras.Model(image, layers.Conv2D(2, 1)(x), name="attention_unet")


def film(h: int, w: int, c: int) -> keras.Model:
    """A condition scales and shifts every channel, twice."""
    image, condition = keras.Input((h, w, 3)), keras.Input((5,))
    x = image
    for _ in range(2):
        x = layers.BatchNormalization()(layers.Conv2D(c, 3, padding="same")(x))
        gamma = layers.Reshape((1, 1, c))(layers.Dense(c)(condition))
        beta = layers.Reshape((1, 1, c))(layers.Dense(c)(condition))
        x = layers.Activation("relu")(x * gamma + beta)
    return keras.Model([image, condition], layers.Dense(3)(pool(x)), name="film")


def se_3d(d: int, h: int, w: int, c: int) -> keras.Model:
    """Squeeze-and-excitation over volumes."""
    volume = keras.Input((d, h, w, 2))
    x = excite(layers.Conv3D(c, 3, padding="same", activation="relu")(volume))
    return keras.Model(volume, pool(layers.Conv3D(3, 1)(x)), name="se_3d")


def se_first(h: int, w: int, c: int) -> keras.Model:
    """Channels first, with a normalisation that names the channel axis."""
    image = keras.Input((c, h, w))
    x = layers.Activation("relu")(layers.BatchNormalization(axis=1)(image))
    gate = layers.Reshape((c, 1, 1))(factors(pool(x, data_format="channels_first"), c))
    x = layers.Multiply()([x, gate])
    spot = layers.Activation("sigmoid")(ops.mean(x, axis=1, keepdims=True))
    x = layers.Multiply()([x, spot])
    return keras.Model(image, pool(x, data_format="channels_first"), name="se_first")


def two_layouts(h: int, w: int, c: int) -> keras.Model:
    """A channels-first branch, through a Permute, gates a channels-last one, and the other way round."""
    last, first = keras.Input((h, w, 3)), keras.Input((c, h, w))
    x = layers.Conv2D(c, 3, padding="same")(last)
    y = layers.Activation("sigmoid")(layers.BatchNormalization(axis=1)(first))
    gated = layers.Multiply()([x, layers.Permute((2, 3, 1))(y)])
    other = layers.BatchNormalization(axis=1)(y * layers.Permute((3, 1, 2))(x))
    ends = [pool(layers.Conv2D(c, 1)(gated)), pool(other, data_format="channels_first")]
    return keras.Model([last, first], layers.Dense(3)(layers.Concatenate()(ends)), name="two_layouts")


def scse(h: int, w: int, c: int) -> keras.Model:
    """Concurrent gates over channels and over positions, of one input."""
    image = keras.Input((h, w, 3))
    x = layers.Conv2D(c, 3, padding="same", activation="relu")(image)
    spot = layers.Conv2D(1, 1, activation="sigmoid")(x)
    y = layers.Maximum()([excite(x), layers.Multiply()([x, spot])])
    return keras.Model(image, layers.Dense(3)(pool(y)), name="scse")


def coordinate_attention(h: int, w: int, c: int) -> keras.Model:
    """One gate per row and one per column, through expand_dims, in two products."""
    image = keras.Input((h, w, 3))
    x = layers.Conv2D(c, 3, padding="same")(image)
    rows = layers.Dense(c, activation="sigmoid")(ops.mean(x, axis=2))
    columns = layers.Dense(c, activation="sigmoid")(ops.mean(x, axis=1))
    y = layers.Multiply()([x, ops.expand_dims(rows, 2)])
    y = layers.Multiply()([y, ops.expand_dims(columns, 1)])
    return keras.Model(image, layers.Dense(3)(pool(y)), name="coordinate_attention")


def bilinear_pooling(h: int, w: int, c: int, d: int) -> keras.Model:
    """Outer products of two feature maps, summed over the positions, then an outer product of two vectors."""
    image = keras.Input((h, w, 3))
    left = layers.Reshape((h * w, c))(layers.Conv2D(c, 3, padding="same")(image))
    right = layers.Reshape((h * w, d))(layers.Conv2D(d, 3, padding="same")(image))
    pairs = layers.Flatten()(layers.Dot(axes=(1, 1))([left, right]))
    u, v = layers.Dense(c)(pairs), layers.Dense(d)(pairs)
    outer = layers.Multiply()([layers.Reshape((c, 1))(u), layers.Reshape((1, d))(v)])
    return keras.Model(image, layers.Dense(3)(layers.Flatten()(outer)), name="bilinear_pooling")


def nested_se(h: int, w: int, c: int) -> keras.Model:
    """A squeeze-and-excitation block that is a model of its own, between convolutions."""
    features = keras.Input((h, w, c))
    block = keras.Model(features, excite(features), name="block")
    image = keras.Input((h, w, 3))
    x = block(layers.Conv2D(c, 3, padding="same", activation="relu")(image))
    x = layers.Conv2D(c, 3, padding="same", activation="relu")(x)
    return keras.Model(image, layers.Dense(3)(pool(x)), name="nested_se")


def capsules(i: int, j: int, d: int) -> keras.Model:
    """Routing by agreement, once: coupling, weighted sum, squash, agreement, weighted sum."""
    inputs = keras.Input((i, 4))
    votes = layers.Reshape((i, j, d))(layers.Dense(j * d)(inputs))
    logits = layers.Dense(j)(inputs)
    weights = layers.Softmax()(logits)
    out = ops.sum(votes * ops.expand_dims(weights, -1), axis=1)
    out = out * ops.rsqrt(1.0 + ops.sum(ops.square(out), axis=-1, keepdims=True))
    agreement = ops.sum(votes * ops.expand_dims(out, 1), axis=-1)
    weights = layers.Softmax()(logits + agreement)
    out = ops.sum(layers.Multiply()([votes, layers.Reshape((i, j, 1))(weights)]), axis=1)
    return keras.Model(inputs, layers.Dense(3)(out), name="capsules")


def eca(h: int, w: int, c: int) -> keras.Model:
    """Efficient channel attention: a convolution along the pooled channels."""
    image = keras.Input((h, w, 3))
    x = layers.Conv2D(c, 3, padding="same")(image)
    gate = layers.Conv1D(1, 3, padding="same", activation="sigmoid")(layers.Reshape((c, 1))(pool(x)))
    x = layers.Multiply()([x, layers.Reshape((1, 1, c))(gate)])
    return keras.Model(image, layers.Dense(3)(pool(x)), name="eca")


def global_context(h: int, w: int, c: int) -> keras.Model:
    """A softmax over all positions weights the context; the context is added at every position."""
    image = keras.Input((h, w, 3))
    x = layers.Conv2D(c, 3, padding="same")(image)
    share = layers.Softmax(axis=1)(layers.Reshape((h * w, 1))(layers.Conv2D(1, 1)(x)))
    context = ops.sum(layers.Multiply()([layers.Reshape((h * w, c))(x), share]), axis=1)
    context = layers.Dense(c)(layers.LayerNormalization()(layers.Dense(4, activation="relu")(context)))
    x = layers.Add()([x, layers.Reshape((1, 1, c))(context)])
    return keras.Model(image, layers.Dense(3)(pool(x)), name="global_context")


def selective_kernel(h: int, w: int, c: int) -> keras.Model:
    """Two branches, weighted for each channel by a softmax over the branches."""
    image = keras.Input((h, w, 3))
    branches = [layers.Conv2D(c, 3, padding="same", dilation_rate=rate)(image) for rate in (1, 2)]
    both = layers.Dense(4, activation="relu")(pool(layers.Add()(branches)))
    share = layers.Softmax(axis=1)(layers.Reshape((2, c))(layers.Dense(2 * c)(both)))
    taken = [
        layers.Multiply()([x, layers.Reshape((1, 1, c))(share[:, number])])
        for number, x in enumerate(branches)
    ]
    return keras.Model(image, layers.Dense(3)(pool(layers.Add()(taken))), name="selective_kernel")


def bottleneck_attention(h: int, w: int, c: int) -> keras.Model:
    """BAM: a gate per channel and a gate per position, added before the sigmoid."""
    image = keras.Input((h, w, 3))
    x = layers.Conv2D(c, 3, padding="same", activation="relu")(image)
    channels = layers.Reshape((1, 1, c))(layers.Dense(c)(layers.Dense(2, activation="relu")(pool(x))))
    places = layers.Conv2D(1, 1)(layers.Conv2D(2, 3, padding="same", dilation_rate=2)(layers.Conv2D(2, 1)(x)))
    gate = layers.Activation("sigmoid")(layers.Add()([channels, places]))
    return keras.Model(
        image, layers.Dense(3)(pool(layers.Multiply()([x, gate]))), name="bottleneck_attention"
    )


def pyramid_gate(h: int, w: int, c: int) -> keras.Model:
    """A gate of half the resolution."""
    image = keras.Input((2 * h, 2 * w, 3))
    x = layers.Conv2D(c, 3, padding="same")(image)
    gate = layers.Conv2D(c, 3, padding="same", activation="sigmoid")(layers.MaxPooling2D(2)(x))
    x = layers.Multiply()([x, layers.UpSampling2D(2)(gate)])
    return keras.Model(image, layers.Conv2D(2, 1)(x), name="pyramid_gate")


def frame_attention(t: int, h: int, w: int, c: int) -> keras.Model:
    """Frames of a video times their weights, a softmax over time."""
    video = keras.Input((t, h, w, 2))
    x = layers.TimeDistributed(layers.Conv2D(c, 3, padding="same"))(video)
    pooled = layers.TimeDistributed(layers.GlobalAveragePooling2D())(x)
    share = layers.Softmax(axis=1)(layers.Dense(1)(pooled))
    x = layers.Multiply()([x, layers.Reshape((t, 1, 1, 1))(share)])
    return keras.Model(video, layers.Conv3D(2, 1)(x), name="frame_attention")


ARCHITECTURES: dict[str, Architecture] = {
    "EfficientNetB0": Architecture(efficientnet, {"size": 64}, large=True),
    "MobileNetV3Small": Architecture(mobilenet, {"size": 64}, large=True),
    "CBAM-ResNet": Architecture(cbam_resnet, IMAGE, IMAGE_EQUAL),
    "spatial attention": Architecture(spatial_attention, IMAGE, IMAGE_EQUAL),
    "Attention U-Net": Architecture(attention_unet, {"h": 3, "w": 5, "c": 7}, {"h": 2, "w": 2, "c": 4}),
    "FiLM": Architecture(film, IMAGE, IMAGE_EQUAL),
    "SE 3-D": Architecture(se_3d, {"d": 3, "h": 5, "w": 7, "c": 11}, {"d": 4, "h": 4, "w": 4, "c": 4}),
    "SE channels first": Architecture(se_first, IMAGE, IMAGE_EQUAL),
    "two layouts": Architecture(two_layouts, IMAGE, IMAGE_EQUAL),
    "scSE": Architecture(scse, IMAGE, IMAGE_EQUAL),
    "coordinate attention": Architecture(coordinate_attention, IMAGE, IMAGE_EQUAL),
    "bilinear pooling": Architecture(
        bilinear_pooling, {"h": 2, "w": 3, "c": 5, "d": 7}, {"h": 2, "w": 3, "c": 6, "d": 6}
    ),
    "ECA": Architecture(eca, IMAGE, IMAGE_EQUAL),
    "nested SE": Architecture(nested_se, IMAGE, IMAGE_EQUAL),
    "CapsNet": Architecture(capsules, {"i": 5, "j": 3, "d": 7}, {"i": 5, "j": 5, "d": 5}),
    "global context": Architecture(global_context, {"h": 3, "w": 5, "c": 7}, {"h": 4, "w": 4, "c": 4}),
    "selective kernel": Architecture(selective_kernel, IMAGE, IMAGE_EQUAL),
    "BAM": Architecture(bottleneck_attention, IMAGE, IMAGE_EQUAL),
    "pyramid gate": Architecture(pyramid_gate, {"h": 2, "w": 3, "c": 5}, {"h": 4, "w": 4, "c": 8}),
    "frame attention": Architecture(
        frame_attention, {"t": 3, "h": 4, "w": 5, "c": 7}, {"t": 5, "h": 5, "w": 5, "c": 5}
    ),
}
