"""Run by `tools/theano_keras.py`: save the models of one version of Keras, with inputs and outputs.

    python theano_child.py DIR compiled|plain   models, those with convolutions or the others
    python theano_child.py DIR break            models that lost a layer before a product
    python theano_child.py DIR check            load what was repaired, and compare

`NAME.h5` is the model, `NAME.npz` its inputs (`i0`, …) and outputs (`o0`, …). Keras 1 does not write its backend, and
most of its files are of TensorFlow: their kernels are turned as TensorFlow stores them.
"""

from __future__ import annotations

import collections
import collections.abc
import fractions
import inspect
import json
import math
import sys
from collections import namedtuple
from pathlib import Path

import h5py
import numpy as np

# What Theano and these versions of Keras use of Python 2 and early 3.
_Spec = namedtuple("_Spec", "args varargs keywords defaults")


def _getargspec(function):
    found = inspect.getfullargspec(function)
    return _Spec(found.args, found.varargs, found.varkw, found.defaults)


inspect.getargspec = _getargspec
fractions.gcd = math.gcd
for _name in ("Callable", "Iterable", "Mapping", "MutableMapping", "MutableSet", "Sequence"):
    setattr(collections, _name, getattr(collections.abc, _name))


class _Text(str):
    """Text as h5py 2 gave it: Keras decodes it."""

    def decode(self, *_):
        return str(self)


_attribute = h5py.AttributeManager.__getitem__


def _as_of_h5py_2(self, name):
    value = _attribute(self, name)
    if isinstance(value, str):
        return _Text(value)
    if isinstance(value, np.ndarray) and value.dtype == object:
        return np.array([item.encode() if isinstance(item, str) else item for item in value], dtype="S")
    return value


h5py.AttributeManager.__getitem__ = _as_of_h5py_2

import keras  # noqa: E402
import theano.ifelse  # noqa: E402, F401 - imports theano, which Keras expects with it
from keras import backend, layers  # noqa: E402
from keras.layers import (  # noqa: E402
    ELU,
    GRU,
    LSTM,
    Activation,
    ActivityRegularization,
    BatchNormalization,
    Bidirectional,
    Cropping2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    Input,
    LeakyReLU,
    LocallyConnected1D,
    Masking,
    MaxPooling1D,
    MaxPooling2D,
    Permute,
    PReLU,
    RepeatVector,
    Reshape,
    SimpleRNN,
    SpatialDropout1D,
    ThresholdedReLU,
    TimeDistributed,
    UpSampling1D,
    UpSampling2D,
    ZeroPadding2D,
)
from keras.models import Model, Sequential  # noqa: E402

FIRST = keras.__version__.startswith("1.")
BOTH, OF_1, OF_2 = {}, {}, {}
COMPILED = set()


def case(table, compiled=False):
    def register(make):
        table[make.__name__.lstrip("_")] = make
        if compiled:
            COMPILED.add(make.__name__.lstrip("_"))
        return make

    return register


# -- the same in both -----------------------------
@case(BOTH)
def recurrent():
    x = Input((7, 4))
    alone = LSTM(3, consume_less="gpu") if FIRST else LSTM(3, implementation=2)
    back = (
        GRU(3, consume_less="mem", go_backwards=True)
        if FIRST
        else GRU(3, implementation=1, go_backwards=True)
    )
    return Model(x, [LSTM(3, return_sequences=True)(x), GRU(3)(x), SimpleRNN(3)(x), alone(x), back(x)])


@case(BOTH)
def bidirectional():
    x = Input((7, 4))
    both = Bidirectional(LSTM(3, return_sequences=True))(x)
    return Model(x, [both, Bidirectional(GRU(2), merge_mode="mul")(x)])


@case(BOTH)
def over_time():
    x = Input((7, 4))
    return Model(x, TimeDistributed(Dense(3, activation="tanh"))(x))


@case(BOTH)
def words():
    x = Input((7,), dtype="int32")
    return Model(x, LSTM(4)(Embedding(20, 5, mask_zero=True)(x)))


@case(BOTH)
def normalized():
    x = Input((7, 4))
    return Model(x, [BatchNormalization()(x), BatchNormalization(axis=1)(x)])


