"""A model's configuration in a file, in the form of the Keras that wrote it: read as a graph, and written back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol

from ...errors import UnsupportedError
from ...ir.graph import Graph
from ...passes.rewrite import Spelling
from ..model_file import Remark
from .config import read_model
from .config_writer import model_entry
from .old_form import written
from .recorded_shapes import with_shapes
from .renewed import Renewed, renewed
from .spelling import spell
from .upgrade import Refusal, is_old, keras_1, upgraded

Json = dict[str, Any]


class Configuration(Protocol):
    """One configuration.

    Attributes:
        entry: it in the form of Keras 3, as it was read.
        graph: the model, which may be changed.
        spell: how the file's form writes the operations that are inserted.
        remarks: what became of constructs that Keras 3 writes otherwise.
        refusals: what has no form in Keras 3; such an operation is opaque.
        old: whether Keras 3 does not load the file's own form.
    """

    entry: Json
    graph: Graph
    old: bool

    @property
    def remarks(self) -> Sequence[Remark]: ...

    @property
    def refusals(self) -> Sequence[Refusal]: ...

    @property
    def spell(self) -> Spelling: ...

    @property
    def saved(self) -> Graph:
        """The model as the file has it, however ``graph`` was changed since."""
        ...

    def changed(self) -> Json | None:
        """The configuration of the graph as it is now, in the file's own form; None where nothing changed.

        Raises:
            UnsupportedError: the form cannot express it.
        """
        ...

    def newest(self, version: str) -> Json:
        """The configuration of the graph as it is now, as the newest Keras has it, whose version is given."""
        ...


class Keras3:
    """The form of Keras 3. Raises BadFileError or UnsupportedError where it holds no model (``read_model``)."""

    spell = staticmethod(spell)
    old = False

    def __init__(self, entry: Any, version: Any = None) -> None:
        self.entry = entry
        self.version = version
        self.graph = read_model(entry)

    @cached_property
    def saved(self) -> Graph:
        """The model as the file has it."""
        return read_model(self.entry)

    @cached_property
    def _renewed(self) -> Renewed:
        return renewed(self.entry, self.version)

    @property
    def remarks(self) -> Sequence[Remark]:
        return self._renewed.remarks

    @property
    def refusals(self) -> Sequence[Refusal]:
        return self._renewed.refusals

    def newest(self, version: str) -> Json:
        """The configuration of the graph as it is now, as the newest Keras has it, whose version is given."""
        entry = model_entry(self.entry, self.graph, version)
        return renewed(entry, self.version).entry

    def changed(self) -> Json | None:
        """The configuration of the graph as it is now; None where nothing changed."""
        entry = model_entry(self.entry, self.graph, self.version)
        return None if entry is self.entry else entry


class Older:
    """The form of Keras 1 or 2, brought to that of Keras 3. Raises as ``Keras3``.

    Attributes:
        original: the configuration as it is in the file.
    """

    spell = staticmethod(spell)
    old = True

    def __init__(self, original: Any, version: str) -> None:
        self.original = original
        self.version = version
        self.entry: Json
        self.remarks: Sequence[Remark]
        self.refusals: Sequence[Refusal]
        self.entry, self.remarks, self.refusals, self.origins = upgraded(
            original, version, original.get("training_config")
        )
        self.graph = read_model(self.entry)

    @cached_property
    def saved(self) -> Graph:
        """The model as the file has it."""
        return read_model(self.entry)

    def changed(self) -> Json | None:
        """The configuration of the graph as it is now, in its old form; None where nothing changed.

        Raises:
            UnsupportedError: the old form cannot express it.
        """
        if model_entry(self.entry, self.graph) is self.entry:
            return None
        if self.is_of_keras_1:
            raise UnsupportedError(
                "saved by Keras 1, whose form is not written: convert it to Keras 3 first (rewriter convert)"
            )
        return written(self.original, self.origins, self.saved, self.graph, self._stated)

    def newest(self, version: str) -> Json:
        """The configuration of the graph as it is now, as the newest Keras has it, whose version is given."""
        return with_shapes(model_entry(self.entry, self.graph, version), self.graph)

    @property
    def _stated(self) -> str:
        """The version of Keras that the file states anywhere."""
        stated = self.original.get("keras_version")
        return self.version or (stated if isinstance(stated, str) else "")

    @property
    def is_of_keras_1(self) -> bool:
        """Whether Keras 1 saved it."""
        version = self._stated
        return version.split(".")[0] in ("0", "1") or (not version and keras_1.looks_like(self.original))


def read_configuration(entry: Any, version: Any = None) -> Configuration:
    """The configuration that a file holds.

    Args:
        version: of the Keras that wrote it, where the file says so.

    Raises:
        BadFileError: it contradicts itself.
        UnsupportedError: a subclassed model, whose graph exists only as code.
    """
    stated = version if isinstance(version, str) else ""
    return Older(entry, stated) if is_old(entry, stated) else Keras3(entry, version)
