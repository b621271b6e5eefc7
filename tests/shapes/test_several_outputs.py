"""A fault at a node with several outputs is a finding; all its outputs exist for later nodes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from keras import Input, Model, layers

import rewriter
from rewriter.errors import BadFileError


def config(shape: list[int | None]) -> dict[str, Any]:
    """An LSTM that also returns its states, on an input edited to this shape."""
    x = Input((5, 6))
    y, h, c = layers.LSTM(4, return_sequences=True, return_state=True)(x)
    z = layers.Multiply()([y, layers.Reshape((1, 4))(h)])
    found: dict[str, Any] = json.loads(Model(x, [z, layers.Dense(2)(c)]).to_json())
    found["config"]["layers"][0]["config"]["batch_shape"] = shape
    return found


def test_a_fault_at_a_layer_with_several_outputs(tmp_path):
    path = tmp_path / "m.json"
    path.write_text(json.dumps(config([None, 6])))
    errors = [f for f in rewriter.check(path).findings if f.severity.value == "error"]
    assert [f.op for f in errors] == ["LSTM"]
    path.write_text(json.dumps(config([None, 5, 6])))
    assert rewriter.check(path).findings == []


def test_an_output_that_a_layer_does_not_have_is_no_fault_of_the_model(tmp_path):
    found = config([None, 5, 6])
    layer = next(entry for entry in found["config"]["layers"] if entry["class_name"] == "Dense")
    layer["inbound_nodes"][0]["args"][0]["config"]["keras_history"][2] = 7
    path = tmp_path / "m.json"
    path.write_text(json.dumps(found))
    with pytest.raises(BadFileError, match="has no output 7"):
        rewriter.check(path)
