"""The argument sets of Keras's own tests against the axis rules: a sample here, all of them under ``slow``."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import keras
import pytest

from rewriter.ir.axis import Value, new_axis
from rewriter.shapes.call import LAYERS, OPS, Call
from tests.shapes import keras_suite as suite
from tests.shapes.layers_harness import inferred

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("keras.src.layers.merging.merging_test") is None,
    reason="this Keras comes without its tests",
)
SAMPLE = [
    "keras.src.layers.merging.merging_test",
    "keras.src.layers.pooling.average_pooling_test",
    "keras.src.layers.reshaping.reshape_test",
]


@pytest.fixture(scope="module")
def sample() -> list[suite.LayerSet]:
    return suite.layer_sets(SAMPLE)


def test_a_sample_of_the_layers_agrees(sample: list[suite.LayerSet]) -> None:
    report = suite.compare_layers(sample, runs=False)
    assert not report.faults, report.text()
    assert report.compared >= 35, report.text()
    assert report.variants > report.compared, report.text()


@pytest.mark.parametrize("name", ["Multiply", "Concatenate", "AveragePooling2D", "Reshape", "Dot"])
def test_a_broken_rule_is_found(
    name: str, sample: list[suite.LayerSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = LAYERS[name]

    def broken(call: Call) -> object:
        value = rule(call)
        assert isinstance(value, Value)
        return replace(value, axes=(*(value.axes or ())[:-1], new_axis(999)))

    monkeypatch.setitem(LAYERS, name, broken)
    report = suite.compare_layers([item for item in sample if item.layer.__name__ == name], runs=False)
    assert report.faults


def test_ops_of_linear_algebra_agree() -> None:
    report = suite.compare_ops(suite.op_sets(["keras.src.ops.linalg_test"]), runs=False)
    assert not report.faults, report.text()
    assert report.compared >= 35, report.text()


@pytest.mark.slow
def test_every_set_of_the_layers_agrees() -> None:
    report = suite.compare_layers(suite.layer_sets())
    print(report.text())
    assert not report.faults, report.text()
    assert not suite.NOT_IMPORTED
    assert report.compared >= 390, report.text()
    assert set(report.classes) <= set(LAYERS)


@pytest.mark.slow
def test_every_set_of_the_ops_agrees() -> None:
    report = suite.compare_ops(suite.op_sets())
    print(report.text())
    assert not report.faults, report.text()
    assert not suite.NOT_IMPORTED
    assert report.compared >= 5_000, report.text()
    assert set(report.classes) <= {f"{family}.{name}" for family, name in OPS}


@pytest.mark.parametrize("name", ["Nancumsum", "Nancumprod"])
@pytest.mark.parametrize("axis", [[1], [], [0, 1]])
def test_a_total_along_a_list_of_axes_is_a_fault_and_no_broken_file(name: str, axis: list[int]) -> None:
    """Keras's tests state a shape for it, and a run fails: the node has a fault, and the rest of the model is read."""
    x = keras.Input(batch_shape=(2, 3))
    inference = inferred(keras.Model(x, getattr(keras.ops, name.lower())(x, axis=tuple(axis))))
    assert list(inference.faults.values()) == [
        "runs along one axis or, flattened, along all, not along a list of them"
    ]
