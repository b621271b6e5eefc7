"""A table of LevelDB: sorted keys with their values, in blocks. TensorFlow keeps the index of its variables in one.

Source: ``doc/table_format.md`` of LevelDB 1.23; ``tsl/lib/io/table_builder.cc``, ``format.cc`` of TensorFlow 2.21.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ...errors import BadFileError, UnsupportedError
from ...files.crc32c import crc32c, masked
from .wire import read_varint

_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
_TRAILER = 5  # the kind of compression, and a CRC
_MAX_KEYS = 256 << 20  # bytes of all keys, which are stored without what they share with the one before


def entries(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """The keys and values in their order.

    Raises:
        BadFileError: no such table, or damaged.
        UnsupportedError: compressed, or with more bytes of keys than are read.
    """
    if len(data) < _FOOTER or struct.unpack("<Q", data[-8:])[0] != _MAGIC:
        raise BadFileError("not an index of variables, or cut short")
    footer = data[-_FOOTER:]
    _, place = _handle(footer, 0)  # of the block about the table itself
    index, _ = _handle(footer, place)
    last, total = None, 0
    for _, value in _block(data, index):
        for key, content in _block(data, _handle(value, 0)[0]):
            if last is not None and key <= last:
                raise BadFileError("damaged: the keys of the index of variables are not in order")
            total += len(key)
            if total > _MAX_KEYS:
                raise UnsupportedError("the index of variables has too many keys")
            yield key, content
            last = key


def _handle(data: memoryview, place: int) -> tuple[tuple[int, int], int]:
    """Where a block is: (offset, size), and the place behind that."""
    offset, place = read_varint(data, place)
    size, place = read_varint(data, place)
    return (offset, size), place


def _block(data: memoryview, handle: tuple[int, int]) -> Iterator[tuple[bytes, memoryview]]:
    offset, size = handle
    if offset + size + _TRAILER > len(data) - _FOOTER or size < 4:
        raise BadFileError("damaged: a block lies outside of the index of variables")
    block, kind = data[offset : offset + size], data[offset + size]
    (stored,) = struct.unpack("<I", data[offset + size + 1 : offset + size + _TRAILER])
    if masked(crc32c(data[offset : offset + size + 1])) != stored:
        raise BadFileError("damaged: a block of the index of variables has another checksum than it states")
    if kind:
        raise UnsupportedError("the index of variables is compressed")
    (restarts,) = struct.unpack("<I", block[-4:])
    end = size - 4 * (restarts + 1)
    if end < 0:
        raise BadFileError("damaged: a block of the index of variables is too short")
    place, key = 0, b""
    content = block[:end]
    while place < end:
        shared, place = read_varint(content, place)
        fresh, place = read_varint(content, place)
        length, place = read_varint(content, place)
        if shared > len(key) or fresh + length > end - place:
            raise BadFileError("damaged: an entry of the index of variables leads outside of its block")
        key = key[:shared] + bytes(content[place : place + fresh])
        place += fresh
        yield key, content[place : place + length]
        place += length
