"""The order in which an HDF5 file has to name the weights of a changed model.

Keras matches the layers with weights, in the order of ``model.layers``, with the entries of ``layer_names`` that have
weights. Within a nested model, and within the optimizer's state, it matches weights by number too. Source:
``load_weights_from_hdf5_group`` and ``load_optimizer_weights_from_hdf5_group`` of
``tf_keras/src/saving/legacy/hdf5_format.py`` 2.21; ``keras/src/legacy/saving/legacy_h5_format.py`` 3.15.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ....errors import UnsupportedError, shown
from ..upgrade.model import layer_name
from ..upgrade.weights import named_places
from .order import layers_of, model_order
from .own_order import NOT_IN_ORDER, check_inside

Json = dict[str, Any]
# A weight: the name of its layer, and its name in that layer.
_Weight = tuple[str, str]
# Every optimizer keeps two scalars in addition to its slots: the step number and the learning rate.
_SCALARS = 2


class WeightOrder(NamedTuple):
    """The new order of the names of layers, of weights in single layers, and of the optimizer's state.

    ``layers`` contains all names in the file. None, and layers without an entry, mean no change.
    """

    layers: list[str] | None
    weights: dict[str, list[str]]
    optimizer: list[str] | None


def weight_order(
    before: Json,
    after: Json,
    stored: Mapping[str, Sequence[str]],
    optimizer: Sequence[str],
    version: str,
) -> WeightOrder:
    """The new order of the names.

    Args:
        before, after: the configuration as it is in the file, and the changed one.
        stored: the names of the weights of each layer, in the order of ``layer_names``.
        optimizer: the names of the optimizer's weights.

    Raises:
        UnsupportedError: the file does not have the order of Keras, or the new order is not certain.
    """
    filled = [name for name, weights in stored.items() if weights]
    old = [name for name in model_order(before["config"]) if stored.get(name)]
    new = [name for name in model_order(after["config"]) if stored.get(name)]
    if old != filled or sorted(new) != sorted(filled):
        raise UnsupportedError(NOT_IN_ORDER)
    entries = [{layer_name(entry): entry for entry in layers_of(side["config"])} for side in (before, after)]
    ordered = {name: _order(stored[name], entries[0][name], entries[1][name], version) for name in filled}
    weights = {name: order for name, order in ordered.items() if order != list(stored[name])}
    if old == new and not weights:
        return WeightOrder(None, {}, None)
    layers = [*new, *(name for name in stored if not stored[name])] if new != old else None
    if len(optimizer) <= _SCALARS:
        return WeightOrder(layers, weights, None)
    trained = {name: _trained(entries[0][name], len(stored[name]), version) for name in filled}
    before_and_after = [
        [(name, weight) for name in old for weight in stored[name][: trained[name]]],
        [(name, weight) for name in new for weight in ordered[name][: trained[name]]],
    ]
    return WeightOrder(layers, weights, _optimizer(optimizer, *before_and_after))


def _trained(entry: Json, count: int, version: str) -> int:
    """The number of a layer's trained weights, which come first."""
    try:
        trained, others = named_places(entry, version)
    except UnsupportedError:
        trained, others = [], []
    if len(trained) + len(others) != count:
        raise _lost(f"the trained weights of {shown(layer_name(entry))!r} are not known")
    return len(trained)


def _order(names: Sequence[str], before: Json, after: Json, version: str) -> list[str]:
    """The names of a layer's weights in their new order, which differs if a nested model has changed."""
    if before.get("config") == after.get("config"):
        return list(names)
    check_inside(before)
    old, new = ([place for some in named_places(side, version) for place in some] for side in (before, after))
    at = dict(zip(old, names, strict=False))
    if len(old) != len(names) or len(at) != len(old) or sorted(old) != sorted(new):
        raise UnsupportedError(f"the weights of {shown(layer_name(before))!r} are not those of its layers")
    return [at[place] for place in new]


# -- the state of the optimizer -----------------------------
def _optimizer(names: Sequence[str], before: Sequence[_Weight], after: Sequence[_Weight]) -> list[str] | None:
    """The names of the state in the new order of the trained weights; None if none belongs to a weight.

    A name without the name of its weight is the slot. Every slot must have all weights, in their order.
    """
    paths = [_parts(weight) for _, weight in before]
    slots: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for position, name in enumerate(names):
        found = [
            (k, slot) for k, path in enumerate(paths) if (slot := _without(_parts(name), path)) is not None
        ]
        longest = max((len(paths[k]) for k, _ in found), default=0)
        found = [(k, slot) for k, slot in found if len(paths[k]) == longest]
        if len(found) > 1:
            raise _lost(f"{shown(name)!r} can belong to several weights")
        if found:
            slots.setdefault(found[0][1], []).append((position, found[0][0]))
    if not slots:
        if len(names) > _SCALARS:
            raise _lost("its names do not say to which weights it belongs")
        return None
    if any([weight for _, weight in members] != list(range(len(before))) for members in slots.values()):
        raise _lost("its names are not in the order of the weights")
    if len(names) - len(slots) * len(before) > _SCALARS:
        raise _lost("its names do not say to which weights it belongs")
    result = list(names)
    index = {weight: k for k, weight in enumerate(before)}
    for members in slots.values():
        for (position, _), weight in zip(members, after, strict=True):
            result[position] = names[members[index[weight]][0]]
    return result


def _parts(name: str) -> tuple[str, ...]:
    """The parts of a weight's name, without the number of the output: ``dense/kernel:0``."""
    return tuple(name.rpartition(":")[0].split("/") if ":" in name else name.split("/"))


def _without(name: tuple[str, ...], path: tuple[str, ...]) -> tuple[str, ...] | None:
    for start in range(len(name) - len(path) + 1):
        if name[start : start + len(path)] == path:
            return (*name[:start], "", *name[start + len(path) :])
    return None


def _lost(reason: str) -> UnsupportedError:
    return UnsupportedError(
        "the inserted layers change the order of the model's weights, so the optimizer's state cannot be kept: "
        f"{reason}; save the model without it (include_optimizer=False), or convert it to Keras 3 first "
        "(rewriter convert)"
    )
