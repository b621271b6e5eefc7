"""Layers of ``keras.applications`` models: each has a rule, and every shape equals Keras's."""

from __future__ import annotations

import pytest

from rewriter.ir.axis import Role
from tests.shapes.layers_harness import inferred

keras = pytest.importorskip("keras")

MODELS = {
    "ConvNeXtTiny": (32, 32, 3),
    "EfficientNetV2B0": (64, 64, 3),
    "InceptionResNetV2": (75, 75, 3),
    "MobileNetV3Small": (64, 64, 3),
    "NASNetMobile": (64, 64, 3),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MODELS))
def test_agrees_with_keras(name: str):
    options = {"include_top": False} if name != "MobileNetV3Small" else {}
    model = getattr(keras.applications, name)(weights=None, input_shape=MODELS[name], **options)
    inference = inferred(model)
    for _, part in inference.walk():
        assert not part.faults
        assert not part.opaque
    for layer in model.layers:
        values = inference.values[layer.name]
        assert [v.shape for v in values] == [list(y.shape) for y in keras.tree.flatten(layer.output)], (
            layer.name
        )
    assert inference.outputs()[0].axes[-1].role in (Role.CHANNEL, Role.FEATURE)
