"""Where each variable of a model lies: mapped from the archive, read when it is written."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import BadFileError, UnsupportedError, shown
from ...files.hdf5 import Hdf5Index
from ...formats.keras.layer_order import group_names
from ...formats.keras.weight_groups import saved_groups
from ...ir.graph import Graph
from .dtypes import numpy_dtype
from .graph import Array, Data

_NAMES = {"<f2": "float16", "<f4": "float32", "<f8": "float64", "|b1": "bool", "bfloat16": "bfloat16"}


class Weights:
    """The variables in the weights file of an archive, by group (``layers/dense``) and path (``vars/0``)."""

    def __init__(self, index: Hdf5Index | None, buffer: memoryview | None) -> None:
        self.index = index
        self.buffer = buffer
        self._groups: dict[tuple[str, int], Mapping[str, str]] = {}

    def groups(self, path: str, graph: Graph) -> Mapping[str, str]:
        """The group of every layer of a model, by the layer's name; ``path`` is ``layers`` of the model's own."""
        key = (path, id(graph))
        if key not in self._groups:
            ordered = group_names(graph)
            found = saved_groups(self.index, path, graph, ordered) if self.index is not None else {}
            self._groups[key] = {**ordered, **found}
        return self._groups[key]

    def paths(self, group: str) -> list[str]:
        """The paths of the variables in and below a group, its own first."""
        found: list[str] = []
        waiting = [""]
        while waiting and self.index is not None and group in self.index:
            here = waiting.pop(0)
            full = f"{group}/{here}".rstrip("/")
            names = sorted(self.index.datasets(full), key=lambda n: (len(n), n))
            found += [f"{here}/{name}".lstrip("/") for name in names]
            waiting += [f"{here}/{name}".lstrip("/") for name in self.index.groups(full)]
        return found

    def data(self, group: str, path: str) -> Data:
        """The numbers of a variable. Raises BadFileError where the file has none."""
        folder, _, name = f"{group}/{path}".rpartition("/")
        if self.index is None:
            raise BadFileError("the file holds no weights: export a .keras archive")
        try:
            dataset = self.index.datasets(folder)[name]
        except KeyError:
            raise BadFileError(f"the weights file has no {shown(f'{group}/{path}')}") from None
        dtype = _NAMES.get(dataset.dtype) or (
            np.dtype(dataset.dtype).name if dataset.dtype.lstrip("<>|")[:1] in "iuf" else None
        )
        if dtype is None:
            raise UnsupportedError(f"the variable {shown(f'{group}/{path}')} is of type {dataset.dtype}")
        if dataset.offset is None:
            return Data(dataset.shape, dtype, lambda: self._chunked(f"{folder}/{name}", dtype))
        stored = numpy_dtype(dtype) if dataset.dtype == "bfloat16" else np.dtype(dataset.dtype)
        shape, offset, buffer = dataset.shape, dataset.offset, self.buffer
        count = int(np.prod(shape, dtype=np.int64))

        def load() -> Array:
            assert buffer is not None
            if not count:
                return np.zeros(shape, stored)
            return np.frombuffer(buffer, stored, count, offset).reshape(shape)

        return Data(shape, dtype, load)

    def _chunked(self, path: str, dtype: str) -> Array:
        try:
            import h5py
        except ImportError:
            raise UnsupportedError("the weights file is compressed: reading it needs h5py") from None
        assert self.buffer is not None
        with h5py.File(io.BytesIO(self.buffer), "r") as file:
            array: Any = file[path][()]
        return np.asarray(array).astype(numpy_dtype(dtype), copy=False)
