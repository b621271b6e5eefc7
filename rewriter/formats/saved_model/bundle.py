"""The index of a SavedModel's variables: a sorted table with the type, shape and place of each tensor.

A table consists of blocks of entries. A key omits the prefix that it shares with the key before, each block has a
checksum, and a footer locates the index block. Source: ``tensorflow/core/lib/io/format.cc``, ``block.cc``,
``tensor_bundle.proto`` (TensorFlow 2.21); LevelDB's ``table_format.md``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ...errors import BadFileError, UnsupportedError, shown
from ...files.folder import Folder
from .crc32c import masked
from .messages import Shape, dtype_of, shape_of
from .wire import Message, read_varint

INDEX = "variables/variables.index"
_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_FOOTER = 48
_TRAILER = 5  # a byte for the compression of a block, four for its checksum
_MAX_SIZE = 64 << 20
_MAX_SHARDS = 100_000
_MAX_NAMES = 128 << 20  # bytes of all keys in full: a key of a few bytes in the file can share a long prefix
_BYTES = {
    "float32": 4, "float64": 8, "int32": 4, "uint8": 1, "int16": 2, "int8": 1, "complex64": 8, "int64": 8, "bool": 1,
    "bfloat16": 2, "uint16": 2, "complex128": 16, "float16": 2, "uint32": 4, "uint64": 8,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor: its type (NumPy's name), shape, and place in the data files.

    ``checksum`` is ``crc32c.masked`` of its bytes.
    """

    dtype: str
    shape: Shape
    shard: int
    offset: int
    size: int
    sliced: bool
    checksum: int = 0


@dataclass(frozen=True, slots=True)
class Bundle:
    """The tensors of an index by their keys, and the number of data files."""

    shards: int
    entries: dict[str, Entry]


def shard_name(number: int, count: int) -> str:
    """``variables/variables.data-00000-of-00001``."""
    return f"variables/variables.data-{number:05d}-of-{count:05d}"


def read_bundle(folder: Folder) -> Bundle | None:
    """The index of a folder, or None without one. The places of the tensors are checked against the data files.

    Raises:
        BadFileError: damaged, a data file is missing, or a tensor lies outside its file.
        UnsupportedError: compressed, or written on a machine of the other byte order.
    """
    if INDEX not in folder:
        return None
    bundle = parse(folder.open_raw(INDEX, _MAX_SIZE))
    sizes = {}
    for number in range(bundle.shards):
        name = shard_name(number, bundle.shards)
        if name not in folder:
            raise BadFileError(f"{name} is missing: it holds the values of variables")
        sizes[number] = folder.size(name)
    for key, entry in bundle.entries.items():
        _check(key, entry, sizes)
    return bundle


def _check(key: str, entry: Entry, sizes: dict[int, int]) -> None:
    where = f"the variable {shown(key)!r}"
    if entry.shard not in sizes:
        raise BadFileError(f"{where} is in file {entry.shard} of {len(sizes)}")
    if entry.sliced:
        return  # its slices are separate entries
    if entry.offset < 0 or entry.size < 0 or entry.offset + entry.size > sizes[entry.shard]:
        raise BadFileError(
            f"{where} ends at byte {entry.offset + entry.size} of "
            f"{shard_name(entry.shard, len(sizes))}, which has {sizes[entry.shard]}"
        )
    width = _BYTES.get(entry.dtype)
    count = math.prod(size for size in entry.shape if size is not None)
    if width is not None and count * width != entry.size:
        raise BadFileError(
            f"{where} of the shape {shown(list(entry.shape))} has {entry.size} bytes of numbers"
        )


def parse(data: memoryview) -> Bundle:
    """The entries of an index. Raises as ``read_bundle``."""
    if len(data) < _FOOTER or bytes(data[-8:]) != _MAGIC:
        raise BadFileError(f"{INDEX} is cut short, or not an index of variables")
    footer = data[len(data) - _FOOTER :]
    place = 0
    handle = []
    for _ in range(4):
        number, place = read_varint(footer, place)
        handle.append(number)
    table = _Table(data)
    found: dict[str, Entry] = {}
    shards, written = -1, 0
    for _, where in table.block(*handle[2:]):
        offset, place = read_varint(where, 0)
        size, _ = read_varint(where, place)
        if offset < written:
            # A writer puts one block after the other. A block that is listed many times would be read as many times.
            raise BadFileError(f"{INDEX} lists blocks that overlap, or in another order than the file's")
        written = offset + size + _TRAILER
        for key, value in table.block(offset, size):
            if not key and shards < 0:
                shards = _shards(value)
                continue
            name = key.decode(errors="backslashreplace")  # the key of a slice is binary
            if name in found:
                raise BadFileError(f"{INDEX} has {shown(name)!r} twice")
            found[name] = _entry(value)
    if shards < 0:
        raise BadFileError(f"{INDEX} does not record the number of data files")
    return Bundle(shards, found)


class _Table:
    """The blocks of a table. The keys of all blocks that are read take limited memory."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.names = 0

    def block(self, offset: int, size: int) -> Iterator[tuple[bytes, memoryview]]:
        """The keys and values of a block."""
        data = self.data
        if offset + size + _TRAILER > len(data) - _FOOTER:
            raise BadFileError(f"{INDEX} has a block outside the file")
        block, kind = data[offset : offset + size], data[offset + size]
        stored = int.from_bytes(data[offset + size + 1 : offset + size + _TRAILER], "little")
        if masked(data[offset : offset + size + 1]) != stored:
            raise BadFileError(f"{INDEX} is damaged: the checksum of a block is wrong")
        if kind:
            raise UnsupportedError(f"{INDEX} is compressed")
        restarts = int.from_bytes(block[-4:], "little") if size >= 4 else -1
        end = size - 4 * (restarts + 1)
        if restarts < 0 or end < 0:
            raise BadFileError(f"{INDEX} has a damaged block")
        place, key = 0, b""
        while place < end:
            shared, place = read_varint(block, place)
            own, place = read_varint(block, place)
            length, place = read_varint(block, place)
            if shared > len(key) or own + length > end - place:
                raise BadFileError(f"{INDEX} has a damaged block")
            self.names += shared + own
            if self.names > _MAX_NAMES:
                raise BadFileError(f"{INDEX} has variables whose names take more than {_MAX_NAMES:,} bytes")
            key = key[:shared] + bytes(block[place : place + own])
            place += own
            yield key, block[place : place + length]
            place += length


def _shards(value: memoryview) -> int:
    header = Message(value)
    if header.number(2):
        raise UnsupportedError("its variables were written on a machine of the other byte order")
    count = header.number(1)
    if not 0 <= count <= _MAX_SHARDS:
        raise BadFileError(f"{INDEX} states {count} files")
    return count


def _entry(value: memoryview) -> Entry:
    message = Message(value)
    shape = shape_of(message.message(2) or memoryview(b""))
    if shape is None or None in shape:
        raise BadFileError(f"{INDEX} has a tensor with an unknown size")
    return Entry(
        dtype_of(message.number(1)),
        shape,
        message.number(3),
        message.signed(4),
        message.signed(5),
        bool(message.all(7)),
        _checksum(message),
    )


def _checksum(message: Message) -> int:
    found = message.all(6)
    value = found[-1].value if found else b"\0\0\0\0"
    if isinstance(value, int) or len(value) != 4:
        raise BadFileError(f"{INDEX} has a checksum of another kind")
    return int.from_bytes(value, "little")
