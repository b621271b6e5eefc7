"""Valid models full of broadcasting that only looks like a fault, on images and on sequences.

Every public function takes a tensor and returns the model's output; `tests/legal_table.py` lists them.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from tests.zoo.squeeze import excite


def scalars(x):
    """Numbers, 0-d and one-element constants."""
    return 2.0 * x * np.float32(0.5) * np.array([3.0], "float32") * np.ones((1, 1, 1), "float32")


def own_square(x):
    """x * x, as the operator and as the layer."""
    return ops.multiply(x, x) + layers.Multiply()([x, x])


def layer_scale(x):
    """A constant per feature, on the last axis."""
    return x + layers.Dense(x.shape[-1])(x) * np.linspace(0.1, 1, x.shape[-1], dtype="float32")


def constant_map(x):
    """A constant with the shape of a whole sample."""
    values = np.arange(np.prod(x.shape[1:]), dtype="float32").reshape(x.shape[1:])
    return x * values


def keepdims_statistics(x):
    """Normalisation by hand: mean and variance with keepdims."""
    mean = ops.mean(x, axis=-1, keepdims=True)
    variance = ops.var(x, axis=-1, keepdims=True)
    return (x - mean) * ops.rsqrt(variance + 1e-3)


def root_mean_square(x):
    """RMSNorm by hand, with a constant scale per feature."""
    scale = ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + 1e-3)
    return x * scale * np.linspace(0.5, 1.5, x.shape[-1], dtype="float32")


def gated_linear_unit(x):
    """GLU: two Dense branches of one shape."""
    c = x.shape[-1]
    return layers.Dense(c)(x) * layers.Dense(c, activation="sigmoid")(x)


def swiglu(x):
    """SwiGLU by the layer, then back to the width of the input."""
    wide = layers.Multiply()([layers.Dense(13, activation="silu")(x), layers.Dense(13)(x)])
    return layers.Dense(x.shape[-1])(wide)


def split_gate(x):
    """A Dense of twice the width, split in halves that multiply."""
    a, b = ops.split(layers.Dense(2 * x.shape[-1])(x), 2, axis=-1)
    return a * ops.sigmoid(b)


def residual_scale(x):
    """A residual branch scaled by a number, and by one factor per sample given as (B, 1, ..., 1)."""
    factor = ops.mean(x, axis=tuple(range(1, len(x.shape))), keepdims=True)
    return x + 0.1 * layers.Dense(x.shape[-1])(x) * factor


def rescaled(x):
    """Rescaling, then the operators of Python."""
    y = layers.Rescaling(0.5, offset=1.0)(x)
    return (y * 2.0 - y / 3.0) * y


def outer_square(x):
    """The outer product of a pooled vector with itself, axes written out."""
    v = x
    while len(v.shape) > 2:
        v = ops.mean(v, axis=1)
    return ops.expand_dims(v, 2) * ops.expand_dims(v, 1)


def outer_layer(x):
    """Bilinear pooling by the layer, both sides reshaped."""
    v = layers.Flatten()(x)
    a = layers.Reshape((3, 1))(layers.Dense(3)(v))
    return layers.Multiply()([a, layers.Reshape((1, 3))(layers.Dense(3)(v))])


def gate_by_merge_convention(x):
    """A (B, C) gate through the Multiply layer: the layer inserts the missing axes after the batch."""
    v = x
    while len(v.shape) > 2:
        v = ops.mean(v, axis=1)
    return layers.Multiply()([x, layers.Dense(x.shape[-1], activation="sigmoid")(v)])


def weight_by_merge_convention(x):
    """A (B, 1) weight through the Multiply layer."""
    return layers.Multiply()([x, layers.Dense(1)(layers.GlobalMaxPooling1D()(_sequence(x)))])


def einsum_gate(x):
    """A gate through einsum, which names its axes."""
    letters = "abcdef"[: len(x.shape)]
    v = layers.GlobalAveragePooling1D()(_sequence(x))
    return ops.einsum(f"{letters},a{letters[-1]}->{letters}", x, layers.Dense(x.shape[-1])(v))


def dropped_noise(x):
    """Layers that multiply inside: dropout, noise, PReLU, normalisations."""
    y = layers.PReLU()(layers.GaussianDropout(0.2)(layers.SpatialDropout1D(0.2)(_sequence(x))))
    return layers.LayerNormalization()(layers.BatchNormalization()(y)) * y


def _sequence(x):
    return x if len(x.shape) == 3 else layers.Reshape((-1, x.shape[-1]))(x)


def channel_gate(x):
    """Squeeze-and-excitation with its Reshape, in both operand orders."""
    c = x.shape[-1]
    x = layers.Conv2D(c, 3, padding="same")(x)
    g = layers.Reshape((1, 1, c))(excite(x, c, 4))
    return ops.multiply(x, g) + ops.multiply(g, x)


def channel_gate_keepdims(x):
    """Squeeze-and-excitation by convolutions on a pooled map."""
    c = x.shape[-1]
    p = layers.GlobalAveragePooling2D(keepdims=True)(x)
    return x * layers.Conv2D(c, 1, activation="sigmoid")(layers.Conv2D(3, 1, activation="relu")(p))


def spatial_gate(x):
    """A (B, H, W, 1) map over all channels."""
    m = layers.Concatenate()([ops.mean(x, axis=-1, keepdims=True), ops.max(x, axis=-1, keepdims=True)])
    return layers.Multiply()([layers.Conv2D(1, 3, padding="same", activation="sigmoid")(m), x])


def row_and_column_gates(x):
    """Coordinate attention: (B, H, 1, C) * (B, 1, W, C)."""
    c = x.shape[-1]
    rows = layers.Conv2D(c, 1, activation="sigmoid")(ops.mean(x, axis=2, keepdims=True))
    columns = layers.Conv2D(c, 1, activation="sigmoid")(ops.mean(x, axis=1, keepdims=True))
    return x * rows * columns


def channels_first_gate(x):
    """The input read as channels first, with the right Reshape."""
    c = x.shape[1]
    y = layers.BatchNormalization(axis=1)(x)
    g = layers.Reshape((c, 1, 1))(excite(y, c, 4, first=True))
    return layers.GlobalAveragePooling2D(data_format="channels_first")(layers.Multiply()([y, g]))


def channels_first_constant(x):
    """A constant per channel, (C, 1, 1), on channels-first maps."""
    y = layers.BatchNormalization(axis=1)(x)
    return y * np.linspace(0.5, 1.5, x.shape[1], dtype="float32").reshape(-1, 1, 1)


def pooled_skip(x):
    """A map pooled, then restored to its size by UpSampling2D and cropping."""
    h, w = x.shape[1:3]
    y = layers.UpSampling2D(2)(layers.MaxPooling2D(2, padding="same")(x))
    return x * layers.Cropping2D(((0, -h % 2), (0, -w % 2)))(y)


def permuted_gate(x):
    """A branch turns to channels first and back."""
    y = layers.Permute((3, 1, 2))(x)
    y = layers.BatchNormalization(axis=1)(y)
    return layers.Multiply()([x, layers.Permute((2, 3, 1))(y)])


def group_norm(x):
    """Group normalisation by Reshape, statistics over three axes, Reshape back."""
    h, w, c = x.shape[1:]
    y = layers.Reshape((h, w, 1, c))(x)
    y = (y - ops.mean(y, axis=(1, 2, 4), keepdims=True)) * ops.rsqrt(
        ops.var(y, axis=(1, 2, 4), keepdims=True) + 1e-3
    )
    return layers.Reshape((h, w, c))(y)


def positional_table(x):
    """A constant (T, D) table over (B, T, D)."""
    t, d = x.shape[1:]
    return x * np.cos(np.outer(np.arange(t), np.arange(d))).astype("float32")


def causal_mask(x):
    """Scores (B, T, T) times a constant (T, T) mask."""
    t = x.shape[1]
    scores = ops.matmul(x, ops.transpose(x, (0, 2, 1)))
    return ops.matmul(scores * np.tril(np.ones((t, t), "float32")), x)


def pairwise_mask(x):
    """A mask (B, T) made pairwise, (B, T, 1) * (B, 1, T), over scores (B, T, T)."""
    keep = ops.sigmoid(ops.squeeze(layers.Dense(1)(x), -1))
    pairs = ops.expand_dims(keep, 2) * ops.expand_dims(keep, 1)
    return layers.Dot(axes=2)([x, x]) * pairs


def head_mask(x):
    """Scores (B, N, T, T) of several heads times a (B, 1, T, T) mask."""
    t, d = x.shape[1:]
    q = layers.Permute((2, 1, 3))(layers.Reshape((t, 2, d))(layers.Dense(2 * d)(x)))
    scores = ops.einsum("bntd,bnsd->bnts", q, q)
    mask = ops.expand_dims(ops.sigmoid(ops.einsum("btd,bsd->bts", x, x)), 1)
    return scores * mask


def time_weights(x):
    """Attention weights (B, T, 1) over (B, T, D)."""
    return ops.sum(x * ops.softmax(layers.Dense(1)(x), axis=1), axis=1)


def attention_block(x):
    """Permute, Dense softmax, Permute, Multiply: right even where T equals D."""
    a = layers.Dense(x.shape[1], activation="softmax")(layers.Permute((2, 1))(x))
    return layers.Multiply()([x, layers.Permute((2, 1))(a)])


def repeated_weights(x):
    """Softmax weights spread over the features by RepeatVector and Permute."""
    a = layers.Softmax()(layers.Flatten()(layers.Dense(1)(x)))
    return layers.Multiply()([x, layers.Permute((2, 1))(layers.RepeatVector(x.shape[-1])(a))])


def recurrent_gate(x):
    """The last state over every step, by RepeatVector; two recurrent layers that multiply step by step."""
    d = x.shape[-1]
    steps = layers.GRU(d, return_sequences=True)(x)
    last = layers.RepeatVector(x.shape[1])(layers.LSTM(d)(x))
    return layers.Multiply()([steps, layers.SimpleRNN(d, return_sequences=True)(x)]) * last


def convolved_gate(x):
    """WaveNet's gate: tanh times sigmoid of two causal convolutions."""
    c = x.shape[-1]
    a = layers.Conv1D(c, 2, padding="causal", dilation_rate=2, activation="tanh")(x)
    return a * layers.Conv1D(c, 2, padding="causal", dilation_rate=2, activation="sigmoid")(x)


def shifted(x):
    """Every step times the one before, by slices of the same length."""
    return x[:, 1:, :] * x[:, :-1, :]


def self_attention(x):
    """Multi-head attention scaled by a Dense gate of the same shape."""
    a = layers.MultiHeadAttention(2, 3)(x, x)
    return layers.LayerNormalization()(a * layers.Dense(x.shape[-1], activation="sigmoid")(x))


def build(function_name: str, shape: tuple[int | None, ...], batch: int | None = None) -> keras.Model:
    """A model of one function of this file over an input of the given shape."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(5)
    inputs = keras.Input(shape, batch_size=batch, name="input")
    return keras.Model(inputs, globals()[function_name](inputs), name=function_name)
