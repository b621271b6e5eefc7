"""Every construct that has a translation: the upgraded model computes the same as its original."""

from __future__ import annotations

import pytest

from rewriter.formats.keras import upgrade

from . import function_cases, layer_cases, oracle

CASES = layer_cases.CASES | function_cases.CASES
# Cases whose weights an archive stores at other places than an HDF5 file.
ARCHIVED = (
    "attention", "bidirectional_backwards", "cells", "calls", "hard_sigmoid_dense", "hard_sigmoid_gates",
    "nested_deep", "nested_frozen", "operators", "normalization", "separable", "spectral_normalization",
    "time_distributed_model", "wrappers",
)  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_hdf5_file(name: str):
    oracle.agree(CASES[name]())


@pytest.mark.parametrize("name", ARCHIVED)
def test_archive(name: str):
    oracle.archive_agrees(CASES[name]())


def test_layers_of_integers_in_a_graph():
    """Some layers of Keras 3 cast to their dtype in a graph only, as ``predict`` runs them."""
    model = oracle.randomized(CASES["whole_dtypes"]())
    entry, weights, version, _ = oracle.saved(model)
    new = oracle.keras_3_model(upgrade.upgraded(entry, version))
    oracle.set_weights(new, upgrade.model_variables(entry, weights, version))
    (given,) = oracle.inputs_for(model)
    wanted = model.predict(given, verbose=0)
    assert oracle.difference(new.predict(given, verbose=0), wanted) < oracle.TOLERANCE
