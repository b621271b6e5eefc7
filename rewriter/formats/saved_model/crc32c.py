"""CRC-32C (Castagnoli). TensorFlow and LevelDB store a masked form of it beside their data.

Long data is split into pieces of equal length, whose sums are computed in parallel. To join them, a sum is advanced
over the zero bytes of one piece, which is a linear map of its bits. Source: RFC 3720, appendix B.4;
``tsl/lib/hash/crc32c.h`` (TensorFlow 2.21) for the mask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

_POLYNOMIAL = 0x82F63B78  # its bits in reverse order
_ALL = 0xFFFFFFFF
_MASK = 0xA282EAD8
_SHORT = 4096  # shorter data is not split: a plain loop is as fast
_PIECE = 2048


def _table() -> list[int]:
    result = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        result.append(value)
    return result


_TABLE = _table()


def crc32c(data: bytes | memoryview) -> int:
    """The CRC-32C of data: 0xE3069283 of ``b"123456789"``."""
    if len(data) < _SHORT:
        return _walked(data, _ALL) ^ _ALL
    whole = len(data) // _PIECE * _PIECE
    columns = np.ascontiguousarray(np.frombuffer(data[:whole], np.uint8).reshape(-1, _PIECE).T)
    table = np.array(_TABLE, np.uint32)
    sums = np.zeros(columns.shape[1], np.uint32)
    for column in columns:
        sums = table[(sums ^ column) & 255] ^ (sums >> 8)
    behind_piece = _zeros(_PIECE)
    result = _ALL
    for each in sums.tolist():
        result = behind_piece(result) ^ each
    return _walked(data[whole:], result) ^ _ALL


def masked(data: bytes | memoryview) -> int:
    """The checksum as it is stored. The mask keeps it meaningful for data that itself contains checksums."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + _MASK) & _ALL


def _walked(data: bytes | memoryview, crc: int) -> int:
    for byte in bytes(data):
        crc = _TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc


def _zeros(count: int) -> Callable[[int], int]:
    """A function that advances a sum over ``count`` zero bytes; ``count`` is a power of two."""
    images = [_walked(b"\0", 1 << bit) for bit in range(32)]
    while count > 1:
        images = [_image(images, image) for image in images]
        count //= 2
    tables = [[_image(images[8 * k : 8 * k + 8], byte) for byte in range(256)] for k in range(4)]
    return lambda crc: (
        tables[0][crc & 255] ^ tables[1][crc >> 8 & 255] ^ tables[2][crc >> 16 & 255] ^ tables[3][crc >> 24]
    )


def _image(images: Sequence[int], value: int) -> int:
    """The image of a value under a linear map, given the images of its single bits."""
    result = 0
    for bit, image in enumerate(images):
        if value >> bit & 1:
            result ^= image
    return result
