"""Layers of every family against Keras, with the argument sets of ``tests/shapes/layer_cases.py``."""

from __future__ import annotations

import keras
import pytest

from rewriter.export.onnx.lowering import layers as _filled  # noqa: F401 - fills the table of lowerings
from rewriter.export.onnx.registry import LAYERS, REFUSED_LAYERS
from tests.export import harness
from tests.shapes.layer_cases import CASES

FAMILIES = {
    "core": "Dense Identity Masking",
    "elementwise": "Activation ReLU LeakyReLU PReLU ELU Softmax Dropout GaussianNoise SpatialDropout2D",
    "reshaping": "Reshape Flatten Permute RepeatVector ZeroPadding1D ZeroPadding2D ZeroPadding3D Cropping1D Cropping2D "
    "Cropping3D",
    "convolution": "Conv1D Conv2D Conv3D DepthwiseConv1D DepthwiseConv2D SeparableConv1D SeparableConv2D "
    "Conv1DTranspose Conv2DTranspose Conv3DTranspose",
    "pooling": "MaxPooling1D MaxPooling2D MaxPooling3D AveragePooling1D AveragePooling2D AveragePooling3D "
    "GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GlobalAveragePooling1D GlobalAveragePooling2D "
    "GlobalAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D AdaptiveAveragePooling1D "
    "AdaptiveAveragePooling2D AdaptiveAveragePooling3D",
    "normalization": "BatchNormalization LayerNormalization GroupNormalization RMSNormalization UnitNormalization",
    "merging": "Add Subtract Multiply Average Maximum Minimum Concatenate Dot",
}
NAMES = [name for names in FAMILIES.values() for name in names.split()]
MASKED = ["Add", "Average", "Concatenate", "BatchNormalization"]
# The exporter refuses the table's arguments of these, or Keras does not build them.
WITH_OTHER_ARGUMENTS = {"Equalization", "RandomCrop", "TextVectorization"}
_QUICK = 4


def _agree(items, check, **options):
    found = harness.tally(items, check, **options)
    assert not found["wrong"], found["wrong"][:3]
    assert found["right"], found
    return found


