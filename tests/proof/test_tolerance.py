"""The comparison accepts rounding, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from rewriter.proof.tolerance import TOLERANCES, compare

DESIRED = np.random.default_rng(0).normal(size=(3, 5, 7))
CHANGES = {
    "twice": lambda x: 2 * x,
    "a-thousand-times": lambda x: 1000 * x,
    "zeros": np.zeros_like,
    "another-sample": lambda x: x[::-1],
    "one-element": lambda x: np.where(np.arange(x.size).reshape(x.shape) == 17, x + 0.1, x),
    "not-a-number": lambda x: np.where(np.arange(x.size).reshape(x.shape) == 17, np.nan, x),
    "infinite": lambda x: np.full_like(x, np.inf),
    "transposed": lambda x: x.T,
    "wider": lambda x: x[:, :, :, None],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_what_is_other_is_refused(change, dtype):
    gap = compare(change(DESIRED).astype(dtype), DESIRED.astype(dtype), dtype)
    assert not gap.fits
    assert gap.difference > 0.01 or gap.shape
    assert gap.text()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_what_is_rounded_once_is_accepted(dtype):
    lower = {"float64": "float64", "float32": "float32", "float16": "float16"}[dtype]
    gap = compare(DESIRED.astype(lower), DESIRED, dtype)
    assert gap.fits
    assert gap.difference <= TOLERANCES[dtype][1] + TOLERANCES[dtype][0]
    assert gap.only is None


def test_whole_numbers_are_exact():
    x = np.arange(100, dtype="int32")
    assert compare(x, x, "float16").fits
    assert not compare(np.where(x == 50, 51, x), x, "float16").fits
    assert not compare(x > 50, x > 49, "float32").fits


def test_a_constant_shows_nothing():
    assert compare(np.ones(5), np.ones(5), "float32").only == 1.0
    assert compare(np.full(5, np.nan), np.full(5, np.nan), "float32").only == 0.0


def test_not_finite_in_the_same_places():
    x = np.where(DESIRED > 1, np.nan, DESIRED)
    assert compare(x, x, "float32").fits
    assert not compare(np.nan_to_num(x), x, "float32").fits
