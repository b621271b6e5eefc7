"""Argument sets and input shapes for every class of ``keras.layers``, by class name.

Each entry is called with ``keras.layers`` and returns its cases: nothing imports Keras while pytest collects.
``None`` is an open input size; the other sizes are distinct primes, so that no axis can replace another.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.shapes.layers_harness import Case, case

if TYPE_CHECKING:
    from collections.abc import Callable

Table = dict[str, "Callable[[Any], list[Case]]"]
CASES: Table = {}

LINE: tuple[Any, ...] = ((None, 23, 5), (None, None, 5), (3, 19, 7))
PLANE: tuple[Any, ...] = ((None, 13, 17, 6), (None, None, None, 6), (None, 13, None, 6), (2, 11, 7, 4))
SPACE: tuple[Any, ...] = ((None, 7, 11, 13, 2), (None, None, 8, None, 4))
BY_DIMENSION = {1: LINE, 2: PLANE, 3: SPACE}


def first(shape: tuple[Any, ...]) -> tuple[Any, ...]:
    """The shape with its channels first."""
    return (shape[0], shape[-1], *shape[1:-1])


def sweep(make: Callable[..., Any], options: list[dict[str, Any]], shapes: Any, **more: Any) -> list[Case]:
    """Every set of options on every shape."""
    return [case(partial(make, **o), s, **more) for o in options for s in shapes]


def cases(*names: str) -> Callable[[Callable[..., list[Case]]], Callable[..., list[Case]]]:
    """Register a table for classes. The table is called with ``keras.layers`` and the class."""

    def register(table: Callable[..., list[Case]]) -> Callable[..., list[Case]]:
        for name in names:
            assert name not in CASES, name
            CASES[name] = lambda layers, name=name: table(layers, found(layers, name))
        return table

    return register


def found(layers: Any, name: str) -> Any:
    """The class of that name; of Keras 2 only, as Keras 3 keeps it for old files."""
    from keras.src.legacy import layers as old

    return getattr(layers, name, None) or getattr(old, name)


# -- core -----------------------------
@cases("Dense")
def dense(layers: Any, make: Any) -> list[Case]:
    options = [{"units": 5}, {"units": 1, "use_bias": False, "activation": "relu"}]
    return [
        *sweep(make, options, [(None, 7), (None, None, 7), (2, 3, 5, 7)]),
        *sweep(
            make, [{"units": 3, "dtype": d} for d in ("float16", "mixed_bfloat16", "float64")], [(None, 4)]
        ),
        case(lambda: make(3, dtype="int8_from_mixed_bfloat16"), (None, 4), run=False),
        case(lambda: make(3, dtype="float8_from_float32"), (None, 4), run=False),
        case(lambda: make(3), (None, 4), dtype="int32"),
    ]


@cases("EinsumDense")
def einsum_dense(layers: Any, make: Any) -> list[Case]:
    def of(equation: str, shape: Any, *on: Any, **more: Any) -> Case:
        return case(lambda: make(equation, output_shape=shape), *on, **more)

    return [
        of("ab,bc->ac", 64, (None, 32)),
        of("abc,cd->abd", (None, 64), (None, None, 128)),
        of("abc,cd->abd", (17, 64), (None, 17, 12)),
        of("...x,xy->...y", 64, (None, 5, 12)),
        of("...x,xy->...y", 64, (None, None, 12)),
        of("...x,xy->...y", 3, (None, 12)),
        of("ab...,bc->ac...", 7, (None, 5, 11, 13)),
        of("ab...,bc->ac...", 7, (None, 5, None, None)),
        of("abc,cde->abde", (None, 3, 4), (None, 5, 6)),
        of("abde,dec->abc", (None, 8), (None, 5, 3, 4)),
        of("abc,cd->adb", (8, None), (None, 5, 6)),
        of("abc,bd->adc", (8, 6), (None, 5, 6)),
        of("abc,bcd->ad", 8, (None, 5, 6)),
        of("...x,xy->...y", 3, (None, 5, 6, 12), untrue="elided axes are put in backwards"),
        of("...x,xy->...y", 3, (None, 5, 6, 7, 12), untrue="elided axes are put in backwards"),
    ]


@cases("Embedding")
def embedding(layers: Any, make: Any) -> list[Case]:
    shapes = [(None,), (None, 7), (None, None), (2, 3, 5)]
    return [
        *sweep(
            make,
            [{"input_dim": 10, "output_dim": 4, "mask_zero": m} for m in (False, True)],
            shapes,
            dtype="int32",
        ),
        case(lambda: make(10, 4, dtype="mixed_float16"), (None, 3), dtype="float32"),
    ]


@cases("ReversibleEmbedding")
def reversible_embedding(layers: Any, make: Any) -> list[Case]:
    options = [
        {"input_dim": 10, "output_dim": 4},
        {"input_dim": 10, "output_dim": 4, "mask_zero": True, "tie_weights": False},
    ]
    return [
        *sweep(make, options, [(None, 7), (None, None)], dtype="int32"),
        *sweep(make, options, [(None, 7, 4), (None, 4)], kwargs={"reverse": True}),
    ]


WHOLE = "whole numbers stay whole"

ANY_RANK: list[Any] = [(None,), (None, 5), (None, None, 7), (2, 3, 5, 7), (None, 3, None, 2, 3)]


@cases("Identity", "ActivityRegularization", "ELU", "LeakyReLU", "ReLU")
def plain(layers: Any, make: Any) -> list[Case]:
    return [
        *sweep(make, [{}, {"dtype": "mixed_float16"}], ANY_RANK),
        case(
            make,
            (None, 3),
            dtype="int32",
            run=make.__name__ != "ELU",
            untrue=WHOLE if make.__name__ in ("ActivityRegularization", "ReLU") else "",
        ),
    ]


@cases("Masking")
def masking(layers: Any, make: Any) -> list[Case]:
    return sweep(make, [{}, {"mask_value": 2.0}], ANY_RANK[1:])


@cases("Activation")
def activation(layers: Any, make: Any) -> list[Case]:
    return sweep(
        make, [{"activation": "gelu"}, {"activation": "softmax"}, {"activation": "linear"}], ANY_RANK[1:]
    )


@cases("PReLU")
def prelu(layers: Any, make: Any) -> list[Case]:
    return [
        *sweep(make, [{}], [(None, 5), (2, 3, 5, 7)]),
        *sweep(make, [{"shared_axes": [1, 2]}], [(None, None, None, 3), (2, 3, 5, 7)]),
    ]


@cases("Softmax")
def softmax(layers: Any, make: Any) -> list[Case]:
    def with_mask(x: Any, mask: Any) -> Any:
        return (x,), {"mask": mask}

    return [
        *sweep(make, [{}, {"axis": 1}, {"axis": [1, -1]}], [(None, 5, 7), (None, None, 3, 4)]),
        case(make, (None, 4, 5), (None, 4, 5), dtype=("float32", "bool"), pack=with_mask),
    ]


@cases("Dropout", "AlphaDropout", "GaussianDropout")
def dropout(layers: Any, make: Any) -> list[Case]:
    return sweep(make, [{"rate": 0.5}, {"rate": 0.0, "dtype": "float16"}], ANY_RANK)


@cases("GaussianNoise")
def noise(layers: Any, make: Any) -> list[Case]:
    return sweep(make, [{"stddev": 0.5}], ANY_RANK)


@cases("SpatialDropout1D")
def spatial_dropout_1d(layers: Any, make: Any) -> list[Case]:
    return sweep(make, [{"rate": 0.5}], LINE)


@cases("SpatialDropout2D", "SpatialDropout3D")
def spatial_dropout(layers: Any, make: Any) -> list[Case]:
    options = [{"rate": 0.5}, {"rate": 0.5, "data_format": "channels_first"}]
    return sweep(make, options, BY_DIMENSION[int(make.__name__[-2])])


# -- normalisation -----------------------------
@cases("BatchNormalization")
def batch_normalization(layers: Any, make: Any) -> list[Case]:
    options = [{}, {"axis": 1}, {"axis": -2, "scale": False}, {"renorm": True, "dtype": "mixed_float16"}]
    return [
        *sweep(make, options, [(None, 5, 7), (None, 3, 5, 7)]),
        *sweep(make, [{}], [(None, 5), *PLANE, *SPACE]),
    ]


@cases("GroupNormalization")
def group_normalization(layers: Any, make: Any) -> list[Case]:
    return [
        *sweep(make, [{"groups": 2}, {"groups": -1}, {"groups": 1, "axis": -1}], PLANE),
        *sweep(make, [{"groups": 3, "axis": 1}], [(None, 6, 5, 7), (None, 6)]),
    ]


@cases("LayerNormalization", "UnitNormalization")
def layer_normalization(layers: Any, make: Any) -> list[Case]:
    return [
        *sweep(
            make,
            [{}, {"axis": [1, 2]}, {"axis": -1, "dtype": "mixed_bfloat16"}],
            [(None, 5, 7), (None, 3, 4, 5)],
        ),
        case(make, (None, None, 5)),
        case(make, (None, 5)),
    ]


@cases("RMSNormalization")
def rms_normalization(layers: Any, make: Any) -> list[Case]:
    return [
        *sweep(make, [{}, {"dtype": "mixed_float16"}], [(None, 5, 7), (None, None, 5), (None, 5)]),
        case(lambda: make(axis=[1, 2]), (None, 5, 7)),
        case(lambda: make(axis=1), (None, 7, 7)),
        case(lambda: make(axis=1), (None, 5, 1), untrue="the scale of another axis meets the last"),
    ]


@cases("SpectralNormalization")
def spectral_normalization(layers: Any, make: Any) -> list[Case]:
    return [
        case(lambda: make(layers.Dense(4)), (None, 6)),
        *[case(lambda: make(layers.Conv2D(4, 3, strides=2, padding="same")), s) for s in PLANE],
        case(lambda: make(layers.Embedding(5, 3)), (None, 6), dtype="int32", run=False),
    ]


# -- convolution -----------------------------
def conv_options(dimensions: int) -> list[dict[str, Any]]:
    kernel = (3, 2, 1)[:dimensions]
    return [
        {"kernel_size": 3},
        {"kernel_size": 1},
        {"kernel_size": kernel, "padding": "same"},
        {"kernel_size": kernel, "strides": 2, "padding": "same"},
        {"kernel_size": 2, "strides": (3, 1, 2)[:dimensions]},
        {"kernel_size": 3, "dilation_rate": 2},
        {"kernel_size": 3, "dilation_rate": (2, 1, 3)[:dimensions], "padding": "SAME"},
    ]


def both_formats(
    make: Any, options: list[dict[str, Any]], shapes: Any, run_first: bool = False
) -> list[Case]:
    """Channels last, and channels first, which TensorFlow cannot run on a CPU for convolutions."""
    swapped = [{**o, "data_format": "channels_first"} for o in options]
    return [*sweep(make, options, shapes), *sweep(make, swapped, [first(s) for s in shapes], run=run_first)]


@cases("Conv1D", "Conv2D", "Conv3D")
def conv(layers: Any, make: Any) -> list[Case]:
    n = int(make.__name__[-2])
    options = [{"filters": 5, **o} for o in conv_options(n)]
    grouped = [{"filters": 6, "kernel_size": 2, "groups": 2, "use_bias": False, "dtype": "mixed_float16"}]
    causal = [
        {"filters": 5, "kernel_size": 3, "padding": "causal", **o}
        for o in ({}, {"strides": 2}, {"dilation_rate": 4})
    ]
    even = [s for s in BY_DIMENSION[n] if s[-1] % 2 == 0]
    return [
        *both_formats(make, options, BY_DIMENSION[n]),
        *sweep(make, grouped, even, run=False),
        *(sweep(make, causal, LINE) if n == 1 else []),
    ]


@cases("DepthwiseConv1D", "DepthwiseConv2D")
def depthwise(layers: Any, make: Any) -> list[Case]:
    n = int(make.__name__[-2])
    options = [o for o in conv_options(n) if len({o.get("strides", 1)}) == 1 and o.get("strides") != (3, 1)]
    return both_formats(make, [*options, {"kernel_size": 3, "depth_multiplier": 3}], BY_DIMENSION[n])


@cases("SeparableConv1D", "SeparableConv2D")
def separable(layers: Any, make: Any) -> list[Case]:
    n = int(make.__name__[-2])
    options = [{"filters": 5, **o} for o in conv_options(n) if o.get("strides") != (3, 1)]
    return both_formats(
        make, [*options, {"filters": 4, "kernel_size": 3, "depth_multiplier": 3}], BY_DIMENSION[n]
    )


@cases("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def conv_transpose(layers: Any, make: Any) -> list[Case]:
    n = int(make.__name__[4])
    options = [
        {"kernel_size": 3},
        {"kernel_size": 3, "padding": "same"},
        {"kernel_size": 2, "strides": 3},
        {"kernel_size": 4, "strides": (3, 2, 1)[:n], "padding": "same"},
        {"kernel_size": 4, "strides": 3, "padding": "same", "output_padding": 1},
        {"kernel_size": 3, "strides": 3, "padding": "valid", "output_padding": 2},
        {"kernel_size": 3, "dilation_rate": 2, "padding": "same"},
        {"kernel_size": 3, "strides": 2, "output_padding": (0, 1, 0)[:n]},
    ]
    # TensorFlow has no dilated transposed convolution on a CPU.
    plain = [{"filters": 5, **o} for o in options if "dilation_rate" not in o]
    dilated = [{"filters": 5, **o} for o in options if "dilation_rate" in o]
    return [
        *both_formats(make, plain, BY_DIMENSION[n]),
        *sweep(make, dilated, BY_DIMENSION[n], run=False),
    ]


# -- pooling -----------------------------
def _dimensions(make: Any) -> int:
    return int(make.__name__[-2])


@cases(*(f"{kind}Pooling{n}D" for kind in ("Max", "Average") for n in (1, 2, 3)))
def pooling(layers: Any, make: Any) -> list[Case]:
    n = _dimensions(make)
    options = [
        {"pool_size": 2},
        {"pool_size": 3, "strides": 1},
        {"pool_size": 3, "strides": 1, "padding": "same"},
        {"pool_size": (2, 3, 1)[:n], "strides": (3, 2, 1)[:n], "padding": "same"},
        {"pool_size": 1},
        {"pool_size": 5, "strides": 2},
    ]
    return both_formats(make, options, BY_DIMENSION[n])


@cases(*(f"Global{kind}Pooling{n}D" for kind in ("Max", "Average") for n in (1, 2, 3)))
def global_pooling(layers: Any, make: Any) -> list[Case]:
    options = [{}, {"keepdims": True}]
    return both_formats(make, options, BY_DIMENSION[_dimensions(make)], run_first=True)


@cases(*(f"Adaptive{kind}Pooling{n}D" for kind in ("Max", "Average") for n in (1, 2, 3)))
def adaptive_pooling(layers: Any, make: Any) -> list[Case]:
    n = _dimensions(make)
    options = [{"output_size": 4}, {"output_size": (3, 5, 2)[:n]}]
    return both_formats(make, options, [s for s in BY_DIMENSION[n] if None not in s[1:]], run_first=True)


# -- reshaping -----------------------------
@cases("Reshape")
def reshape(layers: Any, make: Any) -> list[Case]:
    def of(target: Any, *shapes: Any, **more: Any) -> list[Case]:
        return [case(lambda: make(target), s, **more) for s in shapes]

    return [
        *of((6, 4), (None, 24), (None, 4, 6), (2, 2, 3, 4), (None, 1, 24)),
        *of((-1, 4), (None, 24), (None, None, 8), (None, None, None, 4), (2, 3, 8)),
        *of((1, 1, 24), (None, 24), (None, 6, 4)),
        *of((-1,), (None, None, 3), (None, 5, 3), (None,), (None, None, None, 6)),
        *of((3, -1, 2), (None, 12, 5), (None, None, 6)),
        *of((), (None,), (None, 1), (None, 1, 1)),
        *of((24,), (None, 6, 4), dtype="int32"),
        *of((24, 1), (None, 6, 4), dtype="bool"),
    ]


@cases("Flatten")
def flatten(layers: Any, make: Any) -> list[Case]:
    return sweep(
        make, [{}, {"data_format": "channels_first"}], [*ANY_RANK, *PLANE, (None, 1, 1, 5), (None, 1)]
    )


@cases("Permute")
def permute(layers: Any, make: Any) -> list[Case]:
    return [
        *sweep(make, [{"dims": (2, 1)}], LINE),
        *sweep(make, [{"dims": (2, 3, 1)}, {"dims": (3, 1, 2)}, {"dims": (1, 2, 3)}], PLANE),
        case(lambda: make((2, 1)), (None, 3, 4), dtype="int64"),
        case(lambda: make((1,)), (None, 3)),
    ]


@cases("RepeatVector")
def repeat_vector(layers: Any, make: Any) -> list[Case]:
    return [
        *sweep(make, [{"n": 3}, {"n": 1}], [(None, 5), (None, None), (2, 7)]),
        case(lambda: make(2), (None, 3), dtype="int32", untrue=WHOLE),
    ]


@cases("UpSampling1D")
def up_sampling_1d(layers: Any, make: Any) -> list[Case]:
    return sweep(make, [{}, {"size": 3}, {"size": 1}], LINE)


@cases("UpSampling2D")
def up_sampling_2d(layers: Any, make: Any) -> list[Case]:
    options = [{}, {"size": (3, 1)}, {"size": 2, "interpolation": "bilinear"}]
    return both_formats(make, options, PLANE, run_first=True)


@cases("UpSampling3D")
def up_sampling_3d(layers: Any, make: Any) -> list[Case]:
    return both_formats(make, [{}, {"size": (3, 1, 2)}], SPACE, run_first=True)


@cases("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D")
def zero_padding(layers: Any, make: Any) -> list[Case]:
    n = _dimensions(make)
    pairs = ((1, 2), (0, 3), (4, 0))[:n]
    padding = [2, 0, pairs[0] if n == 1 else pairs, *([(1, 2, 3)[:n]] if n > 1 else [])]
    return both_formats(make, [{}, *({"padding": p} for p in padding)], BY_DIMENSION[n], run_first=True)


@cases("Cropping1D")
def cropping_1d(layers: Any, make: Any) -> list[Case]:
    return sweep(make, [{}, {"cropping": 2}, {"cropping": (0, 3)}, {"cropping": 0}], LINE)


@cases("Cropping2D", "Cropping3D")
def cropping(layers: Any, make: Any) -> list[Case]:
    n = _dimensions(make)
    options = [{}, {"cropping": 2}, {"cropping": ((1, 2), (0, 3), (2, 0))[:n]}, {"cropping": (1, 2, 3)[:n]}]
    return both_formats(make, options, BY_DIMENSION[n], run_first=True)


# -- merging -----------------------------
PAIRS: list[Any] = [
    ((None, 5), (None, 5)),
    ((None, 4, 5), (None, 1, 5)),
    ((None, 4, 5), (None, 5)),
    ((None, 7, 4, 5), (None, 5)),
    ((None, 7, 1, 5), (None, 4, 1)),
    ((None, None, 5), (None, None, 5)),
    ((2, 3), (2, 3)),
]


@cases("Add", "Average", "Maximum", "Minimum", "Multiply")
def merge(layers: Any, make: Any) -> list[Case]:
    # Keras also declares an open batch against a fixed one: it runs at no other size, which is a fault here.
    three = [((None, 5), (None, 3, 5), (None, 1, 1)), ((None, 5), (None, 5), (None, 5))]
    return [
        *[case(make, *pair) for pair in PAIRS],
        *[case(make, *shapes) for shapes in three],
        case(lambda: make(dtype="mixed_float16"), (None, 5), (None, 5)),
    ]


@cases("Subtract")
def subtract(layers: Any, make: Any) -> list[Case]:
    return [case(make, *pair) for pair in PAIRS]


@cases("Concatenate")
def concatenate(layers: Any, make: Any) -> list[Case]:
    return [
        case(make, (None, 5), (None, 7)),
        case(make, (None, 4, 5), (None, 4, 7), (None, 4, 1)),
        *sweep_many(lambda: make(axis=1), [((None, 4, 5), (None, 6, 5)), ((None, None, 5), (None, 3, 5))]),
        case(lambda: make(axis=-2), (None, 4, 5), (None, 6, 5)),
        case(lambda: make(axis=0), (None, 5), (3, 5)),
        case(make, (None, None, 4), (None, None, 3)),
    ]


def sweep_many(make: Any, groups: list[Any], **more: Any) -> list[Case]:
    return [case(make, *shapes, **more) for shapes in groups]


@cases("Dot")
def dot(layers: Any, make: Any) -> list[Case]:
    def of(axes: Any, a: Any, b: Any, **more: Any) -> Case:
        return case(lambda: make(axes=axes, **more), a, b)

    return [
        of(1, (None, 5), (None, 5)),
        of(-1, (None, 5), (None, 5), normalize=True),
        of((2, 1), (None, 4, 5), (None, 5, 7)),
        of((1, 1), (None, 5, 4), (None, 5, 7)),
        of(2, (None, 4, 5), (None, 7, 5)),
        of((2, 1), (None, None, 5), (None, 5, 7)),
        of((1, 2), (None, 5), (None, 7, 5)),
        of((2, 1), (None, 7, 5), (None, 5)),
        of((3, 1), (None, 3, 4, 5), (None, 5, 7)),
        of((-1, -2), (None, 4, 5), (None, 5, 7)),
        of((2, 2), (None, 3, 5, 4), (None, 2, 5, 7)),
    ]


# -- attention -----------------------------
@cases("Attention", "AdditiveAttention")
def attention(layers: Any, make: Any) -> list[Case]:
    groups = [
        ((None, 4, 6), (None, 5, 6)),
        ((None, 4, 6), (None, 5, 7), (None, 5, 6)),
        ((None, None, 6), (None, 5, 6)),
        ((2, 4, 6), (2, 5, 3), (2, 5, 6)),
    ]
    kwargs: list[dict[str, Any]] = [{}, {"return_attention_scores": True}, {"use_causal_mask": True}]
    more = [case(lambda: make(score_mode="concat", use_scale=True), (None, 4, 6), (None, 5, 6))]
    return [
        *[c for k in kwargs for c in sweep_many(make, groups, kwargs=k)],
        *(more if make.__name__ == "Attention" else []),
    ]


def query_value(*tensors: Any) -> Any:
    return tensors, {}


def query_value_by_name(query: Any, value: Any, key: Any = None) -> Any:
    return (query,), {"value": value, **({} if key is None else {"key": key})}


@cases("MultiHeadAttention")
def multi_head_attention(layers: Any, make: Any) -> list[Case]:
    groups = [
        ((None, 4, 6), (None, 5, 7)),
        ((None, None, 6), (None, 5, 7), (None, 5, 3)),
        ((2, 4, 6), (2, 4, 6)),
    ]
    images = [((None, 4, 5, 6), (None, 4, 5, 6)), ((None, None, 5, 6), (None, 4, 5, 6))]
    options = [
        {"num_heads": 2, "key_dim": 3},
        {"num_heads": 2, "key_dim": 3, "value_dim": 5, "output_shape": 9},
    ]
    scores = {"return_attention_scores": True}
    return [
        *[case(partial(make, **o), *g, pack=query_value) for o in options for g in groups],
        *[case(partial(make, **options[0]), *g, pack=query_value_by_name) for g in groups],
        case(
            partial(make, num_heads=2, key_dim=3, output_shape=(4, 5)),
            (None, 4, 6),
            (None, 5, 7),
            pack=query_value,
        ),
        case(partial(make, **options[0]), (None, 4, 6), (None, 4, 6), pack=query_value, kwargs=scores),
        case(
            partial(make, **options[0]),
            (None, 4, 6),
            (None, 5, 6),
            pack=query_value,
            kwargs=scores,
            untrue="the scores are stated query by query",
        ),
        *[case(partial(make, **options[0]), *g, pack=query_value) for g in images],
        *[
            case(partial(make, attention_axes=a, **options[0]), *images[0], pack=query_value)
            for a in (1, (2,), (1, 2), -2)
        ],
        *[
            case(
                partial(make, attention_axes=a, **options[0]),
                (None, 4, 5, 6),
                (None, 4, 5, 6),
                pack=query_value,
                kwargs=scores,
                untrue="the scores are stated for rank 3",
            )
            for a in (1, 2, (1, 2), (2, 1))
        ],
        case(
            partial(make, use_gate=True, dropout=0.2, **options[0]),
            (None, 4, 6),
            (None, 5, 7),
            pack=query_value,
        ),
    ]


@cases("GroupQueryAttention")
def grouped_query_attention(layers: Any, make: Any) -> list[Case]:
    options = [{"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}]
    groups = [
        ((None, 4, 6), (None, 5, 6)),
        ((None, None, 6), (None, 5, 6), (None, 5, 3)),
        ((2, 4, 6), (2, 4, 6)),
    ]
    return [
        case(partial(make, **o), *g, pack=query_value, kwargs=k)
        for o in options
        for g in groups
        for k in ({}, {"return_attention_scores": True})
    ]


# -- recurrent -----------------------------
RETURNS: list[dict[str, Any]] = [
    {},
    {"return_sequences": True},
    {"return_state": True},
    {"return_sequences": True, "return_state": True, "go_backwards": True},
]
SEQUENCES: list[Any] = [(None, 4, 5), (None, None, 5), (2, 3, 7)]


def states(x: Any, *initial: Any) -> Any:
    return (x,), {"initial_state": list(initial)}


@cases("LSTM", "GRU", "SimpleRNN")
def recurrent(layers: Any, make: Any) -> list[Case]:
    options = [{"units": 3, **r} for r in RETURNS]
    count = 2 if make.__name__ == "LSTM" else 1
    return [
        *sweep(make, options, SEQUENCES),
        case(
            lambda: make(3, unroll=True, return_sequences=True, dtype="mixed_bfloat16"),
            (None, 4, 5),
            run=False,
        ),
        case(lambda: make(3, stateful=True, return_sequences=True), (2, 4, 5)),
        *[case(partial(make, **o), (None, 4, 5), *[(None, 3)] * count, pack=states) for o in options],
    ]


@cases("RNN")
def rnn(layers: Any, make: Any) -> list[Case]:
    def cells() -> list[Any]:
        return [
            layers.GRUCell(3),
            layers.LSTMCell(4),
            layers.StackedRNNCells([layers.GRUCell(3), layers.LSTMCell(4)]),
        ]

    # A loop over a cell takes 0.25 s: one shape runs, the others are compared symbolically.
    return [
        case(lambda r=r, n=n: make(cells()[n], **r), s, run=s is SEQUENCES[0] and n == 2)
        for r in RETURNS
        for n in range(3)
        for s in SEQUENCES
    ] + [
        case(lambda: make(layers.SimpleRNNCell(3), return_state=True), (None, 4, 5), (None, 3), pack=states),
        case(
            lambda: make([layers.LSTMCell(3), layers.SimpleRNNCell(2)], return_sequences=True), (None, 4, 5)
        ),
    ]


@cases("LSTMCell", "GRUCell", "SimpleRNNCell")
def cell(layers: Any, make: Any) -> list[Case]:
    count = 2 if make.__name__ == "LSTMCell" else 1

    def pack(x: Any, *initial: Any) -> Any:
        return (x, list(initial)), {}

    def bare(x: Any, state: Any) -> Any:
        return (x, state), {}

    return [
        case(lambda: make(3), (None, 5), *[(None, 3)] * count, pack=pack),
        *([case(lambda: make(3), (None, 5), (None, 3), pack=bare)] if count == 1 else []),
    ]


@cases("StackedRNNCells")
def stacked(layers: Any, make: Any) -> list[Case]:
    def pack(x: Any, a: Any, b: Any, c: Any) -> Any:
        return (x, [a, [b, c]]), {}

    return [
        case(
            lambda: make([layers.GRUCell(3), layers.LSTMCell(4)]),
            (None, 5),
            (None, 3),
            (None, 4),
            (None, 4),
            pack=pack,
        )
    ]


@cases("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
def conv_lstm(layers: Any, make: Any) -> list[Case]:
    n = _dimensions(make)
    shapes = {
        1: [(None, 3, 9, 2), (None, None, 9, 2)],
        2: [(None, 3, 9, 7, 2), (None, None, 9, 7, 2)],
        3: [(None, 2, 5, 6, 7, 2)],
    }[n]
    options = [
        {"filters": 4, "kernel_size": 3, "padding": "same"},
        {"filters": 4, "kernel_size": 3, "padding": "same", "strides": 2, "return_sequences": True},
        {"filters": 4, "kernel_size": (3, 2, 1)[:n], "return_state": True},
        {
            "filters": 4,
            "kernel_size": 2,
            "return_state": True,
            "return_sequences": True,
            "go_backwards": True,
            "dilation_rate": 2,
        },
    ]
    swapped = [{**o, "data_format": "channels_first"} for o in options]
    return [
        *sweep(make, options, shapes, run=n < 3),
        *sweep(make, swapped, [(s[0], s[1], s[-1], *s[2:-1]) for s in shapes], run=False),
    ]


@cases("Bidirectional")
def bidirectional(layers: Any, make: Any) -> list[Case]:
    modes = ["concat", "sum", "mul", "ave", None]
    inner = [layers.LSTM, layers.GRU]
    result = [
        case(
            lambda m=m, r=r, i=i: make(i(3, **r), merge_mode=m),
            s,
            run=m in ("concat", None) and i is layers.GRU,
        )
        for m in modes
        for r in ({}, {"return_sequences": True}, {"return_state": True, "return_sequences": True})
        for i, s in zip(inner, SEQUENCES, strict=False)
    ]
    result += [
        case(
            lambda c=c: make(layers.LSTM(3) if c == 4 else layers.GRU(3)),
            (None, 4, 5),
            *[(None, 3)] * c,
            pack=states,
        )
        for c in (2, 4)
    ]
    result += [
        case(
            lambda: make(
                layers.LSTM(3, return_sequences=True),
                backward_layer=layers.GRU(3, return_sequences=True, go_backwards=True),
            ),
            (None, 4, 5),
        ),
        case(
            lambda: make(layers.LSTM(3), backward_layer=layers.LSTM(4, go_backwards=True)),
            (None, 4, 5),
            untrue="twice the forward units are stated",
        ),
        case(lambda: make(layers.RNN(layers.LSTMCell(3), return_sequences=True)), (None, 4, 5)),
        case(
            lambda: make(layers.ConvLSTM2D(4, 3, return_sequences=True, padding="same")), (None, 3, 7, 9, 2)
        ),
    ]
    return result


@cases("TimeDistributed")
def time_distributed(layers: Any, make: Any) -> list[Case]:
    import keras

    def model() -> Any:
        x = keras.Input((7, 5))
        return keras.Model(x, layers.Flatten()(layers.Conv1D(3, 3, strides=2)(x)))

    return [
        case(lambda: make(layers.Dense(3)), (None, 4, 5)),
        case(lambda: make(layers.Dense(3)), (None, None, 5)),
        case(lambda: make(layers.Conv2D(3, 3, strides=2)), (None, 4, 9, 7, 2)),
        case(lambda: make(layers.Conv2D(3, 3, padding="same")), (None, 4, None, None, 2)),
        case(lambda: make(layers.Flatten()), (None, 4, 5, 6)),
        case(lambda: make(layers.GlobalAveragePooling2D()), (2, 4, 5, 6, 3)),
        case(lambda: make(layers.Embedding(9, 3)), (None, 4, 5), dtype="int32"),
        case(lambda: make(layers.LSTM(3)), (None, 4, 5, 6)),
        case(lambda: make(make(layers.Dense(3))), (None, 4, 5, 6)),
        case(lambda: make(model()), (None, 4, 7, 5)),
    ]


# -- preprocessing -----------------------------
@cases("Rescaling")
def rescaling(layers: Any, make: Any) -> list[Case]:
    return [
        *sweep(
            make,
            [{"scale": 0.5}, {"scale": [1.0, 2.0, 3.0], "offset": [0.0, 1.0, 2.0]}],
            [(None, 5, 7, 3), (None, 3)],
        ),
        case(lambda: make(0.5), (None, 5), dtype="uint8"),
        case(lambda: make([1.0, 2.0, 3.0]), (None, 5, 1), untrue="an array is broadcast"),
    ]


@cases("Normalization")
def normalization(layers: Any, make: Any) -> list[Case]:
    options = [
        {"mean": 0.5, "variance": 2.0},
        {"mean": 0.5, "variance": 2.0, "axis": None},
        {"axis": (1, -1)},
        {},
    ]
    return [
        *sweep(make, options, [(None, 5, 7, 3)]),
        case(lambda: make(mean=0, variance=1), (None, 3), dtype="int32"),
    ]


CATEGORICAL: list[Any] = [(None, 1), (None, 3), (None, 4, 1), (None, 4, 3), (2, 4, 3)]


def encodings(make: Any, options: dict[str, Any], depth_first: bool, **more: Any) -> list[Case]:
    return [
        case(partial(make, output_mode=mode, **options), shape, **more)
        for mode in ("one_hot", "multi_hot", "count")
        for shape in CATEGORICAL
    ]


@cases("CategoryEncoding")
def category_encoding(layers: Any, make: Any) -> list[Case]:
    return [
        *[
            case(
                partial(make, num_tokens=5, output_mode=mode),
                shape,
                dtype="int32",
                untrue="the axis that is counted over is axis 1"
                if mode != "one_hot" and len(shape) > 2
                else "",
            )
            for mode in ("one_hot", "multi_hot", "count")
            for shape in CATEGORICAL
        ],
        case(lambda: make(5, output_mode="one_hot"), (None,), dtype="int32"),
        case(lambda: make(5), (7,), dtype="int32"),
    ]


@cases("Discretization")
def discretization(layers: Any, make: Any) -> list[Case]:
    options = {"bin_boundaries": [0.2, 0.7]}
    return [
        *sweep(make, [options], [(None, 3), (None, None, 2)]),
        *[
            case(partial(make, output_mode=mode, **options), s)
            for mode in ("one_hot", "multi_hot", "count")
            for s in CATEGORICAL
        ],
    ]


@cases("Hashing")
def hashing(layers: Any, make: Any) -> list[Case]:
    def wrong(mode: str, shape: Any) -> str:
        if mode == "one_hot":
            return "" if shape[-1] == 1 and len(shape) > 1 else "one_hot is stated like a count"
        return "the axis that is counted over is axis 1" if len(shape) > 2 else ""

    return [
        *sweep(
            make,
            [{"num_bins": 5}, {"num_bins": 5, "salt": 1, "dtype": "int32"}],
            [(None, 3), (None, 2, 4)],
            dtype="int32",
        ),
        *[
            case(partial(make, num_bins=5, output_mode=mode), s, dtype="int32", untrue=wrong(mode, s))
            for mode in ("one_hot", "multi_hot", "count")
            for s in CATEGORICAL
        ],
    ]


@cases("HashedCrossing")
def hashed_crossing(layers: Any, make: Any) -> list[Case]:
    return [
        case(partial(make, num_bins=5, output_mode=m), s, s, dtype="int32")
        for m in ("int", "one_hot")
        for s in ((None, 1), (None,), (4, 1))
    ]


LOOKUP_DTYPE = "what is encoded is int64"


@cases("IntegerLookup")
def integer_lookup(layers: Any, make: Any) -> list[Case]:
    options = {"vocabulary": [1, 2, 3]}
    padded = {"max_tokens": 9, "pad_to_max_tokens": True, **options}
    return [
        *sweep(
            make, [options, {"invert": True, **options}], [(None,), (None, 3), (None, None, 2)], dtype="int64"
        ),
        *[
            case(partial(make, output_mode=mode, **o), s, dtype="int64", untrue=LOOKUP_DTYPE)
            for o in (options, padded)
            for mode in ("one_hot", "multi_hot", "count")
            for s in CATEGORICAL
        ],
    ]


@cases("StringLookup")
def string_lookup(layers: Any, make: Any) -> list[Case]:
    options = {"vocabulary": ["a", "b"]}
    return [
        *sweep(make, [options, {"num_oov_indices": 3, **options}], [(None,), (None, 3)], dtype="string"),
        case(
            lambda: make(invert=True, **options),
            (None, 3),
            dtype="int64",
            untrue="what comes back is strings",
        ),
        *[
            case(partial(make, output_mode=mode, **options), (None, 3), dtype="string", untrue=LOOKUP_DTYPE)
            for mode in ("one_hot", "multi_hot", "count")
        ],
        case(
            lambda: make(output_mode="tf_idf", idf_weights=[0.1, 0.2], **options), (None, 3), dtype="string"
        ),
    ]


@cases("TextVectorization")
def text_vectorization(layers: Any, make: Any) -> list[Case]:
    options: dict[str, Any] = {"vocabulary": ["a", "b"]}
    tf_idf = {"output_mode": "tf_idf", "idf_weights": [0.1, 0.2], **options}
    return [
        *sweep(make, [{"output_sequence_length": 7, **options}], [(None,), (None, 1)], dtype="string"),
        *sweep(make, [options], [(None,), (None, 1)], dtype="string", open=True),
        *sweep(
            make,
            [{"output_mode": m, **options} for m in ("multi_hot", "count")],
            [(None,), (None, 1)],
            dtype="string",
            untrue=LOOKUP_DTYPE,
        ),
        case(lambda: make(**tf_idf), (None,), dtype="string"),
        case(lambda: make(**tf_idf), (None, 1), dtype="string", untrue="a last axis of 1 is dropped"),
        case(
            lambda: make(split=None, **options),
            (None, 3),
            dtype="string",
        ),
        case(lambda: make(split=None, output_sequence_length=7, **options), (None, 3), dtype="string"),
        case(
            lambda: make(split=None, output_mode="multi_hot", **options),
            (None, 3),
            dtype="string",
            untrue=LOOKUP_DTYPE,
        ),
        case(
            lambda: make(split=None, output_mode="one_hot", **options),
            (None, 3),
            dtype="string",
            untrue=LOOKUP_DTYPE,
        ),
        case(
            lambda: make(output_mode="one_hot", **options),
            (None,),
            dtype="string",
            untrue=LOOKUP_DTYPE,
            open=True,
        ),
        case(lambda: make(ngrams=2, split="character", **options), (None,), dtype="string", open=True),
    ]


@cases("MelSpectrogram")
def mel_spectrogram(layers: Any, make: Any) -> list[Case]:
    options = {"fft_length": 64, "sequence_stride": 32, "num_mel_bins": 7}
    odd = {"fft_length": 63, "sequence_stride": 8, "num_mel_bins": 7}
    return [
        *[case(partial(make, **options), s) for s in ((None, 400), (None, 512), (None, 513), (2, 1000))],
        case(partial(make, **options), (None, 511), untrue="a frame too many where the stride divides N + 1"),
        case(partial(make, **odd), (None, 401)),
        case(partial(make, **odd), (None, 400), untrue="an odd fft_length pads one less"),
        case(partial(make, **options), (None, None), run=False),
    ]


@cases("STFTSpectrogram")
def stft_spectrogram(layers: Any, make: Any) -> list[Case]:
    options = [
        {"window": None, "frame_length": 16, "mode": mode, "expand_dims": expand, "padding": padding, **more}
        for mode in ("log", "stft", "psd")
        for expand in (False, True)
        for padding in ("valid", "same")
        for more in ({}, {"frame_step": 5, "fft_length": 33})
    ]
    return both_formats(make, options, [(None, 50, 3), (2, 41, 1)])


# -- images -----------------------------
IMAGES: list[Any] = [(None, 12, 10, 3), (2, 9, 8, 3)]


def images(make: Any, *options: dict[str, Any], run: bool = True, formats: bool = True) -> list[Case]:
    swapped = [{**o, "data_format": "channels_first"} for o in options] if formats else []
    return [
        *sweep(make, list(options), IMAGES, run=run),
        *sweep(make, list(options), [(None, None, None, 3)], run=False),
        *sweep(make, swapped, [first(s) for s in IMAGES], run=False),
    ]


@cases(
    "AutoContrast",
    "AugMix",
    "CutMix",
    "MixUp",
    "RandAugment",
    "RandomElasticTransform",
    "RandomErasing",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomInvert",
    "RandomPerspective",
    "RandomShear",
    "Solarization",
    "ContrastLimitedAdaptiveHistogramEqualization",
    "RandomFlip",
)
def augmentation(layers: Any, make: Any) -> list[Case]:
    formats = make.__name__ not in ("AugMix", "RandAugment")
    return [*images(make, {}, formats=formats), case(make, (None, 8, 9, 3), dtype="uint8", run=False)]


@cases("Equalization")
def equalization(layers: Any, make: Any) -> list[Case]:
    # Its symbolic call returns its own input, which makes a cycle in any functional model (Keras 3.15).
    return [case(make, s, alone=True, dtype=d) for s in IMAGES for d in ("float32", "uint8")]


@cases(
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomContrast",
    "RandomHue",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomZoom",
)
def augmentation_by_factor(layers: Any, make: Any) -> list[Case]:
    name = {"RandomRotation": "factor", "RandomZoom": "height_factor"}.get(make.__name__, "factor")
    return images(make, {name: 0.2})


@cases("RandomColorJitter")
def color_jitter(layers: Any, make: Any) -> list[Case]:
    return images(make, {"brightness_factor": 0.2, "hue_factor": 0.1})


@cases("RandomHeight", "RandomWidth")
def random_sizes(layers: Any, make: Any) -> list[Case]:
    return [replace(item, open=True) for item in images(make, {"factor": 0.2}, formats=False)]


@cases("RandomPosterization")
def posterization(layers: Any, make: Any) -> list[Case]:
    return images(make, {"factor": 4})


@cases("RandomTranslation")
def translation(layers: Any, make: Any) -> list[Case]:
    return images(make, {"height_factor": 0.2, "width_factor": 0.1})


@cases("CenterCrop", "RandomCrop", "Resizing")
def crops(layers: Any, make: Any) -> list[Case]:
    sizes = {"height": 5, "width": 7}
    extra = [{"crop_to_aspect_ratio": True, **sizes}, {"pad_to_aspect_ratio": True, **sizes}]
    return [
        *images(make, sizes, {"height": 12, "width": 20}, *(extra if make.__name__ == "Resizing" else [])),
        case(lambda: make(5, 7), (None, 9, 3), run=False),
        case(lambda: make(5, 7, data_format="channels_first"), (None, 9, 3), run=False),
    ]


@cases("MaxNumBoundingBoxes")
def bounding_boxes(layers: Any, make: Any) -> list[Case]:
    def pack(images: Any, boxes: Any, labels: Any) -> Any:
        return ({"images": images, "bounding_boxes": {"boxes": boxes, "labels": labels}},), {}

    shapes = ((None, 8, 9, 3), (None, 6, 4), (None, 6))
    return [
        case(partial(make, max_number=n, bounding_box_format="xyxy"), *shapes, pack=pack) for n in (3, 6, 9)
    ]


@cases("Pipeline")
def pipeline(layers: Any, make: Any) -> list[Case]:
    return [
        case(lambda: make([layers.Rescaling(0.5), layers.CenterCrop(5, 4)]), (None, 8, 9, 3)),
        case(
            lambda: make([layers.RandomFlip(), layers.Resizing(5, 4), make([layers.Rescaling(2.0)])]),
            (2, 8, 9, 3),
        ),
    ]
