"""The valid models that `mutate.py` breaks: one builder per architecture, in one table.

Hand-made ones come in two forms: with distinct sizes, and with all sizes equal (the twin), where only what the axes
are tells them apart. Those of `keras.applications` have one form. Weights are random, and lively enough for a gate on
the wrong axis to change the result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import layers, ops

Sizes = dict[str, int]


@dataclass(frozen=True)
class Architecture:
    """A builder with its sizes; ``equal`` are those of the twin, ``large`` marks what takes seconds to load."""

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
    """Kernels with a gain of 1.5 over their fan-in, statistics and offsets well away from 0 and 1."""
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


# -- parts -----------------------------
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


# -- images -----------------------------
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
    """A spatial map that is also an output, so that it is flat in between."""
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
    """A branch of channels first, brought over by a Permute, gates one of channels last, and the other way round."""
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
    """One gate per row and one per column, by expand_dims, all in one product."""
    image = keras.Input((h, w, 3))
    x = layers.Conv2D(c, 3, padding="same")(image)
    rows = layers.Dense(c, activation="sigmoid")(ops.mean(x, axis=2))
    columns = layers.Dense(c, activation="sigmoid")(ops.mean(x, axis=1))
    y = layers.Multiply()([x, ops.expand_dims(rows, 2)])
    y = layers.Multiply()([y, ops.expand_dims(columns, 1)])
    return keras.Model(image, layers.Dense(3)(pool(y)), name="coordinate_attention")


def bilinear_pooling(h: int, w: int, c: int, d: int) -> keras.Model:
    """Outer products of two feature maps, summed over the positions, and one of two vectors."""
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


# -- sequences -----------------------------
def bilstm_attention(t: int, d: int) -> keras.Model:
    """Attention weights over time, repeated for every feature."""
    signal = keras.Input((t, 3))
    x = layers.Bidirectional(layers.LSTM(d, return_sequences=True))(signal)
    weights = layers.Softmax()(layers.Flatten()(layers.Dense(1, activation="tanh")(x)))
    weights = layers.Permute((2, 1))(layers.RepeatVector(2 * d)(weights))
    y = ops.sum(layers.Multiply()([x, weights]), axis=1)
    return keras.Model(signal, layers.Dense(3)(y), name="bilstm_attention")


def transformer(t: int, d: int, k: int) -> keras.Model:
    """Attention written out as products, padding masked, then a gated feed-forward part."""
    signal, mask = keras.Input((t, d)), keras.Input((t,))
    q, key, value = (layers.Dense(n)(signal) for n in (k, k, d))
    scores = layers.Softmax()(layers.Dot(axes=(2, 2))([q, key]))
    x = layers.LayerNormalization()(layers.Add()([signal, ops.matmul(scores, value)]))
    hidden = layers.Dense(2 * d, activation="gelu")(x)
    gate = layers.Reshape((1, d))(layers.Dense(d, activation="sigmoid")(pool(x)))
    x = layers.Add()([x, layers.Multiply()([layers.Dense(d)(hidden), gate])])
    x = layers.LayerNormalization()(x) * ops.expand_dims(mask, -1)
    return keras.Model([signal, mask], layers.Dense(3)(x), name="transformer")


def wavenet(t: int, c: int) -> keras.Model:
    """Gated dilated convolutions, conditioned on a speaker at every step and on a coarser signal."""
    signal, speaker, coarse = keras.Input((3 * t, 2)), keras.Input((4,)), keras.Input((t, 3))
    x = layers.Conv1D(c, 1)(signal)
    local = layers.UpSampling1D(3)(layers.Conv1D(c, 1, activation="sigmoid")(coarse))
    skips = []
    for rate in (1, 2):
        voice = layers.RepeatVector(3 * t)(layers.Dense(c, activation="tanh")(speaker))
        left = layers.Conv1D(c, 2, padding="causal", dilation_rate=rate, activation="tanh")(x)
        right = layers.Conv1D(c, 2, padding="causal", dilation_rate=rate, activation="sigmoid")(x)
        y = layers.Multiply()([layers.Multiply()([left, right]), voice])
        y = layers.Multiply()([y, local])
        skips.append(layers.Conv1D(c, 1)(y))
        x = layers.Add()([x, skips[-1]])
    return keras.Model([signal, speaker, coarse], layers.Conv1D(2, 1)(layers.Add()(skips)), name="wavenet")


def gru_gate(t: int, d: int) -> keras.Model:
    """A gate per step, lifted after its sigmoid; the last state then scales every step."""
    tokens = keras.Input((t,), dtype="int32")
    x = layers.GRU(d, return_sequences=True)(layers.Embedding(17, 5)(tokens))
    gate = layers.Flatten()(layers.Dense(1, activation="sigmoid")(x))
    x = layers.Multiply()([x, layers.Reshape((t, 1))(gate)])
    last = layers.GRU(d)(x)
    x = layers.Multiply()([x, layers.RepeatVector(t)(last)])
    return keras.Model(tokens, layers.Dense(3)(pool(x)), name="gru_gate")


def attention_3d(t: int, d: int) -> keras.Model:
    """A softmax over time for each feature, by a Permute on either side of a Dense."""
    signal = keras.Input((t, 3))
    x = layers.LSTM(d, return_sequences=True)(signal)
    weights = layers.Dense(t, activation="softmax")(layers.Permute((2, 1))(x))
    y = layers.Multiply()([x, layers.Permute((2, 1))(weights)])
    return keras.Model(signal, layers.Dense(3)(pool(y)), name="attention_3d")


def experts(e: int, d: int) -> keras.Model:
    """A mixture of experts: each one's output by its share."""
    inputs = keras.Input((4,))
    shares = layers.Dense(e, activation="softmax")(inputs)
    outputs = ops.stack([layers.Dense(d, activation="tanh")(inputs) for _ in range(e)], axis=1)
    y = ops.sum(layers.Multiply()([outputs, layers.Reshape((e, 1))(shares)]), axis=1)
    return keras.Model(inputs, layers.Dense(3)(y), name="experts")


