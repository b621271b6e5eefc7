"""The weights file of a ``.keras`` archive that tf.keras 2.12 to 2.15 or tf_keras wrote, by the paths of Keras 3.

Keras 2 and 3 store a layer's variables by its class and its number among the layers of that class. The names of classes
and attributes differ. In 2.12 and 2.13 the numbers differ too: a layer with weights is counted twice, and the groups
are in ``_layer_checkpoint_dependencies``. Source: ``saving/saving_lib.py`` (``_save_state``) of TensorFlow 2.12
and tf_keras 2.21.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ....errors import BadFileError, shown
from ...variables import Variable
from ..layer_order import numbered, snake_case
from . import stored_forms
from .constructs import Construct
from .context import Entry
from .model import is_model, layer_name
from .weights import Own, Reader, new_groups, repeated

CONSTRUCTS = (
    Construct(".keras of tf.keras 2.14, 2.15 and tf_keras", "the groups of Keras 3", "archive"),
    Construct(".keras of tf.keras 2.12 and 2.13", "the groups of Keras 3", "archive_of_2_12"),
)

_CONTAINERS = ("layers", "_layer_checkpoint_dependencies", "_self_tracked_trackables")


def archive_variables(entry: Entry, stored: Mapping[str, Variable], version: str) -> dict[str, Variable]:
    """The variables of a model by their paths in a Keras 3 weights file.

    Args:
        entry: the model as written in the archive's ``config.json``.
        stored: all variables of ``model.weights.h5`` but those of the optimizer, by their full path.

    Raises:
        BadFileError: the weights do not fit the model.
        UnsupportedError: a layer whose variables are not known.
    """
    reader = Reader(version, "tensorflow")
    result: dict[str, Variable] = {}
    owns = list(archive_owns(entry, stored, reader))
    for own, names in owns:
        variables = [stored[name] for name in names]
        for name, variable in stored_forms.translated(
            own.class_name, own.config, variables, 2, "tensorflow"
        ).items():
            result[f"{own.path}{name}"] = variable
    return result | repeated([own for own, _ in owns], result)


def archive_owns(
    entry: Entry, stored: Mapping[str, Variable], reader: Reader
) -> Iterator[tuple[Own, list[str]]]:
    """The layers with variables of their own, with paths in Keras 3, and the paths of these variables in the archive.

    Raises as ``archive_variables``.
    """
    for inner, old, new in _model(entry, "", "", stored, reader, 0):
        own = reader.own_variables(inner, new)
        if own is not None:
            yield own, _names(own, old, stored)


def _names(own: Own, path: str, stored: Mapping[str, Variable]) -> list[str]:
    """The paths of a layer's own variables, in the order of Keras 2. Raises BadFileError if the file lacks one."""
    count = own.trained + own.others
    if parts := stored_forms.attention_parts(own.class_name, own.config):
        each = count // len(parts)
        names = [f"{attribute}/vars/{k}" for attribute in parts for k in range(each)]
        if f"{path}_{names[0]}" in stored:
            names = [f"_{name}" for name in names]
    else:
        prefix = "cell/" if f"{path}cell/vars/0" in stored else ""
        first = stored_forms.first_number(own.class_name)
        names = [f"{prefix}vars/{k}" for k in range(first, first + count)]
    missing = next((name for name in names if f"{path}{name}" not in stored), None)
    if missing is not None:
        raise BadFileError(f"the weights file has no {shown(path + missing)}")
    return [f"{path}{name}" for name in names]


def _model(
    entry: Entry, old: str, new: str, stored: Mapping[str, Variable], reader: Reader, depth: int
) -> Iterator[tuple[Entry, str, str]]:
    """Every layer inside a model, with its path in the old file and in the new one."""
    groups = new_groups(entry, reader.version)
    config: Any = entry["config"]
    layers = config if isinstance(config, list) else config["layers"]
    places = _places(layers, old, stored, reader)
    for layer in layers:
        name = layer_name(layer)
        if name in places and name in groups:
            yield from _below(layer, places[name], f"{new}layers/{groups[name]}/", stored, reader, depth)


def _below(
    entry: Entry, old: str, new: str, stored: Mapping[str, Variable], reader: Reader, depth: int
) -> Iterator[tuple[Entry, str, str]]:
    if is_model(entry):
        yield from _model(entry, old, new, stored, reader, depth + 1)
        return
    yield entry, old, new
    for inner, place in reader.children(entry, "", depth):
        yield from _below(inner, f"{old}{place}", f"{new}{place}", stored, reader, depth + 1)


def _places(layers: list[Entry], path: str, stored: Mapping[str, Variable], reader: Reader) -> dict[str, str]:
    """The path of each layer with variables, by its name. Within a class, the groups have the order of the layers."""
    container = next((c for c in _CONTAINERS if any(key.startswith(f"{path}{c}/") for key in stored)), None)
    if container is None:
        return {}
    start = f"{path}{container}/"
    present = {key[len(start) :].split("/")[0] for key in stored if key.startswith(start)}
    filled = [layer for layer in layers if any(reader.own(layer, "", 0))]
    found: dict[str, str] = {}
    for stem in {snake_case(str(layer["class_name"])) for layer in filled}:
        mine = [layer for layer in filled if snake_case(str(layer["class_name"])) == stem]
        groups = sorted((g for g in present if _is_numbered(g, stem)), key=lambda g: (len(g), g))
        if len(groups) != len(mine):
            raise BadFileError(
                f"the model has {len(mine)} layers of the class {shown(str(mine[0]['class_name']))!r}, but the file "
                f"holds the weights of {len(groups)} of them"
            )
        found |= {layer_name(layer): f"{start}{group}/" for layer, group in zip(mine, groups, strict=True)}
    return found


def _is_numbered(group: str, stem: str) -> bool:
    rest = group.removeprefix(stem)
    return group.startswith(stem) and (not rest or (rest[0] == "_" and rest[1:].isdecimal()))


def archive_groups(entry: Entry, version: str) -> dict[str, str]:
    """The group in Keras 3 for each group of layers in the archive (``layers/string_lookup``): old path to new."""
    result: dict[str, str] = {}
    waiting = [(entry, "", "")]
    while waiting:
        model, old, new = waiting.pop()
        groups = new_groups(model, version)
        config: Any = model["config"]
        layers = config if isinstance(config, list) else config["layers"]
        for layer, group in zip(layers, numbered(str(layer["class_name"]) for layer in layers), strict=True):
            if layer_name(layer) in groups:
                here = f"{old}layers/{group}", f"{new}layers/{groups[layer_name(layer)]}"
                result[here[0]] = here[1]
                if is_model(layer):
                    waiting.append((layer, f"{here[0]}/", f"{here[1]}/"))
    return result
