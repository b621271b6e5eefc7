"""Check models of tf_keras (Keras 2) in memory, and save the one that is right.

python docs/examples/tf_keras_model.py OUT.keras
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import tf_keras
from tf_keras import layers

import rewriter


def gated(keepdims: bool) -> Any:
    """A gate on images with the channels first: without ``keepdims`` it scales the width."""
    image = tf_keras.Input((8, 8, 8))
    pooled = layers.GlobalAveragePooling2D(data_format="channels_first", keepdims=keepdims)(image)
    return tf_keras.Model(image, layers.Multiply(name="scale")([image, pooled]), name="gated")


def main(path: str) -> None:
    """Find the wrong gate; save the right one, and compare its numbers."""
    for finding in rewriter.check(gated(keepdims=False)).findings:
        print(f"{finding.severity} {finding.kind} at {finding.node}")
    model = gated(keepdims=True)
    rewriter.repaired(model).save(path)
    images = np.random.default_rng(0).normal(size=(5, 8, 8, 8)).astype("float32")
    again = tf_keras.saving.load_model(path)
    print(f"equal to the model: {np.array_equal(again(images), model(images))}")


if __name__ == "__main__":
    main(*sys.argv[1:])