def masked_mean(t: int, d: int) -> keras.Model:
    """The mean of embeddings over the tokens that a mask keeps."""
    tokens, mask = keras.Input((t,), dtype="int32"), keras.Input((t,))
    x = layers.Embedding(17, d)(tokens)
    total = ops.sum(x * ops.expand_dims(mask, -1), axis=1)
    y = total * ops.reciprocal(1.0 + ops.sum(ops.square(mask), axis=1, keepdims=True))
    return keras.Model([tokens, mask], layers.Dense(3)(y), name="masked_mean")


def memory(m: int, k: int) -> keras.Model:
    """A lookup: dot products with every slot, softmax, weighted sum of the slots."""
    slots, query = keras.Input((m, k)), keras.Input((5,))
    q = layers.Dense(k)(query)
    scores = layers.Dot(axes=(2, 1))([slots, q])
    read = layers.Dot(axes=(1, 1))([layers.Softmax()(scores), slots])
    return keras.Model([slots, query], layers.Dense(3)(layers.Concatenate()([read, q])), name="memory")


def eca(h: int, w: int, c: int) -> keras.Model:
    """Efficient channel attention: a convolution along the pooled channels."""
    image = keras.Input((h, w, 3))
    x = layers.Conv2D(c, 3, padding="same")(image)
    gate = layers.Conv1D(1, 3, padding="same", activation="sigmoid")(layers.Reshape((c, 1))(pool(x)))
    x = layers.Multiply()([x, layers.Reshape((1, 1, c))(gate)])
    return keras.Model(image, layers.Dense(3)(pool(x)), name="eca")


def global_context(h: int, w: int, c: int) -> keras.Model:
    """One softmax over all places gives the context that is added to each of them."""
    image = keras.Input((h, w, 3))
    x = layers.Conv2D(c, 3, padding="same")(image)
    share = layers.Softmax(axis=1)(layers.Reshape((h * w, 1))(layers.Conv2D(1, 1)(x)))
    context = ops.sum(layers.Multiply()([layers.Reshape((h * w, c))(x), share]), axis=1)
    context = layers.Dense(c)(layers.LayerNormalization()(layers.Dense(4, activation="relu")(context)))
    x = layers.Add()([x, layers.Reshape((1, 1, c))(context)])
    return keras.Model(image, layers.Dense(3)(pool(x)), name="global_context")


def selective_kernel(h: int, w: int, c: int) -> keras.Model:
    """Two branches, of which a softmax says for each channel how much of either is taken."""
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
    """BAM: a gate per channel and a gate per place, added up before the sigmoid."""
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
    """Frames of a video by their weights, of a softmax over time."""
    video = keras.Input((t, h, w, 2))
    x = layers.TimeDistributed(layers.Conv2D(c, 3, padding="same"))(video)
    pooled = layers.TimeDistributed(layers.GlobalAveragePooling2D())(x)
    share = layers.Softmax(axis=1)(layers.Dense(1)(pooled))
    x = layers.Multiply()([x, layers.Reshape((t, 1, 1, 1))(share)])
    return keras.Model(video, layers.Conv3D(2, 1)(x), name="frame_attention")


