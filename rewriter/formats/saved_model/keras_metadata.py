"""``keras_metadata.pb``: what Keras 2 says of the layers in a SavedModel, each in JSON.

Keras 2 builds a layer anew from its ``config``, and only one without from the functions of the file. Where a function
of a layer was repaired, its ``config`` still says what it was: it is taken out, and Keras takes the function. A
Functional or Sequential model is then one of the class Model, as Keras 2 has subclassed ones.
Source: ``saved_metadata.proto``, ``keras/src/saving/legacy/saved_model/load.py`` (tf_keras 2.21).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from ...errors import BadFileError, UnsupportedError, shown
from ...files.folder import Folder
from ...files.json import parse
from .functions import calling
from .messages import Objects
from .reader import Source
from .wire import Message, content, spliced

NAME = "keras_metadata.pb"
_NODES, _NUMBER, _PATH, _IDENTIFIER, _TEXT = 1, 2, 3, 4, 5
_MODEL = "_tf_keras_model"
_BUILT = frozenset({"_tf_keras_network", "_tf_keras_sequential"})
_DESCRIPTIONS = ("config", "model_config")
_OF_KERAS = "_tf_keras_"
_MAX_SIZE = 2**31 - 1


def descriptions(folder: Folder, objects: Objects) -> Mapping[int, tuple[str, memoryview]]:
    """What Keras says of the objects of a SavedModel: identifier and JSON, by the number of the object.

    Raises:
        BadFileError: damaged, or it is said of an object that is not there.
    """
    if NAME not in folder:
        found = {n: said for n, said in objects.described.items() if said[0].startswith(_OF_KERAS)}
        return found if any(len(text) for _, text in found.values()) else {}
    result: dict[int, tuple[str, memoryview]] = {}
    for body in Message(folder.open_raw(NAME, _MAX_SIZE)).messages(_NODES):
        node = Message(body)
        number = node.number(_NUMBER)
        if number in result:
            raise BadFileError(f"{NAME} describes the object {number} twice")
        if number >= len(objects.children):
            raise BadFileError(f"{NAME} describes an object {number}, which is not there")
        result[number] = (node.text(_IDENTIFIER), node.message(_TEXT) or memoryview(b""))
    return result


def metadata_of(text: memoryview) -> dict[str, Any]:
    """What Keras says of an object, with tuples as the lists that they are in other files of Keras 2.

    Raises:
        BadFileError: it is no JSON, or no object.
    """
    what = "what Keras says of a layer"
    try:
        found = _plain(parse(bytes(text), what))
    except RecursionError:
        raise BadFileError(f"{what} is nested too deep to read") from None
    if not isinstance(found, dict):
        raise BadFileError(f"{what} is not an object")
    return found


def _plain(value: Any) -> Any:
    """Source: ``json_utils.py`` (tf_keras 2.21), ``Encoder``, which other files are not written with."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") in ("__tuple__", "TensorShape") and value.keys() == {"class_name", "items"}:
        return _plain(value["items"])
    return {key: _plain(item) for key, item in value.items()}


def touched(source: Source, changed: Collection[str]) -> set[int]:
    """The objects one of whose functions was changed, or calls one that was."""
    functions = calling({name: unit.nodes.values() for name, unit in source.units.items()}, changed)
    theirs = {n for n, names in source.objects.functions.items() if functions & set(names)}
    return {
        number
        for number, children in enumerate(source.objects.children)
        if any(child in theirs for _, child in children)
    }


def without_configs(data: memoryview, objects: Collection[int]) -> bytes:
    """The metadata, with these objects described by their functions alone.

    Raises:
        BadFileError: damaged.
        UnsupportedError: a layer that Keras builds from its configuration or not at all.
    """
    message = Message(data)
    edits = []
    for field, body in zip(message.all(_NODES), message.messages(_NODES), strict=True):
        node = Message(body)
        text = node.message(_TEXT)
        if node.number(_NUMBER) not in objects or text is None:
            continue
        metadata = parse(bytes(text), NAME)
        if not isinstance(metadata, dict) or metadata.get("config") is None:
            continue
        if metadata.get("must_restore_from_config"):
            raise UnsupportedError(
                f"Keras builds {shown(node.text(_PATH))!r} from its configuration, which is not repaired here"
            )
        kept = {key: value for key, value in metadata.items() if key not in _DESCRIPTIONS}
        own = [(f.start, f.end, content(_TEXT, json.dumps(kept))) for f in node.all(_TEXT)]
        if node.text(_IDENTIFIER) in _BUILT:
            own += [(f.start, f.end, content(_IDENTIFIER, _MODEL)) for f in node.all(_IDENTIFIER)]
        edits.append((field.start, field.end, content(_NODES, spliced(body, own))))
    return spliced(data, edits)
