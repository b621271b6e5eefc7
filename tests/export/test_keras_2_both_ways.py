"""Bidirectional layers from Keras 2 files, which state only one direction: ONNX Runtime against tf_keras."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import tf_keras

import rewriter
from tests.formats.keras.upgrade.oracle import randomized

L = tf_keras.layers
CASES: dict[str, Callable[[], Any]] = {
    "lstm": lambda: L.Bidirectional(L.LSTM(3)),
    "gru": lambda: L.Bidirectional(L.GRU(3, return_sequences=True), merge_mode="ave"),
    "gru_before": lambda: L.Bidirectional(L.GRU(3, reset_after=False), merge_mode="sum"),
    "hard": lambda: L.Bidirectional(L.LSTM(3, recurrent_activation="hard_sigmoid")),
    "simple": lambda: L.Bidirectional(L.SimpleRNN(3, return_sequences=True), merge_mode="mul"),
    "cells": lambda: L.Bidirectional(L.RNN([L.LSTMCell(3), L.GRUCell(2)], return_sequences=True)),
    "turned": lambda: L.Bidirectional(L.LSTM(3, go_backwards=True, return_sequences=True)),
    "stated": lambda: L.Bidirectional(L.LSTM(3), backward_layer=L.GRU(3, go_backwards=True)),
}


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_both_directions(name: str, masked: bool, suffix: str, tmp_path: Path):
    tf_keras.backend.clear_session()
    inputs = tf_keras.Input((5, 4))
    model = tf_keras.Model(inputs, CASES[name]()(L.Masking()(inputs) if masked else inputs))
    randomized(model)
    model.save(tmp_path / f"model{suffix}")
    rewriter.convert(tmp_path / f"model{suffix}", tmp_path / "model.onnx", verify=False)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    for batch in (1, 3):
        x = np.random.default_rng(batch).normal(size=(batch, 5, 4)).astype("float32")
        if masked:
            x[:, 3:] = 0
        (got,) = session.run(None, {session.get_inputs()[0].name: x})
        np.testing.assert_allclose(got, model(x, training=False), rtol=1e-4, atol=1e-5)
