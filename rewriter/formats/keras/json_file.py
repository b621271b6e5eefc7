"""A model's configuration alone, as ``model.to_json()`` writes it."""

from __future__ import annotations

import json
import os

from ...errors import BadFileError, UnsupportedError
from ...files.atomic import atomic_write
from ...files.json import parse
from ...files.regular import read_regular
from ..variables import NoVariables, Variables
from .configuration import read_configuration
from .given_weights import GivenWeights
from .keras_file import KerasFile

_MAX_SIZE = 256 << 20


class KerasJson(KerasFile):
    """A JSON file with a serialised model.

    Args:
        weights: the path of the file with its weights, if there is one.

    Raises:
        BadFileError: the file holds no model, or the weights are damaged.
        UnsupportedError: a subclassed model, or a list of sharded weights.
    """

    format = "json"
    saved_by = ""

    def __init__(self, path: str | os.PathLike[str], weights: str | None = None) -> None:
        self.path = os.fspath(path)
        self.data = read_regular(self.path, _MAX_SIZE)
        entry = parse(self.data, "the file")
        if isinstance(entry, dict) and "weight_map" in entry:
            raise UnsupportedError(
                "the list of a model's sharded weights, without the model: load them into it, and save that as .keras"
            )
        self.configuration = read_configuration(entry)
        self.weights = None if weights is None else GivenWeights(weights)

    def variables(self) -> Variables:
        """The variables in the weights file; a configuration alone has none."""
        return NoVariables() if self.weights is None else self.weights.variables(self.configuration)

    def beside(self) -> list[str]:
        """Paths of other files of the model: the weights file."""
        return [] if self.weights is None else [self.weights.path]

    def asset(self, name: str) -> bytes:
        """Raises BadFileError: neither a configuration nor its weights file has assets."""
        raise BadFileError("a configuration has no assets: save the model as .keras")

    def close(self) -> None:
        pass

    def write(self, target: str | os.PathLike[str]) -> None:
        """Write the configuration of the current graph; the same bytes if nothing changed."""
        entry = self.configuration.changed()
        data = self.data if entry is None else json.dumps(entry).encode()
        with atomic_write(target) as stream:
            stream.write(data)
