"""Object headers as lists of messages (spec IV.A.1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ...errors import BadFileError, UnsupportedError
from . import checksum
from .view import View

DATASPACE = 0x01
LINK_INFO = 0x02
DATATYPE = 0x03
OLD_FILL = 0x04
FILL = 0x05
LINK = 0x06
EXTERNAL_FILES = 0x07
LAYOUT = 0x08
FILTERS = 0x0B
ATTRIBUTE = 0x0C
DRIVER = 0x14
ATTRIBUTE_INFO = 0x15
_CONTINUATION = 0x10
SYMBOL_TABLE = 0x11
_NEWEST = 0x18

_SHARED = 1 << 1
_REFUSE_UNKNOWN = 1 << 7
_MAX_MESSAGES = 1_000_000

_TIMES, _PHASES, _ORDER = 1 << 5, 1 << 4, 1 << 2


class Message(NamedTuple):
    """One header message: its type, and the place of its data in the file."""

    kind: int
    shared: bool
    offset: int
    size: int


class Header(NamedTuple):
    """The messages of one object, in file order."""

    address: int
    messages: tuple[Message, ...]

    def find(self, kind: int) -> Message | None:
        """The first message of a type, or None. Raises UnsupportedError for shared data, which Keras never writes."""
        for message in self.messages:
            if message.kind == kind:
                if message.shared:
                    raise UnsupportedError("the HDF5 data uses shared messages or named types")
                return message
        return None


def read_header(view: View, address: int) -> Header:
    """The object header at an address, of version 1 or 2.

    Raises:
        BadFileError: damaged, or this header was already read.
        UnsupportedError: a newer version, or an unknown message that must not be ignored.
    """
    view.visit("object header", address)
    if view.read(address, 4) == b"OHDR":
        return Header(address, tuple(_version_2(view, address)))
    return Header(address, tuple(_version_1(view, address)))


def _version_1(view: View, address: int) -> list[Message]:
    version, _, count, _, size = view.unpack("<BBHLL", address)
    if version != 1:
        raise BadFileError(f"the HDF5 data has no object header at byte {address}")
    messages: list[Message] = []
    blocks = [(address + 16, size)]
    for at, length in blocks:
        view.check(at, length)
        end = at + length
        while at + 8 <= end and len(messages) < count:
            kind, length, flags = view.unpack("<HHB", at)
            at += 8
            if at + length > end or length % 8:
                raise _damaged(address)
            messages.append(_message(kind, flags, at, length))
            if kind == _CONTINUATION:
                blocks.append(_continuation(view, at, length, address))
            at += length
    if len(messages) != count:
        raise BadFileError(
            f"the HDF5 object header at byte {address} declares {count} messages, has {len(messages)}"
        )
    return messages


def _version_2(view: View, address: int) -> Iterator[Message]:
    """The messages of the prefix and of the continuation blocks, each with a checksum (spec IV.A.1.b)."""
    version, flags = view.unpack("<BB", address + 4)
    if version != 2:
        raise UnsupportedError(f"the HDF5 data has an object header of version {version}")
    at = address + 6 + (16 if flags & _TIMES else 0) + (4 if flags & _PHASES else 0)
    width = 1 << (flags & 3)
    size = view.number(at, width)
    checksum.check(view, address, at + width + size - address, "object header")
    blocks = [(at + width, size)]
    prefix = 6 if flags & _ORDER else 4
    count = 0
    for at, length in blocks:
        end = at + length
        while at + prefix <= end:
            kind, length, message_flags = view.unpack("<BHB", at)
            at += prefix
            count += 1
            if at + length > end or count > _MAX_MESSAGES:
                raise _damaged(address)
            yield _message(kind, message_flags, at, length)
            if kind == _CONTINUATION:
                target, extent = _continuation(view, at, length, address)
                if extent < 8 or view.read(target, 4) != b"OCHK":
                    raise _damaged(address)
                checksum.check(view, target, extent - 4, "header block")
                blocks.append((target + 4, extent - 8))
            at += length


def _continuation(view: View, at: int, length: int, address: int) -> tuple[int, int]:
    """(address, bytes) of a continuation block."""
    if length < 16:
        raise _damaged(address)
    target, extent = view.unpack("<QQ", at)
    view.visit("header block", target)
    return target, extent


def _message(kind: int, flags: int, at: int, length: int) -> Message:
    if kind > _NEWEST and flags & _REFUSE_UNKNOWN:
        raise UnsupportedError(f"the HDF5 data has a header message of unknown type {kind}")
    return Message(kind, bool(flags & _SHARED), at, length)


def _damaged(address: int) -> BadFileError:
    return BadFileError(f"the HDF5 object header at byte {address} is damaged")
