"""The interface of an opened model in any format."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from ..ir.graph import Graph, Path
from ..passes.rewrite import Spelling
from .variables import Variables


class Remark(NamedTuple):
    """How a construct was converted. ``path``: the names of the models and the layer, from the outermost."""

    path: Path
    construct: str
    became: str


NOT_COMPILED = ("optimizer, loss and metrics", "left out: compile the new model")
STATE = "state of the optimizer"
# Constructs for training only, which an inference format does not store.
TRAINING = frozenset({"compile state", "decay of the optimizer", "metrics", "optimizer", "weighted_metrics"})
NOT_RESTORED = "left out, training starts with a new one: Keras 3 does not restore it from an .h5 file"


class ModelFile(Protocol):
    """An opened model: its graph, which may be changed, and a method to write the changed model."""

    path: str

    @property
    def graph(self) -> Graph:
        """The model."""
        ...

    @property
    def format(self) -> str:
        """The name of its format in ``formats.registry``."""
        ...

    @property
    def saved_by(self) -> str:
        """The program that wrote it, with its version (``Keras 3.8.0``); "" if the file does not record it."""
        ...

    @property
    def older(self) -> bool:
        """Whether a Keras before 3 wrote it: Keras 3 cannot load the file, and spells parts of it differently."""
        ...

    @property
    def outdated(self) -> bool:
        """Whether the newest Keras spells parts of it differently, or lacks them: a copy does not convert the file."""
        ...

    def check_newest(self) -> None:
        """Raises UnsupportedError, which names the constructs that the newest Keras lacks."""
        ...

    @property
    def remarks(self) -> Sequence[Remark]:
        """How the constructs that Keras 3 spells differently were converted."""
        ...

    def training_remarks(self, form: str) -> Sequence[Remark]:
        """How optimizer, loss and metrics are converted to another format, given by its name."""
        ...

    @property
    def out_of_order(self) -> str:
        """Why its own Keras loads the weights into other layers than the file names; "" if it does not."""
        ...

    @property
    def spell(self) -> Spelling:
        """How the format writes inserted operations."""
        ...

    def write(self, target: str | os.PathLike[str]) -> None:
        """Write the model with its current graph, completely or not at all; the same bytes if nothing changed.

        The caller must ensure that the target is not a file of the model (``requests.check_files``).

        Raises:
            BadFileError: the file is damaged, or changed since it was opened.
            UnsupportedError: a form that cannot be changed without loss.
            OutputError: the target cannot be written.
        """
        ...

    def load_weights(self) -> None:
        """Set the variable shapes of the graph's operations from the file, if it has them. Raises BadFileError."""
        ...

    def variables(self) -> Variables:
        """The model's variables.

        Raises:
            BadFileError: they are damaged.
            UnsupportedError: they are stored in a form that is not read.
        """
        ...

    def parameter_counts(self) -> Mapping[str, int] | None:
        """The number of weights of each layer that has some, by its path (``inner/dense``); None if unknown.

        Raises:
            BadFileError: they are damaged.
        """
        ...

    def beside(self) -> list[str]:
        """Paths of other files that the model needs, such as ONNX external data."""
        ...

    def asset(self, name: str) -> bytes:
        """A file that a layer saved beside its weights. Raises BadFileError without it."""
        ...

    def close(self) -> None: ...
