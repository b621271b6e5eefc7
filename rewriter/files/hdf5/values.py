"""The values of datasets and attributes as NumPy arrays."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ...errors import UnsupportedError
from .attribute import Attribute, raw_texts
from .chunks import Chunks
from .dataset import Dataset
from .datatype import OPAQUE, VARIABLE, Type
from .filters import applied, undone
from .global_heap import REFERENCE, heap_texts
from .view import View

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MAX_TEXTS = 1_000_000


def dataset_values(view: View, dataset: Dataset, as_stored: bool = False) -> NDArray[Any]:
    """The numbers or strings of a dataset: mapped if they are contiguous, else read.

    Variable-length strings are `bytes` in an array of objects.

    Args:
        as_stored: keep the byte order of the file, and bfloat16 as the bytes in the file.

    Raises:
        BadFileError: a chunk is damaged.
        UnsupportedError: neither numbers that NumPy has a type for, nor strings, nor opaque bytes.
    """
    import numpy as np

    stored = _stored_dtype(dataset.type.dtype if as_stored else dataset.dtype, dataset.type)
    if stored.kind == "O":
        return _texts(view, dataset)
    count = math.prod(dataset.shape)
    if not count:
        return np.zeros(dataset.shape, stored if as_stored else stored.newbyteorder("="))
    if dataset.offset is not None:
        window = view.window(dataset.offset - view.base, dataset.nbytes)
        result = np.frombuffer(window, stored, count).reshape(dataset.shape)
    else:
        result = np.zeros(dataset.shape, stored)
        if dataset.fill:
            result[...] = np.frombuffer(dataset.fill, stored)[0]
        if dataset.chunks is not None:
            _place(view, dataset.chunks, result)
    return result if as_stored else result.astype(stored.newbyteorder("="), copy=False)


def attribute_values(view: View, attribute: Attribute) -> NDArray[Any]:
    """The values of an attribute that has a shape, in the file's byte order. Raises as ``dataset_values``."""
    import numpy as np

    assert attribute.shape is not None
    if attribute.type.kind == VARIABLE:
        _stored_dtype(attribute.type.dtype, attribute.type)
        result = np.empty(attribute.elements, object)
        result[:] = raw_texts(view, attribute)
        return result.reshape(attribute.shape)
    stored = _stored_dtype(attribute.type.dtype, attribute.type)
    content = view.read(attribute.content, attribute.elements * attribute.type.size)
    return np.frombuffer(content, stored, attribute.elements).reshape(attribute.shape)


def _stored_dtype(name: str, element: Type) -> np.dtype[Any]:
    import numpy as np

    if name == "bfloat16":
        import ml_dtypes

        extended: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return extended
    if not element.is_text and (name[:2] == "|O" or (name[:2] == "|V" and element.kind != OPAQUE)):
        raise UnsupportedError("the HDF5 data has values that are neither numbers nor strings")
    return np.dtype(name)


def _place(view: View, chunks: Chunks, result: NDArray[Any]) -> None:
    """Copy every stored chunk to its place in the array."""
    import numpy as np

    size = math.prod(chunks.shape) * result.dtype.itemsize
    for chunk in chunks.stored:
        filters = applied(chunks.filters, chunk.mask)
        content = undone(filters, view.window(chunk.address, chunk.size), size)
        part = np.frombuffer(content, result.dtype).reshape(chunks.shape)
        ends = [
            min(at + step, end)
            for at, step, end in zip(chunk.corner, chunks.shape, result.shape, strict=True)
        ]
        where = tuple(slice(at, end) for at, end in zip(chunk.corner, ends, strict=True))
        result[where] = part[tuple(slice(0, s.stop - s.start) for s in where)]


def _texts(view: View, dataset: Dataset) -> NDArray[Any]:
    """Variable-length strings: the dataset holds references into the global heap."""
    import numpy as np

    count = math.prod(dataset.shape)
    if dataset.offset is None or dataset.type.size != REFERENCE or count > _MAX_TEXTS:
        raise UnsupportedError("the HDF5 data has variable-length strings in chunks, or too many of them")
    start = dataset.offset - view.base
    result = np.empty(count, object)
    places = range(start, start + count * REFERENCE, REFERENCE)
    result[:] = heap_texts(view, places)
    return result.reshape(dataset.shape)
