"""The variables of a model in the HDF5 file that Keras keeps them in: mapped where they are stored, never parsed."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import BadFileError, UnsupportedError, shown
from ...files.hdf5 import Dataset, Hdf5Index
from ...ir.graph import Graph
from ..variables import Variable
from .layer_order import group_names
from .weight_groups import saved_groups

_NAMES = {"<f2": "float16", "<f4": "float32", "<f8": "float64", "|b1": "bool", "bfloat16": "bfloat16"}


class WeightsFile:
    """``Variables`` of a weights file, by group (``layers/dense``) and path (``vars/0``)."""

    def __init__(self, index: Hdf5Index, buffer: memoryview) -> None:
        self._index = index
        self._buffer = buffer
        self._places: dict[tuple[str, int], Mapping[str, str]] = {}

    def places(self, path: str, graph: Graph) -> Mapping[str, str]:
        """The group of every layer of a model, by the layer's name; that of one without variables is Keras's too."""
        key = (path, id(graph))
        if key not in self._places:
            ordered = group_names(graph)
            self._places[key] = {**ordered, **saved_groups(self._index, path, graph, ordered)}
        return self._places[key]

    def paths(self, place: str) -> list[str]:
        """The paths of the variables in and below a group, its own first."""
        found: list[str] = []
        waiting = [""]
        while waiting and place in self._index:
            here = waiting.pop(0)
            full = f"{place}/{here}".rstrip("/")
            names = sorted(self._index.datasets(full), key=lambda n: (len(n), n))
            found += [f"{here}/{name}".lstrip("/") for name in names]
            waiting += [f"{here}/{name}".lstrip("/") for name in self._index.groups(full)]
        return found

    def shape(self, place: str, path: str) -> tuple[int, ...]:
        """The shape of a variable. Raises BadFileError where the file has none there."""
        return self._dataset(place, path).shape

    def _dataset(self, place: str, path: str) -> Dataset:
        folder, _, name = f"{place}/{path}".rpartition("/")
        try:
            return self._index.datasets(folder)[name]
        except KeyError:
            raise BadFileError(f"the weights file has no {shown(f'{place}/{path}')}") from None

    def variable(self, place: str, path: str) -> Variable:
        """One variable.

        Raises:
            BadFileError: the file has none there.
            UnsupportedError: its type is not read, or it is compressed and h5py is not installed.
        """
        dataset = self._dataset(place, path)
        dtype = _NAMES.get(dataset.dtype) or (
            np.dtype(dataset.dtype).name if dataset.dtype.lstrip("<>|")[:1] in "iuf" else None
        )
        if dtype is None:
            raise UnsupportedError(f"the variable {shown(f'{place}/{path}')} is of type {dataset.dtype}")
        if dataset.offset is None:
            return Variable(dataset.shape, dtype, lambda: self._chunked(f"{place}/{path}", dtype))
        stored = _bfloat16() if dtype == "bfloat16" else np.dtype(dataset.dtype)
        shape, offset = dataset.shape, dataset.offset
        count = int(np.prod(shape, dtype=np.int64))

        def load() -> NDArray[Any]:
            if not count:
                return np.zeros(shape, stored)
            return np.frombuffer(self._buffer, stored, count, offset).reshape(shape)

        return Variable(shape, dtype, load)

    def _chunked(self, path: str, dtype: str) -> NDArray[Any]:
        try:
            import h5py
        except ImportError:
            raise UnsupportedError("the weights file is compressed: reading it needs h5py") from None
        with h5py.File(io.BytesIO(self._buffer), "r") as file:
            array: Any = file[path][()]
        return np.asarray(array).astype(_bfloat16() if dtype == "bfloat16" else dtype, copy=False)


def _bfloat16() -> np.dtype[Any]:
    import ml_dtypes

    extended: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return extended
