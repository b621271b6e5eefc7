"""The comparison rejects every real difference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests import support
from tests.sampling import SAMPLED

VALUES = np.random.default_rng(5).normal(size=(3, 4, 4)).astype("float32")


def test_equal_values_pass():
    support.compare([VALUES, VALUES[0]], [VALUES.copy(), VALUES[0].copy()], rtol=0, atol=0)


def test_rounding_passes():
    support.compare([VALUES * np.float32(1 + 2e-6)], [VALUES])


@pytest.mark.parametrize(
    "wrong",
    [
        VALUES * 2,
        VALUES * 1000,
        VALUES * np.float32(1.001),
        VALUES + np.float32(1e-4),
        np.zeros_like(VALUES),
        VALUES.swapaxes(1, 2),
        VALUES[::-1],
        VALUES[:, :, :1],
        VALUES[None],
        VALUES.astype("float64"),
        np.full_like(VALUES, np.nan),
    ],
    ids=["x2", "x1000", "x1.001", "+1e-4", "zeros", "swapped", "reversed", "narrow", "rank", "dtype", "nan"],
)
def test_a_difference_is_rejected(wrong):
    with pytest.raises(AssertionError):
        support.compare([wrong], [VALUES])


@pytest.mark.parametrize("wrong", [VALUES * 2, VALUES * 1000, np.zeros_like(VALUES), VALUES.swapaxes(1, 2)])
def test_a_difference_is_rejected_at_the_tolerance_of_mixed_precision(wrong):
    with pytest.raises(AssertionError):
        support.compare([wrong], [VALUES], **support.MIXED)


@pytest.mark.parametrize("actual", [[], [VALUES], [VALUES, VALUES, VALUES]])
def test_another_number_of_outputs_is_rejected(actual):
    with pytest.raises(AssertionError):
        support.compare(actual, [VALUES, VALUES])


@pytest.mark.parametrize(
    "empty", [np.zeros((2, 2), "float32"), np.zeros((0, 2), "float32"), np.full((2,), np.nan)]
)
def test_desired_values_that_show_nothing_are_rejected(empty):
    with pytest.raises(AssertionError):
        support.compare([empty], [empty])


def test_tokens_stay_inside_the_embedding_table(workshop):
    from tests.mutation.mutants import MUTANTS

    model = workshop.original(MUTANTS["temporal-tokens-distinct-edited-expand_dims"])
    tokens = support.random_inputs(model, 64)
    assert tokens.dtype == "int32"
    assert 0 <= tokens.min() <= tokens.max() == 12


def test_dictionary_inputs_keep_their_structure(workshop):
    from tests.mutation.mutants import MUTANTS

    model = workshop.original(MUTANTS["film-dict-distinct-edited-expand"])
    inputs = support.random_inputs(model, 3)
    assert {name: value.shape for name, value in inputs.items()} == {
        "image": (3, 5, 7, 2),
        "condition": (3, 4),
    }


def test_transplanted_weights_are_compared_by_layer(workshop):
    from tests.mutation.mutants import MUTANTS
    from tests.zoo import ZOO

    model = workshop.original(MUTANTS["nested-distinct-edited-block.expand"])
    other = ZOO["nested"].build()
    before = support.weights_by_layer(model)
    assert {"stem", "block/conv", "block/squeeze", "block/excite"} == set(before)
    for layer in other.layers:
        layer.set_weights([w * 0 for w in layer.get_weights()])
    support.transplant(model, other)
    for name, values in support.weights_by_layer(other).items():
        support.compare(values, before[name], rtol=0, atol=0)


@pytest.mark.parametrize("table", SAMPLED)
def test_what_is_sampled_is_a_test_with_cases(table):
    path, name = table.split("::")
    text = (Path(__file__).parent / path).read_text(encoding="utf-8")
    assert f"\ndef {name}(" in text
