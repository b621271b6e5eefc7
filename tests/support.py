"""Run Keras models side by side: seeded inputs, flat outputs, a strict comparison, weights by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import keras

FREE_SIZE = 6
MIXED = {"rtol": 1e-2, "atol": 1e-2}


def compare(actual: Sequence[Any], desired: Sequence[Any], *, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    """compare(actual[N arrays], desired[N arrays]): raise AssertionError unless they agree, shapes and all.

    Args:
        actual: the computed arrays.
        desired: the arrays of an independent source; refused if they could hide a fault (no values, not finite,
            or all below the tolerance).
        rtol, atol: as in ``numpy.testing.assert_allclose``; both 0 compares exactly.
    """
    assert len(actual) == len(desired), f"{len(actual)} arrays against {len(desired)}"
    for k, (a, d) in enumerate(zip(actual, desired, strict=True)):
        a, d = np.asarray(a), np.asarray(d)
        assert a.shape == d.shape, f"array {k}: shape {a.shape}, must be {d.shape}"
        assert a.dtype == d.dtype, f"array {k}: {a.dtype}, must be {d.dtype}"
        assert np.isfinite(d).all(), f"array {k}: the desired values are not finite"
        assert d.size and np.abs(d).max() > 10 * atol, f"array {k}: the desired values show nothing"
        np.testing.assert_allclose(a, d, rtol=rtol, atol=atol, err_msg=f"array {k}")


def same(actual: Sequence[Any], desired: Sequence[Any], **tolerance: float) -> bool:
    """Whether `compare` accepts."""
    try:
        compare(actual, desired, **tolerance)
    except AssertionError:
        return False
    return True


def random_inputs(model: keras.Model, batch: int, seed: int = 0) -> Any:
    """Random inputs in the structure of the model, of this batch size; a static batch size overrides it.

    Integer inputs stay inside the smallest embedding table of the model.
    """
    import keras

    rng = np.random.default_rng(seed)
    tables = [layer.input_dim for layer in _flatten(model) if isinstance(layer, keras.layers.Embedding)]

    def draw(tensor: Any) -> Any:
        first, *rest = tensor.shape
        shape = (batch if first is None else first, *(FREE_SIZE if n is None else n for n in rest))
        kind = keras.backend.standardize_dtype(tensor.dtype)
        if "int" in kind:
            return rng.integers(0, min(tables, default=8), shape).astype(kind)
        if kind == "bool":
            return rng.random(shape) > 0.3
        return rng.normal(0.5, 1.0, shape).astype(kind)

    inputs = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    return keras.tree.map_structure(draw, inputs)


def static_batch(model: keras.Model) -> int | None:
    """The static batch size of the model's first input, or None."""
    return model.inputs[0].shape[0]


def run(model: keras.Model, inputs: Any) -> list[np.ndarray]:
    """The model's outputs as flat arrays, called directly and not in training."""
    import keras

    outputs = model(inputs, training=False)
    return [keras.ops.convert_to_numpy(y) for y in keras.tree.flatten(outputs)]


def load(path: Path | str) -> keras.Model:
    """The model in a file, as Keras loads it."""
    import keras

    return keras.saving.load_model(path, compile=False)


def weights_by_layer(model: keras.Model, prefix: str = "") -> dict[str, list[np.ndarray]]:
    """Every layer's own weights, keyed by its path of names; only layers with weights."""
    import keras

    found: dict[str, list[np.ndarray]] = {}
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found |= weights_by_layer(layer, f"{prefix}{layer.name}/")
        elif layer.weights:
            found[prefix + layer.name] = layer.get_weights()
    return found


def transplant(source: keras.Model, target: keras.Model) -> None:
    """Give every layer of `target` the weights of the layer of the same name in `source`."""
    import keras

    for layer in target.layers:
        if isinstance(layer, keras.Model):
            transplant(source.get_layer(layer.name), layer)
        elif layer.weights:
            layer.set_weights(source.get_layer(layer.name).get_weights())
            if hasattr(layer, "finalize_state"):  # Normalization computes with a copy of its weights
                layer.finalize_state()


def _flatten(model: keras.Model) -> list[Any]:
    import keras

    layers: list[Any] = []
    for layer in model.layers:
        layers += _flatten(layer) if isinstance(layer, keras.Model) else [layer]
    return layers
