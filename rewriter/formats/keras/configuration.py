"""The configuration in a file: read as a graph, and written back in the form of the Keras that wrote it."""

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
        entry: the configuration as read, in the form of Keras 3.
        graph: the model, which may be changed.
        spell: how inserted operations are written in the file's form.
        remarks: the constructs that Keras 3 writes differently, and their new form.
        refusals: the constructs without a form in Keras 3; their operations are opaque.
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
        """The model as the file has it, without later changes to ``graph``."""
        ...

    def changed(self) -> Json | None:
        """The configuration of the current graph in the file's own form; None if nothing changed.

        Raises:
            UnsupportedError: the form cannot express it.
        """
        ...

    def newest(self, version: str) -> Json:
        """The configuration of the current graph in the form of the newest Keras; ``version`` is its version."""
        ...


class Keras3:
    """A configuration in the form of Keras 3. Raises as ``read_model``."""

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
        """The configuration of the current graph in the form of the newest Keras; ``version`` is its version."""
        entry = model_entry(self.entry, self.graph, version)
        return renewed(entry, self.version).entry

    def changed(self) -> Json | None:
        """The configuration of the current graph; None if nothing changed."""
        entry = model_entry(self.entry, self.graph, self.version)
        return None if entry is self.entry else entry


class Older:
    """A configuration in the form of Keras 1 or 2, converted to that of Keras 3. Raises as ``Keras3``.

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
        """The configuration of the current graph in its old form; None if nothing changed.

        Raises:
            UnsupportedError: the old form cannot express it.
        """
        if model_entry(self.entry, self.graph) is self.entry:
            return None
        if self.is_of_keras_1:
            raise UnsupportedError(
                "saved by Keras 1, a form that cannot be written: convert it to Keras 3 first (rewriter convert)"
            )
        return written(self.original, self.origins, self.saved, self.graph, self._stated)

    def newest(self, version: str) -> Json:
        """The configuration of the current graph in the form of the newest Keras; ``version`` is its version."""
        return with_shapes(model_entry(self.entry, self.graph, version), self.graph)

    @property
    def _stated(self) -> str:
        """The version of Keras that the file or its configuration states."""
        stated = self.original.get("keras_version")
        return self.version or (stated if isinstance(stated, str) else "")

    @property
    def is_of_keras_1(self) -> bool:
        """Whether Keras 1 wrote the file."""
        version = self._stated
        return version.split(".")[0] in ("0", "1") or (not version and keras_1.looks_like(self.original))


def read_configuration(entry: Any, version: Any = None) -> Configuration:
    """The configuration in a file.

    Args:
        version: of the Keras that wrote it, if the file states it.

    Raises:
        BadFileError: it contradicts itself.
        UnsupportedError: a subclassed model, whose graph exists only as code.
    """
    stated = version if isinstance(version, str) else ""
    return Older(entry, stated) if is_old(entry, stated) else Keras3(entry, version)
