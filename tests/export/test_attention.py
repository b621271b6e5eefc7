"""Attention layers with every kind of mask, also with rows that are masked whole."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests.export.harness import Refused, check_layer, compare, randomise, tally
from tests.shapes.layer_cases import CASES

STEPS, WIDTH = 6, 5
KEPT = [[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0], [0, 1, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]]


@pytest.mark.parametrize(
    "name", ["Attention", "AdditiveAttention", "MultiHeadAttention", "GroupQueryAttention"]
)
def test_every_case_of_the_table_is_right(name: str) -> None:
    found = tally(CASES[name](layers), check_layer)
    assert len(found["right"]) == len(CASES[name](layers)), found


def words(rows: int, seed: int = 0) -> Any:
    drawn = np.random.default_rng(seed).integers(1, 11, (rows, STEPS))
    return (drawn * np.asarray(KEPT[:rows])).astype("int32")


def numbers(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(0, 1, shape).astype("float32")


def check_words(build: Any, time: int | None = STEPS, **options: Any) -> None:
    x = keras.Input((time,), dtype="int32")
    model = keras.Model(x, build(layers.Embedding(11, WIDTH, mask_zero=True)(x)))
    randomise(model)
    compare(model, [[words(5)], [words(3, 1)]], **options)


def heads(**options: Any) -> Any:
    return layers.MultiHeadAttention(2, 3, **options)


def groups(**options: Any) -> Any:
    return layers.GroupQueryAttention(3, 4, 2, **options)


@pytest.mark.parametrize("make", [heads, groups])
def test_padding_masks(make: Any) -> None:
    def build(x: Any) -> Any:
        shared = make()
        return [
            make()(x, x),
            make(dropout=0.3)(x, x),
            make()(x, x, use_causal_mask=True),
            make(sliding_window=2)(x, x),
            *make()(x, x, return_attention_scores=True),
            make(use_gate=True, use_bias=False)(x, layers.Dense(WIDTH)(x)),
            shared(shared(x, x), x),
        ]

    check_words(build)
    check_words(build, time=None, opset=17)


@pytest.mark.parametrize("make", [heads, groups])
def test_masks_that_are_given(make: Any) -> None:
    q, v = keras.Input((STEPS, WIDTH)), keras.Input((4, WIDTH))
    q_mask, v_mask = keras.Input((STEPS,), dtype="bool"), keras.Input((4,), dtype="bool")
    whole = keras.Input((STEPS, 4), dtype="bool")
    outputs = [
        make()(q, v, attention_mask=whole),
        make()(q, v, value_mask=v_mask, use_causal_mask=True),
        make()(q, v, query_mask=q_mask, value_mask=v_mask, attention_mask=whole),
        make()(q, v, v, key_mask=v_mask),
        *make(dropout=0.1)(q, v, attention_mask=whole, return_attention_scores=True),
        make()(q, v, attention_mask=ops.cast(whole, "int32")),
        make(dropout=0.1)(q, v, use_causal_mask=True),
        make()(q, v, use_causal_mask=True),
    ]
    model = keras.Model([q, v, q_mask, v_mask, whole], outputs)
    randomise(model)
    rng = np.random.default_rng(0)

    def feed(rows: int) -> list[Any]:
        masks = [
            rng.random((rows, STEPS)) > 0.5,
            rng.random((rows, 4)) > 0.5,
            rng.random((rows, STEPS, 4)) > 0.5,
        ]
        masks[1][0] = masks[2][0, 0] = False
        return [numbers(rows, STEPS, WIDTH), numbers(rows, 4, WIDTH, seed=1), *masks]

    compare(model, [feed(5), feed(2)])


def test_five_axes() -> None:
    x = keras.Input((2, 3, 4, WIDTH))
    mask = keras.Input((2, 3, 4, 2, 3, 4), dtype="bool")
    outputs = [
        heads()(x, x),
        heads(attention_axes=(2, 3))(x, x),
        heads(attention_axes=(1, 3))(x, x),
        heads(attention_axes=2, value_dim=4, output_shape=7)(x, x),
        *heads(attention_axes=(3, 1))(x, x, return_attention_scores=True),
        heads()(x, x, attention_mask=mask),
    ]
    model = keras.Model([x, mask], outputs)
    randomise(model)
    rng = np.random.default_rng(0)
    feeds = [[numbers(n, 2, 3, 4, WIDTH), rng.random((n, 2, 3, 4, 2, 3, 4)) > 0.5] for n in (3, 1)]
    compare(model, feeds)


@pytest.mark.parametrize("dtype", ["float16", "mixed_float16", "mixed_bfloat16", "float64"])
def test_types(dtype: str) -> None:
    def build(x: Any) -> Any:
        made = [
            heads(dtype=dtype)(x, x),
            heads(dtype=dtype, dropout=0.1)(x, x),
            groups(dtype=dtype)(x, x, use_causal_mask=True),
            layers.Attention(dtype=dtype, use_scale=True)([x, x]),
        ]
        return [layers.Activation("linear", dtype="float32")(y) for y in made]

    check_words(build, tolerance=6e-2 if "16" in dtype else 1e-4)


@pytest.mark.parametrize("mode", ["int8", "float8"])
def test_quantised_heads_are_refused(mode: str) -> None:
    x = keras.Input((STEPS, WIDTH))
    model = keras.Model(x, heads()(x, x))
    model.quantize(mode)
    with pytest.raises(Refused, match="quantised"):
        compare(model, [])


def test_single_scores() -> None:
    def build(x: Any) -> Any:
        y = layers.Dense(WIDTH)(x)
        return [
            layers.Attention()([x, y]),
            layers.Attention(score_mode="concat")([x, y]),
            layers.Attention(score_mode="concat", use_scale=True)([x, y, x], use_causal_mask=True),
            *layers.Attention(use_scale=True, dropout=0.3)([x, y], return_attention_scores=True),
            layers.AdditiveAttention()([x, y]),
            layers.AdditiveAttention(use_scale=False)([x, y], use_causal_mask=True),
        ]

    check_words(build)


def test_the_mask_that_comes_out() -> None:
    """MultiHeadAttention passes on the mask of its query, and removes the masks of its operands."""
    x = keras.Input((STEPS, WIDTH))
    steps = layers.Masking()(x)
    first = heads()(steps, steps)
    joined = layers.Add()([steps, first])
    inner_x, inner_v = keras.Input((STEPS, WIDTH)), keras.Input((STEPS, WIDTH))
    once = heads()(inner_x, inner_v)
    decoder = keras.Model([inner_x, inner_v], [heads()(once, inner_v), layers.Concatenate()([once, inner_v])])
    outputs = [
        layers.LSTM(3)(first),
        layers.GRU(3)(joined),
        groups()(joined, joined),
        layers.LSTM(2)(groups()(first, first)),
        *decoder([steps, layers.Masking()(x)]),
        layers.GRU(3)(decoder([steps, layers.Masking()(x)])[1]),
    ]
    model = keras.Model(x, outputs)
    randomise(model)
    kept = np.asarray(KEPT, "float32")[:, :, None]
    compare(model, [[numbers(5, STEPS, WIDTH) * kept], [numbers(3, STEPS, WIDTH, seed=1) * kept[:3]]])
