"""The repaired Multiply computes the equation that a user states, with the unit axes of its result."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

import rewriter
from tests import support

CASES = {
    "b h w c, b c -> b 1 h w c": "bhwc,bc->bhwc",
    "b h w c, b c -> b h w 1 c": "bhwc,bc->bhwc",
    "b h w c, b c -> b h w c 1": "bhwc,bc->bhwc",
    "b h w c, b c -> b 1 1 h w c": "bhwc,bc->bhwc",
    "b h w c, b h -> b 1 h w c": "bhwc,bh->bhwc",
    "b h w c, b h -> b h w c": "bhwc,bh->bhwc",
}


@pytest.mark.parametrize("text", CASES)
def test_a_unit_axis_after_the_batch_is_in_the_result(text, tmp_path):
    """(B, 5, 3, 5) times (B, 5): unrepaired, the layer runs along the last axis."""
    keras.backend.clear_session()
    x, g = keras.Input((5, 3, 5), name="x"), keras.Input((5,), name="g")
    model = keras.Model([x, g], layers.Multiply(name="gate")([x, g]))
    model.save(tmp_path / "m.keras")
    result = rewriter.repair(tmp_path / "m.keras", tmp_path / "fixed.keras", at={"gate": text})
    assert result.inserted
    inputs = support.random_inputs(model, 3)
    (actual,) = support.run(support.load(tmp_path / "fixed.keras"), inputs)
    desired = np.einsum(CASES[text], *inputs)
    sizes = {"b": 3, "h": 5, "w": 3, "c": 5, "1": 1}
    assert actual.shape == tuple(sizes[name] for name in text.split("-> ")[1].split())
    np.testing.assert_allclose(actual.reshape(desired.shape), desired, rtol=1e-6)
