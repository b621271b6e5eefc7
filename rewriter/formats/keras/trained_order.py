"""The trainable variables of a model by their paths in a Keras 3 file, in the order of ``model.trainable_variables``.

Source: ``Layer.variables`` in ``keras/src/layers/layer.py``, Keras 3.15. ``variables.py`` derives
the order from a weights file, by layer only.
"""

from __future__ import annotations

from typing import Any

from ...errors import UnsupportedError, shown
from ...ir.graph import Graph
from .config import read_model
from .layer_order import group_names, layers_in_order
from .upgrade import legacy_paths, trained_count
from .upgrade.model import is_model, layer_name

Json = dict[str, Any]


def trained_paths(entry: Json, graph: Graph, saved: Graph, prefix: str = "") -> list[str]:
    """The paths (``layers/dense/vars/0``) of the trainable variables, in order.

    Args:
        entry: the configuration of ``graph`` in the form of Keras 3.
        graph: the model that defines the order.
        saved: the same model without insertions; its order names the groups.

    Raises:
        UnsupportedError: the variables of a layer, or which of them are trained, are not known.
    """
    _check_frozen(entry)
    groups = group_names(saved)
    entries = {layer_name(layer): layer for layer in entry["config"]["layers"]}
    found: list[str] = []
    for operation in layers_in_order(graph):
        name = operation.name
        if name not in groups:
            continue
        layer, place = entries[name], f"{prefix}layers/{groups[name]}/"
        inner, before = operation.graph, saved.operations[name].graph
        if is_model(layer) and inner is not None and before is not None:
            found += trained_paths(layer, inner, before, place)
        else:
            _check_held(layer)
            found += [f"{place}{path}" for path in legacy_paths(layer)[: trained_count(layer)]]
    return found


def _inside(entry: Json) -> list[Json]:
    """The layers inside a layer or model."""
    config: Any = entry.get("config")
    if is_model(entry):
        return list(config["layers"])
    held = (
        [config.get(key) for key in ("layer", "backward_layer", "cell")] if isinstance(config, dict) else []
    )
    cells = config.get("cells") if isinstance(config, dict) else None
    return [item for item in [*held, *(cells if isinstance(cells, list) else [])] if isinstance(item, dict)]


def _is_frozen(entry: Json) -> bool:
    config = entry.get("config")
    return isinstance(config, dict) and config.get("trainable") is False


def _check_frozen(entry: Json) -> None:
    """Refuse a frozen wrapper with a trainable layer inside: Keras 3 trains that layer, Keras 2 does not."""
    for item in _inside(entry):
        if (
            _is_frozen(entry)
            and not _is_frozen(item)
            and item.get("class_name") != "InputLayer"
            and (is_model(item) or trained_count(item))
        ):
            raise UnsupportedError(f"{shown(layer_name(entry))!r} is frozen, but a layer inside is trainable")
        if not is_model(item):
            _check_frozen(item)


def _check_held(entry: Json) -> None:
    """Refuse a wrapped model whose configuration lists the layers in another order than Keras."""
    for item in _inside(entry):
        if is_model(item):
            graph = read_model(item)
            order = [operation.name for operation in layers_in_order(graph)]
            listed = [layer_name(layer) for layer in item["config"]["layers"]]
            if [name for name in listed if name in set(order)] != order:
                raise UnsupportedError(
                    f"the layers of {shown(layer_name(item))!r} are not in the order of Keras"
                )
            for layer in item["config"]["layers"]:
                _check_held(layer)