@case(BOTH)
def activations():
    x = Input((6,))
    advanced = [LeakyReLU(0.2)(x), ELU(0.7)(x), ThresholdedReLU(0.3)(x), PReLU()(x)]
    names = (
        ("softplus", "softsign", "hard_sigmoid")
        if FIRST
        else ("softplus", "softsign", "hard_sigmoid", "selu")
    )
    return Model(x, [*advanced, *(Activation(name)(x) for name in names)])


@case(BOTH)
def sequence_of_layers():
    return Sequential([Dense(5, input_dim=4, activation="tanh"), Dropout(0.3), GaussianNoise(0.1), Dense(2)])


@case(BOTH)
def turned():
    x = Input((6, 4))
    p = Permute((2, 1))(x)
    return Model(
        x, [p, Reshape((24,))(p), Masking()(x), SpatialDropout1D(0.2)(x) if not FIRST else Flatten()(x)]
    )


@case(BOTH)
def local():
    x = Input((8, 3))
    return Model(x, LocallyConnected1D(4, 3)(x))


@case(BOTH)
def nested():
    inner = Sequential([Dense(5, input_dim=4, activation="tanh"), Dense(4)])
    x = Input((4,))
    return Model(x, product([inner(x), x, inner(inner(x))]))


@case(BOTH)
def gate():
    x = Input((6, 4))
    factors = Dense(4, activation="sigmoid")(GlobalAveragePooling1D()(x))
    return Model(x, product([x, RepeatVector(6)(factors)]))


def product(tensors):
    return layers.merge(tensors, mode="mul") if FIRST else layers.multiply(tensors)


@case(BOTH)
def regularized():
    from keras.regularizers import l2

    x = Input((4,))
    dense = (
        Dense(3, W_regularizer=l2(0.01), b_constraint="nonneg")
        if FIRST
        else Dense(3, bias_regularizer=l2(0.1))
    )
    return Model(x, ActivityRegularization(l1=0.1)(dense(x)))


# -- Keras 1 -----------------------------
@case(OF_1)
def merged():
    a, b = Input((5,)), Input((5,))
    modes = [layers.merge([a, b], mode=mode) for mode in ("sum", "mul", "ave", "max", "concat")]
    return Model([a, b], [*modes, layers.merge([Dense(4)(a), Dense(4)(b)], mode="dot", dot_axes=1)])


@case(OF_1)
def cosine():
    a, b = Input((5,)), Input((5,))
    return Model([a, b], Reshape((1,))(layers.merge([a, b], mode="cos", dot_axes=1)))


@case(OF_1)
def matrices():
    a, b = Input((5, 4)), Input((4, 3))
    return Model([a, b], layers.merge([a, b], mode="dot", dot_axes=[2, 1]))


@case(OF_1)
def branches():
    model = Sequential()
    model.add(
        layers.Merge([Sequential([Dense(4, input_dim=3)]), Sequential([Dense(4, input_dim=5)])], mode="mul")
    )
    model.add(Dense(2))
    return model


@case(OF_1)
def each_step():
    return Sequential([layers.TimeDistributedDense(3, input_shape=(7, 4)), Activation("hard_sigmoid")])


@case(OF_1)
def normalized_by_the_batch():
    x = Input((7, 4))
    return Model(x, BatchNormalization(mode=2)(x))


@case(OF_1, compiled=True)
def convolved_1d():
    x = Input((12, 4))
    y = MaxPooling1D(2)(layers.Convolution1D(5, 3, border_mode="same", activation="relu")(x))
    wide = layers.AtrousConvolution1D(3, 2, atrous_rate=2)(x)
    return Model(x, [UpSampling1D(2)(y), GlobalMaxPooling1D()(y), wide])


@case(OF_1, compiled=True)
def convolved():
    x = Input((9, 8, 3))
    y = layers.Convolution2D(5, 3, 2, subsample=(2, 1), dim_ordering="tf")(x)
    z = layers.Deconvolution2D(3, 2, 2, (None, 10, 9, 3), dim_ordering="tf")(x)
    return Model(x, [y, z, layers.GlobalAveragePooling2D(dim_ordering="tf")(y)])


