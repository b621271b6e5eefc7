"""The shapes that Keras 3 records with every tensor of a call, for a configuration that has none.

Keras requires a shape there and does not use it (``keras/src/saving/serialization_lib.py``, Keras 3.15). Another reader
of the file may use it as evidence, so the inferred shape is recorded.
"""

from __future__ import annotations

from typing import Any

from ...ir.graph import Graph, Path, node_name
from ...shapes.infer import infer
from ...shapes.inference import Inference

Json = dict[str, Any]
_TENSOR = "__keras_tensor__"


def with_shapes(entry: Json, graph: Graph) -> Json:
    """The entry of a model with a shape at every tensor that states none."""
    found: dict[Path, Inference] = {}
    for path, item in infer(graph).walk():
        found.setdefault(path, item)
    return _model(entry, (), found)


def _model(entry: Json, path: Path, found: dict[Path, Inference]) -> Json:
    config = entry.get("config")
    if not isinstance(config, dict) or not isinstance(config.get("layers"), list):
        return entry
    layers = [_layer(layer, path, found) for layer in config["layers"]]
    return {**entry, "config": {**config, "layers": layers}}


def _layer(entry: Json, path: Path, found: dict[Path, Inference]) -> Json:
    inner = (*path, str(entry.get("name")))
    entry = _held(_model(entry, inner, found), path, found)
    if "inbound_nodes" not in entry:
        return entry
    return {**entry, "inbound_nodes": _filled(entry["inbound_nodes"], found.get(path))}


def _held(entry: Json, path: Path, found: dict[Path, Inference]) -> Json:
    """The entry, with shapes in the model that a wrapper holds. The wrapper's name is not in the path of that model."""
    config = entry.get("config")
    held = config.get("layer") if isinstance(config, dict) else None
    if not isinstance(config, dict) or not isinstance(held, dict) or "config" not in held:
        return entry
    return {**entry, "config": {**config, "layer": _model(held, (*path, str(held.get("name"))), found)}}


def _filled(value: Any, inference: Inference | None) -> Any:
    if isinstance(value, list):
        return [_filled(item, inference) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") == _TENSOR and isinstance(value.get("config"), dict):
        config = value["config"]
        if config.get("shape") is None:
            config = {**config, **_inferred(config.get("keras_history"), inference)}
        return {**value, "config": config}
    return {key: _filled(item, inference) for key, item in value.items()}


def _inferred(history: Any, inference: Inference | None) -> Json:
    """Shape and dtype of a tensor; those of a scalar if they are not known."""
    unknown: Json = {"shape": [], "dtype": "float32"}
    if inference is None or not isinstance(history, list) or len(history) != 3:
        return unknown
    values = inference.values.get(node_name(history[0], history[1]), [])
    if history[2] >= len(values):
        return unknown
    value = values[history[2]]
    shape = value.shape
    return {"shape": [] if shape is None else list(shape), "dtype": value.dtype or "float32"}
