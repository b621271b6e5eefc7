"""Keras models: loaded from files, called on flat inputs, given weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def load(
    path: str, form: str, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True
) -> Any:
    """Load a model from a file with Keras, without compiling it."""
    import keras

    if form != "json":
        return keras.saving.load_model(
            path, custom_objects=custom_objects, compile=False, safe_mode=safe_mode
        )
    with open(path, encoding="utf-8-sig") as file:
        entry = json.load(file)
    entry.pop("compile_config", None)
    return keras.saving.deserialize_keras_object(entry, custom_objects=custom_objects, safe_mode=safe_mode)


def operands(model: Any) -> Any:
    """The symbolic inputs of a model, in the structure in which it takes them.

    Raises:
        ValueError: a subclassed model of which the file does not state the shapes it was built on.
    """
    import keras

    # A Sequential model takes one tensor without a structure, for any first layer.
    if isinstance(model, keras.Sequential):
        return model.inputs[0]
    if _has_graph(model):
        return model.input
    stated = (model.get_build_config() or {}).get("input_shape")
    if stated is None:
        raise ValueError("the file does not state the shapes of the inputs")

    def made(shape: Any, name: str) -> Any:
        if isinstance(shape, dict):
            return {key: made(item, key) for key, item in shape.items()}
        if all(size is None or isinstance(size, int) for size in shape):
            return keras.KerasTensor((None, *shape[1:]), dtype=model.input_dtype, name=name)
        return [made(item, f"{name}_{number}") for number, item in enumerate(shape)]

    return made(stated, "input")


def call(model: Any, flat: Sequence[Any]) -> list[Any]:
    """The flat outputs of a model on flat inputs, in inference mode."""
    import keras

    outputs = model(keras.tree.pack_sequence_as(operands(model), list(flat)), training=False)
    return [keras.ops.convert_to_tensor(y) for y in keras.tree.flatten(outputs)]


def lost(before: Any, after: Any) -> str:
    """The name of a layer with weights that the second model lacks, or ""."""
    found = {layer.name: layer for layer in after.layers}
    for layer in before.layers:
        other = found.get(layer.name)
        if other is None and layer.weights:
            return str(layer.name)
        inner = lost(layer, other) if _are_models(layer, other) else ""
        if inner:
            return inner
    return ""


def transplant(source: Any, target: Any) -> None:
    """Give every layer of ``target`` the weights of the layer of the same name in ``source``.

    From a file with an edited graph, Keras can load the weights of another layer, because it numbers layers by depth.
    """
    for layer in target.layers:
        same = source.get_layer(layer.name)
        if _are_models(layer, same):
            transplant(same, layer)
        elif layer.weights:
            layer.set_weights(same.get_weights())


def _are_models(layer: Any, other: Any) -> bool:
    """Whether both are models with layer names from the file. Layers that code makes may get new names each time."""
    if not (_has_graph(layer) and _has_graph(other)):
        return False
    ours, theirs = ({part.name for part in each.layers} for each in (layer, other))
    return ours <= theirs or type(layer).__module__.startswith("keras.")


def _has_graph(layer: Any) -> bool:
    kinds = [base for base in type(layer).__mro__ if base.__module__.startswith("keras.")]
    return any(base.__name__ in ("Functional", "Sequential") for base in kinds)


def randomise(model: Any) -> None:
    """Change the initial weights a little: a gate that starts at zero would hide differences."""
    import numpy as np

    rng = np.random.default_rng(0)
    for variable in model.weights:
        if "float" in str(variable.dtype):
            value = np.asarray(variable.numpy(), "float32")
            variable.assign(value + rng.normal(0.0, 0.05, value.shape))
