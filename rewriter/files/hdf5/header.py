"""The superblock, and object headers as lists of messages."""

from __future__ import annotations

from typing import NamedTuple

from ...errors import BadFileError, UnsupportedError
from .view import UNDEFINED, View

SIGNATURE = b"\x89HDF\r\n\x1a\n"

DATASPACE = 0x01
LINK_INFO = 0x02
DATATYPE = 0x03
LINK = 0x06
EXTERNAL_FILES = 0x07
LAYOUT = 0x08
FILTERS = 0x0B
ATTRIBUTE = 0x0C
ATTRIBUTE_INFO = 0x15
_CONTINUATION = 0x10
SYMBOL_TABLE = 0x11

_SHARED = 1 << 1
_MAX_USER_BLOCK = 1 << 20


class Message(NamedTuple):
    """One header message: its type, and where its data lies in the file."""

    kind: int
    shared: bool
    offset: int
    size: int


class Header(NamedTuple):
    """The messages of one object, in file order."""

    address: int
    messages: tuple[Message, ...]

    def find(self, kind: int) -> Message | None:
        """The first message of a type; BadFileError if its data is shared, which nothing Keras writes is."""
        for message in self.messages:
            if message.kind == kind:
                if message.shared:
                    raise UnsupportedError("the HDF5 data uses shared messages or named types")
                return message
        return None


def root_entry(view: View) -> int:
    """Where the symbol table entry of the root group lies in a superblock of version 0 or 1 (spec II.A).

    Raises:
        BadFileError: not HDF5, or cut short.
        UnsupportedError: a user block, or a file with `libver="latest"`.
    """
    if view.size == 0:
        raise BadFileError("the HDF5 data is empty")
    if view.read(0, min(8, view.size)) != SIGNATURE:
        raise _no_signature(view)
    version, _, _, _, _, offsets, lengths = view.unpack("<7B", 8)
    if version > 1:
        raise UnsupportedError(
            f"the HDF5 data has a superblock of version {version} (libver='latest'): not handled"
        )
    if (offsets, lengths) != (8, 8):
        raise UnsupportedError(
            f"the HDF5 data has addresses of {offsets} bytes and lengths of {lengths}, not of 8"
        )
    start = 24 if version == 0 else 28
    base, _, end, driver = view.unpack("<4Q", start)
    if base != 0 or driver != UNDEFINED:
        raise UnsupportedError("the HDF5 data is one part of a file, or comes after a user block")
    if end > view.size:
        raise BadFileError(f"the HDF5 data is cut short: {view.size} of {end} bytes")
    return start + 32


def _no_signature(view: View) -> BadFileError | UnsupportedError:
    """Spec II.A: the superblock may start at 0, 512, 1024, 2048 and so on."""
    at = 512
    while at <= min(_MAX_USER_BLOCK, view.size - 8):
        if view.read(at, 8) == SIGNATURE:
            return UnsupportedError(f"the HDF5 data comes after a user block of {at} bytes")
        at *= 2
    return BadFileError("not HDF5 data: the signature is missing")


def read_header(view: View, address: int) -> Header:
    """The object header at an address (spec IV.A.1.a).

    Raises:
        BadFileError: damaged, or this header was read before.
        UnsupportedError: a header of version 2, as `libver="latest"` and `track_order=True` write.
    """
    view.visit("object header", address)
    if view.read(address, 4) == b"OHDR":
        raise UnsupportedError(
            "the HDF5 data has object headers of version 2 (libver='latest' or track_order)"
        )
    version, _, count, _, size = view.unpack("<BBHLL", address)
    if version != 1:
        raise BadFileError(f"the HDF5 data has no object header at byte {address}")
    messages: list[Message] = []
    blocks = [(address + 16, size)]
    for block in blocks:
        at, length = block
        view.check(at, length)
        end = at + length
        while at + 8 <= end and len(messages) < count:
            kind, length, flags = view.unpack("<HHB", at)
            at += 8
            if at + length > end:
                raise BadFileError(f"the HDF5 object header at byte {address} is damaged")
            message = Message(kind, bool(flags & _SHARED), at, length)
            messages.append(message)
            if kind == _CONTINUATION:
                target, extent = view.unpack("<QQ", at)
                view.visit("header block", target)
                blocks.append((target, extent))
            at += length
    if len(messages) != count:
        raise BadFileError(
            f"the HDF5 object header at byte {address} declares {count} messages, has {len(messages)}"
        )
    return Header(address, tuple(messages))
