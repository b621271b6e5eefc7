"""Custom classes: refused by name, also if Keras has a class of that name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tf_keras
from tf_keras import layers

import rewriter
from rewriter.errors import UnsupportedError


def own(base: type) -> type:
    """A subclass with the same name."""
    return type(base.__name__, (base,), {})


class MyModel(tf_keras.Model):
    pass


class MySequential(tf_keras.Sequential):
    pass


def functional(layer: Any, shape: tuple[int, ...] = (5, 4)) -> Any:
    given = tf_keras.Input(shape)
    return tf_keras.Model(given, layer(given))


def inner(make: type) -> Any:
    given = tf_keras.Input((5, 4))
    if issubclass(make, tf_keras.Sequential):
        return make([given, layers.Dense(4)])
    return make(given, layers.Dense(3)(given))


LAYERS = {
    "Dense": lambda: own(layers.Dense)(3),
    "BatchNormalization": lambda: own(layers.BatchNormalization)(),
    "ReLU": lambda: own(layers.ReLU)(),
    "GRU": lambda: own(layers.GRU)(3),
    "GRUCell in a layer": lambda: layers.RNN(own(layers.GRUCell)(3)),
    "Dense in a layer": lambda: layers.TimeDistributed(own(layers.Dense)(3)),
    "Bidirectional": lambda: own(layers.Bidirectional)(layers.GRU(3)),
    "TimeDistributed": lambda: own(layers.TimeDistributed)(inner(tf_keras.Model)),
    "LeakyReLU": lambda: layers.Dense(3, activation=own(layers.LeakyReLU)()),
    "Sequential": lambda: inner(own(tf_keras.Sequential)),
    "MyModel": lambda: inner(MyModel),
    "MySequential": lambda: inner(MySequential),
}


@pytest.mark.parametrize("name", LAYERS)
def test_an_archive_with_one_is_checked_and_not_converted(name: str, tmp_path: Path):
    shape = (2, 5, 4) if name == "TimeDistributed" else (5, 4)
    functional(LAYERS[name](), shape).save(tmp_path / "m.keras")
    rewriter.check(tmp_path / "m.keras")
    with pytest.raises(UnsupportedError, match=f"{name}.*: a custom class"):
        rewriter.convert(tmp_path / "m.keras", tmp_path / "new.keras")


@pytest.mark.parametrize("form", ["h5", "keras"])
@pytest.mark.parametrize("make", [MyModel, MySequential])
def test_a_model_of_such_a_class_is_refused(form: str, make: type, tmp_path: Path):
    inner(make).save(tmp_path / f"m.{form}")
    for read in (rewriter.check, lambda path: rewriter.convert(path, tmp_path / "new.keras")):
        with pytest.raises(UnsupportedError, match=f"holds a '{make.__name__}': a custom class"):
            read(tmp_path / f"m.{form}")


@pytest.mark.parametrize("make", [MyModel, MySequential])
def test_one_in_an_hdf5_model(make: type, tmp_path: Path):
    functional(inner(make)).save(tmp_path / "m.h5")
    rewriter.check(tmp_path / "m.h5")
    with pytest.raises(UnsupportedError, match=f"{make.__name__}: a custom class"):
        rewriter.convert(tmp_path / "m.h5", tmp_path / "new.keras")