@case(OF_1, compiled=True)
def channels_first():
    """Keras 1 writes no dim_ordering for the last three."""
    x, th = Input((3, 9, 8)), {"dim_ordering": "th"}
    y = MaxPooling2D((2, 2), **th)(layers.Convolution2D(5, 3, 2, **th)(x))
    padded = ZeroPadding2D((1, 2), **th)(y)
    wide = layers.AtrousConvolution2D(2, 2, 2, atrous_rate=(2, 2), **th)(x)
    back = layers.Deconvolution2D(3, 2, 2, (None, 3, 10, 9), **th)(x)
    moved = UpSampling2D((2, 2), **th)(Cropping2D(((1, 1), (0, 2)), **th)(x))
    return Model(x, [padded, Dense(3)(Flatten()(padded)), wide, back, moved])


@case(OF_1, compiled=True)
def volumes():
    x = Input((2, 5, 6, 5))
    return Model(x, layers.Convolution3D(3, 2, 2, 2, dim_ordering="th")(x))


# -- Keras 2 -----------------------------
@case(OF_2)
def _merged():
    a, b = Input((5,)), Input((5,))
    of_two = [
        getattr(layers, name)([a, b]) for name in ("add", "multiply", "average", "maximum", "concatenate")
    ]
    dots = [layers.dot([Dense(4)(a), Dense(4)(b)], axes=1), layers.dot([a, b], axes=1, normalize=True)]
    return Model([a, b], [*of_two, *dots])


@case(OF_2)
def broadcast():
    x = Input((6, 4))
    factors = Reshape((1, 4))(Dense(4, activation="sigmoid")(GlobalAveragePooling1D()(x)))
    return Model(x, Dense(2)(layers.Multiply()([x, factors])))


@case(OF_2)
def states():
    x = Input((7, 4))
    y, h, c = LSTM(3, return_state=True)(x)
    return Model(x, [y, h, LSTM(3)(x, initial_state=[h, c])])


@case(OF_2)
def model_over_time():
    inner = Sequential([Dense(5, input_shape=(4,), activation="tanh"), Dense(4)])
    x = Input((6, 4))
    return Model(x, TimeDistributed(inner)(x))


@case(OF_2)
def slashes():
    a = Input((4,), name="in/side")
    inner = Model(a, Dense(4, name="d/1")(a), name="block/1")
    x = Input((4,))
    return Model(x, Dense(2, name="out/2")(inner(x)))


@case(OF_2, compiled=True)
def _convolved_1d():
    x = Input((12, 4))
    y = MaxPooling1D(2)(layers.Conv1D(5, 3, padding="same", activation="relu")(x))
    ends = [layers.Conv1D(3, 2, dilation_rate=2)(x), layers.Conv1D(3, 2, padding="causal")(x)]
    return Model(x, [UpSampling1D(2)(y), GlobalMaxPooling1D()(y), *ends])


@case(OF_2, compiled=True)
def _convolved():
    x = Input((9, 8, 3))
    y = layers.Conv2D(5, (3, 2), strides=(2, 1))(x)
    moved = [ZeroPadding2D(((1, 2), (0, 1)))(y), Cropping2D(((1, 1), (0, 2)))(y), UpSampling2D((2, 3))(y)]
    pooled = MaxPooling2D(3, strides=1, padding="same")(x)
    same = layers.Conv2D(2, 3, padding="same")(x)
    return Model(x, [y, layers.Conv2DTranspose(4, (3, 2), strides=2)(x), *moved, pooled, same])


@case(OF_2, compiled=True)
def _channels_first():
    x, th = Input((3, 9, 8)), {"data_format": "channels_first"}
    y = ZeroPadding2D((1, 2), **th)(MaxPooling2D((2, 2), **th)(layers.Conv2D(5, (3, 2), **th)(x)))
    back = layers.Conv2DTranspose(4, (3, 2), strides=2, **th)(x)
    return Model(x, [y, Dense(3)(Flatten()(y)), back, UpSampling2D((2, 2), **th)(x)])


@case(OF_2, compiled=True)
def _volumes():
    x = Input((5, 6, 5, 2))
    return Model(x, [layers.Conv3D(3, 2)(x), layers.MaxPooling3D(2)(x)])


@case(OF_2, compiled=True)
def padded_on_other_sides():
    x = Input((9, 8, 3))
    return Model(x, layers.AveragePooling2D(padding="same")(x))


# -- weights, inputs, files -----------------------------
def layers_of(model):
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from layers_of(layer)
        else:
            yield layer


