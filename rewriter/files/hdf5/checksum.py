"""The checksums of HDF5: lookup3 for its own structures, Fletcher-32 for chunks."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ...errors import BadFileError
from .view import View

if TYPE_CHECKING:
    from .view import Buffer

_WORD = 0xFFFFFFFF
_START = 0xDEADBEEF
_BLOCK = 1 << 16  # words whose sums stay below 64 bits


def check(view: View, offset: int, size: int, what: str) -> None:
    """Raises BadFileError unless the four bytes after a structure of `size` bytes are its checksum."""
    (stored,) = view.unpack("<L", offset + size)
    if lookup3(view.read(offset, size)) != stored:
        raise BadFileError(f"the HDF5 data has a damaged {what} at byte {offset}: wrong checksum")


def lookup3(data: bytes) -> int:
    """Bob Jenkins's hash of 2006, initial value 0: the checksum of newer structures (spec III, "Checksum")."""
    a = b = c = (_START + len(data)) & _WORD
    if not data:
        return c
    padded = data + bytes(-len(data) % 12)
    words = struct.unpack(f"<{len(padded) // 4}L", padded)
    for at in range(0, len(words) - 3, 3):
        a, b, c = a + words[at] & _WORD, b + words[at + 1] & _WORD, c + words[at + 2] & _WORD
        a = (a - c & _WORD) ^ (c << 4 & _WORD | c >> 28)
        c = c + b & _WORD
        b = (b - a & _WORD) ^ (a << 6 & _WORD | a >> 26)
        a = a + c & _WORD
        c = (c - b & _WORD) ^ (b << 8 & _WORD | b >> 24)
        b = b + a & _WORD
        a = (a - c & _WORD) ^ (c << 16 & _WORD | c >> 16)
        c = c + b & _WORD
        b = (b - a & _WORD) ^ (a << 19 & _WORD | a >> 13)
        a = a + c & _WORD
        c = (c - b & _WORD) ^ (b << 4 & _WORD | b >> 28)
        b = b + a & _WORD
    a, b, c = a + words[-3] & _WORD, b + words[-2] & _WORD, c + words[-1] & _WORD
    c = _folded(c, b, 14)
    a = _folded(a, c, 11)
    b = _folded(b, a, 25)
    c = _folded(c, b, 16)
    a = _folded(a, c, 4)
    b = _folded(b, a, 14)
    return _folded(c, b, 24)


def _folded(value: int, other: int, bits: int) -> int:
    return (value ^ other) - (other << bits & _WORD | other >> 32 - bits) & _WORD


def fletcher32(data: Buffer) -> int:
    """Fletcher's checksum of big-endian 16-bit words; an odd last byte is a high byte (H5checksum.c)."""
    import numpy as np

    whole = len(data) // 2
    low = high = 0
    for at in range(0, whole, _BLOCK):
        words = np.frombuffer(data, ">u2", min(_BLOCK, whole - at), 2 * at).astype(np.uint64)
        count = len(words)
        high += count * low + int((words * np.arange(count, 0, -1, dtype=np.uint64)).sum())
        low += int(words.sum())
    if len(data) % 2:
        low += data[-1] << 8
        high += low
    return _modulo(high) << 16 | _modulo(low)


def _modulo(total: int) -> int:
    """Modulo 65535, where 65535 replaces the remainder 0 of a total above 0."""
    return (total - 1) % 65535 + 1 if total else 0
