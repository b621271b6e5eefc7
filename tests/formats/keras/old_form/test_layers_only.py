"""Repaired HDF5 files of Keras 3: Keras 3 loads them, and they compute the same as the valid models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import rewriter
from rewriter.errors import UnsupportedError
from tests import support

L = keras.layers


class LargerOfTwo(L.Layer):
    """A multiply that cannot fail."""

    def call(self, inputs: Any) -> Any:
        return max(inputs, key=lambda t: len(t.shape))


def gate(x: Any) -> Any:
    g = L.GlobalAveragePooling2D(name="rows")(L.Permute((3, 2, 1), name="turn")(x))
    g = L.Dense(6, name="squeeze")(g)
    return L.Reshape((6, 1, 1), name="expand")(L.Dense(6, activation="sigmoid", name="excite")(g))


def one() -> Any:
    image = L.Input((6, 7, 5), name="image")
    x = L.Conv2D(11, 3, padding="same", name="conv")(image)
    return keras.Model(image, L.Dense(3, name="head")(L.Multiply(name="scale")([x, gate(x)])))


def order_changes() -> Any:
    """Without the Reshape the two Dense layers of the gate change places with others of equal shape."""
    image, vector = L.Input((6, 7, 5), name="image"), L.Input((6,), name="vector")
    x = L.Conv2D(11, 3, padding="same", name="conv")(image)
    y = L.Multiply(name="scale")([x, gate(x)])
    z = L.Dense(6, name="narrow")(L.Activation("tanh", name="tanh")(L.Dense(6, name="other")(vector)))
    z = L.Dense(6, name="narrow_2")(L.Activation("tanh", name="tanh_2")(z))
    return keras.Model(
        [image, vector], [L.GlobalAveragePooling2D(name="pool")(y), L.Dense(6, name="tail")(z)]
    )


def nested() -> Any:
    x = L.Input((6, 7, 11), name="inner_x")
    inner = keras.Model(x, L.Multiply(name="scale")([x, gate(x)]), name="inner")
    image = L.Input((6, 7, 11), name="image")
    return keras.Model(image, L.Dense(3, name="head")(inner(L.Conv2D(11, 1, name="conv")(image))))


def without(config: dict[str, Any], name: str) -> None:
    """Remove a layer; its input replaces its output. A Multiply becomes one that cannot fail."""
    for entry in list(config["layers"]):
        if "layers" in entry["config"]:
            without(entry["config"], name)
        if entry["class_name"] == "Multiply":
            entry |= {"class_name": "LargerOfTwo", "module": None, "registered_name": "LargerOfTwo"}
        if entry["config"]["name"] == name:
            config["layers"].remove(entry)
            redirect(config, name, entry["inbound_nodes"][0]["args"][0]["config"])


def redirect(value: Any, name: str, source: dict[str, Any]) -> None:
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__" and value["config"]["keras_history"][0] == name:
            value["config"] = source
        for item in list(value.values()):
            redirect(item, name, source)
    elif isinstance(value, list):
        for item in value:
            redirect(item, name, source)


def copy_weights(source: Any, target: Any) -> None:
    for layer in target.layers:
        if isinstance(layer, keras.Model):
            copy_weights(source.get_layer(layer.name), layer)
        elif layer.weights:
            layer.set_weights(source.get_layer(layer.name).get_weights())


def broken(valid: Any, path: Path) -> Path:
    """The file that Keras 3 writes of a valid model without its Reshape."""
    random = np.random.default_rng(0)
    for weight in valid.weights:
        weight.assign(random.uniform(0.1, 1, weight.shape) * random.choice([-1, 1], weight.shape))
    config = json.loads(valid.to_json())["config"]
    without(config, "expand")
    model = keras.Model.from_config(config, custom_objects={"LargerOfTwo": LargerOfTwo})
    copy_weights(valid, model)
    model.save(path)
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = file.attrs["model_config"].replace('"LargerOfTwo"', '"Multiply"')
    return path


@pytest.mark.parametrize("build", [one, order_changes, nested])
def test_keras_3_loads_it(build: Any, tmp_path: Path):
    valid = build()
    path = broken(valid, tmp_path / "model.h5")
    fixed = tmp_path / "fixed.h5"
    rewriter.repair(path, fixed, verify=False)
    model = keras.models.load_model(fixed, compile=False)
    inputs = support.random_inputs(valid, 3, seed=0)
    assert support.same(support.run(model, inputs), support.run(valid, inputs), rtol=1e-5, atol=1e-5)
    with h5py.File(path) as before, h5py.File(fixed) as after:
        old, new = (json.loads(file.attrs["model_config"])["config"]["layers"] for file in (before, after))
        names = [list(file["model_weights"].attrs["layer_names"]) for file in (before, after)]
    assert [entry for entry in old if entry not in new] == [e for e in old if e["name"] in ("scale", "inner")]
    filled = [[name for name in side if model.get_layer(name).weights] for side in names]
    assert (filled[0] != filled[1]) == (build is order_changes)


def test_what_has_no_layer_is_refused(tmp_path: Path):
    a, v = L.Input((4, 5, 6), name="a"), L.Input((4, 6, 7), name="v")
    path = tmp_path / "model.h5"
    keras.Model([a, v], LargerOfTwo(name="mix")([a, v])).save(path)
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = file.attrs["model_config"].replace('"LargerOfTwo"', '"Multiply"')
    with pytest.raises(UnsupportedError, match=r"no layer of Keras 3\.\S+ does what the inserted Matmul"):
        rewriter.repair(path, tmp_path / "fixed.h5", verify=False, at={"mix": "b c i j, b c j k -> b c i k"})
    assert not (tmp_path / "fixed.h5").exists()
