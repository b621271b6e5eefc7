"""A file of weights that is given beside a model's configuration."""

from __future__ import annotations

from functools import cached_property

from ...errors import BadFileError, UnsupportedError
from ...files.hdf5 import Hdf5Index
from ...files.regular import map_regular
from ..variables import Variables
from .configuration import Configuration
from .weights_file import WeightsFile


class GivenWeights:
    """The weights of ``model.save_weights(path)``.

    Raises:
        BadFileError: no HDF5 file, or a damaged one.
        UnsupportedError: in a layout that is not read.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._index = Hdf5Index(map_regular(path))
        except (BadFileError, UnsupportedError) as error:
            error.about = path
            raise
        if "layers" not in self._index:
            raise UnsupportedError("weights in a layout that is not read", path)

    def variables(self, configuration: Configuration) -> Variables:
        """The variables of the model of a configuration."""
        return self._file

    @cached_property
    def _file(self) -> WeightsFile:
        return WeightsFile(self._index)
