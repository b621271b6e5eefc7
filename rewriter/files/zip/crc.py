"""CRC-32 of a change: how overwriting a few bytes changes the CRC, without reading the rest a second time.

CRC-32 is linear over GF(2): for contents of equal length crc(new) ^ crc(old) depends only on new ^ old. `n` equal bytes
multiply this difference by x^(8n) modulo the polynomial (zlib 1.2.13, crc32.c, `multmodp`).
"""

from __future__ import annotations

import functools
import zlib

_POLYNOMIAL = 0xEDB88320
_ONE = 1 << 31
_X8 = 1 << 23


def appended(difference: int, old: bytes, new: bytes) -> int:
    """The difference of the CRCs of two contents after appending `old` and `new`, which have one length."""
    if difference:
        difference = _multiply(difference, _x_to_bytes(len(old)))
    return difference if old is new else difference ^ zlib.crc32(old) ^ zlib.crc32(new)


@functools.lru_cache(maxsize=16)
def _x_to_bytes(count: int) -> int:
    """x^(8 * count) modulo the polynomial; the highest bit is the coefficient of x^0."""
    power, square = _ONE, _X8
    while count:
        if count & 1:
            power = _multiply(power, square)
        square = _multiply(square, square)
        count >>= 1
    return power


def _multiply(a: int, b: int) -> int:
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = (a << 1) & 0xFFFFFFFF
        b = (b >> 1) ^ (_POLYNOMIAL if b & 1 else 0)
    return product
