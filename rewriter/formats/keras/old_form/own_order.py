"""Whether the layers that a file names for its weights are those into which Keras loads them.

A file names its layers; Keras matches them by order. The two agree in files that Keras wrote. A configuration that was
changed later can have another order of the layers. Source: as ``weight_names.py`` and ``groups.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sized
from typing import Any

from ....errors import UnsupportedError, shown
from ..layer_order import snake_case
from ..upgrade import named_places
from ..upgrade.model import is_model, layer_name
from .order import layers_of, model_order

Json = dict[str, Any]
NOT_IN_ORDER = (
    "the weights are not in the order in which Keras gives them to the layers of the model: "
    "convert it to a .keras file first (rewriter convert)"
)


def h5_refusal(entry: Json, stored: Mapping[str, Sized], version: str) -> str:
    """Why Keras loads weights of an HDF5 file into other layers than the file names; "" if it does not.

    Args:
        entry: the configuration as it is in the file.
        stored: the weights of each layer, in the order of ``layer_names``.
    """
    layers = {layer_name(layer): layer for layer in layers_of(entry["config"])}
    filled = [name for name, weights in stored.items() if weights]
    if any(
        name not in layers for name in filled
    ):  # unknown names: only the order counts, that of the configuration
        return _inside(entry, version)
    if [name for name in _order(entry) if stored.get(name)] != filled:
        return NOT_IN_ORDER
    return next(filter(None, (_inside(layers[name], version) for name in filled)), "")


def archive_refusal(entry: Json, version: str) -> str:
    """``h5_refusal`` for an archive of Keras 2, whose groups are numbered by class in the order of the layers."""
    for model in _models(entry):
        listed = {layer_name(layer): layer for layer in layers_of(model["config"])}
        order = _order(model)
        if list(listed) == order:
            continue
        by_class: dict[str, list[list[str]]] = {}
        for side, names in enumerate((listed, order)):
            for name in names:
                if _has_variables(listed[name], version):
                    stem = snake_case(str(listed[name].get("class_name")))
                    by_class.setdefault(stem, [[], []])[side].append(name)
        if any(here != there for here, there in by_class.values()):
            return _text(model)
    return ""


def check_inside(entry: Json) -> None:
    """Raises UnsupportedError if a nested model does not list its layers in the order of Keras."""
    for model in _models(entry):
        if not _is_in_order(model):
            raise UnsupportedError(_text(model))


def _inside(entry: Json, version: str) -> str:
    """Why Keras loads weights inside a layer, matched by number, into other layers; "" if it does not."""
    for model in _models(entry):
        if not _is_in_order(model):
            layers = {layer_name(layer): layer for layer in layers_of(model["config"])}
            filled = [name for name in layers if _has_variables(layers[name], version)]
            known = set(filled)
            if [name for name in _order(model) if name in known] != filled:
                return _text(model)
    return ""


def _models(entry: Json) -> Iterator[Json]:
    """All models of an entry: itself, nested models and wrapped models."""
    waiting = [entry]
    while waiting:
        entry = waiting.pop()
        config = entry.get("config")
        if is_model(entry):
            yield entry
            waiting += reversed(layers_of(config))
        elif isinstance(config, dict) and isinstance(config.get("layer"), dict):
            waiting.append(config["layer"])


def _order(model: Json) -> list[str]:
    """``model.layers`` once loaded: those that lead to an output, then the others (of a loss) as listed."""
    order = model_order(model["config"])
    known = set(order)
    return [*order, *(name for name in map(layer_name, layers_of(model["config"])) if name not in known)]


def _is_in_order(model: Json) -> bool:
    order = model_order(model["config"])
    known = set(order)
    return [name for name in map(layer_name, layers_of(model["config"])) if name in known] == order


def _has_variables(entry: Json, version: str) -> bool:
    """Whether a layer has weights; True if that is not known."""
    try:
        return any(named_places(entry, version))
    except UnsupportedError:
        return True


def _text(model: Json) -> str:
    return (
        f"the layers of {shown(layer_name(model))!r} are not in the order in which Keras has them: "
        "convert it to a .keras file first (rewriter convert)"
    )