def _few(items):
    """Some of the cases, spread over the table."""
    return items[:: max(1, len(items) // _QUICK)]


@pytest.mark.parametrize("name", NAMES)
def test_some_argument_sets(name):
    _agree(_few(CASES[name](keras.layers)), harness.check_layer)


@pytest.mark.slow
@pytest.mark.parametrize("opset", [17, 26])
@pytest.mark.parametrize("name", sorted(CASES))
def test_every_argument_set(name, opset):
    found = harness.tally(CASES[name](keras.layers), harness.check_layer, opset=opset)
    assert not found["wrong"], found["wrong"][:3]
    if name not in WITH_OTHER_ARGUMENTS:
        assert bool(found["right"]) is (name in LAYERS), found
        assert name in LAYERS or name in REFUSED_LAYERS


@pytest.mark.parametrize(
    "name", ["Activation", "Conv2D", "AveragePooling2D", "LayerNormalization", "Softmax", "Dot"]
)
def test_the_oldest_opset(name):
    _agree(_few(CASES[name](keras.layers)), harness.check_layer, opset=17)


@pytest.mark.parametrize("name", MASKED)
def test_masked_operands(name):
    items = [
        i for i in CASES[name](keras.layers) if all(len(s) > 2 for s in i.shapes) and i.dtypes == ("float32",)
    ]
    _agree(_few(items), harness.check_layer, mask=True)


FUNCTIONS = sorted(f.__name__ for f in keras.src.activations.ALL_OBJECTS)


@pytest.mark.parametrize("opset", [17, 26])
def test_every_activation_function(opset):
    given = keras.Input((6, 4))
    known = [getattr(keras.activations, name) for name in FUNCTIONS if name not in ("threshold", "glu")]
    model = keras.Model(given, [keras.layers.Activation(f)(given) for f in known])
    rng = harness.np.random.default_rng(0)
    harness.compare(model, [[rng.normal(0, 2, (n, 6, 4)).astype("float32")] for n in (2, 3)], opset=opset)


@pytest.mark.parametrize("dtype", ["float16", "mixed_float16", "mixed_bfloat16", "float64"])
def test_layers_compute_in_their_own_type(dtype):
    layers = keras.layers
    given = keras.Input((9, 9, 4))
    x = layers.Conv2D(6, 3, strides=2, padding="same", activation="gelu", dtype=dtype)(given)
    x = layers.BatchNormalization(dtype=dtype)(x)
    x = layers.MaxPooling2D(2, padding="same", dtype=dtype)(x)
    x = layers.LayerNormalization(dtype=dtype)(x)
    x = layers.Dense(5, activation="softmax", dtype=dtype)(layers.Flatten(dtype=dtype)(x))
    model = keras.Model(given, layers.Activation("linear", dtype="float32")(x))
    harness.randomise(model)
    rng = harness.np.random.default_rng(0)
    feeds = [[rng.normal(0, 1, (n, 9, 9, 4)).astype("float32")] for n in (2, 3)]
    harness.compare(model, feeds, tolerance=2e-2 if dtype != "float64" else 1e-5)


@pytest.mark.parametrize("rms_scaling", [False, True])
@pytest.mark.parametrize("shape", [(5, 7), (5, 3, 7)])
@pytest.mark.filterwarnings("ignore:You passed `rms_scaling")
def test_weights_in_the_order_of_the_configured_axes(shape, rms_scaling):
    """Keras sorts the numbers as configured, so its gamma has the sizes of axes -1 and 1, and then reshapes it."""
    given = keras.Input(shape)
    layer = keras.layers.LayerNormalization(axis=[1, -1], rms_scaling=rms_scaling)
    model = keras.Model(given, layer(given))
    harness.randomise(model)
    rng = harness.np.random.default_rng(0)
    harness.compare(model, [[rng.normal(0, 1, (n, *shape)).astype("float32")] for n in (2, 3)])


def _twin(build, shape):
    """A channels-first layer, and the channels-last one between Permutes, which TensorFlow can run on a CPU."""
    rank = len(shape) + 1
    given = keras.Input(shape)
    first = keras.Model(given, build("channels_first")(given))
    last = keras.layers.Permute((*range(2, rank), 1))(given)
    back = keras.layers.Permute((rank - 1, *range(1, rank - 1)))(build("channels_last")(last))
    second = keras.Model(given, back)
    harness.randomise(first)
    second.set_weights(first.get_weights())
    return first, second


L = keras.layers
FIRST = {
    "same, strided": lambda f: L.Conv2D(5, 3, strides=2, padding="same", data_format=f),
    "groups": lambda f: L.Conv2D(6, 3, groups=2, dilation_rate=2, padding="same", data_format=f),
    "depthwise": lambda f: L.DepthwiseConv2D(3, depth_multiplier=2, padding="same", data_format=f),
    "separable": lambda f: L.SeparableConv2D(5, 3, depth_multiplier=2, data_format=f),
    "transposed": lambda f: L.Conv2DTranspose(
        5, 3, strides=2, padding="same", output_padding=1, data_format=f
    ),
    "transposed, wide stride": lambda f: L.Conv2DTranspose(5, 2, strides=3, data_format=f),
}


@pytest.mark.parametrize("name", FIRST)
def test_channels_first(name, tmp_path):
    """TensorFlow cannot run these on a CPU: the oracle is the channels-last twin with the same weights."""
    first, second = _twin(FIRST[name], (4, 13, 11))
    _, path = harness.exported(first, tmp_path)
    run = harness.session(path)
    for batch in (2, 3):
        x = harness.np.random.default_rng(batch).normal(0, 1, (batch, 4, 13, 11)).astype("float32")
        (ours,) = run.run(None, {harness.input_names(first)[0]: x})
        harness.same(ours, harness.np.asarray(second(x)))


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("pool", ["MaxPooling2D", "AveragePooling2D"])
def test_zeros_around_an_image_are_pooled(pool, padding):
    """ONNX Runtime 1.31 merges a Pad before a pool into the pool's own padding, which does not count as zeros."""
    import numpy as np

    image = keras.Input((9, 8, 2))
    padded = keras.layers.ZeroPadding2D(((0, 2), (1, 1)))(image)
    model = keras.Model(image, getattr(keras.layers, pool)(3, 2, padding)(padded))
    below_zero = -1 - np.random.default_rng(0).random((3, 9, 8, 2)).astype("float32")
    harness.compare(model, [[below_zero[:1]], [below_zero]])
