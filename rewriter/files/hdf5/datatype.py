"""Dataspaces and datatypes: the shape and the element type of a dataset or an attribute."""

from __future__ import annotations

from typing import NamedTuple

from ...errors import BadFileError, UnsupportedError
from .view import View

_MAX_RANK = 32
_SCALAR, _SIMPLE, _NULL = 0, 1, 2
_MAX_NESTING = 8
_CHARSETS = {0: "ascii", 1: "utf-8"}

INTEGER, FLOAT, STRING, OPAQUE, ENUM, VARIABLE = 0, 1, 3, 5, 8, 9

# The layouts of IEEE 754 numbers and bfloat16: name -> position of the sign, bit offset, precision, position and
# bits of the exponent, position and bits of the mantissa, bias (spec IV.A.2.d, class 1).
_FLOATS = {
    "f2": (15, 0, 16, 10, 5, 0, 10, 15),
    "f4": (31, 0, 32, 23, 8, 0, 23, 127),
    "f8": (63, 0, 64, 52, 11, 0, 52, 1023),
    "bfloat16": (15, 0, 16, 7, 8, 0, 7, 127),
}
_IMPLIED_BIT, _VAX_ORDER, _NORMALISED = 2, 1 << 6, 3 << 4

# The enumeration that h5py writes for NumPy's bool: FALSE is 0, TRUE is 1. Names end in a NUL; before version 3 they
# are padded to eight bytes.
_BOOL_OLD, _BOOL_NEW = b"FALSE\0\0\0TRUE\0\0\0\0\0\1", b"FALSE\0TRUE\0\0\1"


class Type(NamedTuple):
    """The type of an element.

    `dtype` is a string for `numpy.dtype` ("<f4", "|b1", "|S5", "|V8"); "bfloat16" needs ml_dtypes; "|O" is a
    variable-length string, or a type that is not read.

    Attributes:
        kind: the class of the type in the file (`INTEGER` and so on).
        size: bytes of an element.
        charset: "ascii" or "utf-8" for a string, else "".
        padding: how a fixed-length string ends: 0 in a NUL, 1 in NULs up to its length, 2 in spaces.
    """

    dtype: str
    kind: int
    size: int
    charset: str = ""
    padding: int = 0

    @property
    def is_text(self) -> bool:
        return bool(self.charset)


def read_shape(view: View, offset: int) -> tuple[int, ...] | None:
    """The sizes in a dataspace message (spec IV.A.2.b); None for a null dataspace."""
    version, rank, _, kind = view.unpack("<4B", offset)
    if version not in (1, 2) or rank > _MAX_RANK or (version == 2 and kind not in (_SCALAR, _SIMPLE, _NULL)):
        raise BadFileError(f"the HDF5 data has a damaged dataspace at byte {offset}")
    if version == 2 and kind == _NULL:
        return None
    sizes: tuple[int, ...] = view.unpack(f"<{rank}Q", offset + (8 if version == 1 else 4))
    limits = read_limits(view, offset)
    if limits is not None and any(size > limit for size, limit in zip(sizes, limits, strict=True)):
        raise BadFileError(f"the HDF5 data has a damaged dataspace at byte {offset}")
    return sizes


def read_limits(view: View, offset: int) -> tuple[int, ...] | None:
    """The maximum sizes in a dataspace message, or None if they equal the sizes."""
    version, rank, flags, _ = view.unpack("<4B", offset)
    if not flags & 1:
        return None
    at = offset + (8 if version == 1 else 4) + 8 * rank
    limits: tuple[int, ...] = view.unpack(f"<{rank}Q", at)
    return limits


def read_type(view: View, offset: int, nesting: int = 0) -> Type:
    """The element type of a datatype message (spec IV.A.2.d).

    A number whose layout NumPy lacks is raw bytes ("|V4").
    """
    start, low, middle, _, size = view.unpack("<4BL", offset)
    kind, version = start & 15, start >> 4
    if not 1 <= version <= 5 or size == 0 or nesting > _MAX_NESTING:
        raise BadFileError(f"the HDF5 data has a damaged datatype at byte {offset}")
    order = "|" if size == 1 else ">" if low & 1 else "<"
    raw = Type(f"|V{size}", kind, size)
    if kind == INTEGER:
        whole = size in (1, 2, 4, 8) and view.unpack("<HH", offset + 8) == (0, 8 * size)
        return Type(f"{order}{'i' if low & 8 else 'u'}{size}", kind, size) if whole else raw
    if kind == FLOAT:
        return raw._replace(dtype=_float_type(view, offset, order, size) or raw.dtype)
    if kind == STRING:
        return Type(f"|S{size}", kind, size, _charset(low >> 4, offset), low & 15)
    if kind == ENUM:
        return _enumeration(view, offset, nesting, middle << 8 | low, size)
    if kind == VARIABLE:
        charset = _charset(middle & 15, offset) if low & 15 == 1 else ""
        return Type("|O", kind, size, charset)
    return raw._replace(dtype="|O") if kind == 7 else raw


def _enumeration(view: View, offset: int, nesting: int, members: int, size: int) -> Type:
    base = read_type(view, offset + 8, nesting + 1)
    if base.kind != INTEGER or base.size != size:
        raise UnsupportedError("the HDF5 data has an enumeration that is not of integers")
    version = view.unpack("<B", offset)[0] >> 4
    names = _BOOL_NEW if version >= 3 else _BOOL_OLD
    at = offset + 8 + 12
    is_bool = (
        size == 1 and members == 2 and at + len(names) <= view.size and view.read(at, len(names)) == names
    )
    return Type("|b1" if is_bool else base.dtype, ENUM, size)


def _float_type(view: View, offset: int, order: str, size: int) -> str | None:
    _, low, sign, _ = view.unpack("<4B", offset)
    if low & _VAX_ORDER or (low & _NORMALISED) >> 4 != _IMPLIED_BIT:
        return None
    *fields, bias = view.unpack("<HHBBBBL", offset + 8)
    for name, layout in _FLOATS.items():
        if (sign, *fields, bias) == layout and layout[2] == 8 * size:
            return (
                name if name == "bfloat16" and order == "<" else f"{order}{name}" if name[0] == "f" else None
            )
    return None


def _charset(number: int, offset: int) -> str:
    try:
        return _CHARSETS[number]
    except KeyError:
        raise BadFileError(f"the HDF5 data has a damaged datatype at byte {offset}") from None
