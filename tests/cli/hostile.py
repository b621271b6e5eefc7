"""Small archives written by hand, with names that Keras never writes."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any


def tensor(name: str, shape: list[int | None]) -> dict[str, Any]:
    return {
        "class_name": "__keras_tensor__",
        "config": {"shape": shape, "dtype": "float32", "keras_history": [name, 0, 0]},
    }


def layer(
    name: str, class_name: str, config: dict[str, Any], *tensors: Any, module: str = "keras.layers"
) -> dict[str, Any]:
    args: Any = [list(tensors)] if len(tensors) > 1 else list(tensors)
    return {
        "module": "keras.layers",
        "class_name": class_name,
        "config": {"name": name, **config},
        "registered_name": None,
        "name": name,
        "inbound_nodes": [{"args": args, "kwargs": {}}] if tensors else [],
    }


def write_model(path: Path, layers: list[dict[str, Any]], inputs: list[str], output: str) -> Path:
    """Write an archive with a configuration and no weights."""
    config = {
        "name": "model",
        "trainable": True,
        "layers": layers,
        "input_layers": [[name, 0, 0] for name in inputs],
        "output_layers": [[output, 0, 0]],
    }
    entry = {"module": "keras", "class_name": "Functional", "config": config, "registered_name": "Functional"}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", json.dumps(entry))
    return path


def product(
    path: Path, shapes: list[list[int | None]], names: tuple[str, ...] = ("a", "b"), node: str = "scale"
) -> Path:
    """A model of one ``Multiply`` layer on inputs of these shapes."""
    layers = [
        layer(name, "InputLayer", {"batch_shape": shape, "dtype": "float32"})
        for name, shape in zip(names, shapes, strict=True)
    ]
    tensors = [tensor(name, shape) for name, shape in zip(names, shapes, strict=True)]
    return write_model(path, [*layers, layer(node, "Multiply", {}, *tensors)], list(names), node)
