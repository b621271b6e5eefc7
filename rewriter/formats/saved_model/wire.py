"""The wire format of protobuf: fields of a message, and messages with some of their fields replaced.

Fields are decoded on use. Unchanged fields, including unknown ones, keep their bytes. Source:
https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ...errors import BadFileError, shown

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_MAX_FIELDS = 2_000_000
_BROKEN = "damaged: its protobuf ends within a field"


class Field(NamedTuple):
    """One field: ``value`` is an integer for a varint, else bytes; ``start`` to ``end`` is its place, with its tag."""

    number: int
    wire: int
    value: int | memoryview
    start: int
    end: int


def fields(data: memoryview) -> Iterator[Field]:
    """The fields of a message in their order.

    Raises:
        BadFileError: a field that ends outside the message, or a group, which protobuf 3 does not have.
    """
    place, size = 0, len(data)
    while place < size:
        start = place
        key, place = read_varint(data, place)
        number, wire = key >> 3, key & 7
        value: int | memoryview
        if wire == VARINT:
            value, place = read_varint(data, place)
        elif wire == BYTES:
            length, place = read_varint(data, place)
            if length > size - place:
                raise BadFileError(_BROKEN)
            value = data[place : place + length]
            place += length
        elif wire in (FIXED32, FIXED64):
            length = 4 if wire == FIXED32 else 8
            if length > size - place:
                raise BadFileError(_BROKEN)
            value = data[place : place + length]
            place += length
        else:
            raise BadFileError(f"damaged: its protobuf has a field of the kind {wire}")
        if not number:
            raise BadFileError("damaged: its protobuf has a field 0")
        yield Field(number, wire, value, start, place)


class Message:
    """The fields of one message by number. The methods raise BadFileError for a field of another wire type."""

    __slots__ = ("data", "found")

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.found: dict[int, list[Field]] = {}
        for count, field in enumerate(fields(data)):
            if count >= _MAX_FIELDS:
                raise BadFileError(f"a message of more than {_MAX_FIELDS:,} fields")
            self.found.setdefault(field.number, []).append(field)

    def all(self, number: int) -> list[Field]:
        return self.found.get(number, [])

    def messages(self, number: int) -> list[memoryview]:
        """The contents of every field of this number."""
        return [_content(field) for field in self.all(number)]

    def message(self, number: int) -> memoryview | None:
        """The content of a singular field, or None."""
        field = self.single(number)
        return None if field is None else _content(field)

    def single(self, number: int) -> Field | None:
        """A singular field, or None. Two are refused: protobuf merges them, but no program writes them."""
        found = self.all(number)
        if len(found) > 1:
            raise BadFileError(f"damaged: its protobuf has field {number} twice")
        return found[0] if found else None

    def text(self, number: int) -> str:
        """The string of a field; the last one counts, "" without any."""
        found = self.all(number)
        return as_text(_content(found[-1])) if found else ""

    def texts(self, number: int) -> list[str]:
        return [as_text(content) for content in self.messages(number)]

    def number(self, number: int, default: int = 0) -> int:
        """A varint as an unsigned integer; the last one counts."""
        found = self.all(number)
        return _whole(found[-1]) if found else default

    def signed(self, number: int) -> int:
        """A varint of an int32 or int64."""
        return signed(self.number(number))

    def numbers(self, number: int) -> list[int]:
        """Repeated varints, packed or not, as unsigned integers."""
        result: list[int] = []
        for field in self.all(number):
            if field.wire == VARINT:
                result.append(_whole(field))
            else:
                content, place = _content(field), 0
                while place < len(content):
                    value, place = read_varint(content, place)
                    result.append(value)
        return result

    def floats(self, number: int, form: str = "f") -> list[float]:
        """Repeated floats (``f``) or doubles (``d``), packed or not."""
        size = struct.calcsize(form)
        result: list[float] = []
        for field in self.all(number):
            content = field.value
            if isinstance(content, int) or len(content) % size:
                raise BadFileError(_BROKEN)
            result += struct.unpack(f"<{len(content) // size}{form}", content)
        return result


def entries(message: Message, number: int) -> Iterator[tuple[str, memoryview, Field]]:
    """(key, value, field) of a map from strings to messages. Raises BadFileError for a key that occurs twice."""
    seen: set[str] = set()
    for field in message.all(number):
        entry = Message(_content(field))
        key = entry.text(1)
        if key in seen:
            raise BadFileError(f"{shown(key)!r} occurs twice")
        seen.add(key)
        found = entry.messages(2)
        yield key, found[-1] if found else memoryview(b""), field


def as_text(data: memoryview) -> str:
    try:
        return bytes(data).decode()
    except UnicodeDecodeError:
        raise BadFileError("a name in it is not text") from None


def signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def held(field: Field) -> memoryview:
    """The content of a length-delimited field. Raises BadFileError for another wire type."""
    return _content(field)


def _content(field: Field) -> memoryview:
    if field.wire != BYTES or isinstance(field.value, int):
        raise BadFileError(f"damaged: field {field.number} of its protobuf is of another kind")
    return field.value


def _whole(field: Field) -> int:
    if not isinstance(field.value, int):
        raise BadFileError(f"damaged: field {field.number} of its protobuf is of another kind")
    return field.value


def read_varint(data: memoryview, place: int) -> tuple[int, int]:
    """A varint of up to 64 bits, and the offset after it. Raises BadFileError."""
    try:
        byte = data[place]
        if byte < 128:
            return byte, place + 1
        result, shift = byte & 127, 7
        while True:
            place += 1
            byte = data[place]
            result |= (byte & 127) << shift
            if byte < 128:
                return result & (2**64 - 1), place + 1
            shift += 7
            if shift > 63:
                raise BadFileError("damaged: its protobuf has a number of more than 64 bits")
    except IndexError:
        raise BadFileError(_BROKEN) from None


# -- writing -----------------------------
def varint(value: int) -> bytes:
    """An integer as a varint; a negative one needs ten bytes."""
    value &= 2**64 - 1
    result = bytearray()
    while value > 127:
        result.append(value & 127 | 128)
        value >>= 7
    result.append(value)
    return bytes(result)


def whole(number: int, value: int) -> bytes:
    """A field with an integer."""
    return varint(number << 3 | VARINT) + varint(value)


def content(number: int, data: bytes | memoryview | str) -> bytes:
    """A field with bytes, a string or a message."""
    raw = data.encode() if isinstance(data, str) else bytes(data)
    return varint(number << 3 | BYTES) + varint(len(raw)) + raw


def entry(number: int, key: str, value: bytes) -> bytes:
    """An entry of a map from strings to messages."""
    return content(number, content(1, key) + content(2, value))


def spliced(data: memoryview, edits: Sequence[tuple[int, int, bytes]]) -> bytes:
    """The data with edits ``(start, end, new bytes)`` applied; they must not overlap."""
    parts: list[bytes | memoryview] = []
    place = 0
    for start, end, new in sorted(edits, key=lambda edit: edit[:2]):
        parts += [data[place:start], new]
        place = end
    return b"".join([*parts, data[place:]])
