"""Every construct that has a translation: the upgraded model computes what its original does."""

from __future__ import annotations

import pytest

from . import function_cases, layer_cases, oracle

CASES = layer_cases.CASES | function_cases.CASES
# What an archive keeps otherwise than an HDF5 file: the places of weights.
ARCHIVED = (
    "attention", "bidirectional_backwards", "cells", "calls", "hard_sigmoid_dense", "hard_sigmoid_gates",
    "nested_deep", "nested_frozen", "operators", "normalization", "separable", "time_distributed_model", "wrappers",
)  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_hdf5_file(name: str):
    oracle.agree(CASES[name]())


@pytest.mark.parametrize("name", ARCHIVED)
def test_archive(name: str):
    oracle.archive_agrees(CASES[name]())
