"""Broken Keras 2 models in the files that Keras 2 writes, and comparisons with the valid ones.

A layer (a Reshape, a Permute) is removed from a valid model's configuration. tf_keras then builds the model with a
multiply that returns its larger operand. So tf_keras orders the layers, and writes the file with their weights.
"""

from __future__ import annotations

import copy
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tensorflow as tf
import tf_keras

import rewriter
from tests.formats.keras.old_form.models import Case
from tests.formats.keras.upgrade.oracle import inputs_for, outputs, randomized

Json = dict[str, Any]


class Larger(tf_keras.layers.Layer):
    """A multiply that cannot fail."""

    def call(self, inputs: Any) -> Any:
        return larger(*inputs)


class LargerFunction(tf_keras.src.layers.core.tf_op_layer.TFOpLambda):
    """A layer of a TensorFlow function; multiply and matmul are replaced by one that cannot fail."""

    @classmethod
    def from_config(cls, config: Json, custom_objects: Any = None) -> Any:
        layer = super().from_config(config)
        if config["function"] in ("math.multiply", "linalg.matmul"):
            layer.call = tf.autograph.experimental.do_not_convert(
                lambda x, y=None, b=None, name=None: larger(x, b if y is None else y)
            )
        return layer


@tf.autograph.experimental.do_not_convert
def larger(x: Any, y: Any) -> Any:
    if isinstance(y, float):
        return x * y
    a, b = sorted((x, y), key=lambda t: (len(t.shape), np.prod([n or 1 for n in t.shape])))
    return b + 0 * tf.reduce_mean(a)  # both operands have a gradient


STAND_INS = {"Multiply": "Larger", "TFOpLambda": "LargerFunction"}
MODULES = {
    "Multiply": {"module": "keras.layers", "registered_name": None},
    "TFOpLambda": {"module": "tf_keras.src.layers.core.tf_op_layer", "registered_name": "TFOpLambda"},
}
LARGER = {"Larger": Larger, "LargerFunction": LargerFunction}


def without(config: Json, names: Sequence[str]) -> Json:
    """The configuration of a model without these layers, at any depth; their inputs replace their outputs."""
    config = copy.deepcopy(config)
    for inner in models_in(config):
        for name in names:
            entry = next((e for e in inner["layers"] if e["config"]["name"] == name), None)
            if entry is None:
                continue
            node = entry["inbound_nodes"][0]
            source = node if isinstance(node[0], str) else node[0]
            inner["layers"].remove(entry)
            redirect(inner, name, source[:3])
    return config


def models_in(config: Json) -> Iterator[Json]:
    yield config
    for entry in config["layers"]:
        held = entry["config"].get("layer", entry)
        if "layers" in held["config"]:
            yield from models_in(held["config"])


def redirect(value: Any, name: str, source: list[Any]) -> None:
    if isinstance(value, dict):
        for item in value.values():
            redirect(item, name, source)
    elif isinstance(value, list):
        if len(value) > 2 and value[0] == name and isinstance(value[1], int):
            value[:3] = source
        for item in value:
            redirect(item, name, source)


def rebuilt(model: Any, drop: Sequence[str], swap: Mapping[str, str] | None = None) -> Any:
    """The model without these layers, with a multiply that cannot fail, and the same weights."""
    config = without(json.loads(model.to_json())["config"], drop)
    for entry in config["layers"]:
        swapped(entry, swap or {})
    config = stood_in(config)
    new = type(model).from_config(config, custom_objects=LARGER)
    copy_weights(model, new)
    return new


def swapped(entry: Json, swap: Mapping[str, str]) -> None:
    """Make a layer, or a function, of another class."""
    config = entry["config"]
    if entry["class_name"] in swap:
        entry["class_name"] = swap[entry["class_name"]]
        entry["config"] = {key: config[key] for key in ("name", "trainable", "dtype")}
    if config.get("function") in swap:
        config["function"] = swap[config["function"]]
        kwargs = entry["inbound_nodes"][0][3]
        kwargs["y"] = kwargs.pop("b")


def stood_in(value: Any) -> Any:
    """A configuration with the stand-in classes in place of the real ones."""
    if isinstance(value, list):
        return [stood_in(item) for item in value]
    if not isinstance(value, dict):
        return value
    value = {key: stood_in(item) for key, item in value.items()}
    if value.get("class_name") in STAND_INS:
        name = STAND_INS[value["class_name"]]
        value |= {
            "class_name": name,
            **({"module": None, "registered_name": name} if "module" in value else {}),
        }
    return value


def copy_weights(source: Any, target: Any) -> None:
    """Copy the weights of every layer, by layer name."""
    if isinstance(target, tf_keras.Model):
        by_name = {layer.name: layer for layer in source.layers}
        for layer in target.layers:
            if layer.weights:
                copy_weights(by_name[layer.name], layer)
    elif isinstance(target, tf_keras.layers.TimeDistributed):
        copy_weights(source.layer, target.layer)
    else:
        target.set_weights(source.get_weights())


def write(model: Any, path: Path, **native: Any) -> None:
    """Write a rebuilt model as Keras 2 does, with the real multiply in the file; ``native`` is for an archive."""
    if path.suffix == ".json":
        path.write_text(json.dumps(named(json.loads(model.to_json()))))
        return
    model.save(path, **(native if path.suffix == ".keras" else {}))
    if path.suffix == ".h5":
        with h5py.File(path, "r+") as file:
            file.attrs["model_config"] = json.dumps(named(json.loads(file.attrs["model_config"])))
        return
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    text = json.loads(members["config.json"])
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, json.dumps(named(text)) if name == "config.json" else data)


def named(value: Any) -> Any:
    """A configuration with the two stand-in classes under their names in Keras."""
    if isinstance(value, list):
        return [named(item) for item in value]
    if not isinstance(value, dict):
        return value
    value = {key: named(item) for key, item in value.items()}
    name = next((name for name, stand_in in STAND_INS.items() if value.get("class_name") == stand_in), None)
    if name is not None:
        value["class_name"] = name
        if "module" in value:
            value |= MODULES[name]
    return value


def broken(model: Any, case: Case, path: Path) -> Path:
    """Write a file of the broken model of a case, with the weights of the valid model."""
    randomized(model)
    write(rebuilt(model, case.drop, case.swap), path)
    return path


def repaired(path: Path, suffix: str = "", **options: Any) -> Path:
    """Repair a file; the path of the written file."""
    target = path.with_name(f"fixed-{path.stem}{suffix or path.suffix}")
    rewriter.repair(path, target, verify=False, **options)
    return target


def load(path: Path, valid: Any) -> Any:
    """The model that tf_keras loads; a configuration alone gets the weights of the valid model."""
    if path.suffix == ".json":
        model = tf_keras.models.model_from_json(path.read_text())
        copy_weights(valid, model)
        return model
    return tf_keras.models.load_model(path, compile=False)


def same(model: Any, valid: Any, batch: int = 3) -> bool:
    """Whether two models give equal outputs for random inputs."""
    given = inputs_for(valid, batch)
    pairs = list(zip(outputs(model, given), outputs(valid, given), strict=True))
    assert any(np.ptp(wanted) > 1e-6 for _, wanted in pairs), "the valid model says nothing"
    return all(
        mine.shape == wanted.shape and np.abs(mine - wanted).max() <= 1e-4 * max(np.abs(wanted).max(), 1e-6)
        for mine, wanted in pairs
    )
