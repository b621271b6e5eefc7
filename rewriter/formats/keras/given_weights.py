"""Weights in a file beside a model's configuration, or in the same file."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import BadFileError, UnsupportedError, shown
from ...files.hdf5 import Hdf5Index
from ...ir.graph import Graph
from ..variables import Variable, Variables
from .configuration import Configuration, Older
from .layer_order import group_names
from .legacy_h5 import WEIGHTS_OF_KERAS_3, LegacyH5
from .upgrade import archive_variables, model_variables
from .weights_file import WeightsFile, stored_variable

_OPTIMIZER = "optimizer"


class GivenWeights:
    """The weights of ``model.save_weights(path)``, or of a whole model.

    Raises:
        BadFileError: no HDF5 file, or a damaged one.
        UnsupportedError: the layout is not supported.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._file = LegacyH5(path)
        except (BadFileError, UnsupportedError) as error:
            error.about = path
            raise

    def variables(self, configuration: Configuration) -> Variables:
        """The variables of the model that the configuration describes."""
        if self._file.kind == WEIGHTS_OF_KERAS_3:
            return variables_in_groups(self._file.index, configuration)
        return variables_of(self._file, configuration)


def variables_in_groups(index: Hdf5Index, configuration: Configuration) -> Variables:
    """The variables of a file with a group for each layer, by their places in Keras 3.

    Archives and ``save_weights("x.weights.h5")`` write such a file, in Keras 3 and in Keras 2.

    Raises:
        BadFileError: they do not belong to the model.
        UnsupportedError: a layer whose variables are not known, or weights of Keras 3 for an older model.
    """
    if not isinstance(configuration, Older):
        return WeightsFile(index)
    paths = [path for path, dataset in index.walk() if path.split("/")[0] != _OPTIMIZER]
    if any("name" in index.attributes(path) for path in paths if path.endswith("/vars")):
        raise UnsupportedError(
            "the weights were saved by Keras 3, the model by an older one: give the configuration that Keras 3 saves"
        )
    stored = {path: stored_variable(index, path) for path in paths if not index.is_group(path)}
    stated = configuration.original.get("keras_version")
    version = configuration.version or (stated if isinstance(stated, str) else "")
    return NamedVariables(archive_variables(configuration.original, stored, version))


def variables_of(file: LegacyH5, configuration: Configuration) -> Variables:
    """The variables of a model from a file with named weights, by their places in Keras 3.

    Raises:
        BadFileError: they do not belong to the model.
        UnsupportedError: a layer whose variables are not known.
    """
    version = configuration.version if isinstance(configuration, Older) else ""
    entry = configuration.original if isinstance(configuration, Older) else configuration.entry
    found = model_variables(entry, file.layers, file.keras_version or version, file.backend, version)
    return NamedVariables(found)


class NamedVariables:
    """``Variables`` by their whole path in a file of Keras 3 (``layers/dense/vars/0``)."""

    def __init__(self, found: Mapping[str, Variable]) -> None:
        self._found = found
        self._below: dict[str, list[str]] = {}
        for path in sorted(found, key=lambda path: [(len(part), part) for part in path.split("/")]):
            parts = path.split("/")
            for k in range(1, len(parts)):
                self._below.setdefault("/".join(parts[:k]), []).append("/".join(parts[k:]))

    def places(self, path: str, graph: Graph) -> Mapping[str, str]:
        """The group of every layer of a model, by the layer's name."""
        return group_names(graph)

    def paths(self, place: str) -> list[str]:
        """The paths of the variables below a place."""
        return self._below.get(place, [])

    def shape(self, place: str, path: str) -> tuple[int, ...]:
        """The shape of a variable. Raises BadFileError if it is missing."""
        return self.variable(place, path).shape

    def variable(self, place: str, path: str) -> Variable:
        """One variable. Raises BadFileError if it is missing."""
        try:
            return self._found[f"{place}/{path}"]
        except KeyError:
            raise BadFileError(f"there is no variable {shown(f'{place}/{path}')}") from None
