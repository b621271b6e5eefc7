"""Shape, type and stored bytes of a dataset."""

from __future__ import annotations

import math
from typing import NamedTuple

from ...errors import BadFileError, UnsupportedError
from .attribute import find_attribute, string_values
from .datatype import read_shape, read_type
from .header import DATASPACE, DATATYPE, EXTERNAL_FILES, FILTERS, LAYOUT, Header, Message
from .view import UNDEFINED, View

_MAX_LEVEL = 16

_DEFLATE, _SHUFFLE, _FLETCHER32 = 1, 2, 3
_DEFLATE_RATIO = 1032


class Dataset(NamedTuple):
    """A dataset whose declared bytes are really stored.

    `dtype` is what `numpy.dtype` takes ("<f4", "|b1", "|S5", "|V8"); "bfloat16" needs ml_dtypes, "|O" is not numbers.
    `offset` is where its `nbytes` bytes lie in the file in C order, or None if they lie in chunks.
    """

    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    offset: int | None


def read_dataset(view: View, header: Header) -> Dataset:
    """The dataset of an object header.

    Raises:
        BadFileError: damaged, external or virtual storage, or more bytes declared than stored.
        UnsupportedError: a form that h5py does not write by default.
    """
    if any(message.kind == EXTERNAL_FILES for message in header.messages):
        raise BadFileError("the HDF5 data has a dataset with its content in another file")
    space, kind, layout = (header.find(which) for which in (DATASPACE, DATATYPE, LAYOUT))
    if space is None or kind is None or layout is None:
        raise UnsupportedError(f"the HDF5 object at byte {header.address} is neither a group nor a dataset")
    shape = read_shape(view, space.offset)
    dtype, itemsize = read_type(view, kind.offset)
    if dtype == "|V2" and _is_bfloat16(view, header):
        dtype = "bfloat16"
    nbytes = math.prod(shape) * itemsize
    return Dataset(shape, dtype, nbytes, _stored(view, header, layout, shape, nbytes))


def _is_bfloat16(view: View, header: Header) -> bool:
    """Keras 3.15 writes bfloat16 as two opaque bytes and says so in an attribute (saving_lib.py, H5IOStore)."""
    found = find_attribute(view, header, "dtype")
    return found is not None and string_values(view, found)[1] == ["bfloat16"]


def _stored(view: View, header: Header, layout: Message, shape: tuple[int, ...], nbytes: int) -> int | None:
    """Where the content lies, once all of it is known to be there (data layout message, spec IV.A.2.i)."""
    version, kind = view.unpack("<BB", layout.offset)
    if version == 4 and kind == 3:
        raise BadFileError("the HDF5 data has a virtual dataset")
    if version not in (3, 4) or (version == 4 and kind == 2):
        raise UnsupportedError(f"the HDF5 data has a dataset with a layout of version {version}, kind {kind}")
    if kind == 2:
        _check_chunks(view, header, layout, shape, nbytes)
        return None
    if kind == 0:
        (size,) = view.unpack("<H", layout.offset + 2)
        offset = layout.offset + 4
    elif kind == 1:
        offset, size = view.unpack("<QQ", layout.offset + 2)
        if offset == UNDEFINED:
            offset = size = 0
    else:
        raise BadFileError(f"the HDF5 data has a dataset with a layout of unknown kind {kind}")
    if nbytes > size:
        raise BadFileError(f"the HDF5 data has a dataset that declares {nbytes} bytes and stores {size}")
    view.check(offset, nbytes)
    return int(offset)


def _check_chunks(view: View, header: Header, layout: Message, shape: tuple[int, ...], nbytes: int) -> None:
    dimensions, tree = view.unpack("<BQ", layout.offset + 2)
    if dimensions != len(shape) + 1:
        raise BadFileError("the HDF5 data has a dataset whose chunks have another rank")
    *chunk, itemsize = view.unpack(f"<{dimensions}L", layout.offset + 11)
    if 0 in chunk:
        raise BadFileError("the HDF5 data has a dataset with empty chunks")
    ratio = _filter_ratio(view, header)
    needed = math.prod(-(-size // step) for size, step in zip(shape, chunk, strict=True))
    count, stored = (0, 0) if tree == UNDEFINED else _stored_chunks(view, tree, dimensions)
    if (
        count < needed
        or stored * ratio < nbytes
        or (ratio == 1 and stored != count * math.prod(chunk) * itemsize)
    ):
        raise BadFileError(f"the HDF5 data has a dataset that declares {nbytes} bytes and stores {stored}")


def _filter_ratio(view: View, header: Header) -> int:
    """How much smaller the stored bytes may honestly be (filter pipeline message, spec IV.A.2.l)."""
    message = header.find(FILTERS)
    if message is None:
        return 1
    version, count = view.unpack("<BB", message.offset)
    if version != 1:
        raise UnsupportedError("the HDF5 data has a dataset with an unknown filter")
    at = message.offset + 8
    filters = []
    for _ in range(count):
        which, name_size, _, values = view.unpack("<4H", at)
        at += 8 + (name_size + 7) // 8 * 8 + (values + values % 2) * 4
        filters.append(which)
    if set(filters) - {_DEFLATE, _SHUFFLE, _FLETCHER32}:
        raise UnsupportedError("the HDF5 data has a dataset with an unknown filter")
    return _DEFLATE_RATIO if filters else 1


def _stored_chunks(view: View, tree: int, dimensions: int) -> tuple[int, int]:
    """(chunks, their stored bytes) of a B-tree over chunks (spec III.A.1, node type 1)."""
    key = 8 + 8 * dimensions
    count = stored = 0
    last: tuple[int, ...] = ()
    waiting: list[tuple[int, int | None]] = [(tree, None)]
    while waiting:
        node, expected = waiting.pop()
        view.visit("B-tree node", node)
        magic, kind, level, used = view.unpack("<4sBBH", node)
        if magic != b"TREE" or kind != 1 or level > _MAX_LEVEL or expected not in (None, level):
            raise BadFileError(f"the HDF5 data has no B-tree node of chunks at byte {node}")
        children = []
        for at in range(node + 24, node + 24 + used * (key + 8), key + 8):
            size, _, *corner, child = view.unpack(f"<LL{dimensions + 1}Q", at)
            children.append((child, level - 1))
            if level == 0:
                view.check(child, size)
                if tuple(corner) <= last:
                    raise BadFileError("the HDF5 data has a dataset with a chunk stored twice")
                last = tuple(corner)
                count, stored = count + 1, stored + size
        if level:
            waiting.extend(reversed(children))
    return count, stored
