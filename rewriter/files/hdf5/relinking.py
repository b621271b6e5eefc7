"""Permute the names in a group without moving the objects."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import UnsupportedError
from .index import Hdf5Index
from .symbol_table import LINK_SIZE
from .view import Buffer


def relink(
    buffer: Buffer, group: str, mapping: Mapping[str, str], index: Hdf5Index | None = None
) -> list[tuple[int, bytes]]:
    """The byte patches, by rising offset, that link each object named `old` as `mapping[old]`.

    The names stay in place, so the B-tree stays sorted. The rest of each symbol table entry moves: the address of the
    object and the cached copy of a group's own addresses (spec III.C). Names that `mapping` lacks or maps to themselves
    need no patch.

    Args:
        index: the index of the same buffer, if it exists already.

    Raises:
        ValueError: `mapping` is not a permutation of names in the group.
        KeyError: no such group.
        BadFileError: as `Hdf5Index`.
        UnsupportedError: as `Hdf5Index`, or a new-style group (libver='latest', track_order).
    """
    index = Hdf5Index(buffer) if index is None else index
    links = index.links(group)
    if set(mapping) != set(mapping.values()) or len(set(mapping.values())) != len(mapping):
        raise ValueError("the new names are not a permutation of the old ones")
    if missing := sorted(mapping.keys() - links.keys()):
        raise ValueError(f"the group {group!r} has no {missing}")
    data = memoryview(buffer).cast("B")[index.start :]
    patches = []
    for old, new in mapping.items():
        source, slot = links[old].slot, links[new].slot
        if source is None or slot is None:
            raise UnsupportedError(
                "the weights file has new-style groups (libver='latest' or track_order): their names cannot change"
            )
        if source != slot:
            patches.append((index.start + slot, data[source : source + LINK_SIZE].tobytes()))
    return sorted(patches)
