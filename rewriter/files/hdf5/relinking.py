"""Permute the names in a group without touching what they name."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import UnsupportedError
from .index import Hdf5Index
from .symbol_table import LINK_SIZE
from .view import Buffer


def relink(
    buffer: Buffer, group: str, mapping: Mapping[str, str], index: Hdf5Index | None = None
) -> list[tuple[int, bytes]]:
    """The byte patches, by rising offset, after which what was linked as `old` is linked as `mapping[old]`.

    The names stay where they are, so the B-tree stays sorted; what moves is the rest of each symbol table entry: the
    address of the object and the cached copy of a group's own addresses (spec III.C). Names with no entry in `mapping`,
    and names mapped to themselves, need no patch.

    Args:
        index: the index of the same buffer, if there is one already.

    Raises:
        ValueError: `mapping` is not a permutation of names in the group.
        KeyError: there is no such group.
        BadFileError: as `Hdf5Index`.
        UnsupportedError: as `Hdf5Index`, or a group of the new style (libver='latest', track_order).
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
                "the weights file has groups of the new style (libver='latest' or track_order), whose names stay"
            )
        if source != slot:
            patches.append((index.start + slot, data[source : source + LINK_SIZE].tobytes()))
    return sorted(patches)
