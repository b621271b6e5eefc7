"""An operand that differs from its recorded shape: a node before it was lost, or an argument above was changed."""

from __future__ import annotations

import keras
import pytest
from keras import layers, ops

import rewriter
from tests.mutation.edits import read_config, write_config


def gated(pool, *, shape=(9, 7, 3)):
    image = keras.Input(shape, name="image")
    x = layers.Conv2D(6, 3, padding="same", name="features")(image)
    return keras.Model(
        image, layers.Multiply(name="scale")([x, layers.Activation("tanh", name="gate")(pool(x))])
    )


def strided():
    """A gate at half the size, repeated to the full size; its convolution makes the repeated axis."""
    image = keras.Input((16, 16, 3), name="image")
    x = layers.Conv2D(6, 3, padding="same", name="features")(image)
    y = layers.Conv2D(6, 2, strides=1, padding="same", name="coarse")(x)
    return keras.Model(image, layers.Multiply(name="scale")([x, y]))


def averaged(axis):
    rows = keras.Input((9, 6), name="rows")
    x = layers.Dense(6, name="features")(rows)
    return keras.Model(rows, ops.multiply(x, ops.expand_dims(ops.mean(x, axis=axis), -1)))


CHANGES = {
    "the data format of a pool": (
        lambda: gated(layers.GlobalAveragePooling2D(name="above")),
        ("above", "data_format", "channels_first"),
    ),
    "strides": (strided, ("coarse", "strides", [2, 2])),
    "the axis of a mean": (lambda: averaged(2), ("mean", "axis", 1)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_an_argument_above_is_not_repaired_at_the_product(name, tmp_path):
    """Even if a reading fits: it does not restore the recorded operand, or other strides would restore it too."""
    build, (layer, argument, value) = CHANGES[name]
    path, broken = tmp_path / "m.keras", tmp_path / "broken.keras"
    build().save(path)
    assert rewriter.check(path).clean
    config = read_config(path)
    entry = next(each for each in config["config"]["layers"] if each["config"].get("name") == layer)
    assert entry["config"][argument] != value
    entry["config"][argument] = value
    write_config(path, broken, config)
    result = rewriter.repair(broken, tmp_path / "out.keras", ops="all", verify=False)
    assert result.output is None
    (finding,) = [f for f in result.findings if f.severity.value == "error"]
    assert finding.candidates
    assert "may have changed" in finding.why
