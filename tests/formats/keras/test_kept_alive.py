"""Converted models of many Bidirectional layers, loaded by Keras while addresses are used again as soon as possible."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tf_keras
from keras.src.saving import serialization_lib

import rewriter
from rewriter.formats.keras import new_model
from rewriter.formats.keras.kept_alive import kept_alive
from tests.formats.keras.upgrade.oracle import randomized


class Addresses:
    """The smallest number that no living object has, in place of ``id``."""

    def __init__(self) -> None:
        self.taken: set[int] = set()
        self.known: dict[int, int] = {}

    def __call__(self, item: Any) -> int:
        if isinstance(item, keras.layers.RNN):
            gc.collect()
        if id(item) not in self.known:
            number = next(n for n in range(10**6) if n not in self.taken)
            try:
                weakref.finalize(item, self.free, id(item), number)
            except TypeError:
                return id(item)
            self.taken.add(number)
            self.known[id(item)] = number
        return self.known[id(item)]

    def free(self, address: int, number: int) -> None:
        self.taken.discard(number)
        self.known.pop(address, None)


def wrappers(k: Any) -> Any:
    x = k.layers.Input((5, 4))
    made = [layer(3) for layer in (k.layers.LSTM, k.layers.GRU, k.layers.SimpleRNN)]
    cells = [k.layers.RNN([k.layers.LSTMCell(3), k.layers.GRUCell(2)]) for _ in range(2)]
    return k.Model(x, [k.layers.Bidirectional(layer)(x) for layer in [*made, *cells]])


def agrees(model: Any, path: Path) -> bool:
    x = np.random.default_rng(0).normal(size=(2, 5, 4)).astype("float32")
    wanted = model(x)
    gc.collect()
    gc.freeze()
    try:
        got = keras.models.load_model(path, compile=False)(x)
    finally:
        gc.unfreeze()
    return all(np.allclose(a, b, atol=1e-5) for a, b in zip(got, wanted, strict=True))


@pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
def test_layers_of_two_wrappers_stay_apart(k: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model = wrappers(k)
    if k is tf_keras:
        randomized(model)
    model.save(tmp_path / "model.h5")
    rewriter.convert(tmp_path / "model.h5", tmp_path / "new.keras", verify=False)
    with monkeypatch.context() as patch:
        patch.setattr(new_model, "kept_alive", lambda entry: entry)
        rewriter.convert(tmp_path / "model.h5", tmp_path / "without.keras", verify=False)
    monkeypatch.setattr(serialization_lib, "id", Addresses(), raising=False)
    assert agrees(model, tmp_path / "new.keras")
    monkeypatch.setattr(serialization_lib, "id", Addresses(), raising=False)
    try:
        alike = agrees(model, tmp_path / "without.keras")
    except ValueError:
        alike = False
    assert not alike


def test_numbers_are_those_that_the_file_does_not_use():
    def wrapper(layer: dict[str, Any]) -> dict[str, Any]:
        return {"class_name": "Bidirectional", "config": {"layer": layer}}

    entry = {"layers": [wrapper({"shared_object_id": 1}), wrapper({"class_name": "GRU"}), wrapper({})]}
    new = kept_alive(entry)
    first, *others = (item["config"]["layer"]["shared_object_id"] for item in new["layers"])
    assert first == 1 and sorted(others) == [2, 3]
    assert kept_alive(new) is new
    assert entry["layers"][2] == wrapper({})
