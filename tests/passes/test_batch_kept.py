"""The batch is kept: no choice removes the batch of an output, and a merged batch is still a batch."""

from __future__ import annotations

import keras
import pytest
from keras import layers, ops

import rewriter
from tests.passes.test_joint import broken


def attention(turn: bool) -> keras.Model:
    """Pooling over time with one time-major operand; ``turn`` adds the Transpose back to batch-major."""
    x = keras.Input((10, 12), name="x")
    steps = layers.LSTM(9, return_sequences=True, name="steps")(x)
    weights = layers.Softmax(axis=1, name="weights")(layers.Dense(1, name="score")(steps))
    first = ops.transpose(steps, (1, 0, 2))
    data = ops.transpose(first, (1, 0, 2)) if turn else first
    product = layers.Multiply(name="mul")([data, ops.repeat(weights, 9, axis=-1)])
    return keras.Model(x, layers.Dense(3, name="head")(ops.sum(product, axis=1)))


def test_a_choice_that_costs_an_output_its_batch_is_withdrawn(tmp_path):
    attention(False).save(tmp_path / "m.keras")
    report = rewriter.check(tmp_path / "m.keras")
    (finding,) = report.findings
    assert finding.code == "RW002"
    assert finding.choice is None
    assert "has no batch" in finding.why
    assert rewriter.check(attention(True)).clean


def test_a_batch_that_was_merged_meets_a_number(tmp_path):
    """``[B, 3, 5, 4]`` with ``[3*B, 4]``: 3*B is never 5."""
    x, y = keras.Input((3, 5, 4), name="x"), keras.Input((3, 4), name="y")
    folded = ops.reshape(y, (-1, 4))
    keras.Model([x, y], x * folded).save(tmp_path / "m.keras")
    (finding,) = rewriter.check(tmp_path / "m.keras").findings
    assert finding.severity.value == "error"


def test_flattening_either_operand_is_a_tie(tmp_path):
    """A Reshape after the product is lost, or one before it: nothing shows which."""
    x, y = keras.Input((4, 4, 6), name="x"), keras.Input((4, 4, 3, 2), name="y")
    split = layers.Reshape((4, 4, 3, 2), name="split")(x)
    model = keras.Model([x, y], layers.Multiply(name="mul")([split, y]))
    finding = rewriter.check(broken(model, tmp_path, "mul", "split")).findings[0]
    assert finding.choice is None


@pytest.mark.parametrize("head", [layers.Dense(2, name="head"), layers.Reshape((25, 1), name="head")])
def test_a_number_of_elements_meets_no_batch(head, tmp_path):
    """``[B, 5, 1] * [B, 1, 5]`` without its first Reshape is ``[B, B, 5]``: it runs at batch 5 only."""
    a, b = keras.Input((5,), name="a"), keras.Input((5,), name="b")
    column = layers.Reshape((5, 1), name="lift")(a)
    outer = ops.multiply(column, layers.Reshape((1, 5), name="row")(b))
    name = outer._keras_history.operation.name
    model = keras.Model([a, b], head(layers.Flatten(name="flat")(outer)))
    report = rewriter.check(broken(model, tmp_path, name, "lift"))
    assert ("head", "error") in [(f.node, f.severity.value) for f in report.findings]
    assert "holds the batch" in str([f.message for f in report.findings])
    assert "one batch size only" in str([f.message for f in report.findings])
