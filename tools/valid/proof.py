"""Run a drawn model at several batch sizes to show that it is right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from tests import support
from tools.valid.build import Valid

BATCHES = (1, 2, 3)
TOLERANCE = {"rtol": 1e-3, "atol": 1e-4}
Run = Callable[[Any], list[np.ndarray]]


def fault(valid: Valid) -> str:
    """The first fault of a model at batch 1, 2, 3 and its largest size, or "".

    A right model runs and gives the shapes that Keras records. Permuted samples give permuted results. Where no idiom
    pairs samples, a sample gives the same result alone and among others.
    """
    run: Run | None = None
    for batch in _batches(valid):
        try:
            run = run or traced(valid.model)
            found = next(_faults(valid, run, batch), "")
        except Exception as error:
            found = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200]}"
        if found:
            return f"batch {batch}: {found}"
    return ""


def _batches(valid: Valid) -> list[int]:
    static = support.static_batch(valid.model)
    if static is not None:
        return [static]
    return sorted({*BATCHES, max(valid.sizes)})


def traced(model: keras.Model) -> Run:
    """The model as a function from inputs to a list of outputs, traced with an open batch as in `predict`.

    Called directly, TensorFlow's `ops.add` can take a tensor for a bias where the batch is 1 (docs/decisions.md).
    """
    import tensorflow as tf

    signature = [tf.TensorSpec(x.shape, x.dtype) for x in model.inputs]
    function = tf.function(lambda *xs: keras.tree.flatten(model(_structure(xs), training=False)), signature)
    return lambda inputs: [y.numpy() for y in function(*map(tf.constant, keras.tree.flatten(inputs)))]


def _structure(tensors: tuple[Any, ...]) -> Any:
    return tensors[0] if len(tensors) == 1 else list(tensors)


def _faults(valid: Valid, run: Run, batch: int) -> Iterator[str]:
    model = valid.model
    inputs = support.random_inputs(model, batch, seed=batch)
    outputs = run(inputs)
    symbolic = keras.tree.flatten(model.outputs)
    for k, (array, tensor) in enumerate(zip(outputs, symbolic, strict=True)):
        known = len(array.shape) == len(tensor.shape)
        if not known or any(n not in (None, m) for n, m in zip(tensor.shape, array.shape, strict=True)):
            yield f"output {k} is {array.shape}, not {tensor.shape}"
        if not np.isfinite(array).all():
            yield f"output {k} is not finite"
    if model.inputs[0].shape[0] is not None:
        return
    places = [_sample_axes(model, tensor) for tensor in symbolic]
    order = np.random.default_rng(batch).permutation(batch)
    turned = run(keras.tree.map_structure(lambda x: x[order], inputs))
    for k, (before, after, axes) in enumerate(zip(outputs, turned, places, strict=True)):
        for axis in axes:
            before = np.take(before, order, axis)
        if not np.allclose(after, before, **TOLERANCE):
            yield f"output {k} differs with the samples in another order"
    if not valid.apart or batch == 1:
        return
    alone = run(keras.tree.map_structure(lambda x: x[-1:], inputs))
    for k, (among, one, axes) in enumerate(zip(outputs, alone, places, strict=True)):
        if axes and not np.allclose(np.take(among, [batch - 1], axes[0]), one, **TOLERANCE):
            yield f"output {k} differs for a sample alone"


def _sample_axes(model: keras.Model, tensor: Any) -> list[int]:
    """The sample axes of an output: its open axes, or only the first if the inputs have other open axes."""
    opened = [axis for axis, size in enumerate(tensor.shape) if size is None]
    other = any(None in given.shape[1:] for given in model.inputs)
    return opened[:1] if other else opened
