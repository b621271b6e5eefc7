"""The groups of a weights file of Keras 2.12 to 2.15 before and after a change.

They are numbered by class in the order of ``model.layers``, as in Keras 3; functions of TensorFlow count as layers.
Source: ``_save_container_state`` of ``tf_keras/src/saving/saving_lib.py`` 2.21. In Keras 2.12 and 2.13 the container is
``_layer_checkpoint_dependencies`` (``engine/functional.py``), which has every layer with weights twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from ....errors import BadFileError, UnsupportedError, shown
from ....files.hdf5 import Hdf5Index
from ..layer_order import snake_case
from ..upgrade import named_places, stored_forms
from ..upgrade.model import is_model, layer_name
from ..weight_groups import Move
from .order import layers_of, model_order

Json = dict[str, Any]
_OPTIMIZER = "optimizer/vars"
_LAYERS = "layers"
_LAYERS_OF_2_12 = "_layer_checkpoint_dependencies"


def moves(index: Hdf5Index, before: Json, after: Json, version: str) -> list[Move]:
    """For every model of the file, outermost first, the groups of its layers before and after the change.

    Args:
        before, after: the configuration as it is in the file, and the changed one.

    Raises:
        BadFileError: a group does not hold the variables of its layer.
        UnsupportedError: the groups have other names, or the optimizer's state no longer fits.
    """
    if _LAYERS not in index and _LAYERS_OF_2_12 not in index:
        raise UnsupportedError(
            "the names of its groups of weights are not known: convert it to Keras 3 first (rewriter convert)"
        )
    found = list(_moves(index, before, after, "", version))
    _check_optimizer(index, before, after, version)
    return found


def _moves(index: Hdf5Index, before: Json, after: Json, prefix: str, version: str) -> Iterator[Move]:
    container = _LAYERS if _LAYERS in index else _LAYERS_OF_2_12
    path = f"{prefix}{container}"
    twice = version if container == _LAYERS_OF_2_12 else None
    old, new = _groups(before, twice), _groups(after, twice)
    yield Move(path, old, new)
    sides = [{layer_name(entry): entry for entry in layers_of(side["config"])} for side in (before, after)]
    for name, group in old.items():
        entry, other = sides[0][name], sides[1].get(name)
        place = f"{path}/{group}"
        if not is_model(entry) and "layer" not in _config(entry):
            _check(index, entry, place, version)
        if other is not None:
            yield from _inside(index, entry, other, f"{place}/", version)


def _inside(index: Hdf5Index, before: Json, after: Json, prefix: str, version: str) -> Iterator[Move]:
    if is_model(before):
        yield from _moves(index, before, after, prefix, version)
    elif isinstance(inner := _config(before).get("layer"), dict) and "config" in inner:
        yield from _inside(index, inner, _config(after)["layer"], f"{prefix}layer/", version)


def _config(entry: Json) -> Json:
    config = entry.get("config")
    return config if isinstance(config, dict) else {}


def _groups(entry: Json, twice: str | None) -> dict[str, str]:
    """The group of each layer of a model by the layer's name.

    Args:
        twice: the version of Keras if layers with weights count twice. Raises UnsupportedError for unknown layers then.
    """
    layers = {layer_name(layer): layer for layer in layers_of(entry["config"])}
    classes = {name: str(layer.get("class_name")) for name, layer in layers.items()}
    order = model_order(entry["config"])
    if order != [name for name in classes if name in set(order)]:
        raise UnsupportedError(
            f"the layers of {shown(layer_name(entry))!r} are not in the order in which Keras has them: "
            "convert it to Keras 3 first (rewriter convert)"
        )
    names = [name for name in order if not _is_input(entry, classes[name])]
    weighted = {name for name in names if twice is not None and any(named_places(layers[name], twice))}
    return dict(zip(names, _numbered((classes[name], name in weighted) for name in names), strict=True))


def _is_input(entry: Json, class_name: str) -> bool:
    """Whether a layer is the input of a Sequential model, which ``model.layers`` leaves out."""
    return class_name == "InputLayer" and entry.get("class_name") == "Sequential"


def _numbered(layers: Iterable[tuple[str, bool]]) -> list[str]:
    """The groups of layers, from their classes and whether they count twice."""
    used: Counter[str] = Counter()
    result = []
    for class_name, twice in layers:
        stem = snake_case(class_name)
        result.append(f"{stem}_{used[stem]}" if used[stem] else stem)
        used[stem] += 1 + twice
    return result


def _check(index: Hdf5Index, entry: Json, place: str, version: str) -> None:
    """Raises BadFileError if the number of variables in a group is not that of its layer, as far as it is known."""
    try:
        places = [place for some in named_places(entry, version) for place in some]
    except UnsupportedError:
        return
    direct = sum(not path for path, _ in places) + stored_forms.first_number(str(entry.get("class_name")))
    stored = len(index.datasets(f"{place}/vars")) if f"{place}/vars" in index else 0
    below = _count(index, place) if place in index else 0
    # A recurrent layer's own variables are those of its cell.
    if below < len(places) or stored not in (0, direct) or (not places and stored):
        raise BadFileError(f"the weights of {shown(layer_name(entry))!r} are not where Keras puts them")


def _count(index: Hdf5Index, path: str) -> int:
    """The number of variables in a group, at every depth."""
    waiting, count = [path], 0
    while waiting:
        here = waiting.pop()
        count += len(index.datasets(here))
        waiting += [f"{here}/{name}" for name in index.groups(here)]
    return count


def _check_optimizer(index: Hdf5Index, before: Json, after: Json, version: str) -> None:
    """Raises UnsupportedError if the order of the optimizer's state changes: the state has no names."""
    state = index.datasets(_OPTIMIZER) if _OPTIMIZER in index else {}
    if not any(dataset.shape for dataset in state.values()):
        return
    if named_places(_in_order(before), version)[0] != named_places(_in_order(after), version)[0]:
        raise UnsupportedError(
            "the inserted layers change the order of the model's weights, so the optimizer's state cannot be kept: "
            "save the model without it (load_model(path, compile=False), then save)"
        )


def _in_order(entry: Json) -> Json:
    """A model with its layers in the order of Keras."""
    layers = {layer_name(layer): layer for layer in layers_of(entry["config"])}
    ordered = [
        _in_order(layer) if is_model(layer := layers[name]) else layer
        for name in model_order(entry["config"])
    ]
    return {**entry, "config": {**_config(entry), "layers": ordered}}
