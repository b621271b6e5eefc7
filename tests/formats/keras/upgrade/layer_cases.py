"""Models of tf_keras, each with constructs that Keras 3 writes otherwise. Sizes are distinct where they can be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import tensorflow as tf
import tf_keras
from tf_keras import layers

Make = Callable[[], Any]
IMAGE = (8, 9, 4)
STEPS = (5, 4)
CASES: dict[str, Make] = {}


def case(function: Make) -> Make:
    CASES[function.__name__] = function
    return function


def chain(name: str, shape: tuple[int, ...], *made: Make, **given: Any) -> None:
    """A sequential model of these layers."""
    CASES[name] = lambda: tf_keras.Sequential([tf_keras.Input(shape, **given), *[make() for make in made]])


def each(name: str, shape: tuple[int, ...], *made: Make) -> None:
    """A model with an output of each layer, all on one input."""

    def make() -> Any:
        x = tf_keras.Input(shape)
        return tf_keras.Model(x, [build()(x) for build in made])

    CASES[name] = make


_FUNCTIONS = [
    "relu",
    "tanh",
    "sigmoid",
    "softmax",
    "elu",
    "selu",
    "softplus",
    "softsign",
    "exponential",
    "linear",
    "gelu",
    "swish",
    "leaky_relu",
    "mish",
    "hard_sigmoid",
    "relu6",
    "log_softmax",
    "silu",
]
each("activations", (4,), *[lambda name=name: layers.Dense(5, activation=name) for name in _FUNCTIONS])
each("activation_layers", (4,), *[lambda name=name: layers.Activation(name) for name in _FUNCTIONS])
chain("hard_sigmoid_layer", STEPS, lambda: layers.Activation("hard_sigmoid"))
chain("hard_sigmoid_wrapped", STEPS, lambda: layers.TimeDistributed(layers.Activation("hard_sigmoid")))
each(
    "hard_sigmoid_dense", IMAGE,
    lambda: layers.Dense(5, activation="hard_sigmoid"),
    lambda: layers.Dense(5, activation="hard_sigmoid", use_bias=False),
    lambda: layers.Conv2D(5, 2, activation="hard_sigmoid"),
    lambda: layers.Conv2DTranspose(3, 3, strides=2, output_padding=1, activation="hard_sigmoid"),
    lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, activation="hard_sigmoid"),
    lambda: layers.SeparableConv2D(3, 3, depth_multiplier=2, activation="hard_sigmoid"),
    lambda: layers.EinsumDense("abcd,de->abce", output_shape=(None, None, 7), bias_axes="e", activation="hard_sigmoid"),
)  # fmt: skip
each(
    "hard_sigmoid_gates", STEPS,
    lambda: layers.LSTM(3, recurrent_activation="hard_sigmoid"),
    lambda: layers.GRU(3, recurrent_activation="hard_sigmoid"),
    lambda: layers.GRU(3, recurrent_activation="hard_sigmoid", reset_after=False, use_bias=False),
    lambda: layers.GRU(3, recurrent_activation="hard_sigmoid", activation="hard_sigmoid"),
    lambda: layers.SimpleRNN(3, activation="hard_sigmoid"),
    lambda: layers.RNN([layers.GRUCell(3, recurrent_activation="hard_sigmoid"), layers.LSTMCell(2)]),
)  # fmt: skip
each(
    "convolutions", (11, 4),
    lambda: layers.Conv1D(3, 3, strides=2, padding="same"),
    lambda: layers.Conv1D(3, 3, padding="causal", dilation_rate=2),
    lambda: layers.Conv1DTranspose(3, 3, strides=2, padding="same"),
    lambda: layers.Conv1D(6, 3, groups=2),
)  # fmt: skip
chain(
    "convolutions_3d",
    (4, 5, 6, 2),
    lambda: layers.Conv3D(3, 2),
    lambda: layers.Conv3DTranspose(3, 2, strides=2),
)
each(
    "separable", IMAGE,
    lambda: layers.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2),
    lambda: layers.SeparableConv2D(3, 3, depth_multiplier=2),
    lambda: tf_keras.Sequential([layers.Reshape((72, 4)), layers.SeparableConv1D(3, 3, use_bias=False)]),
    lambda: tf_keras.Sequential([layers.Reshape((72, 4)), layers.DepthwiseConv1D(3)]),
)  # fmt: skip
for _class in (layers.LSTM, layers.GRU, layers.SimpleRNN):
    each(
        f"recurrent_{_class.__name__.lower()}", STEPS,
        *[
            lambda of=_class, arguments=arguments: of(3, **arguments)
            for arguments in (
                {"return_sequences": True}, {"go_backwards": True}, {"go_backwards": True, "return_sequences": True},
                {"use_bias": False}, {"dropout": 0.1, "recurrent_dropout": 0.2}, {"activation": "relu"},
                {"unroll": True, "implementation": 1},
            )
        ],
    )  # fmt: skip
chain(
    "recurrent",
    STEPS,
    lambda: layers.LSTM(3, return_sequences=True),
    lambda: layers.GRU(2, reset_after=False),
)
chain("stateful", STEPS, lambda: layers.LSTM(3, stateful=True), batch_size=3)
chain("conv_lstm_1d", (3, 8, 2), lambda: layers.ConvLSTM1D(3, 3, padding="same"))
chain(
    "conv_lstm_2d",
    (3, 8, 7, 2),
    lambda: layers.ConvLSTM2D(3, 3, return_sequences=True),
    lambda: layers.Flatten(),
)
chain("conv_lstm_3d", (2, 4, 5, 4, 2), lambda: layers.ConvLSTM3D(2, 2))
each(
    "cells", STEPS,
    lambda: layers.RNN(layers.GRUCell(3)),
    lambda: layers.RNN([layers.LSTMCell(3), layers.GRUCell(2, reset_after=False), layers.GRUCell(2),
      layers.SimpleRNNCell(3)]),
    lambda: layers.RNN(layers.StackedRNNCells([layers.LSTMCell(3), layers.LSTMCell(2)]), return_sequences=True),
)  # fmt: skip
each(
    "wrappers", STEPS,
    *[lambda mode=mode: layers.Bidirectional(layers.LSTM(3), merge_mode=mode) for mode in ("sum", "mul", "concat",
    "ave")],
    lambda: layers.Bidirectional(layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)])),
    lambda: layers.Bidirectional(layers.LSTM(3), backward_layer=layers.GRU(3, go_backwards=True)),
    lambda: layers.TimeDistributed(layers.Dense(3, activation="hard_sigmoid")),
    lambda: layers.TimeDistributed(layers.BatchNormalization()),
)  # fmt: skip
each(
    "bidirectional_backwards", STEPS,
    *[lambda mode=mode: layers.Bidirectional(layers.LSTM(3, go_backwards=True, return_sequences=mode != "sum"),
                                             merge_mode=mode) for mode in ("sum", "concat")],
    lambda: layers.Bidirectional(layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)], go_backwards=True)),
    lambda: layers.Bidirectional(layers.GRU(3, go_backwards=True, return_sequences=True, name="forward_x")),
)  # fmt: skip
chain("masks_backwards", (6,), lambda: layers.Embedding(10, 4, mask_zero=True),
      lambda: layers.Bidirectional(layers.GRU(3, go_backwards=True)), dtype="int32")  # fmt: skip
chain("wrapped_images", (3, 8, 7, 2), lambda: layers.Bidirectional(layers.ConvLSTM2D(3, 3, return_sequences=True)),
      lambda: layers.TimeDistributed(layers.Conv2D(3, 2)),
        lambda: layers.TimeDistributed(layers.Flatten()))  # fmt: skip
chain("both_ways_turned", (5, 4), lambda: layers.Bidirectional(layers.GRU(3, go_backwards=True, return_sequences=True)),
      lambda: layers.Bidirectional(layers.LSTM(2, go_backwards=True)))  # fmt: skip
chain("wrapped_wrapper", (5, 6, 4), lambda: layers.TimeDistributed(layers.Bidirectional(layers.GRU(2))))


def inner(frozen: bool = True) -> Any:
    """A model with frozen layers between others: their variables come after all trained ones."""
    x = tf_keras.Input((6,))
    h = layers.BatchNormalization()(layers.Dense(5)(x))
    h = layers.Dense(6, trainable=not frozen)(h)
    return tf_keras.Model(x, layers.BatchNormalization(trainable=not frozen)(h))


@case
def nested_twice() -> Any:
    x = tf_keras.Input((6,))
    model = inner()
    return tf_keras.Model(x, layers.Add()([model(x), model(model(x))]))


@case
def nested_deep() -> Any:
    x, i = tf_keras.Input((6,)), tf_keras.Input((6,))
    middle = tf_keras.Model(i, layers.BatchNormalization()(inner()(layers.Dense(6)(inner(False)(i)))))
    return tf_keras.Model(
        x, middle(tf_keras.Sequential([layers.Dense(6, input_shape=(6,)), layers.PReLU()])(x))
    )


@case
def nested_frozen() -> Any:
    model = inner(False)
    model.trainable = False
    x = tf_keras.Input((6,))
    return tf_keras.Model(x, layers.Dense(3)(model(x)))


chain("time_distributed_model", (5, 6), lambda: layers.TimeDistributed(inner()))
chain(
    "time_distributed_sequential", (5, 6, 4),
    lambda: layers.TimeDistributed(
        tf_keras.Sequential([layers.LSTM(3, input_shape=(6, 4)), layers.BatchNormalization(), layers.Dense(2)])
    ),
)  # fmt: skip
chain("model_first", (6,), inner, lambda: layers.Dense(2), lambda: layers.Activation("hard_sigmoid"))


@case
def calls() -> Any:
    x, y = tf_keras.Input((4,)), tf_keras.Input((4,))
    shared = layers.Dense(4)
    a, b = shared(x), shared(y)
    return tf_keras.Model([x, y], layers.Add()([a, shared(b)]))


@case
def calls_of_several_outputs() -> Any:
    x, i = tf_keras.Input((4,)), tf_keras.Input((4,))
    two = tf_keras.Model(i, [layers.Dense(3)(i), layers.Dense(3)(i)])
    a, b = two(x)
    return tf_keras.Model(x, {"sum": layers.Add()([a, b]), "b": b})


@case
def initial_state() -> Any:
    x = tf_keras.Input(STEPS)
    y, h, c = layers.LSTM(3, return_state=True, return_sequences=True)(x)
    outputs = [layers.LSTM(3)(y, initial_state=[h, c]), layers.GRU(3)(y, initial_state=h)]
    return tf_keras.Model(x, [*outputs, layers.Bidirectional(layers.GRU(3))(y, initial_state=[h, c]), c])


chain("batch_normalization_axis", IMAGE, lambda: layers.BatchNormalization(axis=1),
      lambda: layers.BatchNormalization(axis=[-1], scale=False),
        lambda: layers.BatchNormalization(center=False))  # fmt: skip
chain("normalizations", IMAGE, lambda: layers.LayerNormalization(axis=[1, 2]), lambda: layers.GroupNormalization(2),
      lambda: layers.LayerNormalization(scale=False), lambda: layers.UnitNormalization())  # fmt: skip
each("leaky_relu", IMAGE, lambda: layers.LeakyReLU(0.17), lambda: layers.ELU(0.7),
      lambda: layers.PReLU(shared_axes=[1, 2]),
     lambda: layers.ReLU(max_value=3.0, negative_slope=0.1, threshold=0.2), lambda: layers.Softmax(axis=1))  # fmt: skip
each("thresholded_relu", IMAGE, lambda: layers.ThresholdedReLU(0.4), lambda: layers.ThresholdedReLU(0.0))
chain(
    "pools", IMAGE, lambda: layers.MaxPooling2D(2, padding="same"), lambda: layers.AveragePooling2D((2, 1), strides=1),
    lambda: layers.ZeroPadding2D(((1, 2), (0, 1))), lambda: layers.Cropping2D(((1, 0), (0, 1))),
    lambda: layers.UpSampling2D((2, 3)), lambda: layers.UpSampling2D(2, interpolation="bilinear"),
    lambda: layers.GlobalMaxPooling2D(keepdims=True), lambda: layers.Flatten(),
)  # fmt: skip
chain(
    "pools_1d", (9, 4), lambda: layers.MaxPooling1D(2), lambda: layers.UpSampling1D(3), lambda: layers.ZeroPadding1D(2),
    lambda: layers.Cropping1D((1, 2)), lambda: layers.AveragePooling1D(2), lambda: layers.GlobalAveragePooling1D(),
)  # fmt: skip
chain("pools_3d", (6, 6, 6, 2), lambda: layers.MaxPooling3D(2), lambda: layers.UpSampling3D(2),
      lambda: layers.ZeroPadding3D(1),
      lambda: layers.Cropping3D(1), lambda: layers.AveragePooling3D(2),
        lambda: layers.GlobalMaxPooling3D())  # fmt: skip
chain("moves", (6, 4), lambda: layers.Permute((2, 1)), lambda: layers.Reshape((2, -1)), lambda: layers.Flatten(),
      lambda: layers.RepeatVector(3))  # fmt: skip
chain(
    "dropped_arguments", IMAGE, lambda: layers.Dropout(0.3), lambda: layers.SpatialDropout2D(0.3),
    lambda: layers.GaussianNoise(0.1), lambda: layers.GaussianDropout(0.2), lambda: layers.AlphaDropout(0.1),
    lambda: layers.ActivityRegularization(0.1), lambda: layers.Dropout(0.1, noise_shape=(None, 1, 1, 4)),
)  # fmt: skip
chain("masks", (6,), lambda: layers.Embedding(10, 4, mask_zero=True, input_length=6),
      lambda: layers.Bidirectional(layers.GRU(3, return_sequences=True)), lambda: layers.GlobalAveragePooling1D(),
        dtype="int32")  # fmt: skip
chain("masking", (6, 3), lambda: layers.Masking(0.0), lambda: layers.SimpleRNN(3, return_sequences=True),
      lambda: layers.TimeDistributed(layers.Dense(2)))  # fmt: skip
chain(
    "images",
    IMAGE,
    lambda: layers.Rescaling(0.1, 0.3),
    lambda: layers.Resizing(5, 6),
    lambda: layers.CenterCrop(3, 3),
)
chain("augmentations", IMAGE, lambda: layers.RandomFlip(), lambda: layers.RandomRotation(0.2),
      lambda: layers.RandomZoom(0.1),
      lambda: layers.RandomContrast(0.1), lambda: layers.RandomTranslation(0.1, 0.1),
        lambda: layers.RandomBrightness(0.1))  # fmt: skip
each("normalization", (4,), lambda: layers.Normalization(),
     lambda: layers.Normalization(mean=[1.0, 2, 3, 4], variance=[1.0, 2, 3, 4]), lambda: layers.Discretization([0.0,
       0.5]))  # fmt: skip
chain("categories", (4,), lambda: layers.CategoryEncoding(6, output_mode="multi_hot"), dtype="int32")
chain("integer_lookup", (4,), lambda: layers.IntegerLookup(vocabulary=[1, 2]), dtype="int32")
chain(
    "string_lookup",
    (4,),
    lambda: layers.StringLookup(vocabulary=["a", "b"], output_mode="multi_hot"),
    dtype="string",
)
chain(
    "text",
    (1,),
    lambda: layers.TextVectorization(vocabulary=["a", "b"], output_sequence_length=4),
    dtype="string",
)
chain("hashing", (4,), lambda: layers.Hashing(7), dtype="string")


@case
def merges() -> Any:
    x, y = tf_keras.Input(STEPS), tf_keras.Input(STEPS)
    made = (layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum,
            lambda: layers.Concatenate(1), lambda: layers.Dot(2), lambda: layers.Dot((1, 1),
              normalize=True))  # fmt: skip
    return tf_keras.Model([x, y], [make()([x, y]) for make in made])


@case
def attention() -> Any:
    x, y = tf_keras.Input((5, 4)), tf_keras.Input((6, 4))
    return tf_keras.Model([x, y], [
        layers.Attention(use_scale=True, score_mode="concat")([x, y]),
        layers.Attention()([x, x], use_causal_mask=True),
        layers.AdditiveAttention()([x, y]),
        layers.MultiHeadAttention(2, 3, value_dim=5, output_shape=7, use_bias=False)(x, value=y, key=y),
        *layers.MultiHeadAttention(2, 3)(x, y, return_attention_scores=True),
    ])  # fmt: skip


@case
def initializers() -> Any:
    made = tf_keras.initializers
    x = tf_keras.Input((4,))
    h = layers.Dense(
        4,
        kernel_initializer=made.VarianceScaling(2.0, "fan_avg", "truncated_normal"),
        bias_initializer="ones",
    )(x)
    h = layers.Dense(
        4,
        kernel_initializer=made.RandomUniform(-1, 1),
        kernel_regularizer="l1_l2",
        kernel_constraint="max_norm",
    )(h)
    return tf_keras.Model(x, layers.Dense(4, kernel_initializer="identity", activity_regularizer="l2")(h))


@case
def names_with_slashes() -> Any:
    x = tf_keras.Input((4,), name="in")
    h = layers.Dense(4, name="a/b")(x)
    return tf_keras.Model(x, layers.Add(name="sum/1")([layers.Dense(4, name="a_b")(h), h]))


def tokens(masked: bool = True) -> tuple[Any, Any]:
    x = tf_keras.Input((6,), dtype="int32")
    return x, layers.Embedding(6, 4, mask_zero=masked)(x)


@case
def mask_of_a_sum() -> Any:
    """Tokens and positions: Keras 3 loses the mask if one of the two has none."""
    (x, a), (y, b) = tokens(), tokens(False)
    h = layers.Add()([layers.Dense(4)(a), b])
    return tf_keras.Model([x, y], [layers.LSTM(3)(h), layers.GlobalAveragePooling1D()(h)])


@case
def mask_of_a_product() -> Any:
    """Both masks must be true in Keras 2, one of them in Keras 3."""
    (x, a), (y, b) = tokens(), tokens()
    h = layers.Multiply()([a, b])
    return tf_keras.Model([x, y], layers.Bidirectional(layers.GRU(3, return_sequences=True))(h))


@case
def masked_products() -> Any:
    """Keras 3 uses 1, or the other operand, where an operand is masked, and 0 where all are."""
    (x, a), (y, b), (z, c) = tokens(), tokens(False), tokens()
    results = [merge()([a, b]) for merge in (layers.Multiply, layers.Maximum, layers.Minimum)]
    results += [layers.Multiply()([a, c]), layers.Maximum()([b, c, a]), layers.Minimum()([c, b])]
    pooled = layers.GlobalAveragePooling1D()(layers.Multiply()([c, a, c]))
    return tf_keras.Model([x, y, z], [*map(layers.Flatten(), results), pooled])


@case
def mask_of_one_source() -> Any:
    x, a = tokens()
    h = layers.Concatenate(name="joined")([layers.Add()([layers.Dense(4)(a), a]), a])
    return tf_keras.Model(x, layers.LSTM(3)(h))


@case
def masks_joined() -> Any:
    """Keras 3 joins the masks with an operation that is also named ``concatenate``."""
    x, a = tokens()
    h = layers.Concatenate(name="concatenate")([layers.Dense(4)(a), a])
    h = layers.Concatenate(name="concatenate_1")([h, a])
    return tf_keras.Model(x, layers.LSTM(3)(h))


@case
def mask_and_state() -> Any:
    (x, a), (y, b) = tokens(), tokens()
    _, h, c = layers.LSTM(3, return_state=True)(a)
    return tf_keras.Model([x, y], layers.LSTM(3)(b, initial_state=[h, c]))


@case
def mask_into_a_model() -> Any:
    x, a = tokens()
    i = tf_keras.Input((6, 4))
    return tf_keras.Model(x, tf_keras.Model(i, layers.LSTM(4)(layers.Dense(4)(i)))(a))


chain("sequential_list", (5, 4), lambda: layers.LSTM(3), lambda: layers.Dense(2))


each("resized", (8, 9, 3), lambda: layers.Resizing(5, 7, crop_to_aspect_ratio=True),
     lambda: layers.Resizing(13, 5, "bicubic"), lambda: layers.CenterCrop(10, 12), lambda: layers.CenterCrop(3, 12),
     lambda: layers.UpSampling2D(2, interpolation="lanczos3"))  # fmt: skip
chain("channels_first", (4, 3, 5), lambda: layers.UpSampling2D(2, data_format="channels_first"),
      lambda: layers.ZeroPadding2D(1, data_format="channels_first"),
      lambda: layers.MaxPooling2D(2, data_format="channels_first"),
      lambda: layers.Flatten(data_format="channels_first"), lambda: layers.Dense(2))  # fmt: skip
chain("wrapped_embedding", (5, 6), lambda: layers.TimeDistributed(layers.Embedding(7, 3)),
      lambda: layers.TimeDistributed(layers.LSTM(2)), dtype="int32")  # fmt: skip
chain("ngrams", (1,), lambda: layers.TextVectorization(vocabulary=["a", "b", "a b"], ngrams=2, output_mode="multi_hot"),
      dtype="string")  # fmt: skip
chain("inverse_lookup", (4,), lambda: layers.StringLookup(vocabulary=["a", "b"], invert=True), dtype="int64")
chain("dtypes", (4,), lambda: layers.Dense(3, dtype="float64"), lambda: layers.Dense(2))


@case
def spectral_normalization() -> Any:
    x = tf_keras.Input((8, 9, 4))
    wrapped = [
        layers.SpectralNormalization(layers.Conv2D(5, 2), name="first"),
        layers.SpectralNormalization(layers.Dense(3, use_bias=False)),
    ]
    # The layer takes its InputSpec from tf.keras, which is Keras 3 here.
    with mock.patch.object(tf.keras.layers, "InputSpec", layers.InputSpec):
        return tf_keras.Model(x, wrapped[1](wrapped[0](x)))


each("pooled", IMAGE, lambda: layers.GlobalAvgPool2D(), lambda: layers.GlobalMaxPool2D(keepdims=True),
     lambda: layers.MaxPool2D(2), lambda: layers.AvgPool2D(2, padding="same"))  # fmt: skip
each("pooled_volumes", (4, 5, 6, 3), lambda: layers.GlobalAvgPool3D(), lambda: layers.GlobalMaxPool3D(),
     lambda: layers.MaxPool3D(2), lambda: layers.AvgPool3D(2), lambda: layers.SpatialDropout3D(0.3))  # fmt: skip
each("pooled_lines", STEPS, lambda: layers.GlobalAvgPool1D(), lambda: layers.GlobalMaxPool1D(),
     lambda: layers.Identity(), lambda: layers.MaxPool1D(2), lambda: layers.AvgPool1D(2),
     lambda: layers.SpatialDropout1D(0.3))  # fmt: skip
each("long_names", IMAGE, lambda: layers.Convolution2D(3, 2), lambda: layers.Convolution2DTranspose(3, 2),
     lambda: layers.SeparableConvolution2D(3, 2))  # fmt: skip


@case
def whole_dtypes() -> Any:
    """In Keras 2 these layers cast nothing to the dtype that they state."""
    x = tf_keras.Input((4,))
    y = layers.Discretization(bin_boundaries=[-0.5, 0.0, 0.5])(x)
    made = [
        layers.Flatten(dtype="int32"),
        layers.Reshape((2, 2), dtype="int64"),
        layers.Activation("relu", dtype="uint8"),
        layers.TimeDistributed(layers.Flatten(dtype="int32"), dtype="int32"),
    ]
    merged = [
        layers.Multiply(dtype="int32"),
        layers.Average(dtype="int32"),
        layers.Concatenate(dtype="int32"),
    ]
    outputs = [layer(layers.Reshape((4, 1))(x)) for layer in made] + [layer([x, x]) for layer in merged]
    return tf_keras.Model(x, [y, *outputs, layers.Embedding(4, 2)(y)])
