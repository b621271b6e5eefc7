"""``keras_metadata.pb``: the descriptions that Keras 2 stores for the layers in a SavedModel, each in JSON.

Keras 2 rebuilds a layer from its ``config``; it uses the functions of the file only without a ``config``. If a function
of a layer was repaired, its ``config`` still describes the old layer, so it is removed and Keras uses the function. A
Functional or Sequential model then has the class Model, as Keras 2 stores subclassed models.
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
from .wire import Field, Message, content, held, spliced

NAME = "keras_metadata.pb"
_NODES, _NUMBER, _PATH, _IDENTIFIER, _TEXT = 1, 2, 3, 4, 5
_USER_IDENTIFIER, _USER_TEXT = 1, 3
_MODEL = "_tf_keras_model"
_BUILT = frozenset({"_tf_keras_network", "_tf_keras_sequential"})
_DESCRIPTIONS = ("config", "model_config")
_OF_KERAS = "_tf_keras_"
_MAX_SIZE = 2**31 - 1


def descriptions(folder: Folder, objects: Objects) -> Mapping[int, tuple[str, memoryview]]:
    """Keras's descriptions of the objects of a SavedModel: (identifier, JSON) by object number.

    Raises:
        BadFileError: damaged, or it describes an object that does not exist.
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
            raise BadFileError(f"{NAME} describes an object {number}, which does not exist")
        result[number] = (node.text(_IDENTIFIER), node.message(_TEXT) or memoryview(b""))
    return result


def metadata_of(text: memoryview) -> dict[str, Any]:
    """Keras's description of an object. Tuples become lists, as in the other file formats of Keras 2.

    Raises:
        BadFileError: it is not JSON, or not a JSON object.
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
    """Tuples as lists. Source: ``Encoder`` in ``json_utils.py`` (tf_keras 2.21), which only SavedModels use."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") in ("__tuple__", "TensorShape") and value.keys() == {"class_name", "items"}:
        return _plain(value["items"])
    return {key: _plain(item) for key, item in value.items()}


def touched(source: Source, changed: Collection[str]) -> set[int]:
    """The objects with a function that was changed, or that calls a changed one."""
    functions = calling({name: unit.nodes.values() for name, unit in source.units.items()}, changed)
    theirs = {n for n, names in source.objects.functions.items() if functions & set(names)}
    return {
        number
        for number, children in enumerate(source.objects.children)
        if any(child in theirs for _, child in children)
    }


def without_configs(data: memoryview, objects: Collection[int]) -> bytes:
    """The metadata without the configurations of these objects, so Keras uses their functions.

    Raises:
        BadFileError: damaged.
        UnsupportedError: a layer that Keras can build only from its configuration.
    """
    message = Message(data)
    edits = []
    for field, body in zip(message.all(_NODES), message.messages(_NODES), strict=True):
        node = Message(body)
        if node.number(_NUMBER) in objects:
            edits.append(_edit(field, node, _IDENTIFIER, _TEXT, node.text(_PATH)))
    return spliced(data, [edit for edit in edits if edit is not None])


def objects_without_configs(data: bytes, graph: int, objects: Collection[int]) -> bytes:
    """As ``without_configs``, for a SavedModel message that holds the metadata itself (TensorFlow 2.0 to 2.4).

    Args:
        graph: the number of the MetaGraphDef in the message.

    Raises:
        UnsupportedError: as ``without_configs``.
    """
    place = Message(memoryview(data)).all(2)[graph]
    meta = Message(held(place))
    objects_field = meta.single(7)
    if objects_field is None:
        return data
    known = Message(held(objects_field))
    edits = []
    for number, field in enumerate(known.all(1)):
        each = Message(held(field))
        user = each.single(4)
        if number not in objects or user is None:
            continue
        said = Message(held(user))
        if not said.text(_USER_IDENTIFIER).startswith(_OF_KERAS):
            continue
        edit = _edit(user, said, _USER_IDENTIFIER, _USER_TEXT, f"object {number}")
        if edit is not None:
            edits.append((field.start, field.end, content(1, spliced(each.data, [edit]))))
    changed = content(7, spliced(known.data, edits))
    whole = spliced(meta.data, [(objects_field.start, objects_field.end, changed)])
    return spliced(memoryview(data), [(place.start, place.end, content(2, whole))])


def _edit(
    field: Field, node: Message, identifier: int, text: int, path: str
) -> tuple[int, int, bytes] | None:
    """The edit that removes the configuration from one description; None if it has none."""
    said = node.message(text)
    metadata = parse(bytes(said), NAME) if said is not None and len(said) else None
    if not isinstance(metadata, dict) or metadata.get("config") is None:
        return None
    if metadata.get("must_restore_from_config"):
        raise UnsupportedError(
            f"Keras builds {shown(path)!r} from its configuration, which cannot be repaired here"
        )
    kept = {key: value for key, value in metadata.items() if key not in _DESCRIPTIONS}
    own = [(f.start, f.end, content(text, json.dumps(kept))) for f in node.all(text)]
    if node.text(identifier) in _BUILT:
        own += [(f.start, f.end, content(identifier, _MODEL)) for f in node.all(identifier)]
    return field.start, field.end, content(field.number, spliced(node.data, own))
