"""TensorFlow: a model runs as one traced function with an open batch, as in ``predict``.

If TensorFlow knew that the batch is 1, ``keras.ops.add`` would treat a second operand with one axis longer than 1 as a
bias (``tf.nn.bias_add``, Keras 3.15).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import Run


class _TensorFlow:
    traced = True
    tells_none = True

    def compiled(
        self, model: Any, function: Callable[..., list[Any]]
    ) -> Callable[[Sequence[Any]], list[Any]]:
        traced = _traced(model, function)
        return lambda inputs: [_array(y) for y in traced(inputs)]

    def reachable(self) -> Callable[[Any], bool]:
        import tensorflow as tf

        graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
        return lambda tensor: graph is None or getattr(tensor, "graph", graph) is graph

    def gradients(self, model: Any, run: Run, inputs: Sequence[Any]) -> list[list[Any]] | None:
        import tensorflow as tf

        there: list[list[bool]] | None = None

        def step(*flat: Any) -> Any:
            nonlocal there
            with tf.GradientTape() as tape:

                def watch(tensor: Any) -> Any:
                    if tf.is_tensor(tensor) and (tensor.dtype.is_floating or tensor.dtype.is_complex):
                        tape.watch(tensor)
                    return tensor

                for variable in model.variables:
                    if "float" in str(variable.dtype):
                        tape.watch(variable.value)
                outputs, wanted = run(flat, watch)
                floating = [y for y in outputs if y.dtype.is_floating]
                if not floating:
                    return []
                total = tf.add_n([tf.reduce_sum(tf.cast(y, tf.float32)) for y in floating])
            gradients = tape.gradient(total, wanted)
            there = [[g is not None for g in row] for row in gradients]
            return [g for row in gradients for g in row if g is not None]

        found = iter(_traced(model, step)(inputs))
        if there is None:
            return None
        return [[_array(next(found)) if is_there else None for is_there in row] for row in there]


def _traced(model: Any, function: Callable[..., Any]) -> Callable[[Sequence[Any]], Any]:
    """A function of flat inputs, traced once, when it is first called."""
    import keras
    import tensorflow as tf

    signature = [
        tf.TensorSpec(tuple(t.shape), keras.backend.standardize_dtype(t.dtype)) for t in model.inputs
    ]
    made = tf.function(function, input_signature=signature, autograph=False)
    traced: list[Any] = []

    def call(inputs: Sequence[Any]) -> Any:
        if not traced:
            traced.append(made.get_concrete_function())
        return traced[0](*(tf.cast(x, spec.dtype) for x, spec in zip(inputs, signature, strict=True)))

    return call


def _array(tensor: Any) -> Any:
    import numpy as np

    return np.asarray(tensor.numpy())


BACKEND = _TensorFlow()
