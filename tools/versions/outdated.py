"""One version of Keras runs this: `python outdated.py FOLDER` writes models that a newer Keras no longer loads.

One small model `NAME.keras` for each construct that this version has, and `truth.npz`: their inputs and outputs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

VERSION = tuple(int(part) for part in keras.__version__.split(".")[:2])

Shape = tuple[int | None, ...]


def cases() -> Iterator[tuple[str, Callable[..., Any], tuple[Shape, ...], tuple[int, int]]]:
    """The cases: name, function, input shapes, and the first version that has it."""
    four, image = (None, 4), (None, 5, 5, 3)
    sorted_ = np.array([0.0, 0.5, 1.0], "float32")
    yield "ones_like", lambda x: ops.ones_like(x, dtype="int32"), (four,), (3, 0)
    yield "zeros_like", lambda x: ops.zeros_like(x) + x, (four,), (3, 0)
    yield "full_like", lambda x: ops.full_like(x, 2.5), (four,), (3, 0)
    yield "array", lambda x: ops.array(x, dtype="float16"), (four,), (3, 0)
    yield "slice", lambda x: ops.slice(x, (0, 1), (2, 2)), ((2, 4),), (3, 0)
    yield "scatter", lambda x: ops.scatter(np.array([[0], [2]]), x, (4, 3)), ((2, 3),), (3, 0)
    yield "isclose", lambda x, y: ops.isclose(x, y, equal_nan=True), (four, four), (3, 5)
    yield "search_sorted", lambda x: ops.searchsorted(sorted_, x, side="right"), ((6,),), (3, 5)
    yield "threshold", lambda x: ops.threshold(x, 0.3, 7.0), (four,), (3, 8)
    yield "attention", _attention, ((None, 4, 2, 8),) * 3, (3, 8)
    yield "rms_norm", lambda x: ops.rms_normalization(x, 1.5), (four,), (3, 9)
    yield "random_rotation", lambda x: layers.RandomRotation(0.2)(x), (image,), (3, 0)
    yield "random_crop", lambda x: layers.RandomCrop(3, 2)(x), (image,), (3, 0)
    yield "discretization", _discretized, ((None, 1),), (3, 0)
    yield "masked_softmax", lambda x: layers.Softmax()(x, mask=ops.greater(x, -9.0)), (four,), (3, 0)
    yield "time_model", _time_model, ((None, 4, 7, 5),), (3, 5)
    yield "int4", lambda x: layers.Dense(6, dtype="int4_from_float32")(x), ((None, 8),), (3, 12)


def _attention(query: Any, key: Any, value: Any) -> Any:
    return ops.dot_product_attention(query, key, value, is_causal=True, flash_attention=False)


def _discretized(x: Any) -> Any:
    return layers.Discretization([0.0, 1.0], output_mode="one_hot")(x)


def _time_model(x: Any) -> Any:
    inner = keras.Input((7, 5))
    each = keras.Model(inner, layers.Flatten()(layers.Conv1D(3, 3, strides=2)(inner)))
    return layers.TimeDistributed(each)(x)


def main(folder: Path) -> None:
    """Write the models that this version has."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(3)
    arrays = {}
    for name, build, shapes, since in cases():
        if since > VERSION:
            continue
        keras.backend.clear_session()
        keras.utils.set_random_seed(7)
        inputs = [keras.Input(batch_shape=shape) for shape in shapes]
        model = keras.Model(inputs if len(inputs) > 1 else inputs[0], build(*inputs), name=name)
        given = [rng.normal(0.3, 1, [size or 2 for size in shape]).astype("float32") for shape in shapes]
        computed = model(given if len(given) > 1 else given[0], training=False)
        model.save(folder / f"{name}.keras")
        arrays |= {f"{name} in {number}": array for number, array in enumerate(given)}
        arrays[f"{name} out"] = np.asarray(ops.convert_to_numpy(computed))
    np.savez_compressed(folder / "truth.npz", **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
