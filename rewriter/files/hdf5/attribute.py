"""String attributes, of fixed length or in a global heap."""

from __future__ import annotations

import math
from typing import NamedTuple

from ...errors import BadFileError, UnsupportedError
from .datatype import read_shape
from .header import ATTRIBUTE, ATTRIBUTE_INFO, Header
from .view import View

_STRING, _VARIABLE = 3, 9
_MAX_STRINGS = 1_000_000


class Attribute(NamedTuple):
    """Where the datatype, the dataspace and the content of an attribute lie, and where the attribute ends."""

    datatype: int
    dataspace: int
    content: int
    end: int


def find_attribute(view: View, header: Header, name: str) -> Attribute | None:
    """The attribute of that name (attribute message, spec IV.A.2.m), or None."""
    if any(message.kind == ATTRIBUTE_INFO for message in header.messages):
        raise UnsupportedError("the HDF5 data has attributes in dense storage (libver='latest')")
    for message in header.messages:
        if message.kind != ATTRIBUTE:
            continue
        version, flags, name_size, type_size, space_size = view.unpack("<BBHHH", message.offset)
        if version not in (1, 2, 3):
            raise BadFileError(f"the HDF5 data has a damaged attribute at byte {message.offset}")
        at = message.offset + (9 if version == 3 else 8)
        if view.read(at, name_size).rstrip(b"\0") != name.encode():
            continue
        if message.shared or (version > 1 and flags):
            raise UnsupportedError("the HDF5 data has attributes with shared or named types")
        unit = 8 if version == 1 else 1
        datatype = at + _padded(name_size, unit)
        dataspace = datatype + _padded(type_size, unit)
        content = dataspace + _padded(space_size, unit)
        end = message.offset + message.size
        if content > end:
            raise BadFileError(f"the HDF5 data has a damaged attribute at byte {message.offset}")
        return Attribute(datatype, dataspace, content, end)
    return None


def string_values(view: View, attribute: Attribute) -> tuple[tuple[int, ...], list[str]]:
    """(shape, strings in C order) of an attribute; UnsupportedError if it does not hold strings."""
    shape = read_shape(view, attribute.dataspace)
    count = math.prod(shape)
    kind, low, _, _, size = view.unpack("<4BL", attribute.datatype)
    if kind & 15 != _STRING and (kind & 15, low & 15) != (_VARIABLE, 1):
        raise UnsupportedError("the HDF5 data has an attribute that is not text where text is expected")
    step = size if kind & 15 == _STRING else 16
    if step == 0 or count > _MAX_STRINGS or attribute.content + count * step > attribute.end:
        raise BadFileError(
            f"the HDF5 data has an attribute that declares {count} strings and does not store them"
        )
    starts = range(attribute.content, attribute.content + count * step, step)
    if kind & 15 == _STRING:
        return shape, [_text(view.read(at, size).rstrip(b"\0")) for at in starts]
    return shape, [_text(_heap_string(view, at).partition(b"\0")[0]) for at in starts]


def _heap_string(view: View, at: int) -> bytes:
    """A variable-length string (spec IV.B) from its collection in the global heap (spec III.E)."""
    length, collection, wanted = view.unpack("<LQL", at)
    if length == 0:
        return b""
    if collection not in view.heaps:
        view.heaps[collection] = _heap_objects(view, collection)
    position, extent = view.heaps[collection].get(wanted, (0, 0))
    if length > extent:
        raise BadFileError("the HDF5 data has a text that is not stored in its heap")
    return view.read(position, length)


def _heap_objects(view: View, collection: int) -> dict[int, tuple[int, int]]:
    """Where each object of a collection lies, and its bytes."""
    objects: dict[int, tuple[int, int]] = {}
    magic, version, size = view.unpack("<4sB3xQ", collection)
    if magic != b"GCOL" or version != 1:
        raise BadFileError(f"the HDF5 data has no global heap at byte {collection}")
    view.check(collection, size)
    position, end = collection + 16, collection + size
    while position + 16 <= end:
        index, _, extent = view.unpack("<HH4xQ", position)
        position += 16
        if index == 0 or position + extent > end:
            break
        objects.setdefault(index, (position, extent))
        position += _padded(extent, 8)
    return objects


def _padded(size: int, unit: int) -> int:
    return -(-size // unit) * unit


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise BadFileError("the HDF5 data has a text that is not UTF-8") from error
