"""Every model of ``keras.applications`` as ONNX: ONNX Runtime equals Keras at two batch sizes.

Keras draws the weights; the normalisations get nontrivial statistics, factors and offsets. The logits are compared,
within 1e-4 of the largest.
"""

from __future__ import annotations

import gc

import keras
import numpy as np
import pytest

from tests.export import harness
from tests.test_valid import LARGE_INPUT, OTHERS, SMALL

CHANGED = {
    "moving_mean": (0.0, 0.1),
    "moving_variance": (1.0, 0.1),
    "gamma": (1.0, 0.1),
    "beta": (0.0, 0.1),
    "bias": (0.0, 0.05),
}
# Without damped branches, rounding differences grow to the size of the logits here, in Keras too.
DEEP = ("EfficientNetV2M", "EfficientNetV2L")


def application(name: str):
    """The model with a head that gives logits, and its image size."""
    size = 224 if name in LARGE_INPUT else SMALL.get(name, 96)
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(size, size, 3), classifier_activation=None
    )
    rng = np.random.default_rng(0)
    for variable in model.variables:
        kind = variable.path.rsplit("/", 1)[-1]
        if kind in CHANGED:
            mean, spread = CHANGED[kind]
            mean *= 0.3 if kind == "gamma" and name in DEEP and "project" in variable.path else 1
            values = rng.normal(mean, spread, variable.shape)
            variable.assign(np.maximum(values, 0.5) if kind == "moving_variance" else values)
    return model, size


def check(name: str) -> harness.Exported:
    """Compare one at batch 1 and 3. Raises AssertionError where a logit differs."""
    model, size = application(name)
    rng = np.random.default_rng(1)
    feeds = [[rng.uniform(0, 255, (batch, size, size, 3)).astype("float32")] for batch in (1, 3)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(harness, "same", _close)
        result = harness.compare(model, feeds)
    del model
    gc.collect()
    return result


def _close(ours: np.ndarray, theirs: np.ndarray, tolerance: float | None = None) -> None:
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    scale = np.abs(theirs).max()
    assert np.isfinite(scale)
    assert scale > 0
    off = np.abs(ours - theirs).max() / scale
    assert off <= 1e-4, f"off by {off:.1e} of the largest logit"


@pytest.mark.parametrize("name", ["MobileNetV3Small"])
def test_a_small_application(name):
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SMALL, *OTHERS])
def test_an_application(name):
    check(name)
