"""Check models in memory: a functional one, and a subclassed one by its functional parts.

python docs/examples/check_in_memory.py
"""

from __future__ import annotations

import keras
from keras import layers, ops

import rewriter


def gated() -> keras.Model:
    """A squeeze-and-excitation block whose factors lack a Reshape."""
    image = keras.Input((10, 12, 3))
    x = layers.Conv2D(16, 3, name="features")(image)
    factors = layers.Dense(16, "sigmoid", name="factors")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, ops.multiply(x, factors), name="gated")


class Classifier(keras.Model):
    """The code in ``call`` is not analysed, and the report says so."""

    def __init__(self, encoder: keras.Model, head: keras.Model) -> None:
        super().__init__(name="classifier")
        self.encoder = encoder
        self.head = head

    def call(self, image):
        return self.head(self.encoder(image))


def classifier() -> Classifier:
    """The gate, and a head."""
    head = [keras.Input((8, 10, 16)), layers.GlobalMaxPooling2D(), layers.Dense(2)]
    return Classifier(gated(), keras.Sequential(head))


if __name__ == "__main__":
    for model in (gated(), classifier()):
        report = rewriter.check(model)
        print(f"{report.path}: {'clean' if report.clean else 'not clean'}")
        for finding in report.findings:
            print(f"  {finding.severity} {finding.kind} at {finding.node}: {finding.message}")
