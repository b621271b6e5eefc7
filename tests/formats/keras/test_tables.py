"""State that Keras 2 layers learn by adapt(): carried over if the file has it, otherwise refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tf_keras
from tf_keras import layers

import rewriter
from rewriter.errors import UnsupportedError
from rewriter.formats.keras.archive import KerasArchive


def adapted(layer: Any, data: list[Any]) -> Any:
    layer.adapt(data)
    return layer


def strings(shape: tuple[int, ...] = (1,)) -> Any:
    return tf_keras.Input(shape, dtype="string")


def text() -> Any:
    given = strings()
    made = adapted(layers.TextVectorization(output_sequence_length=4), ["a b c", "b c d e", "b"])
    return tf_keras.Model(given, made(given))


def integers() -> Any:
    given = tf_keras.Input((1,), dtype="int64")
    return tf_keras.Model(given, adapted(layers.IntegerLookup(), [5, 7, 7, 9])(given))


def several() -> Any:
    """Two in the reverse order of their numbers, one in a nested model, one that states its vocabulary."""
    first = adapted(layers.StringLookup(name="z"), ["a", "b", "b"])
    second = adapted(layers.StringLookup(name="a"), ["c", "c", "d"])
    given = strings()
    inner = tf_keras.Model(given, adapted(layers.StringLookup(), ["a", "d", "d"])(given))
    told = layers.StringLookup(vocabulary=["d", "c"])
    given, other = strings(), strings()
    ends = [second(given), inner(other), told(given), first(other)]
    return tf_keras.Model([other, given], layers.Concatenate()(ends))


CASES = {
    "text": (text, [np.array([["a b"], ["c zz"], ["e d b a"]], object)]),
    "integers": (integers, [np.array([[5], [7], [1]])]),
    "several": (
        several,
        [np.array([[x] for x in "abcdx"], object), np.array([[x] for x in "dcbax"], object)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_vocabulary_is_carried(name: str, tmp_path: Path):
    make, arrays = CASES[name]
    model = make()
    model.save(tmp_path / "m.keras")
    rewriter.convert(tmp_path / "m.keras", tmp_path / "new.keras", verify=False)
    new = keras.models.load_model(tmp_path / "new.keras")
    tensors = [keras.ops.convert_to_tensor(array) for array in arrays]
    given = tensors if len(tensors) > 1 else tensors[0]
    np.testing.assert_array_equal(np.asarray(new(given)), np.asarray(model(given)))


def test_an_asset_is_found_by_its_path_in_keras_3(tmp_path: Path):
    text().save(tmp_path / "m.keras")
    archive = KerasArchive(tmp_path / "m.keras")
    assert archive.asset("assets/layers/text_vectorization/vocabulary.txt").split()[:3] == [
        b"[UNK]",
        b"b",
        b"c",
    ]
    archive.close()


@pytest.mark.parametrize("make", [text, integers])
def test_a_vocabulary_that_is_nowhere_is_refused(make: Any, tmp_path: Path):
    (tmp_path / "m.json").write_text(make().to_json())
    make().save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(UnsupportedError, match=r"the vocabulary of '\w+', learnt by adapt\(\)"):
        rewriter.convert(tmp_path / "m.json", tmp_path / "new.keras", weights=str(tmp_path / "m.weights.h5"))


@pytest.mark.parametrize("form", ["h5", "keras"])
def test_learnt_bins_are_refused(form: str, tmp_path: Path):
    given = tf_keras.Input((3,))
    made = adapted(layers.Discretization(num_bins=4), np.random.default_rng(0).normal(size=(50, 3)))
    tf_keras.Model(given, made(given)).save(tmp_path / f"m.{form}")
    rewriter.check(tmp_path / f"m.{form}")
    with pytest.raises(UnsupportedError, match="its bins"):
        rewriter.convert(tmp_path / f"m.{form}", tmp_path / "new.keras")
