"""Repaired mutants as ONNX: ONNX Runtime equals the original in Keras."""

from __future__ import annotations

import keras
import numpy as np
import onnx
import onnxruntime
import pytest

import rewriter
from tests import support
from tests.mutation.mutants import MUTANTS
from tests.mutation.test_mutants import EXACT, two_batches
from tests.mutation.workshop import tolerance

SAMPLE = ("se-distinct-edited-expand-scale~", "cbam-distinct-edited-expand_dims")


def check(workshop, tmp_path, name: str) -> None:
    """Repair and export; every output within 1e-4, 1e-2 in float16."""
    mutant = MUTANTS[name]
    original, mutation = workshop.original(mutant), workshop.break_(mutant)
    fixed, path = tmp_path / "fixed.keras", tmp_path / "fixed.onnx"
    result = rewriter.repair(mutation.path, fixed, onnx=path, verify=False)
    assert result.onnx is not None
    onnx.checker.check_model(str(path), full_check=True)
    nodes = {node.op_type for node in onnx.load(path).graph.node}
    if {step.op for step in result.inserted} == {"Reshape"}:
        assert not nodes & {"Tile", "Expand"}
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for batch in two_batches(workshop, mutant, mutation):
        inputs = support.random_inputs(original, batch, seed=batch)
        names = [x._keras_history.operation.name for x in original.inputs]
        arrays = [np.asarray(array) for array in keras.tree.flatten(inputs)]
        got = session.run(None, dict(zip(names, arrays, strict=True)))
        wanted = support.run(original, inputs)
        limit = tolerance(mutant).get("rtol", 1e-4)
        for a, d in zip(got, wanted, strict=True):
            np.testing.assert_allclose(a, np.asarray(d), rtol=limit, atol=limit)


@pytest.mark.parametrize("name", SAMPLE)
def test_a_repaired_mutant_runs_as_onnx(workshop, tmp_path, name):
    check(workshop, tmp_path, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXACT)
def test_every_repaired_mutant_runs_as_onnx(workshop, tmp_path, name):
    check(workshop, tmp_path, name)
