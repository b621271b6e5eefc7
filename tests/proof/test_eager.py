"""Backends that run a model operation by operation, as JAX and PyTorch do: a stand-in on TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from rewriter.proof.keras import capture, checks
from rewriter.proof.keras.backends import Run, eager
from rewriter.proof.request import Claim
from tests.proof.test_checks import failure, gated, multiply_of, prove


class Eager:
    """Replaces the watched tensor by another one, as JAX's adapter does."""

    traced = False
    tells_none = True

    def compiled(
        self, model: Any, function: Callable[..., list[Any]]
    ) -> Callable[[Sequence[Any]], list[Any]]:
        return lambda inputs: eager.run(model, function, inputs)

    def reachable(self) -> Callable[[Any], bool]:
        return lambda tensor: True

    def gradients(self, model: Any, run: Run, inputs: Sequence[Any]) -> list[list[Any]] | None:
        with tf.GradientTape() as tape:

            def moved(tensor: Any) -> Any:
                if not eager.is_floating(tensor):
                    return tensor
                made = tf.identity(tensor)
                tape.watch(made)
                return made

            outputs, wanted = run(eager.tensors(model, inputs), moved)
            total = tf.add_n([tf.reduce_sum(y) for y in outputs])
        found = tape.gradient(total, wanted)
        return [[None if g is None else g.numpy() for g in row] for row in found]


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (capture, checks):
        monkeypatch.setattr(module, "running", Eager)


def test_all_four_checks(tmp_path):
    verified = prove(gated(), tmp_path)
    assert all(check["proven"] for check in verified["checks"].values())
    assert verified["ran"].startswith(f"Keras {keras.__version__} on ")


def test_a_gradient_that_does_not_go_through(tmp_path, misspell):
    x, y = keras.Input((5, 3), name="x"), keras.Input((3,), name="y")
    model = keras.Model([x, y], layers.Multiply(name="scale")([x, layers.Dense(3)(y)]))
    misspell(lambda step: ("keras.src.ops.core", "StopGradient", {}, ()))
    assert "(gradients): 'scale' at batch 2: no gradient goes through it" in failure(
        model, tmp_path, explicit=True
    )


def test_a_wrong_value_is_seen(tmp_path, misspell):
    misspell(lambda step: ("keras.src.ops.numpy", "Negative", {}, ()))
    x, y = keras.Input((5, 3), name="x"), keras.Input((3,), name="y")
    model = keras.Model([x, y], layers.Multiply(name="scale")([x, layers.Dense(3)(y)]))
    assert "(equation): 'scale' at batch 1: " in failure(model, tmp_path, explicit=True)


def test_a_changed_node_that_does_not_run_is_named(tmp_path):
    """The operation itself raises, and its error names no node."""
    model = gated()
    seen = capture.Capture(model, [claim(multiply_of(model))])
    with seen, pytest.raises(Exception, match="shape"):
        model(np.ones((2, 5, 11, 3), "float32"))
    assert seen.raised == "here"


def claim(name: str) -> Claim:
    return Claim("here", "Multiply", [name], [name], [[], []], {}, False, "b, b -> b", [[0], [0]], [0, 0], 0)
