"""A model's configuration alone, as ``model.to_json()`` writes it."""

from __future__ import annotations

import json
import os

from ...errors import BadFileError, UnsupportedError
from ...files.atomic import atomic_write
from ...files.json import parse
from ...files.regular import read_regular
from ..variables import NoVariables, Variables
from .config import read_model
from .config_writer import model_entry
from .spelling import spell
from .upgrade import is_old, upgraded

_MAX_SIZE = 256 << 20


class KerasJson:
    """A JSON file with a serialised model. Raises BadFileError or UnsupportedError where it holds none."""

    format = "json"
    saved_by = ""
    spell = staticmethod(spell)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.data = read_regular(self.path, _MAX_SIZE)
        self.entry = parse(self.data, "the file")
        if isinstance(self.entry, dict) and "weight_map" in self.entry:
            raise UnsupportedError(
                "the list of a model's sharded weights, without the model: load them into it, and save that as .keras"
            )
        self.is_old = is_old(self.entry)
        if self.is_old:
            self.entry = upgraded(self.entry).entry
        self.graph = read_model(self.entry)

    def load_weights(self) -> None:
        """A configuration has no weights."""

    def variables(self) -> Variables:
        """A configuration has no weights."""
        return NoVariables()

    def parameter_counts(self) -> None:
        """A configuration has no weights."""

    def beside(self) -> list[str]:
        """A configuration rests on nothing."""
        return []

    def asset(self, name: str) -> bytes:
        """A configuration has no assets. Raises BadFileError."""
        raise BadFileError("a configuration holds no weights: save the model as .keras")

    def close(self) -> None:
        pass

    def write(self, target: str | os.PathLike[str]) -> None:
        """Write the configuration with the graph as it is now; the same bytes where nothing changed."""
        entry = model_entry(self.entry, self.graph)
        if self.is_old and entry is not self.entry:
            raise UnsupportedError(
                "in the form of Keras 2, which cannot be rewritten: save the model with Keras 3"
            )
        data = self.data if entry is self.entry else json.dumps(entry).encode()
        with atomic_write(target) as stream:
            stream.write(data)
