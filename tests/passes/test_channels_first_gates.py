"""Factors that the layer Multiply aligns with the last axis of a channels-first image, where both axes have one size.

The origin of the factors decides their axis. Without it nothing is changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers, ops

import rewriter
from tests import support

N = 6
MERGES = {"multiply": layers.Multiply, "add": layers.Add}
IMAGES = {2: (N, 5, N), 3: (N, 4, 5, N)}
POOLS = {2: layers.MaxPooling2D, 3: layers.MaxPooling3D}


def pooled(rank: int = 2) -> tuple[Any, Any]:
    """An image, and the result of a layer that states its channel axis."""
    x = keras.Input(IMAGES[rank])
    return x, POOLS[rank](1, data_format="channels_first")(x)


def gate(y: Any, axes: tuple[int, ...]) -> Any:
    return layers.Dense(N)(layers.Dense(3, "tanh")(ops.mean(y, axes)))


def saved(model: keras.Model, path: Path) -> Path:
    model.save(path)
    return path


def untouched(path: Path, **options: Any) -> rewriter.Result:
    """The result of a repair that copies the file."""
    result = rewriter.repair(path, path.with_name("out.keras"), ops="all", **options)
    assert not result.inserted
    assert path.with_name("out.keras").read_bytes() == path.read_bytes()
    return result


@pytest.mark.parametrize("rank", IMAGES)
@pytest.mark.parametrize("merge", MERGES)
def test_factors_computed_from_the_axis_that_they_meet_are_right(rank, merge, tmp_path):
    x, y = pooled(rank)
    model = keras.Model(x, MERGES[merge]()([y, gate(y, tuple(range(1, rank + 1)))]))
    assert untouched(saved(model, tmp_path / "m.keras")).findings == []


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("merge", [layers.Multiply, layers.Average])
def test_of_axes_of_one_size_the_factors_go_to_the_one_that_they_come_from(merge, nested, tmp_path):
    """Height, width and channels are as many: what makes it a fault also tells the readings apart."""
    x = image = keras.Input((N, N, N))
    y = layers.AveragePooling2D(1, data_format="channels_first")(image)
    factors = gate(y, (2, 3))
    broken = keras.Model(image, merge()([y, factors]))
    meant = keras.Model(image, merge()([y, ops.reshape(factors, (-1, N, 1, 1))]))
    if nested:
        x = keras.Input((N, N, N))
        broken, meant = (keras.Model(x, inner(x)) for inner in (broken, meant))
    path = saved(broken, tmp_path / "m.keras")
    result = rewriter.repair(path, tmp_path / "out.keras", ops="all", verify=False)
    assert [change.rule for change in result.inserted] == ["channel-gate"]
    assert "no axis meets another axis than the one it comes from" in result.findings[0].why
    inputs = support.random_inputs(meant, 3)
    support.compare(support.run(support.load(tmp_path / "out.keras"), inputs), support.run(meant, inputs))


@pytest.mark.parametrize("rank", IMAGES)
def test_factors_computed_from_the_channels_go_to_the_channels(rank, tmp_path):
    x, y = pooled(rank)
    factors = gate(y, tuple(range(2, rank + 2)))
    broken = keras.Model(x, layers.Multiply()([y, factors]))
    meant = keras.Model(x, y * ops.reshape(factors, (-1, N, *[1] * rank)))
    result = rewriter.repair(saved(broken, tmp_path / "m.keras"), tmp_path / "out.keras")
    (finding,) = result.findings
    assert finding.code == "RW003"
    assert finding.message.endswith(f"pairs width={N} with an axis that comes from channel={N}")
    assert "the only other placement that fits" in finding.why
    inputs = support.random_inputs(meant, 3)
    fixed = support.run(support.load(tmp_path / "out.keras"), inputs)
    support.compare(fixed, support.run(meant, inputs))
    assert not support.same(fixed, support.run(broken, inputs))


def unsaid(source: str) -> keras.Model:
    """Factors that do not come from one axis of the image: from another input, or from all axes."""
    x, y = pooled()
    if source == "input":
        factors = keras.Input((N,))
        return keras.Model([x, factors], layers.Multiply()([y, factors]))
    if source == "all axes":
        return keras.Model(x, layers.Multiply()([y, layers.Dense(N)(layers.Flatten()(y))]))
    other = keras.Input((9,))
    return keras.Model([x, other], layers.Multiply()([y, layers.Dense(N)(other)]))


@pytest.mark.parametrize("source", ["input", "another input", "all axes"])
def test_factors_of_unknown_origin_are_left_and_told(source, tmp_path):
    model = unsaid(source)
    path = saved(model, tmp_path / "m.keras")
    (finding,) = untouched(path).findings
    assert (finding.code, finding.severity) == ("RW007", "info")
    assert finding.message.endswith(f"it fits channel={N} as well")
    assert finding.candidates[0].rule == "channel-gate"
    assert not rewriter.repair(path, tmp_path / "best.keras", mode="best", verify=False).inserted
    fixed = tmp_path / "fixed.keras"
    result = rewriter.repair(path, fixed, at={finding.node: "channel-gate"})
    assert [change.rule for change in result.inserted] == ["channel-gate"]
    inputs = support.random_inputs(model, 3)
    image, factors = support.run(keras.Model(model.inputs, model.layers[-1].input), inputs)
    support.compare(support.run(support.load(fixed), inputs), [image * factors[:, :, None, None]])


def test_a_layer_that_is_called_again_keeps_inserting_axes(tmp_path):
    """Keras builds it on the first call, whose operands have one rank after the repair."""
    x, y = pooled()
    product = layers.Multiply()
    over_channels, over_width = gate(y, (2, 3)), gate(y, (1, 2))
    broken = keras.Model(x, [product([y, over_channels]), product([y, over_width])])
    meant = keras.Model(x, [y * ops.reshape(over_channels, (-1, N, 1, 1)), product([y, over_width])])
    path = saved(broken, tmp_path / "m.keras")
    result = rewriter.repair(path, tmp_path / "out.keras", verify=False)
    assert [change.rule for change in result.inserted] == ["channel-gate"]
    inputs = support.random_inputs(meant, 3)
    support.compare(support.run(support.load(tmp_path / "out.keras"), inputs), support.run(meant, inputs))


@pytest.mark.parametrize("first", ["image", "factors"])
def test_a_nested_model_sees_where_its_operands_come_from(first, tmp_path):
    image, factors = keras.Input((N, 5, N)), keras.Input((N,))
    operands = [image, factors] if first == "image" else [factors, image]
    inner = keras.Model(operands, layers.Multiply()([image, factors]), name="inner")
    x, y = pooled()
    over_channels = gate(y, (2, 3))
    given = [y, over_channels] if first == "image" else [over_channels, y]
    path = saved(keras.Model(x, inner(given)), tmp_path / "m.keras")
    result = rewriter.repair(path, tmp_path / "out.keras", verify=False)
    assert [change.rule for change in result.inserted] == ["channel-gate"]
    meant = keras.Model(x, y * ops.reshape(over_channels, (-1, N, 1, 1)))
    inputs = support.random_inputs(meant, 3)
    support.compare(support.run(support.load(tmp_path / "out.keras"), inputs), support.run(meant, inputs))
