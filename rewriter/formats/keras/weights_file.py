"""The variables of a model in the HDF5 file that Keras keeps them in, memory-mapped if they are stored in one piece."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import BadFileError, UnsupportedError, shown
from ...files.hdf5 import Dataset, Hdf5Index
from ...ir.graph import Graph
from ..variables import Variable
from .layer_order import group_names
from .weight_groups import saved_groups


class WeightsFile:
    """``Variables`` of a weights file, by group (``layers/dense``) and path (``vars/0``)."""

    def __init__(self, index: Hdf5Index) -> None:
        self._index = index
        self._places: dict[tuple[str, int], Mapping[str, str]] = {}

    def places(self, path: str, graph: Graph) -> Mapping[str, str]:
        """The group of every layer of a model, by the layer's name, even for layers without variables."""
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
        """The shape of a variable. Raises BadFileError if the file does not have it."""
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
            BadFileError: the file does not have it.
            UnsupportedError: its type is not supported.
        """
        self._dataset(place, path)
        return stored_variable(self._index, f"{place}/{path}")


def stored_variable(index: Hdf5Index, path: str) -> Variable:
    """A dataset of an HDF5 file as a variable. UnsupportedError if it does not hold numbers."""
    import numpy as np

    dataset = index.dataset(path)
    plain = dataset.dtype.lstrip("<>|")
    if dataset.dtype != "bfloat16" and plain[:1] not in ("i", "u", "f", "b"):
        raise UnsupportedError(f"the variable {shown(path)} is of type {dataset.dtype}")
    dtype = dataset.dtype if dataset.dtype == "bfloat16" else np.dtype(dataset.dtype).name
    return Variable(dataset.shape, dtype, lambda: index.values(path))
