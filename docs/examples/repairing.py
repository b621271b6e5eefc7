"""One line around an export script: within the block, the model is saved and exported repaired.

python docs/examples/repairing.py DIRECTORY
"""

from __future__ import annotations

import os
import sys

import keras
import numpy as np
from keras import layers, ops

import rewriter


def gated() -> keras.Model:
    """A squeeze-and-excitation block whose factors lack a Reshape."""
    image = keras.Input((10, 12, 3), name="image")
    x = layers.Conv2D(16, 3)(image)
    factors = layers.Dense(16, "sigmoid")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, ops.multiply(x, factors), name="gated")


def export_script(model: keras.Model, directory: str) -> None:
    """The existing script, without repairs."""
    model.save(os.path.join(directory, "model.keras"))
    model.export(os.path.join(directory, "exported"), verbose=False)


def main(directory: str) -> None:
    """Train, export repaired, and run what was written on five images."""
    model = gated()
    with rewriter.repairing(model) as results:
        export_script(model, directory)
    print(f"written repaired: {len(results)} times, inserted {[i.op for i in results[0].inserted]}")
    images = np.random.default_rng(0).normal(size=(5, 10, 12, 3)).astype("float32")
    alone = np.concatenate([model(images[i : i + 1]) for i in range(5)])
    saved = keras.saving.load_model(os.path.join(directory, "model.keras"))
    print(f"equal to the model: {np.allclose(saved(images), alone, atol=1e-5)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
