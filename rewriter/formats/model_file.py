"""What an opened model is, whatever its format."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from ..ir.graph import Graph, Path
from ..passes.rewrite import Spelling
from .variables import Variables


class Remark(NamedTuple):
    """What became of a construct. ``path`` are the names of the models and the layer, from the outermost."""

    path: Path
    construct: str
    became: str


NOT_COMPILED = ("optimizer, loss and metrics", "left out: compile the new model")
STATE = "state of the optimizer"
# Constructs of training alone, of which an inference format has nothing.
TRAINING = frozenset({"compile state", "decay of the optimizer", "metrics", "optimizer"})
NOT_RESTORED = "left out, it begins anew: Keras 3 does not restore it from an .h5 file"


class ModelFile(Protocol):
    """An opened model: its graph, which may be changed, and a way to write it with what was changed."""

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
        """The program that wrote it, with its version (``Keras 3.8.0``); "" where the file does not say it."""
        ...

    @property
    def older(self) -> bool:
        """Whether it is of a Keras before 3: Keras 3 does not load its file, and has other forms for parts of it."""
        ...

    @property
    def outdated(self) -> bool:
        """Whether the newest Keras has other forms for parts of it, or none: such a file is not converted by a copy."""
        ...

    def check_newest(self) -> None:
        """Raises UnsupportedError, which names them, where there are constructs without a form in the newest Keras."""
        ...

    @property
    def remarks(self) -> Sequence[Remark]:
        """What became of the constructs that Keras 3 writes otherwise."""
        ...

    def training_remarks(self, form: str) -> Sequence[Remark]:
        """What becomes of optimizer, loss and metrics in another format, by its name."""
        ...

    @property
    def out_of_order(self) -> str:
        """Why its own Keras gives its weights to other layers than the file names; "" where it does not."""
        ...

    @property
    def spell(self) -> Spelling:
        """How the format writes the operations that are inserted."""
        ...

    def write(self, target: str | os.PathLike[str]) -> None:
        """Write the model with its graph as it is now, whole or not at all; the very bytes where nothing changed.

        That the target is not a file of the model is for the caller to see to (``requests.check_files``).

        Raises:
            BadFileError: the file is damaged, or changed since it was opened.
            UnsupportedError: a form that cannot be changed without loss.
            OutputError: the target cannot be written.
        """
        ...

    def load_weights(self) -> None:
        """Give the graph's operations the shapes of their variables, where the file has them. Raises BadFileError."""
        ...

    def variables(self) -> Variables:
        """The model's variables.

        Raises:
            BadFileError: they are damaged.
            UnsupportedError: they are stored in a way that is not read.
        """
        ...

    def parameter_counts(self) -> Mapping[str, int] | None:
        """The number of weights of each layer that has some, by its path (``inner/dense``); None where none are told.

        Raises:
            BadFileError: they are damaged.
        """
        ...

    def beside(self) -> list[str]:
        """Paths of other files that the model rests on, as ONNX's external data."""
        ...

    def asset(self, name: str) -> bytes:
        """A file that a layer saved beside its weights. Raises BadFileError without it."""
        ...

    def close(self) -> None: ...
