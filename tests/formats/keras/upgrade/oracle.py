"""Upgraded models run by Keras 3, their originals by tf_keras: the same inputs must give the same numbers."""

from __future__ import annotations

import copy
import io
import json
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from rewriter.formats.keras import upgrade
from rewriter.formats.keras.upgrade import Upgraded
from rewriter.formats.variables import StoredVariable, Variable

TOLERANCE = 1e-4


def saved(model: Any) -> tuple[dict[str, Any], dict[str, list[StoredVariable]], str, str]:
    """Configuration, weights by layer, version and backend of a tf_keras model, as its ``.h5`` file has them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.h5"
        model.save(path)
        return read_h5(path)


def read_h5(path: Path | str) -> tuple[dict[str, Any], dict[str, list[StoredVariable]], str, str]:
    with h5py.File(path) as file:
        config = file.attrs.get("model_config")
        group = file.get("model_weights", file)
        version = text(file.attrs.get("keras_version", group.attrs.get("keras_version", "1")))
        backend = text(file.attrs.get("backend", group.attrs.get("backend", "tensorflow")))
        return (json.loads(config) if config is not None else {}), weights_of(group), version, backend


def read_archive(path: Path | str) -> tuple[dict[str, Any], dict[str, Variable], str]:
    """Configuration, variables by their path, and version of a ``.keras`` archive."""
    with zipfile.ZipFile(path) as archive:
        entry = json.loads(archive.read("config.json"))
        version = json.loads(archive.read("metadata.json"))["keras_version"]
        found: dict[str, Variable] = {}
        with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:

            def visit(name: str, item: Any) -> None:
                if isinstance(item, h5py.Dataset) and not name.startswith("optimizer"):
                    found[name] = stored(name, np.asarray(item)).variable

            file.visititems(visit)
    return entry, found, version


def text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def names_in(group: Any, name: str) -> list[str]:
    """A list of names that may be split over several attributes."""
    parts = [group.attrs[name]] if name in group.attrs else []
    while f"{name}{len(parts)}" in group.attrs:
        parts.append(group.attrs[f"{name}{len(parts)}"])
    return [text(item) for part in parts for item in part]


def weights_of(group: Any) -> dict[str, list[StoredVariable]]:
    return {
        layer: [
            stored(name, np.asarray(group[layer][name])) for name in names_in(group[layer], "weight_names")
        ]
        for layer in names_in(group, "layer_names")
    }


def stored(name: str, array: np.ndarray) -> StoredVariable:
    return StoredVariable(name, Variable(array.shape, array.dtype.name, lambda: array))


def keras_3_model(found: Upgraded) -> Any:
    """The Keras 3 model of an upgraded configuration."""
    return keras.saving.deserialize_keras_object(loadable(found.entry))


def loadable(entry: Any) -> Any:
    """A copy whose tensors state a shape, which Keras requires and does not use."""
    entry = copy.deepcopy(entry)
    waiting = [entry]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if item.get("class_name") == "__keras_tensor__":
                item["config"] = {"shape": [], "dtype": "float32", **item["config"]}
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return entry


def set_weights(model: Any, variables: Mapping[str, Variable]) -> None:
    """Give a Keras 3 model its weights through a weights file of its own form."""
    count = len([v for v in model.variables if "seed_generator" not in v.path])
    assert count == len(set(map(id, variables.values()))), (count, sorted(variables))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.weights.h5"
        with h5py.File(path, "w") as file:
            for name, variable in variables.items():
                array = np.asarray(variable.load())
                assert array.shape == variable.shape, name
                file[name] = array
        model.load_weights(path)


def inputs_for(model: Any, batch: int = 3, seed: int = 0) -> list[np.ndarray]:
    """Random inputs of a tf_keras model; sizes that it leaves open are 16."""
    random = np.random.default_rng(seed)
    arrays = []
    for tensor in model.inputs:
        shape = [size or 16 for size in tensor.shape[1:]]
        dtype = tensor.dtype.name
        if dtype == "string":
            arrays.append(random.choice(["a", "b", "c"], [batch, *shape]).astype(object))
        elif dtype.startswith("int"):
            arrays.append(random.integers(0, 5, [batch, *shape]).astype(dtype))
        else:
            arrays.append(random.normal(size=[batch, *shape]).astype(dtype))
    return arrays


def randomized(model: Any, seed: int = 0) -> Any:
    """A tf_keras model with random weights, those of a variance positive."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.dtype.is_floating and weight.shape.rank is not None:
            value = random.uniform(0.1, 1.0, weight.shape) * (
                1 if "variance" in weight.name else random.choice([-1, 1], weight.shape)
            )
            weight.assign(value.astype(weight.dtype.as_numpy_dtype))
    for layer in model._flatten_layers():
        layer.finalize_state()
    return model


def outputs(model: Any, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    given = [np.asarray(x) for x in inputs]
    result = model(given if len(given) > 1 else given[0], training=False)
    flat = keras.tree.flatten(result)
    return [np.asarray(keras.ops.convert_to_numpy(item)) for item in flat]


def difference(actual: Sequence[np.ndarray], desired: Sequence[np.ndarray]) -> float:
    """The largest difference, relative to the largest value."""
    assert len(actual) == len(desired)
    worst = 0.0
    for mine, other in zip(actual, desired, strict=True):
        assert mine.shape == other.shape, (mine.shape, other.shape)
        if mine.dtype == object or mine.dtype.kind in "SU":
            assert (mine == other).all()
            continue
        mine, other = mine.astype("float64"), other.astype("float64")
        assert np.isfinite(other).all()
        assert np.isfinite(mine).all()
        worst = max(worst, float(np.abs(mine - other).max() / max(np.abs(other).max(), 1e-6)))
    return worst


def agree(model: Any, inputs: Sequence[np.ndarray] | None = None, tolerance: float = TOLERANCE) -> Upgraded:
    """Upgrade a tf_keras model and compare the outputs of both. Returns the upgraded configuration."""
    entry, weights, version, backend = saved(randomized(model))
    found = upgrade.upgraded(entry, version)
    assert not found.refusals, found.refusals
    new = keras_3_model(found)
    set_weights(new, upgrade.model_variables(entry, weights, version, backend))
    given = inputs_for(model) if inputs is None else inputs
    wanted = outputs(model, given)
    assert any(says_something(array) for array in wanted)
    assert difference(outputs(new, given), wanted) < tolerance
    return found


def archive_agrees(model: Any, inputs: Sequence[np.ndarray] | None = None) -> Upgraded:
    """The same for the ``.keras`` archive that tf_keras writes."""
    randomized(model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        entry, variables, version = read_archive(path)
    assert upgrade.is_old(entry, version)
    found = upgrade.upgraded(entry, version)
    assert not found.refusals, found.refusals
    new = keras_3_model(found)
    set_weights(new, upgrade.archive_variables(entry, variables, version))
    given = inputs_for(model) if inputs is None else inputs
    assert difference(outputs(new, given), outputs(model, given)) < TOLERANCE
    return found


def says_something(array: np.ndarray) -> bool:
    """Whether the numbers of an output differ: equal zeros prove nothing."""
    return array.dtype == object or float(np.ptp(array.astype("float64"))) > 1e-6
