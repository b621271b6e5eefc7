"""CRC-32C (Castagnoli) as tables of LevelDB have it, masked (``tensorflow/core/lib/hash/crc32c.h``)."""

from __future__ import annotations

_POLYNOMIAL = 0x82F63B78
_MASK = 0xA282EAD8


def _table() -> tuple[int, ...]:
    result = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        result.append(value)
    return tuple(result)


_TABLE = _table()


def crc32c(data: bytes | memoryview) -> int:
    value = 0xFFFFFFFF
    table = _TABLE
    for byte in bytes(data):
        value = value >> 8 ^ table[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def masked(data: bytes | memoryview) -> int:
    """The checksum as it is stored: a checksum of data with checksums in it would tell little otherwise."""
    value = crc32c(data)
    return ((value >> 15 | value << 17) + _MASK) & 0xFFFFFFFF
