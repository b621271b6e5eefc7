"""The values of a SavedModel's variables, and the object graph that locates them.

Values are memory-mapped, and checked on use against the checksum in the index.
Source: ``tensor_bundle.cc`` and ``trackable_object_graph.proto`` of TensorFlow 2.21; they are the same since
TensorFlow 2.0.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ...errors import BadFileError, UnsupportedError, shown
from ...files.folder import Folder
from ..variables import Variable
from .bundle import INDEX, Entry, read_bundle, shard_name
from .crc32c import masked
from .wire import Message, read_varint

_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "VARIABLE_VALUE"
_NUMBERS = {
    *("float16", "bfloat16", "float32", "float64", "bool"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
}


class Checkpoint:
    """The variables of a folder, opened for reading.

    Raises:
        BadFileError: no index of variables, or a damaged one.
        UnsupportedError: an index that is compressed, or from a machine of the other byte order.
    """

    def __init__(self, folder: Folder) -> None:
        bundle = read_bundle(folder)
        if bundle is None:
            raise BadFileError(f"the SavedModel has no {INDEX}, the index of its variables")
        self._folder = folder
        self._bundle = bundle
        self._files: dict[int, memoryview] = {}

    def variable(self, key: str) -> Variable:
        """One variable.

        Raises:
            BadFileError: the index has no such key; loading raises it for a wrong checksum.
            UnsupportedError: its values are not numbers, or are stored in slices.
        """
        entry = self._entry(key)
        if entry.sliced:
            raise UnsupportedError(f"the variable {shown(key)!r} is stored in slices, which are not read")
        if entry.dtype not in _NUMBERS:
            raise UnsupportedError(f"the variable {shown(key)!r} is of type {entry.dtype or 'unknown'}")
        shape = tuple(size for size in entry.shape if size is not None)
        data = self._bytes(entry)

        def load() -> Any:
            if masked(data) != entry.checksum:
                raise BadFileError(
                    f"damaged: the variable {shown(key)!r} has another checksum than its index states"
                )
            return np.frombuffer(data, _dtype(entry.dtype)).reshape(shape)

        return Variable(shape, entry.dtype, load)

    def keys(self, children: Sequence[Sequence[tuple[str, int]]]) -> dict[int, str]:
        """The index keys of the variables of an object graph, by object number.

        The index has its own object graph. Objects of the two graphs match if the same path of names leads to them.

        Args:
            children: for each object of the SavedModel, the (name, number) of each of its children.

        Raises:
            BadFileError: the index has no such graph, or it is damaged.
        """
        stored = self._objects
        found: dict[int, str] = {}
        partner = {0: 0}
        waiting = deque([0])
        while waiting:
            number = waiting.popleft()
            here = stored[partner[number]]
            if here.key:
                found[number] = here.key
            for name, child in children[number] if number < len(children) else ():
                other = here.children.get(name)
                if other is not None and child not in partner:
                    partner[child] = other
                    waiting.append(child)
        return found

    @cached_property
    def _objects(self) -> list[_Object]:
        objects = [_Object.read(item) for item in Message(self._text(_GRAPH)).messages(1)]
        if not objects:
            raise BadFileError("the graph of objects in the index of variables is empty")
        if any(child >= len(objects) for each in objects for child in each.children.values()):
            raise BadFileError(
                "the graph of objects in the index of variables names an object that does not exist"
            )
        return objects

    def _text(self, key: str) -> memoryview:
        """A tensor that is one string, stored as its length, a checksum of the length, and its bytes."""
        entry = self._entry(key)
        if entry.dtype != "string" or entry.shape or entry.sliced:
            raise BadFileError(f"{shown(key)!r} in the index of variables is not one text")
        data = self._bytes(entry)
        length, place = read_varint(data, 0)
        content = data[place + 4 :]
        if length != len(content):
            raise BadFileError(f"damaged: {shown(key)!r} has {len(content)} bytes, not {length}")
        size = struct.pack("<I" if length <= 0xFFFFFFFF else "<Q", length)
        if masked(size + bytes(data[place:])) != entry.checksum:
            raise BadFileError(f"damaged: {shown(key)!r} has another checksum than its index states")
        return content

    def _entry(self, key: str) -> Entry:
        try:
            return self._bundle.entries[key]
        except KeyError:
            raise BadFileError(f"{INDEX} has no {shown(key)!r}") from None

    def _bytes(self, entry: Entry) -> memoryview:
        if entry.shard not in self._files:
            name = shard_name(entry.shard, self._bundle.shards)
            self._files[entry.shard] = self._folder.open_raw(name)
        return self._files[entry.shard][entry.offset : entry.offset + entry.size]


class _Object(NamedTuple):
    """An object of the index: its children by name, and the key of its value, "" if it is not a variable."""

    children: dict[str, int]
    key: str

    @classmethod
    def read(cls, data: memoryview) -> _Object:
        message = Message(data)
        links = [Message(item) for item in message.messages(1)]
        values = [Message(item) for item in message.messages(2)]
        key = next((value.text(3) for value in values if value.text(1) == _VALUE), "")
        return cls({link.text(2): link.number(1) for link in links}, key)


def _dtype(name: str) -> np.dtype[Any]:
    if name != "bfloat16":
        return np.dtype(name)
    import ml_dtypes

    extended: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return extended
