"""The proof of a repair in which Keras replaces the numbers of masked operands."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import rewriter
from rewriter.proof.keras import capture
from tests import support
from tests.passes.test_joint import broken
from tests.zoo.common import randomise


def gated(merge: str, both: bool) -> keras.Model:
    """A factor for each step of masked vectors; its Reshape is directly before the product."""
    x, g = keras.Input((6,), dtype="int32", name="x"), keras.Input((6,), dtype="int32", name="g")
    h = layers.Embedding(5, 4, mask_zero=True, name="vectors")(x)
    factors = layers.Embedding(5, 1, mask_zero=both, name="factors")(g)
    factors = layers.Reshape((6, 1), name="lift")(layers.Flatten(name="flat")(factors))
    product = getattr(layers, merge)(name="mul")([h, factors])
    return keras.Model([x, g], layers.Dense(2, name="head")(layers.Flatten(name="end")(product)))


@pytest.mark.parametrize("both", [False, True])
def test_a_product_of_masked_vectors_is_proven(both, tmp_path):
    model = gated("Multiply", both)
    randomise(model)
    path = broken(model, tmp_path, "mul", "lift")
    result = rewriter.repair(path, tmp_path / "o.keras", verify=True)
    assert result.verified["verdict"] == "proven"
    rng = np.random.default_rng(0)
    given = [rng.integers(0, 3, (5, 6)).astype("int32") for _ in range(2)]
    support.compare(support.run(support.load(tmp_path / "o.keras"), given), support.run(model, given))


def test_a_maximum_is_not_called_proven(tmp_path):
    path = broken(gated("Maximum", False), tmp_path, "mul", "lift")
    result = rewriter.repair(path, tmp_path / "o.keras", ops="all")
    assert result.verified["verdict"] != "proven"
    assert "masked operands" in str(result.verified["checks"]["equation"]["why"])


@pytest.mark.parametrize(
    "masked", [(True, False), (False, True), (True, True), (False, True, True), (True, True, True)]
)
def test_what_keras_puts_there(masked):
    rng = np.random.default_rng(0)
    tensors = [layers.Embedding(5, 3, mask_zero=bool(m))(rng.integers(0, 2, (4, 6))) for m in masked]
    layer = layers.Multiply()
    masks = capture.masks_of(layer, tensors)
    desired = layer(tensors)
    product = np.prod([np.asarray(x) for x in capture.filled(tensors, masks)], axis=0)
    np.testing.assert_allclose(product, np.asarray(desired), rtol=1e-6)
