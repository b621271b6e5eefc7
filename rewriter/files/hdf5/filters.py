"""The filters of chunks: read from the header (spec IV.A.2.l), and reversed."""

from __future__ import annotations

import zlib
from typing import NamedTuple

from ...errors import BadFileError, UnsupportedError, shown
from .checksum import fletcher32
from .header import FILTERS, Header
from .view import View

DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3
RATIO = 1032
"""The maximum number of bytes that one byte of deflate data expands to (zlib, "Maximum Compression Factor")."""

_CHECKSUM = 4
_MAX_FILTERS = 32
_NAMES = {
    4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf", 32001: "blosc", 32004: "lz4", 32008: "bitshuffle",
    32013: "zfp", 32015: "zstd",
}  # fmt: skip


class Filter(NamedTuple):
    """A filter and its first parameter: the level for deflate, the bytes of an element for shuffle."""

    kind: int
    value: int


def read_filters(view: View, header: Header) -> tuple[Filter, ...]:
    """The filters of a dataset in the order in which they were applied.

    Raises:
        BadFileError: damaged.
        UnsupportedError: a filter other than deflate, shuffle and fletcher32.
    """
    message = header.find(FILTERS)
    if message is None:
        return ()
    version, count = view.unpack("<BB", message.offset)
    if version not in (1, 2) or count > _MAX_FILTERS:
        raise BadFileError(f"the HDF5 data has damaged filters at byte {message.offset}")
    at = message.offset + (8 if version == 1 else 2)
    filters = []
    for _ in range(count):
        kind, name_size, _, values = view.unpack("<4H", at)
        at += 8
        if version == 2 and kind < 256:  # HDF5's own filters have no name
            name_size, values = 0, view.unpack("<H", at - 4)[0]
            at -= 2
        name = view.read(at, name_size).partition(b"\0")[0]
        if kind not in (DEFLATE, SHUFFLE, FLETCHER32):
            known = _NAMES.get(kind) or name.decode("ascii", "replace") or str(kind)
            raise UnsupportedError(
                f"the HDF5 data has a dataset with the filter {shown(known)}, which is not read"
            )
        at += -(-name_size // 8) * 8 if version == 1 else name_size
        value = view.unpack("<L", at)[0] if values else 0
        if kind == SHUFFLE and not value:
            raise BadFileError("the HDF5 data has shuffled chunks with an element size of 0")
        filters.append(Filter(kind, value))
        at += 4 * (values + (values % 2 if version == 1 else 0))
    return tuple(filters)


def applied(filters: tuple[Filter, ...], mask: int) -> tuple[Filter, ...]:
    """The filters of one chunk: a set bit of its mask marks a filter that was not applied."""
    return tuple(each for number, each in enumerate(filters) if not mask >> number & 1)


def check_size(filters: tuple[Filter, ...], stored: int, size: int) -> bool:
    """Whether `stored` bytes can be a chunk of `size` bytes."""
    kinds = [each.kind for each in filters]
    if DEFLATE in kinds:
        return size <= stored * RATIO
    return stored == size + _CHECKSUM * kinds.count(FLETCHER32)


def undone(filters: tuple[Filter, ...], data: memoryview, size: int) -> memoryview:
    """The `size` bytes of a chunk, with its filters reversed. Raises BadFileError for a wrong size or checksum."""
    for each in reversed(filters):
        if each.kind == DEFLATE:
            data = _inflated(data, size + _CHECKSUM * len(filters))
        elif each.kind == FLETCHER32:
            data = _checked(data)
        else:
            data = _unshuffled(data, each.value)
    if len(data) != size:
        raise BadFileError(f"the HDF5 data has a chunk of {len(data)} bytes where {size} belong")
    return data


def _inflated(data: memoryview, limit: int) -> memoryview:
    stream = zlib.decompressobj()
    try:
        result = stream.decompress(data, limit + 1)
    except zlib.error as error:
        raise BadFileError(f"the HDF5 data has a damaged chunk: {error}") from None
    if not stream.eof or len(result) > limit:
        raise BadFileError("the HDF5 data has a chunk that is cut short, or holds more than it declares")
    return memoryview(result)


def _checked(data: memoryview) -> memoryview:
    """The data without its checksum. HDF5 before 1.6.3 swapped the bytes on some machines: both are accepted
    (H5Zfletcher32.c).
    """
    if len(data) < _CHECKSUM:
        raise BadFileError("the HDF5 data has a chunk that is cut short")
    content, stored = data[:-_CHECKSUM], int.from_bytes(data[-_CHECKSUM:], "little")
    value = fletcher32(content)
    turned = (value & 0x00FF00FF) << 8 | (value & 0xFF00FF00) >> 8
    if stored not in (value, turned):
        raise BadFileError("the HDF5 data has a damaged chunk: wrong checksum")
    return content


def _unshuffled(data: memoryview, width: int) -> memoryview:
    """Reverse the shuffle, which groups bytes by their place in the element; a rest at the end is not shuffled."""
    import numpy as np

    count = len(data) // width
    if width < 2 or count < 2:
        return data
    whole = count * width
    turned = np.frombuffer(data, np.uint8, whole).reshape(width, count).T.tobytes()
    return memoryview(turned + data[whole:].tobytes())
