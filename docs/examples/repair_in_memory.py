"""Repair models in memory: weights, optimizer and the caller's own functions are kept.

python docs/examples/repair_in_memory.py
"""

from __future__ import annotations

import keras
import numpy as np
from check_in_memory import Classifier, classifier
from keras import layers, ops

import rewriter


def double(x):
    """A function of this script, which no file can restore."""
    return x * 2


def trained() -> keras.Model:
    """A model with a gate that runs at batch 1 only, after some training."""
    image = keras.Input((10, 12, 3))
    x = layers.Conv2D(16, 3, name="features")(image)
    factors = layers.Dense(16, "sigmoid", name="factors")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, layers.Lambda(double)(ops.multiply(x, factors)), name="gated")
    model.compile("adam", "mse")
    model.fit(np.ones((3, 10, 12, 3)), np.ones((3, 8, 10, 16)), batch_size=1, verbose=0)
    return model


if __name__ == "__main__":
    model = trained()
    result = rewriter.repair(model)
    print(f"inserted: {[f'{i.op} ({i.rule})' for i in result.inserted]}")
    images = np.random.default_rng(0).normal(size=(5, 10, 12, 3)).astype("float32")
    alone = np.concatenate([model(images[i : i + 1]) for i in range(5)])
    together = np.asarray(result.model(images))
    print(f"five images together are as each alone: {np.allclose(together, alone, atol=1e-5)}")
    print(f"optimizer steps: {int(model.optimizer.iterations)} and {int(result.model.optimizer.iterations)}")

    # The parts of a subclassed model are repaired, and a new model is built from them.
    model = classifier()
    parts = rewriter.repair(model).parts
    fixed = Classifier(parts["encoder"], parts["head"])
    alone = np.concatenate([model(images[i : i + 1]) for i in range(5)])
    print(f"the classifier's too: {np.allclose(fixed(images), alone, atol=1e-5)}")
