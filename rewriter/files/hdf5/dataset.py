"""Shape, type and stored bytes of a dataset."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ...errors import BadFileError, UnsupportedError
from .attribute import Place, read_attribute, string_values
from .chunks import Chunks, Space, read_chunks
from .datatype import OPAQUE, Type, read_limits, read_shape, read_type
from .filters import RATIO, applied, check_size, read_filters
from .header import DATASPACE, DATATYPE, EXTERNAL_FILES, FILL, LAYOUT, OLD_FILL, Header, Message
from .view import UNDEFINED, View

_COMPACT, _CONTIGUOUS, _CHUNKED, _VIRTUAL = 0, 1, 2, 3
_UNWRITTEN = 1 << 20  # bytes that a dataset may declare without storing them
_FILL_DEFINED = 1 << 5


class Dataset(NamedTuple):
    """A dataset whose declared bytes are stored in the file, or are its fill value.

    `dtype` is a string for `numpy.dtype` ("<f4", "|b1", "|S5", "|V8"); "bfloat16" needs ml_dtypes; "|O" is not numeric.
    `offset` is the place of its `nbytes` contiguous bytes in C order, or None if they are not contiguous.

    Attributes:
        type: the type in the file, where "bfloat16" can be two opaque bytes with an attribute.
        chunks: its chunks, or None.
        fill: the bytes of the fill value of one element; empty for zeros.
        stored: how many of its bytes the file stores.
    """

    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    offset: int | None
    type: Type
    chunks: Chunks | None = None
    fill: bytes = b""
    stored: int = 0


def read_dataset(view: View, header: Header, attributes: Callable[[], Mapping[str, Place]]) -> Dataset:
    """The dataset of an object header.

    Args:
        attributes: returns the places of its attributes.

    Raises:
        BadFileError: damaged, external or virtual storage, or it declares more bytes than it stores.
        UnsupportedError: not a dataset, no shape, or a layout or filter that is not read.
    """
    if any(message.kind == EXTERNAL_FILES for message in header.messages):
        raise BadFileError("the HDF5 data has a dataset with its content in another file")
    space, kind, layout = (header.find(which) for which in (DATASPACE, DATATYPE, LAYOUT))
    if space is None or kind is None or layout is None:
        raise UnsupportedError(f"the HDF5 object at byte {header.address} is neither a group nor a dataset")
    shape = read_shape(view, space.offset)
    if shape is None:
        raise UnsupportedError("the HDF5 data has a dataset without a shape")
    element = read_type(view, kind.offset)
    marked = (element.dtype, element.kind) == ("|V2", OPAQUE) and _is_bfloat16(view, attributes())
    nbytes = math.prod(shape) * element.size
    plain = Dataset(shape, "bfloat16" if marked else element.dtype, nbytes, None, element)
    return _stored(view, header, layout, plain._replace(fill=_fill(view, header, element.size)))


def _is_bfloat16(view: View, attributes: Mapping[str, Place]) -> bool:
    """Whether it is bfloat16: Keras 3.15 writes two opaque bytes and an attribute (saving_lib.py, H5IOStore)."""
    place = attributes.get("dtype")
    return place is not None and string_values(view, read_attribute(view, place)) == ["bfloat16"]


def _stored(view: View, header: Header, layout: Message, dataset: Dataset) -> Dataset:
    """The dataset with its place, checked to be stored in full (data layout message, spec IV.A.2.i)."""
    version, kind = view.unpack("<BB", layout.offset)
    if version not in (3, 4):
        raise UnsupportedError(f"the HDF5 data has a dataset with a layout of version {version}")
    if kind == _CHUNKED:
        return _in_chunks(view, header, layout, dataset)
    if kind == _COMPACT:
        (size,) = view.unpack("<H", layout.offset + 2)
        offset = layout.offset + 4
    elif kind == _CONTIGUOUS:
        offset, size = view.unpack("<QQ", layout.offset + 2)
        if offset == UNDEFINED:
            _check_fill(dataset, 0)
            return dataset if dataset.nbytes else dataset._replace(offset=view.base)
    elif kind == _VIRTUAL:
        raise BadFileError("the HDF5 data has a virtual dataset")
    else:
        raise BadFileError(f"the HDF5 data has a dataset with a layout of unknown kind {kind}")
    if dataset.nbytes > size:
        raise BadFileError(
            f"the HDF5 data has a dataset that declares {dataset.nbytes} bytes and stores {size}"
        )
    view.check(offset, dataset.nbytes)
    return dataset._replace(offset=view.base + offset, stored=dataset.nbytes)


def _in_chunks(view: View, header: Header, layout: Message, dataset: Dataset) -> Dataset:
    space = header.find(DATASPACE)
    limits = read_limits(view, space.offset) if space is not None else None
    filters = read_filters(view, header)
    place = Space(dataset.shape, limits or dataset.shape, dataset.type.size)
    chunks = read_chunks(view, layout.offset, place, filters)
    size = math.prod(chunks.shape) * dataset.type.size
    for chunk in chunks.stored:
        if not check_size(applied(filters, chunk.mask), chunk.size, size):
            raise BadFileError(
                f"the HDF5 data has a chunk that declares {size} bytes and stores {chunk.size}"
            )
    stored = sum(chunk.size for chunk in chunks.stored)
    steps = zip(dataset.shape, chunks.shape, strict=True)
    if len(chunks.stored) < math.prod(-(-extent // step) for extent, step in steps):
        _check_fill(dataset, stored)
    return dataset._replace(chunks=chunks, stored=stored)


def _check_fill(dataset: Dataset, stored: int) -> None:
    """Raises BadFileError if the dataset declares far more bytes than it stores: unwritten parts use no space."""
    if dataset.nbytes > max(stored * RATIO, _UNWRITTEN):
        raise BadFileError(
            f"the HDF5 data has a dataset that declares {dataset.nbytes} bytes and stores {stored}"
        )


def _fill(view: View, header: Header, size: int) -> bytes:
    """The fill value, from the newer message if both exist (spec IV.A.2.e and f); b"" for zeros."""
    message, old = header.find(FILL), header.find(OLD_FILL)
    if message is not None:
        version, flags = view.unpack("<BB", message.offset)
        at = message.offset + 4
        if version == 3:
            defined, at = bool(flags & _FILL_DEFINED), message.offset + 2
        elif version in (1, 2):
            defined = bool(view.unpack("<B", message.offset + 3)[0])
        else:
            raise BadFileError(f"the HDF5 data has a damaged fill value at byte {message.offset}")
    elif old is not None:
        defined, at = True, old.offset
    else:
        return b""
    if not defined:
        return b""
    (length,) = view.unpack("<l", at)
    if length <= 0:
        return b""
    if length != size:
        raise BadFileError(f"the HDF5 data has a fill value of {length} bytes for elements of {size}")
    value = view.read(at + 4, size)
    return value if any(value) else b""
