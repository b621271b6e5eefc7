"""The variables of a SavedModel: an index of names, and files in which the numbers lie.

Numbers are mapped and looked at when they are asked for, and compared with the checksum that the index has of them.
Source: ``tensor_bundle.proto``, ``tensor_bundle.cc`` and ``trackable_object_graph.proto`` of TensorFlow 2.21; they are
the same since TensorFlow 2.0.
"""

from __future__ import annotations

import math
import struct
from collections import deque
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ...errors import BadFileError, UnsupportedError, shown
from ...files.crc32c import crc32c, masked
from ...files.folder import Folder
from ..variables import Variable
from . import table
from .messages import dtype_of, shape_of
from .wire import Message, as_text, read_varint

_STEM = "variables/variables"
INDEX = f"{_STEM}.index"
_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "VARIABLE_VALUE"
_MAX_INDEX = 512 << 20
_MAX_SHARDS = 100_000
_NUMBERS = {
    *("float16", "bfloat16", "float32", "float64", "bool"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
}


class _Entry(NamedTuple):
    """A tensor: its type and shape, and where it lies. ``crc`` is that of its bytes, in the masked form."""

    dtype: str
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc: int
    sliced: bool


class Checkpoint:
    """The variables of a folder, opened for reading.

    Raises:
        BadFileError: there are none, or their index is damaged.
        UnsupportedError: an index that is compressed, or of a format of a later TensorFlow.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        if INDEX not in folder:
            raise BadFileError(f"the SavedModel has no {INDEX}, the index of its variables")
        self._found: dict[str, memoryview] = {}
        header: memoryview | None = None
        for key, value in table.entries(folder.open_raw(INDEX, _MAX_INDEX)):
            if key:
                self._found[as_text(memoryview(key))] = value
            else:
                header = value
        if header is None:
            raise BadFileError("the index of variables has no header")
        message = Message(header)
        self._shards = message.number(1)
        self._order = ">" if message.number(2) else "<"
        if not 0 < self._shards <= _MAX_SHARDS:
            raise BadFileError(f"the index of variables states {self._shards} files")
        self._maps: dict[int, memoryview] = {}

    def variable(self, key: str) -> Variable:
        """One variable.

        Raises:
            BadFileError: the index has none of this name, or its numbers are not all there.
            UnsupportedError: its values are no numbers, or are in several slices.
        """
        entry = self._entry(key)
        if entry.sliced:
            raise UnsupportedError(f"the variable {shown(key)!r} is stored in slices, which are not read")
        if entry.dtype not in _NUMBERS:
            raise UnsupportedError(f"the variable {shown(key)!r} is of type {entry.dtype or 'unknown'}")
        dtype = _dtype(entry.dtype)
        if math.prod(entry.shape) * dtype.itemsize != entry.size:
            raise BadFileError(
                f"the variable {shown(key)!r} of the shape {list(entry.shape)} has {entry.size} bytes"
            )
        data = self._bytes(key, entry)

        def load() -> Any:
            if masked(crc32c(data)) != entry.crc:
                raise BadFileError(
                    f"damaged: the variable {shown(key)!r} has another checksum than its index states"
                )
            values = np.frombuffer(data, dtype if self._order == "<" else dtype.newbyteorder(">"))
            return values.astype(dtype, copy=False).reshape(entry.shape)

        return Variable(entry.shape, entry.dtype, load)

    def keys(self, children: Sequence[Sequence[tuple[str, int]]]) -> dict[int, str]:
        """The names in the index of the variables of an object graph, by the number of their object.

        The index has a graph of objects too: an object is the one that the same names lead to.

        Args:
            children: the objects that each object of the SavedModel holds, under the names that it has for them.

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
                "the graph of objects in the index of variables names an object that is not there"
            )
        return objects

    def _text(self, key: str) -> memoryview:
        """A tensor that is one text: its length, a checksum of that, and its bytes."""
        entry = self._entry(key)
        if entry.dtype != "string" or entry.shape or entry.sliced:
            raise BadFileError(f"{shown(key)!r} in the index of variables is not one text")
        data = self._bytes(key, entry)
        length, place = read_varint(data, 0)
        content = data[place + 4 :]
        if length != len(content):
            raise BadFileError(f"damaged: {shown(key)!r} has {len(content)} bytes, not {length}")
        size = struct.pack("<I" if length <= 0xFFFFFFFF else "<Q", length)
        if masked(crc32c(size + bytes(data[place:]))) != entry.crc:
            raise BadFileError(f"damaged: {shown(key)!r} has another checksum than its index states")
        return content

    def _entry(self, key: str) -> _Entry:
        value = self._found.get(key)
        if value is None:
            raise BadFileError(f"the index of variables has no {shown(key)!r}")
        message = Message(value)
        shape = shape_of(message.message(2) or memoryview(b""))
        if shape is None or None in shape:
            raise BadFileError(f"the variable {shown(key)!r} is of an open shape")
        crc = message.all(6)[-1].value if message.all(6) else b"\0\0\0\0"
        if isinstance(crc, int) or len(crc) != 4:
            raise BadFileError(f"damaged: the checksum of {shown(key)!r} is of another kind")
        return _Entry(
            dtype_of(message.number(1)),
            tuple(size for size in shape if size is not None),
            message.number(3),
            message.number(4),
            message.number(5),
            int.from_bytes(crc, "little"),
            bool(message.all(7)),
        )

    def _bytes(self, key: str, entry: _Entry) -> memoryview:
        data = self._shard(entry.shard)
        if entry.offset + entry.size > len(data):
            raise BadFileError(f"the bytes of {shown(key)!r} lie outside of the file of the variables")
        return data[entry.offset : entry.offset + entry.size]

    def _shard(self, number: int) -> memoryview:
        if number >= self._shards:
            raise BadFileError(f"the index of variables names the file {number} of {self._shards}")
        if number not in self._maps:
            name = f"{_STEM}.data-{number:05d}-of-{self._shards:05d}"
            if name not in self._folder:
                raise BadFileError(f"the SavedModel has no {name}, a file of its variables")
            self._maps[number] = self._folder.open_raw(name)
        return self._maps[number]


class _Object(NamedTuple):
    """An object of the index: what it holds by name, and the name of its value, "" where it is no variable."""

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