def interest(t: int, d: int) -> keras.Model:
    """A history weighed by how each step goes with a query."""
    history, query = keras.Input((t, d)), keras.Input((d,))
    repeated = layers.RepeatVector(t)(query)
    together = layers.Concatenate()([history, repeated, layers.Multiply()([history, repeated])])
    share = layers.Dense(1, activation="sigmoid")(layers.Dense(8, activation="relu")(together))
    taken = ops.sum(layers.Multiply()([history, share]), axis=1)
    return keras.Model(
        [history, query], layers.Dense(3)(layers.Concatenate()([taken, query])), name="interest"
    )


def graph_attention(t: int, d: int) -> keras.Model:
    """A softmax over neighbours, cut to the edges that there are."""
    nodes, edges = keras.Input((t, d)), keras.Input((t, t))
    x = layers.Dense(d)(nodes)
    scores = layers.Dense(1)(x) + layers.Permute((2, 1))(layers.Dense(1)(x))
    share = layers.Multiply()([layers.Softmax()(layers.LeakyReLU()(scores)), edges])
    x = layers.Activation("relu")(layers.Dot(axes=(2, 1))([share, x]))
    return keras.Model([nodes, edges], layers.Dense(3)(x), name="graph_attention")


def spatial_gating(t: int, d: int) -> keras.Model:
    """gMLP: a gate that a Dense layer mixes along time."""
    signal = keras.Input((t, d))
    gate = layers.LayerNormalization()(layers.Dense(d)(signal))
    gate = layers.Permute((2, 1))(layers.Dense(t)(layers.Permute((2, 1))(gate)))
    x = layers.Multiply()([layers.Dense(d, activation="gelu")(signal), gate])
    return keras.Model(signal, layers.Dense(3)(x), name="spatial_gating")


def hypernetwork(d: int, m: int) -> keras.Model:
    """Weights that another network makes, and a gate on what they give."""
    inputs, condition = keras.Input((d,)), keras.Input((4,))
    weights = layers.Reshape((d, m))(layers.Dense(d * m)(condition))
    y = layers.Dot(axes=(1, 1))([inputs, weights])
    y = layers.Multiply()([y, layers.Dense(m, activation="sigmoid")(condition)])
    return keras.Model([inputs, condition], layers.Dense(3)(y), name="hypernetwork")


IMAGE, IMAGE_EQUAL = {"h": 5, "w": 7, "c": 11}, {"h": 6, "w": 6, "c": 6}
SIGNAL, SIGNAL_EQUAL = {"t": 5, "d": 7}, {"t": 6, "d": 6}

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
    "BiLSTM attention": Architecture(bilstm_attention, SIGNAL, {"t": 6, "d": 3}),
    "Transformer": Architecture(transformer, {"t": 5, "d": 7, "k": 3}, {"t": 6, "d": 6, "k": 6}),
    "WaveNet": Architecture(wavenet, {"t": 5, "c": 7}, {"t": 2, "c": 6}),
    "GRU gates": Architecture(gru_gate, SIGNAL, SIGNAL_EQUAL),
    "attention 3-D": Architecture(attention_3d, SIGNAL, SIGNAL_EQUAL),
    "experts": Architecture(experts, {"e": 3, "d": 7}, {"e": 5, "d": 5}),
    "masked mean": Architecture(masked_mean, SIGNAL, SIGNAL_EQUAL),
    "memory": Architecture(memory, {"m": 5, "k": 7}, {"m": 6, "k": 6}),
    "global context": Architecture(global_context, {"h": 3, "w": 5, "c": 7}, {"h": 4, "w": 4, "c": 4}),
    "selective kernel": Architecture(selective_kernel, IMAGE, IMAGE_EQUAL),
    "BAM": Architecture(bottleneck_attention, IMAGE, IMAGE_EQUAL),
    "pyramid gate": Architecture(pyramid_gate, {"h": 2, "w": 3, "c": 5}, {"h": 4, "w": 4, "c": 8}),
    "frame attention": Architecture(
        frame_attention, {"t": 3, "h": 4, "w": 5, "c": 7}, {"t": 5, "h": 5, "w": 5, "c": 5}
    ),
    "interest": Architecture(interest, SIGNAL, SIGNAL_EQUAL),
    "graph attention": Architecture(graph_attention, SIGNAL, SIGNAL_EQUAL),
    "gMLP": Architecture(spatial_gating, SIGNAL, SIGNAL_EQUAL),
    "hypernetwork": Architecture(hypernetwork, {"d": 5, "m": 7}, {"d": 6, "m": 6}),
}
