"""Variable-length strings, which are stored in collections of the global heap (spec III.E)."""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import BadFileError
from .view import View

REFERENCE = 16
"""Bytes of a reference to a string: its length, the collection, the index in the collection (spec IV.B)."""


def heap_texts(view: View, starts: Iterable[int]) -> list[bytes]:
    """The strings of references at the offsets `starts`, each up to its first NUL.

    Raises:
        BadFileError: damaged, or the strings together are longer than the file: a valid file stores each one once.
    """
    texts = []
    total = 0
    for at in starts:
        texts.append(_text(view, at))
        total += len(texts[-1])
        if total > view.size:
            raise BadFileError("the HDF5 data has texts that share their bytes")
    return [text.partition(b"\0")[0] for text in texts]


def _text(view: View, at: int) -> bytes:
    length, collection, wanted = view.unpack("<LQL", at)
    if length == 0:
        return b""
    if collection not in view.heaps:
        view.heaps[collection] = _objects(view, collection)
    position, extent = view.heaps[collection].get(wanted, (0, 0))
    if length > extent:
        raise BadFileError("the HDF5 data has a text that is not stored in its heap")
    return view.read(position, length)


def _objects(view: View, collection: int) -> dict[int, tuple[int, int]]:
    """(offset, bytes) of each object of a collection, by its index."""
    objects: dict[int, tuple[int, int]] = {}
    magic, version, size = view.unpack("<4sB3xQ", collection)
    if magic != b"GCOL" or version != 1:
        raise BadFileError(f"the HDF5 data has no global heap at byte {collection}")
    view.check(collection, size)
    position, end = collection + 16, collection + size
    while position + 16 <= end:
        index, _, extent = view.unpack("<HH4xQ", position)
        position += 16
        if index == 0 or position + extent > end:
            break
        objects.setdefault(index, (position, extent))
        position += -(-extent // 8) * 8
    return objects
