"""Link messages: the links of a new-style group, in its header or in a heap (spec IV.A.2.c and g)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ...errors import BadFileError, UnsupportedError, shown
from . import btree
from .fractal_heap import FractalHeap
from .header import LINK, LINK_INFO, Header
from .view import UNDEFINED, View

_ORDER, _KIND, _CHARSET = 1 << 2, 1 << 3, 1 << 4
_KINDS = {1: "a soft link", 64: "a link to an external file"}
_MAX_NAME = 4096
_RECORD = 11  # a hash and the heap id of a link


class Link(NamedTuple):
    """The target address of a link; in an old-style group also the offset of the link's bytes in the file."""

    target: int
    slot: int | None = None


def message_links(view: View, header: Header) -> dict[str, Link]:
    """The links of a group by name, in the order of the names' bytes.

    Raises:
        BadFileError: damaged, a name twice, or a link other than a hard link.
    """
    found: dict[str, Link] = {}
    for name, link in _links(view, header):
        if name in found:
            raise BadFileError(f"the HDF5 data has a group with a name twice: {shown(name)}")
        found[name] = link
    return dict(sorted(found.items(), key=lambda item: item[0].encode()))


def _links(view: View, header: Header) -> Iterator[tuple[str, Link]]:
    for message in header.messages:
        if message.kind == LINK:
            yield _link(view, message.offset, message.size)
    info = header.find(LINK_INFO)
    if info is None:
        return
    version, flags = view.unpack("<BB", info.offset)
    if version != 0:
        raise UnsupportedError(f"the HDF5 data has a group with links of version {version}")
    heap, tree = view.unpack("<QQ", info.offset + (10 if flags & 1 else 2))
    if heap == UNDEFINED:
        return
    objects = FractalHeap(view, heap)
    for at in btree.records(view, tree, btree.LINKS_BY_NAME, _RECORD):
        yield _link(view, *objects.place(at + 4))


def _link(view: View, at: int, size: int) -> tuple[str, Link]:
    end = at + size
    version, flags = view.unpack("<BB", at)
    if version != 1:
        raise BadFileError(f"the HDF5 data has a damaged link at byte {at}")
    at += 2
    kind = 0
    if flags & _KIND:
        (kind,) = view.unpack("<B", at)
        at += 1
    at += (8 if flags & _ORDER else 0) + (1 if flags & _CHARSET else 0)
    width = 1 << (flags & 3)
    length = view.number(at, width)
    at += width
    if length > _MAX_NAME or at + length + (8 if kind == 0 else 0) > end:
        raise BadFileError(f"the HDF5 data has a damaged link at byte {at}")
    name = decoded(view.read(at, length))
    if kind:
        raise BadFileError(f"the HDF5 data has {_KINDS.get(kind, 'a user-defined link')}: {shown(name)}")
    (target,) = view.unpack("<Q", at + length)
    return name, Link(target)


def decoded(name: bytes) -> str:
    """The name of a link. Raises BadFileError if it is not UTF-8, or cannot be part of a path."""
    try:
        text = name.decode()
    except UnicodeDecodeError as error:
        raise BadFileError(f"the HDF5 data has a name that is not UTF-8: {shown(repr(name))}") from error
    if not text or "/" in text or "\0" in text or text in (".", ".."):
        raise BadFileError(f"the HDF5 data has an impossible name: {shown(text)}")
    return text
