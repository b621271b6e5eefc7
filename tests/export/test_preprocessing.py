"""Preprocessing layers: numbers, categories, texts, images and sounds."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from tests.export.harness import Refused, check_layer, compare, randomise, tally
from tests.shapes.layer_cases import CASES

RIGHT = [
    "Rescaling",
    "Normalization",
    "CategoryEncoding",
    "Discretization",
    "IntegerLookup",
    "Pipeline",
    "AutoContrast",
    "CenterCrop",
    "RandomFlip",
    "RandomGrayscale",
    "RandomRotation",
    "MaxNumBoundingBoxes",
    "EinsumDense",
    "Embedding",
    "ReversibleEmbedding",
    "TimeDistributed",
    "SpectralNormalization",
]
# Refused cases, each with its reason.
PARTLY = {
    "Hashing": "hashes",
    "HashedCrossing": "hashes",
    "StringLookup": "hashed",
    "TextVectorization": "standardize",
    "RandomCrop": "as they are",
    "ContrastLimitedAdaptiveHistogramEqualization": "",
    "STFTSpectrogram": "",
}


@pytest.mark.parametrize("name", [*RIGHT, *PARTLY])
def test_cases_of_the_table(name: str) -> None:
    found = tally(CASES[name](layers), check_layer)
    assert not found["wrong"], found["wrong"]
    assert all(PARTLY.get(name, "?") in reason for reason in found["refused"]), found["refused"]
    if name in RIGHT:
        assert not found["refused"]
    # TensorFlow has no channels-first convolution on the CPU.
    assert all("NCHW" in reason for reason in found["not built"]), found["not built"]


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (20, 17, 3)),
        ({"clip_limit": 0, "tile_grid_size": (2, 3)}, (9, 8, 2)),
        ({"clip_limit": 0.5, "tile_grid_size": (4, 1), "value_range": (-1, 2)}, (11, 6, 1)),
    ],
)
def test_histograms_of_tiles(options: Any, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    layer = layers.ContrastLimitedAdaptiveHistogramEqualization(**options)
    x = keras.Input(shape)
    model = keras.Model(x, layer(x))
    low, high = options.get("value_range", (0, 255))
    feeds = [
        (rng.random((batch, *shape)) ** 2 * (high - low) * 1.1 + low).astype("float32") for batch in (1, 3)
    ]
    feeds[1][1] = feeds[1][1, :1, :1]  # of one colour
    compare(model, [[feed] for feed in feeds], tolerance=1e-3)


def test_histograms_of_tiles_in_the_other_layout() -> None:
    rng = np.random.default_rng(0)
    layer = layers.ContrastLimitedAdaptiveHistogramEqualization(data_format="channels_first")
    x = keras.Input((3, 12, 10))
    compare(
        keras.Model(x, layer(x)), [[(rng.random((2, 3, 12, 10)) * 255).astype("float32")]], tolerance=1e-3
    )


def images(rows: int, height: int, width: int, dtype: str = "float32", seed: int = 0) -> Any:
    return (np.random.default_rng(seed).random((rows, height, width, 3)) * 255).astype(dtype)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"])
@pytest.mark.parametrize("antialias", [False, True])
def test_resizing(interpolation: str, antialias: bool) -> None:
    x = keras.Input((13, 17, 3))
    options: dict[str, Any] = {"interpolation": interpolation, "antialias": antialias}
    outputs = [
        layers.Resizing(h, w, **options, **more)(x)
        for h, w, more in (
            (5, 7, {}),
            (29, 31, {}),
            (13, 40, {}),
            (13, 17, {}),
            (6, 30, {"crop_to_aspect_ratio": True}),
            (6, 30, {"pad_to_aspect_ratio": True, "fill_value": 7.0}),
        )
    ]
    compare(keras.Model(x, outputs), [[images(2, 13, 17)], [images(1, 13, 17, seed=1)]], tolerance=1e-3)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_resizing_of_an_open_size(interpolation: str) -> None:
    x = keras.Input((None, None, 3))
    model = keras.Model(x, layers.Resizing(6, 11, interpolation=interpolation)(x))
    compare(model, [[images(2, 13, 17)], [images(1, 5, 30)]], tolerance=1e-3)


def test_the_middle_of_an_image_of_open_size() -> None:
    x = keras.Input((None, None, 3))
    outputs = [layers.CenterCrop(7, 9)(x), layers.Rescaling(2.0)(layers.CenterCrop(4, 12)(x))]
    feeds = [
        [images(3, 13, 17)],
        [images(1, 5, 30)],
        [images(2, 7, 9)],
        [images(2, 3, 2)],
        [images(1, 20, 8)],
    ]
    compare(keras.Model(x, outputs), feeds, tolerance=1e-3)


def test_resizing_and_enlarging_an_open_size_by_cubes() -> None:
    x = keras.Input((None, None, 3))
    outputs = [
        layers.Resizing(6, 11, interpolation="bicubic")(x),
        layers.Resizing(6, 11, interpolation="bicubic", antialias=True, crop_to_aspect_ratio=True)(x),
        layers.UpSampling2D((2, 3), interpolation="bicubic")(x),
        layers.UpSampling2D(3, interpolation="lanczos5")(x),
    ]
    compare(keras.Model(x, outputs), [[images(3, 13, 17)], [images(1, 5, 30)]], tolerance=1e-3)


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_whole_numbers(dtype: str) -> None:
    x = keras.Input((13, 17, 3), dtype=dtype)
    outputs = [
        *(layers.Resizing(7, 9, interpolation=i)(x) for i in ("bilinear", "nearest")),
        layers.Resizing(30, 31)(x),
        layers.CenterCrop(5, 6)(x),
        layers.CenterCrop(30, 6)(x),
        layers.RandomFlip()(x),
        layers.RandomInvert()(x),
        layers.RandomBrightness(0.3)(layers.RandomContrast(0.3)(x)),
        layers.Rescaling(1 / 255)(layers.Resizing(7, 9)(layers.RandomHue(0.2)(x))),
        layers.AutoContrast()(x),
    ]
    compare(
        keras.Model(x, outputs),
        [[images(2, 13, 17, dtype)], [images(1, 13, 17, dtype, seed=1)]],
        tolerance=1e-3,
    )


@pytest.mark.parametrize("interpolation", ["bicubic", "lanczos3"])
def test_whole_numbers_between_which_rounding_decides_are_refused(interpolation: str) -> None:
    x = keras.Input((13, 17, 3), dtype="uint8")
    with pytest.raises(Refused, match="rounded"):
        compare(keras.Model(x, layers.Resizing(7, 9, interpolation=interpolation)(x)), [])


def test_a_pipeline_of_images() -> None:
    x = keras.Input((13, 17, 3))
    inner = layers.Pipeline([layers.RandomFlip(), layers.Rescaling(1 / 255), layers.CenterCrop(9, 8)])
    model = keras.Model(x, [inner(x), layers.RandomZoom(0.2)(layers.RandomContrast(0.3)(x))])
    compare(model, [[images(2, 13, 17)], [images(1, 13, 17, seed=1)]])


def adapted(layer: Any, data: Any) -> Any:
    layer.adapt(data)
    return layer


def test_adapted_numbers() -> None:
    data = np.random.default_rng(0).normal(3, 2, (50, 4, 5)).astype("float32")
    x = keras.Input((4, 5))
    outputs = [
        adapted(layers.Normalization(axis=a, invert=i), data)(x)
        for a in (-1, 1, None, (1, 2))
        for i in (False, True)
    ]
    outputs.append(
        layers.Normalization(mean=[1.0, 2.0, 3.0, 4.0, 5.0], variance=[0.0, 1.0, 2.0, 3.0, 4.0])(x)
    )
    outputs.append(adapted(layers.Discretization(num_bins=4), data)(x))
    compare(keras.Model(x, outputs), [[data[:3]], [data[3:5]]])


def test_borders_of_bins() -> None:
    x = keras.Input((6,))
    model = keras.Model(x, layers.Discretization(bin_boundaries=[-1.0, 0.1, 2.5])(x))
    compare(
        model,
        [[np.float32([[-1, 0.1, 2.5, -5, 9, np.nan]])], [np.float32([[np.inf, -np.inf, 0, 0.1, 1, 2]] * 2)]],
    )


MODES = ["int", "one_hot", "multi_hot", "count"]


@pytest.mark.parametrize("mode", MODES)
def test_words(mode: str) -> None:
    x = keras.Input((3,), dtype="string")
    vocabulary = ["a", "b", "été", "longer word"]
    outputs = [
        layers.StringLookup(vocabulary=vocabulary, output_mode=mode)(x),
        layers.StringLookup(vocabulary=vocabulary, output_mode=mode, mask_token="")(x),
        layers.StringLookup(
            vocabulary=["", "[UNK]", *vocabulary] if mode == "int" else ["[UNK]", *vocabulary],
            output_mode=mode,
            mask_token="",
        )(x),
        adapted(layers.StringLookup(output_mode=mode, mask_token="m"), np.asarray(["q", "a", "a", "b"]))(x),
    ]
    feeds = [
        [np.asarray(rows, object)]
        for rows in ([["a", "zzz", ""], ["été", "m", "q"]], [["b", "longer word", "a"]])
    ]
    compare(keras.Model(x, outputs), feeds)


def test_words_by_number_and_back() -> None:
    x = keras.Input((4,), dtype="int64")
    outputs = [
        layers.StringLookup(vocabulary=["a", "b"], invert=True)(x),
        layers.StringLookup(vocabulary=["a", "b"], invert=True, mask_token="", oov_token="?")(x),
        layers.IntegerLookup(vocabulary=[7, -3, 12], invert=True)(x),
        layers.IntegerLookup(vocabulary=[7, -3, 12], num_oov_indices=3)(x),
        layers.IntegerLookup(vocabulary=[7, -3, 12], num_oov_indices=3, mask_token=5, output_mode="count")(x),
        layers.IntegerLookup(
            vocabulary=[7, -3, 12], output_mode="multi_hot", max_tokens=9, pad_to_max_tokens=True
        )(x),
        adapted(layers.IntegerLookup(), np.asarray([4, 4, 12]))(x),
    ]
    feeds = [[np.asarray(rows, "int64")] for rows in ([[0, 1, 2, 3], [7, -3, 12, -8]], [[5, 4, -1, 100]])]
    compare(keras.Model(x, outputs), feeds)


def test_frequencies_of_words() -> None:
    x = keras.Input((3,), dtype="string")
    data = np.asarray([["q", "a", "a"], ["b", "a", "c"]])
    outputs = [
        layers.StringLookup(vocabulary=["a", "b"], output_mode="tf_idf", idf_weights=[0.3, 0.7])(x),
        adapted(layers.StringLookup(output_mode="tf_idf"), data)(x),
        adapted(layers.StringLookup(output_mode="tf_idf", max_tokens=9, pad_to_max_tokens=True), data)(x),
    ]
    compare(keras.Model(x, outputs), [[data.astype(object)], [np.asarray([["z", "a", "q"]], object)]])


def test_texts_as_they_are() -> None:
    x = keras.Input((3,), dtype="string")
    options: dict[str, Any] = {"standardize": None, "split": None, "vocabulary": ["a", "b", "the"]}
    outputs = [
        layers.TextVectorization(**options)(x),
        layers.TextVectorization(output_sequence_length=2, **options)(x),
        layers.TextVectorization(output_sequence_length=5, **options)(x),
        layers.TextVectorization(output_mode="count", **options)(x),
        layers.TextVectorization(output_mode="multi_hot", pad_to_max_tokens=True, max_tokens=8, **options)(x),
        adapted(layers.TextVectorization(standardize=None, split=None), np.asarray([["x y", "y the"]]))(x),
    ]
    feeds = [
        [np.asarray(rows, object)] for rows in ([["a", "the", ""], ["zz", "x y", "b"]], [["the", "a", "a"]])
    ]
    compare(keras.Model(x, outputs), feeds)


@pytest.mark.parametrize(
    "changed", [{}, {"standardize": None}, {"split": None}, {"standardize": None, "split": None, "ngrams": 2}]
)
def test_texts_in_another_form_are_refused(changed: dict[str, Any]) -> None:
    x = keras.Input((1,), dtype="string")
    with pytest.raises(Refused, match="standardize|split|n-grams"):
        compare(keras.Model(x, layers.TextVectorization(vocabulary=["a"], **changed)(x)), [])


def test_categories_with_weights() -> None:
    x, weights = keras.Input((4,), dtype="int32"), keras.Input((4,))
    layer = layers.CategoryEncoding(5, output_mode="count")
    model = keras.Model([x, weights], layer(x, count_weights=weights))
    rng = np.random.default_rng(0)
    feeds = [
        [rng.integers(0, 5, (n, 4)).astype("int32"), rng.random((n, 4)).astype("float32")] for n in (3, 1)
    ]
    compare(model, feeds)


def test_layers_of_applications() -> None:
    from keras.src.applications.convnext import LayerScale, StochasticDepth
    from keras.src.applications.inception_resnet_v2 import CustomScaleLayer

    x = keras.Input((5, 4))
    model = keras.Model(x, CustomScaleLayer(0.3)([StochasticDepth(0.5)(x), LayerScale(0.1, 4)(x)]))
    randomise(model)
    rng = np.random.default_rng(0)
    compare(model, [[rng.random((n, 5, 4)).astype("float32")] for n in (3, 1)])


def test_sounds() -> None:
    x = keras.Input((400,))
    outputs = [
        layers.MelSpectrogram(fft_length=64, sequence_stride=16, num_mel_bins=9)(x),
        layers.MelSpectrogram(fft_length=63, sequence_stride=8, num_mel_bins=7)(x),
        layers.MelSpectrogram(64, 24, 40, window="hamming", mag_exp=1.0, power_to_db=False, num_mel_bins=7)(
            x
        ),
        layers.MelSpectrogram(
            100, 30, window=None, ref_power=3.0, top_db=20.0, max_freq=5000, num_mel_bins=7
        )(x),
    ]
    model = keras.Model(x, outputs)
    rng = np.random.default_rng(0)
    compare(model, [[rng.normal(0, 1, (n, 400)).astype("float32")] for n in (3, 1)], tolerance=1e-3)
    y = keras.Input((60, 2))
    outputs = [
        layers.STFTSpectrogram(mode=m, frame_length=16, frame_step=5, padding=p, window=None)(y)
        for m in ("log", "magnitude", "psd", "real", "imag", "stft", "angle")
        for p in ("valid", "same")
    ]
    compare(
        keras.Model(y, outputs),
        [[rng.normal(0, 1, (n, 60, 2)).astype("float32")] for n in (3, 1)],
        tolerance=1e-3,
    )


def test_bins_of_a_whole_dtype_are_bins_of_floats():
    """Keras 3 passes floats unchanged to ``Discretization``, whatever its dtype; in tf_keras its dtype is int64."""
    x = keras.Input((4,))
    model = keras.Model(x, keras.layers.Discretization([-1.0, 0.0, 2.5], dtype="int64")(x))
    compare(model, [[np.array([[-1.5, -0.5, 0.5, 2.7], [2.5, 2.4, -1.0, 0.0]], "float32")]])


def test_a_layer_of_whole_numbers_that_takes_floats_is_refused():
    x = keras.Input((4, 3))
    model = keras.Model(x, keras.layers.GlobalAveragePooling1D(dtype="int32")(x))
    with pytest.raises(Refused, match="its dtype is int32, and its operands are floats"):
        compare(model, [[np.ones((2, 4, 3), "float32")]])
