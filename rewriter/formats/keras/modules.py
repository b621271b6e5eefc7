"""Restore the modules that Keras 3 leaves out of an ``.h5`` file, from the classes.

The file has an operation of ``keras.ops`` in the form of a layer, by its class alone. Its configuration has no
``trainable``, which every layer except an input has (``keras/src/legacy/saving/legacy_h5_format.py``, Keras 3.15).
"""

from __future__ import annotations

from typing import Any

from ...shapes.call import LAYERS, OPS

Json = dict[str, Any]
# Classes that an .h5 file has by another name than an archive.
_EXPORTED = {"GroupedQueryAttention": "GroupQueryAttention"}
_MODELS = {"Functional": "keras.src.models.functional", "Sequential": "keras", "Model": "keras"}


def with_modules(entry: Any) -> Any:
    """The entry of a model, with a module added to it and to every layer that states none."""
    if not isinstance(entry, dict):
        return entry
    config, name = entry.get("config"), entry.get("class_name")
    if isinstance(config, dict):
        entry = {**entry, "config": {key: _held(value) for key, value in config.items()}}
    if "module" in entry or not isinstance(name, str):
        return entry
    name = _EXPORTED.get(name, name)
    registered = name if name == "Functional" or ">" in name else None
    return {**entry, "class_name": name, "module": _module(name, config), "registered_name": registered}


def _held(value: Any) -> Any:
    """A value of a configuration: modules are added to a layer or a list of layers; others stay unchanged."""
    if isinstance(value, list):
        return [_held(item) for item in value]
    if isinstance(value, dict) and "class_name" in value and "config" in value and "module" not in value:
        return with_modules(value)
    return value


def _module(name: str, config: Any) -> str | None:
    """The module in which Keras 3 finds a class; None if Keras 3 does not have it."""
    if name in _MODELS:
        return _MODELS[name]
    if name == "InputLayer" or (isinstance(config, dict) and "trainable" in config):
        return "keras.layers" if name in LAYERS or name == "InputLayer" else None
    families = [family for family, known in OPS if known == name]
    return f"keras.src.ops.{families[0]}" if families else None
