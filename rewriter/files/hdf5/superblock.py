"""The superblock: where the data starts, and where its root group is (spec II.A)."""

from __future__ import annotations

from typing import NamedTuple

from ...errors import BadFileError, UnsupportedError
from ..arriving import Source
from . import checksum
from .view import UNDEFINED, Buffer, View

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_MAX_USER_BLOCK = 1 << 20
_NEWEST = 3
_OPEN_FOR_WRITING, _OPEN_FOR_ALL = 1, 4


class Superblock(NamedTuple):
    """Addresses: the root's object header, its symbol table entry (versions 0 and 1 only), the extension's header."""

    root: int
    entry: int | None
    extension: int | None


def open_view(buffer: Buffer | Source) -> View:
    """A view that starts at the signature: at 0, or after a user block of 512, 1024, 2048 and so on bytes.

    The base address in the superblock is ignored, as in libhdf5, which uses the place of the signature (H5Fsuper.c).

    Raises:
        BadFileError: empty, or not HDF5.
    """
    view = View(buffer)
    if view.size == 0:
        raise BadFileError("the HDF5 data is empty")
    at = 0
    while at <= min(_MAX_USER_BLOCK, view.size - len(SIGNATURE)):
        if view.read(at, len(SIGNATURE)) == SIGNATURE:
            return View(buffer, at) if at else view
        at = at * 2 or 512
    raise BadFileError("not HDF5 data: the signature is missing")


def read_superblock(view: View) -> Superblock:
    """The superblock, of version 0 to 3.

    Raises:
        BadFileError: cut short or damaged.
        UnsupportedError: a newer version, addresses of another width, one part of a split file, or a file that its
            writer did not close.
    """
    (version,) = view.unpack("<B", 8)
    if version > _NEWEST:
        raise UnsupportedError(f"the HDF5 data has a superblock of version {version}: not handled")
    offsets, lengths = view.unpack("<BB", 13 if version < 2 else 9)
    if (offsets, lengths) != (8, 8):
        raise UnsupportedError(
            f"the HDF5 data has addresses of {offsets} bytes and lengths of {lengths}, not of 8"
        )
    if version < 2:
        start = 24 if version == 0 else 28
        base, _, end, driver = view.unpack("<4Q", start)
        if driver != UNDEFINED:
            raise UnsupportedError("the HDF5 data is one part of a file")
        _check_end(view, base, end)
        _, root = view.unpack("<QQ", start + 32)
        return Superblock(root, start + 32, None)
    checksum.check(view, 0, 44, "superblock")
    flags, base, extension, end, root = view.unpack("<B4Q", 11)
    if flags & ~(_OPEN_FOR_WRITING | _OPEN_FOR_ALL):
        raise BadFileError("the HDF5 data has a damaged superblock")
    if flags:
        raise UnsupportedError("the HDF5 data was not closed by its writer: repair it with h5clear -s FILE")
    _check_end(view, base, end)
    return Superblock(root, None, None if extension == UNDEFINED else extension)


def _check_end(view: View, base: int, end: int) -> None:
    """Raises BadFileError if the file is shorter than the end address, which counts from the writer's file start."""
    if end - base > view.size or end < base:
        raise BadFileError(f"the HDF5 data is cut short: {view.size} of {end - base} bytes")
