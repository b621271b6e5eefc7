"""A faster tf_keras for the tests of files: its recurrent layers without their GPU form."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture(autouse=True)
def _no_kernels_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """An LSTM or a GRU also traces a form for cuDNN, and the gradients of both: 2 s for code that no CPU runs."""
    if "tf_keras" in sys.modules:
        from tf_keras.src.layers.rnn import gru, lstm

        monkeypatch.setattr(lstm, "lstm_with_backend_selection", lstm.standard_lstm)
        monkeypatch.setattr(gru, "gru_with_backend_selection", gru.standard_gru)
