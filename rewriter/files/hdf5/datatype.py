"""Dataspaces and datatypes: the shape and the element type of a dataset or an attribute."""

from __future__ import annotations

from ...errors import BadFileError, UnsupportedError
from .view import View

_MAX_RANK = 32
_SIMPLE_SPACES = (0, 1)
_MAX_NESTING = 8


def read_shape(view: View, offset: int) -> tuple[int, ...]:
    """The sizes in a dataspace message (spec IV.A.2.b)."""
    version, rank, _, kind = view.unpack("<4B", offset)
    if version not in (1, 2) or rank > _MAX_RANK:
        raise BadFileError(f"the HDF5 data has a damaged dataspace at byte {offset}")
    if version == 2 and kind not in _SIMPLE_SPACES:
        raise UnsupportedError("the HDF5 data has a dataset or attribute without a shape")
    sizes: tuple[int, ...] = view.unpack(f"<{rank}Q", offset + (8 if version == 1 else 4))
    return sizes


def read_type(view: View, offset: int, nesting: int = 0) -> tuple[str, int]:
    """(what `numpy.dtype` takes, bytes of one element) of a datatype message (spec IV.A.2.d)."""
    start, low, _, _, size = view.unpack("<4BL", offset)
    kind, version = start & 15, start >> 4
    if not 1 <= version <= 5 or size == 0 or nesting > _MAX_NESTING:
        raise BadFileError(f"the HDF5 data has a damaged datatype at byte {offset}")
    order = "|" if size == 1 else ">" if low & 1 else "<"
    if kind == 0 and size in (1, 2, 4, 8):
        return f"{order}{'i' if low & 8 else 'u'}{size}", size
    if kind == 1 and size in (2, 4, 8):
        return _float_type(view, offset, order, size), size
    if kind == 3:
        return f"|S{size}", size
    if kind == 8:
        base, _ = read_type(view, offset + 8, nesting + 1)
        is_bool = size == 1 and view.read(offset + 8 + 12, 16) == b"FALSE\0\0\0TRUE\0\0\0\0"
        return "|b1" if is_bool else base, size
    if kind in (7, 9):
        return "|O", size
    return f"|V{size}", size


def _float_type(view: View, offset: int, order: str, size: int) -> str:
    """IEEE 754 layouts are recognised by the sizes of exponent and mantissa; anything else is raw bytes."""
    _, _, _, exponent, _, mantissa = view.unpack("<HHBBBB", offset + 8)
    if (size, exponent, mantissa) in ((2, 5, 10), (4, 8, 23), (8, 11, 52)):
        return f"{order}f{size}"
    return "bfloat16" if (order, size, exponent, mantissa) == ("<", 2, 8, 7) else f"|V{size}"
