"""Classes outside ``keras.layers`` and ``keras.ops`` that Keras 3 writes and reads: they are Keras's own."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import onnxruntime
from keras.src.legacy import layers as legacy

import rewriter

L = keras.layers


def test_activations_with_arguments_and_layers_of_older_versions(tmp_path: Path):
    """``keras.src.activations.activations.ReLU``, ``keras._legacy.layers.ThresholdedReLU`` and ``RandomHeight``."""
    keras.utils.set_random_seed(3)
    x = keras.Input((8, 6, 4))
    y = keras.activations.relu(x, negative_slope=0.1, max_value=1.5, threshold=0.2)
    y = legacy.ThresholdedReLU(0.3)(y)
    gate = L.Reshape((1, 1, 4))(L.Dense(4)(L.GlobalAveragePooling2D()(y)))
    model = keras.Model(x, legacy.RandomHeight(0.2)(y * gate))
    model.save(tmp_path / "model.keras")
    report = rewriter.check(tmp_path / "model.keras")
    assert report.findings == []
    assert rewriter.export_onnx(tmp_path / "model.keras", tmp_path / "model.onnx", verify=True).verified
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for n in (1, 2, 5):
        data = np.random.default_rng(n).normal(0, 1, (n, 8, 6, 4)).astype("float32")
        (found,) = session.run(None, {session.get_inputs()[0].name: data})
        np.testing.assert_allclose(found, model.predict(data, verbose=0), atol=1e-5)
