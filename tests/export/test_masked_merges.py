"""Merge layers of masked operands: Keras replaces the masked numbers of an operand."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
from keras import layers

from tests.export import harness

MERGES = ("Add", "Subtract", "Average", "Multiply", "Maximum", "Minimum")


def model(merge: str, masked: tuple[bool, ...], width: int = 4) -> keras.Model:
    inputs = [keras.Input((6,), dtype="int32") for _ in masked]
    tensors = [layers.Embedding(5, width, mask_zero=m)(x) for x, m in zip(inputs, masked, strict=True)]
    merged = getattr(layers, merge)()(tensors)
    pooled = layers.GlobalAveragePooling1D()(merged)
    made = keras.Model(inputs, [layers.Flatten()(merged), pooled])
    harness.randomise(made)
    return made


@pytest.mark.parametrize(
    ("merge", "masked"),
    [
        (merge, masked)
        for merge in MERGES
        for number in (2, 3)
        if not (merge == "Subtract" and number == 3)
        for masked in itertools.product((False, True), repeat=number)
        if any(masked)
    ],
)
def test_masked_operands(merge, masked):
    rng = np.random.default_rng(1)
    made = model(merge, masked)
    harness.compare(made, [[rng.integers(0, 3, (5, 6)).astype("int32") for _ in masked]])


def test_an_operand_that_gets_an_axis_loses_its_mask():
    """``[B, T, F]`` with a mask and ``[B, F]``: Keras makes a new tensor of the second one."""
    x, g = keras.Input((6,), dtype="int32"), keras.Input((4,))
    merged = layers.Multiply()([layers.Embedding(5, 4, mask_zero=True)(x), layers.Dense(4)(g)])
    made = keras.Model([x, g], layers.Flatten()(merged))
    rng = np.random.default_rng(1)
    harness.compare(
        made, [[rng.integers(0, 3, (5, 6)).astype("int32"), rng.normal(size=(5, 4)).astype("float32")]]
    )
