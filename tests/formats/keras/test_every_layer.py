"""Every layer class of Keras 3 that has weights, from an archive to an ``.h5`` file and back, loaded by Keras."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import rewriter
from rewriter.errors import UnsupportedError
from rewriter.formats.keras.upgrade import stored_forms
from tests.shapes.layer_cases import CASES

EACH = 2  # cases of one class


def weights(model: Any) -> list[np.ndarray]:
    return [np.asarray(weight) for weight in model.get_weights()]


def models(name: str) -> Iterator[Any]:
    """Models of one layer with weights, all of them different numbers where they are floats."""
    generator = np.random.default_rng(len(name))
    found = 0
    for case in CASES[name](keras.layers):
        if case.alone or found == EACH:
            continue
        layer, inputs = case.build(), case.inputs()
        args, kwargs = case.packed(inputs)
        model = keras.Model(inputs, keras.tree.flatten(layer(*args, **kwargs)))
        if not model.weights:
            return
        given = weights(model)
        model.set_weights(
            [generator.normal(size=w.shape).astype(w.dtype) if w.dtype.kind == "f" else w for w in given]
        )
        found += 1
        yield model


def difference(model: Any, source: Path, target: Path) -> str:
    """What Keras finds wrong with the converted file, "" for nothing."""
    for path in (source, target):
        path.unlink(missing_ok=True)
    model.save(source)
    rewriter.convert(source, target, verify=False)
    try:
        got = weights(keras.models.load_model(target, compile=False))
    except ValueError as error:
        return str(error)
    same = len(got) == len(model.weights) and all(map(np.array_equal, got, weights(model)))
    return "" if same else "other weights"


def test_to_an_h5_file_and_back(tmp_path: Path):
    archive, h5, looked_at, wrong = tmp_path / "m.keras", tmp_path / "m.h5", set(), {}
    for name in CASES:
        for number, model in enumerate(models(name)):
            looked_at.add(name)
            for source, target in ((archive, h5), (h5, archive)):
                if found := difference(model, source, target):
                    wrong[name, number, target.suffix] = found
    assert not wrong
    assert {"Dense", "SpectralNormalization", "GroupQueryAttention", "RMSNormalization"} <= looked_at


def test_gated_attention(tmp_path: Path):
    x = keras.Input((5, 8))
    model = keras.Model(x, keras.layers.MultiHeadAttention(2, 3, use_gate=True)(x, x))
    archive, h5 = tmp_path / "m.keras", tmp_path / "m.h5"
    assert [difference(model, archive, h5), difference(model, h5, archive)] == ["", ""]


def test_a_layer_with_weights_of_an_unknown_place_is_refused(tmp_path: Path, monkeypatch: Any):
    model = next(models("RMSNormalization"))
    model.save(tmp_path / "m.keras")
    monkeypatch.delitem(stored_forms._COUNTS, "RMSNormalization")
    with pytest.raises(
        UnsupportedError, match="the order of the weights of 'rms_norm.*' in an .h5 file is not known"
    ):
        rewriter.convert(tmp_path / "m.keras", tmp_path / "m.h5", verify=False)
    assert not (tmp_path / "m.h5").exists()


def test_frozen_attention_in_a_nested_model_is_refused(tmp_path: Path):
    for trainable in (False, True):
        x = keras.Input((5, 8))
        inner = keras.Model(
            x, keras.layers.MultiHeadAttention(2, 3, name="attend", trainable=trainable)(x, x)
        )
        model = keras.Model(x, inner(keras.layers.Dense(8)(x)))
        if trainable:
            assert difference(model, tmp_path / "m.keras", tmp_path / "m.h5") == ""
        else:
            with pytest.raises(UnsupportedError, match="attend', which is frozen in a nested model"):
                difference(model, tmp_path / "m.keras", tmp_path / "m.h5")


def test_lora_is_refused(tmp_path: Path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="adapted", lora_rank=2)])
    with pytest.raises(UnsupportedError, match="'adapted' has LoRA weights"):
        difference(model, tmp_path / "m.keras", tmp_path / "m.h5")
    assert not (tmp_path / "m.h5").exists()
