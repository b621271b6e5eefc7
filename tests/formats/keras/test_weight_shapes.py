"""Weights are counted as Keras counts them."""

from __future__ import annotations

import pytest

from rewriter.errors import RewriterError
from rewriter.formats.keras.archive import KerasArchive
from tests.cli.common import model as shipped
from tests.cli.hostile import product

# Keras refuses the others.
LOADABLE = [shipped(n) for n in ("valid", "axis_misaligned", "batch_misaligned", "grown", "layout", "nested")]


def counts(path) -> dict[str, int] | None:
    archive = KerasArchive(path)
    try:
        return archive.parameter_counts()
    finally:
        archive.close()


def by_keras(model, prefix: str = "") -> dict[str, int]:
    """The weights of every layer, nested models' as well, by path."""
    import keras

    found: dict[str, int] = {}
    for layer in model.layers:
        if layer.count_params():
            found[prefix + layer.name] = layer.count_params()
        if isinstance(layer, keras.Model):
            found |= by_keras(layer, f"{prefix}{layer.name}/")
    return found


def _network():
    import keras
    from keras import layers

    inner_input = keras.Input((7, 3))
    inner = keras.Model(
        inner_input, layers.Dense(5, name="small")(layers.Dropout(0.1)(inner_input)), name="inner"
    )
    x = keras.Input((7, 3))
    shared = layers.Dense(3, name="shared")
    y = layers.Bidirectional(layers.LSTM(4, return_sequences=True), name="both")(shared(shared(x)))
    y = layers.TimeDistributed(layers.Dense(3), name="steps")(y)
    y = layers.BatchNormalization(name="norm")(inner(y))
    y = layers.GRU(2, dropout=0.5, name="gru")(y)
    return keras.Model(x, y)


def test_as_keras_counts(tmp_path):
    model = _network()
    model.save(tmp_path / "m.keras")
    assert counts(tmp_path / "m.keras") == by_keras(model)


@pytest.mark.parametrize("path", LOADABLE, ids=lambda p: p.stem)
def test_the_shipped_models(path):
    from tests import support

    model = support.load(path)
    assert counts(path) == by_keras(model)


def test_no_weights_file(tmp_path):
    assert counts(product(tmp_path / "m.keras", [[None, 3], [None, 3]])) is None


def test_a_damaged_weights_file(tmp_path):
    import zipfile

    path = product(tmp_path / "m.keras", [[None, 3], [None, 3]])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n and nothing")
    with pytest.raises(RewriterError):
        counts(path)
