"""Models with a gate that is right at batch 1 only, and the checks of their repair."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

import rewriter
from tests import support

BATCHES = (1, 2, 5)


def image(name: str | None = None) -> Any:
    return keras.Input((5, 11, 3), name=name)


def gate(x: Any, channels: int = 7) -> Any:
    """gate(x[B, H, W, C]) -> [B, H, W, channels]: `ops.multiply` aligns the factors with the wrong axes."""
    x = layers.Conv2D(channels, 3, padding="same", name="features")(x)
    factors = layers.Dense(channels, "sigmoid", name="factors")(layers.GlobalAveragePooling2D(name="pool")(x))
    return ops.multiply(x, factors)


def gated(after: Any = None, channels: int = 7) -> keras.Model:
    """A model of the gate, and of ``after`` behind it."""
    x = image()
    y = gate(x, channels)
    return keras.Model(x, y if after is None else after(y), name="gated")


def undecided() -> tuple[keras.Model, str]:
    """A product that can be a factor per step or per feature, and its node."""
    x, y = keras.Input((8, 8), name="x"), keras.Input((8,), name="y")
    product = ops.multiply(x, y)
    return keras.Model([x, y], product, name="undecided"), product._keras_history.operation.name


def trained(model: keras.Model, *, steps: int = 3, **compiled: Any) -> keras.Model:
    """The model after a few steps of training at batch 1, where its gates are right."""
    model.compile(**{"optimizer": "adam", "loss": "mse", **compiled})
    rng = np.random.default_rng(0)
    shape = (1, *model.output_shape[1:])
    for _ in range(steps):
        model.train_on_batch(
            support.random_inputs(model, 1, int(rng.integers(99))), rng.normal(size=shape).astype("float32")
        )
    return model


def one_by_one(model: Any, inputs: Any, batch: int) -> list[np.ndarray]:
    """The outputs of a model for each sample alone: the intended outputs."""
    alone = [
        support.run(model, keras.tree.map_structure(lambda a, i=i: a[i : i + 1], inputs))
        for i in range(batch)
    ]
    return [np.concatenate(parts) for parts in zip(*alone, strict=True)]


def agrees(
    fixed: Any, model: Any, *, batches: tuple[int, ...] = BATCHES, rtol: float = 1e-4, atol: float = 1e-5
) -> None:
    """The repaired model equals at every batch size the original run sample by sample."""
    for batch in batches:
        inputs = support.random_inputs(model, batch, seed=batch)
        support.compare(support.run(fixed, inputs), one_by_one(model, inputs, batch), rtol=rtol, atol=atol)


def picture(model: Any) -> Any:
    """The parts of a model that must not change: weights, and attributes and number of calls of every layer."""
    found = []
    for layer in model._flatten_layers():
        state = [np.asarray(v).tobytes() for v in layer.variables]
        found.append((layer.name, sorted(vars(layer)), len(layer._inbound_nodes), state))
    optimizer = getattr(model, "optimizer", None)
    return found, [np.asarray(v).tobytes() for v in optimizer.variables] if optimizer else None


def repaired(model: Any, **options: Any) -> Any:
    """The repaired model, after checks that the original is unchanged and that every layer has its weights."""
    before = picture(model)
    result = rewriter.repair(model, **{"verify": False, **options})
    assert picture(model) == before
    assert result.model is not None, [f.why for f in result.undecided]
    assert result.inserted
    ours, theirs = support.weights_by_layer(model), support.weights_by_layer(result.model)
    assert ours.keys() == theirs.keys()
    for name, arrays in ours.items():
        for a, b in zip(theirs[name], arrays, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
    return result.model


def kinds(report: Any) -> list[tuple[str, str]]:
    return [(str(finding.kind), finding.node) for finding in report.findings]
