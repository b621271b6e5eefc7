"""Whether a configuration was written by Keras 1, Keras 2, tf.keras or tf_keras."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_MODELS = ("Functional", "Sequential", "Model")
_OLD_CLASSES = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "ClassMethod", "InstanceProperty")


def is_old(entry: Any, version: str = "") -> bool:
    """Whether an entry (``{"class_name": "Model", "config": ...}``) has a form older than Keras 3.

    Args:
        version: ``keras_version`` of the file, if it states one; otherwise the entry's own is used.
    """
    if not isinstance(entry, dict):
        return False
    version = version or entry.get("keras_version") or ""
    major = str(version).split(".")[0]
    if major.isdecimal():
        return int(major) < 3
    if entry.get("class_name") not in _MODELS and not isinstance(entry.get("config"), dict):
        return False
    return _looks_old(entry)


def _looks_old(entry: dict[str, Any]) -> bool:
    config = entry.get("config")
    if isinstance(config, list):
        return True
    layers = list(_layers(config))
    calls = [call for layer in layers for call in _listed(layer.get("inbound_nodes"))]
    if any(isinstance(call, dict) for call in calls):
        return False
    if any(isinstance(call, list) for call in calls) or any(
        layer.get("class_name") in _OLD_CLASSES for layer in layers
    ):
        return True
    if "module" not in entry and entry.get("class_name") == "Model":
        return True
    return any(
        "module" not in layer or "batch_input_shape" in _mapping(layer.get("config")) for layer in layers
    )


def every_layer(entry: Any) -> Iterator[dict[str, Any]]:
    """Everything with a class and a configuration in a model, at every depth: models, layers, and what they contain."""
    waiting: list[Any] = [entry]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            if isinstance(item.get("class_name"), str) and isinstance(item.get("config"), (dict, list)):
                yield item
            waiting += item.values()


def _layers(config: Any) -> Iterator[dict[str, Any]]:
    layers = config.get("layers") if isinstance(config, dict) else config
    yield from (layer for layer in _listed(layers) if isinstance(layer, dict))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
