"""Write a model in memory as ONNX, instead of ``model.export(path, format="onnx")``.

python docs/examples/export_onnx.py OUT.onnx
"""

from __future__ import annotations

import sys

import keras
import numpy as np
import onnxruntime
from keras import layers, ops

import rewriter


def gated() -> keras.Model:
    """A squeeze-and-excitation block whose factors lack a Reshape."""
    image = keras.Input((10, 12, 3), name="image")
    x = layers.Conv2D(16, 3)(image)
    factors = layers.Dense(16, "sigmoid")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, ops.multiply(x, factors), name="gated")


def main(path: str) -> None:
    """Export with the gate repaired, and compare with the model, which is right at batch 1."""
    model = gated()
    exported = rewriter.export_onnx(model, path, repair=True)
    print(f"{sum(exported.nodes.values())} nodes, opset {exported.opset}")
    images = np.random.default_rng(0).normal(size=(5, 10, 12, 3)).astype("float32")
    (together,) = onnxruntime.InferenceSession(path).run(None, {"image": images})
    alone = np.concatenate([model.predict(images[i : i + 1], verbose=0) for i in range(5)])
    print(f"equal to the model: {np.allclose(together, alone, atol=1e-5)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
