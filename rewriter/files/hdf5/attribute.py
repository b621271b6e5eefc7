"""Attributes: their names, types and values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from ...errors import BadFileError, UnsupportedError, shown
from . import btree
from .datatype import STRING, VARIABLE, Type, read_shape, read_type
from .fractal_heap import FractalHeap
from .global_heap import REFERENCE, heap_texts
from .header import ATTRIBUTE, ATTRIBUTE_INFO, Header
from .view import UNDEFINED, View

_MAX_STRINGS = 1_000_000
_RECORD = 17  # heap id, flags of the message, order, hash of the name
_SHARED = 1 << 1


class Attribute(NamedTuple):
    """Type and shape of an attribute (None: a null dataspace), the offset of its content, the end of its message."""

    type: Type
    shape: tuple[int, ...] | None
    content: int
    end: int

    @property
    def elements(self) -> int:
        return 0 if self.shape is None else math.prod(self.shape)


class Place(NamedTuple):
    """Offset and size of an attribute message. `shared`: the message only points to the attribute."""

    offset: int
    size: int
    shared: bool


def attribute_places(view: View, header: Header) -> dict[str, Place]:
    """The attributes of an object by name, in the order of the names' bytes. Raises BadFileError for a name twice."""
    found: dict[bytes, Place] = {}
    for place in _places(view, header):
        name = _name(view, place.offset)
        if name in found:
            raise BadFileError(
                f"the HDF5 data has an attribute twice: {shown(name.decode(errors='replace'))}"
            )
        found[name] = place
    return {_text(name): found[name] for name in sorted(found)}


def read_attribute(view: View, place: Place) -> Attribute:
    """Type, shape and place of an attribute's content (attribute message, spec IV.A.2.m).

    Raises:
        BadFileError: damaged, or it declares more content than it stores.
        UnsupportedError: its type is shared or named.
    """
    at, end = place.offset, place.offset + place.size
    version, flags, name_size, type_size, space_size = view.unpack("<BBHHH", at)
    if place.shared or (version > 1 and flags):
        raise UnsupportedError("the HDF5 data has attributes with shared or named types")
    unit = 8 if version == 1 else 1
    datatype = at + (9 if version == 3 else 8) + _padded(name_size, unit)
    dataspace = datatype + _padded(type_size, unit)
    content = dataspace + _padded(space_size, unit)
    if content > end:
        raise _damaged(at)
    found = Attribute(read_type(view, datatype), read_shape(view, dataspace), content, end)
    if content + found.elements * found.type.size > end:
        raise BadFileError(
            f"the HDF5 data has an attribute that declares {found.elements} values and does not store them"
        )
    return found


def string_values(view: View, attribute: Attribute) -> list[str]:
    """The strings of an attribute in C order, without padding. Raises UnsupportedError if it holds no strings."""
    if not attribute.type.is_text:
        raise UnsupportedError("the HDF5 data has an attribute that is not text where text is expected")
    return [_text(raw) for raw in raw_texts(view, attribute)]


def raw_texts(view: View, attribute: Attribute) -> list[bytes]:
    """The strings of an attribute in C order, as h5py reads them: fixed-length ones without NULs at the end,
    variable-length ones up to the first NUL.
    """
    kind, size = attribute.type.kind, attribute.type.size
    if kind == VARIABLE and size != REFERENCE:
        raise BadFileError("the HDF5 data has a variable-length string with a damaged type")
    if attribute.elements > _MAX_STRINGS:
        raise UnsupportedError(f"the HDF5 data has an attribute of over {_MAX_STRINGS} strings")
    starts = range(attribute.content, attribute.content + attribute.elements * size, size)
    if kind == STRING:
        return [view.read(at, size).rstrip(b"\0") for at in starts]
    return heap_texts(view, starts)


def _places(view: View, header: Header) -> Iterator[Place]:
    """Every attribute message, in the header or in a heap."""
    for message in header.messages:
        if message.kind == ATTRIBUTE:
            yield Place(message.offset, message.size, message.shared)
    info = header.find(ATTRIBUTE_INFO)
    if info is None:
        return
    version, flags = view.unpack("<BB", info.offset)
    if version != 0:
        raise UnsupportedError(f"the HDF5 data has attributes of version {version}")
    heap, tree = view.unpack("<QQ", info.offset + (4 if flags & 1 else 2))
    if heap == UNDEFINED:
        return
    objects = FractalHeap(view, heap)
    for at in btree.records(view, tree, btree.ATTRIBUTES_BY_NAME, _RECORD):
        yield Place(*objects.place(at), bool(view.unpack("<B", at + 8)[0] & _SHARED))


def _name(view: View, at: int) -> bytes:
    version, _, size = view.unpack("<BBH", at)
    if version not in (1, 2, 3):
        raise _damaged(at)
    name = view.read(at + (9 if version == 3 else 8), size)
    if name.find(b"\0") != size - 1:  # the size includes the NUL at the end
        raise _damaged(at)
    return name[:-1]


def _damaged(at: int) -> BadFileError:
    return BadFileError(f"the HDF5 data has a damaged attribute at byte {at}")


def _padded(size: int, unit: int) -> int:
    return -(-size // unit) * unit


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise BadFileError("the HDF5 data has a text that is not UTF-8") from error