def randomized(model, random):
    for layer in layers_of(model):
        low = 0.3 if layer.__class__.__name__ == "BatchNormalization" else -1.0
        layer.set_weights([random.uniform(low, 1.3, w.shape).astype("float32") for w in layer.get_weights()])


def as_of_tensorflow(model):
    """Turn the kernels that Theano convolves with, as TensorFlow has them."""
    for layer in layers_of(model):
        if "onvolution" not in layer.__class__.__name__:
            continue
        kernel, *others = layer.get_weights()
        first = getattr(layer, "dim_ordering", "tf") == "th"
        places = range(2, kernel.ndim) if first else range(kernel.ndim - 2)
        layer.set_weights([np.flip(kernel, tuple(places)), *others])


def inputs(model, random):
    for tensor in model.inputs:
        shape = (3, *backend.int_shape(tensor)[1:])
        if "int" in backend.dtype(tensor):
            given = random.randint(1, 9, shape).astype("int32")
            given[0, shape[1] // 2 :] = 0
            yield given
        else:
            yield random.normal(size=shape).astype("float32")


# -- models that lost a layer -----------------------------
LOST = {}


@case(LOST)
def positions():
    given = Input((6, 5, 4))
    x = Dense(4)(given)
    return given, product([x, Reshape((6, 5, 1), name="lost")(Reshape((6, 5))(Dense(1)(x)))])


@case(LOST)
def layouts():
    given = Input((6, 5, 4))
    x = Dense(4)(given)
    return given, product([x, Permute((2, 3, 1), name="lost")(Permute((3, 1, 2))(x))])


@case(LOST)
def flattened():
    given = Input((4, 6))
    x = Dense(6)(given)
    return given, product([x, Reshape((4, 6), name="lost")(Dense(24)(Flatten()(x)))])


def without(config, name):
    """A configuration without the layer of that name; the layers after it take its operand."""
    (gone,) = [layer for layer in config["layers"] if layer["name"] == name]
    config["layers"].remove(gone)
    for layer in config["layers"]:
        for reference in (item for call in layer["inbound_nodes"] for item in call):
            if reference[0] == name:
                reference[:3] = gone["inbound_nodes"][0][0][:3]


def break_models(folder):
    for name, make in LOST.items():
        random = np.random.RandomState(len(name))
        source, output = make()
        model = Model(source, Dense(2)(output))
        randomized(model, random)
        model.compile("adam", "mse")
        given = list(inputs(model, random))
        found = model.predict(given[0])
        model.save(str(folder / f"{name}.h5"))
        np.savez(folder / f"{name}.npz", i0=given[0], o0=found)
        with h5py.File(folder / f"{name}.h5", "r+") as file:
            config = json.loads(str(file.attrs["model_config"]))
            without(config["config"], "lost")
            file.attrs["model_config"] = json.dumps(config).encode()
            groups = file["model_weights"]
            groups.attrs["layer_names"] = [n for n in groups.attrs["layer_names"] if n != b"lost"]
            del groups["lost"]


def check_models(folder):
    for path in sorted(folder.glob("*.fixed.h5")):
        model, arrays = keras.models.load_model(str(path)), np.load(str(path).replace(".fixed.h5", ".npz"))
        np.testing.assert_allclose(model.predict(arrays["i0"]), arrays["o0"], atol=1e-5)
        print(keras.__version__, path.name.split(".")[0], "loads and computes the same")


def main():
    folder, what = Path(sys.argv[1]), sys.argv[2]
    if what in ("compiled", "plain"):
        make_models(folder, what == "compiled")
    else:
        {"break": break_models, "check": check_models}[what](folder)


def make_models(folder, compiled):
    for name, make in {**BOTH, **(OF_1 if FIRST else OF_2)}.items():
        if (name in COMPILED) != compiled:
            continue
        random = np.random.RandomState(len(name))
        model = make()
        randomized(model, random)
        model.compile("adam", "mse")
        given = list(inputs(model, random))
        found = model.predict(given if len(given) > 1 else given[0])
        found = found if isinstance(found, list) else [found]
        if FIRST:
            as_of_tensorflow(model)
        model.save(str(folder / f"{name}.h5"))
        arrays = {f"i{k}": array for k, array in enumerate(given)}
        np.savez_compressed(
            folder / f"{name}.npz", **arrays, **{f"o{k}": array for k, array in enumerate(found)}
        )


main()
