"""What all files with a Keras configuration have in common, whatever their container."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...errors import UnsupportedError
from ...files.members import Blocks
from ...ir.graph import Graph
from ...passes.rewrite import Spelling
from ..model_file import NOT_COMPILED, NOT_RESTORED, STATE, Remark
from ..variables import NoVariables, Variable, Variables
from .carried_state import CarriedState, Trained, carried
from .configuration import Configuration
from .new_model import KerasModel, check_translated, new_entry, new_files
from .trained_order import trained_paths
from .training import training_config
from .upgrade import NotCarried
from .weight_shapes import attach_shapes, parameter_counts

# Settings with their defaults: Keras 3 writes them into an .h5 file, but does not read them from it.
_ONLY_IN_ARCHIVES = {"run_eagerly": False, "steps_per_execution": 1}


class KerasFile(KerasModel):
    """The part of a ``KerasModel`` that follows from its configuration and its variables."""

    configuration: Configuration

    @property
    def graph(self) -> Graph:
        return self.configuration.graph

    @property
    def spell(self) -> Spelling:
        return self.configuration.spell

    @property
    def older(self) -> bool:
        return self.configuration.old

    @property
    def outdated(self) -> bool:
        configuration = self.configuration
        return configuration.old or bool(configuration.remarks or configuration.refusals)

    def check_newest(self) -> None:
        check_translated(self.configuration.refusals)

    @property
    def remarks(self) -> Sequence[Remark]:
        return self.configuration.remarks

    def training_remarks(self, form: str) -> Sequence[Remark]:
        """What becomes of the compile state and of the optimizer's variables in the format named ``form``."""
        if form == "h5":
            return self._training_in_h5()
        state = self.optimizer_state if form.startswith("keras-") else None
        return [] if state is None else [Remark((), STATE, _said(state))]

    def _training_in_h5(self) -> Sequence[Remark]:
        compiled = self.compile_config
        if compiled is None:
            return []
        if training_config(compiled) is None:
            return [Remark((), *NOT_COMPILED)]
        lost = [key for key, usual in _ONLY_IN_ARCHIVES.items() if compiled.get(key) not in (usual, None)]
        remarks = [Remark((), key, "left out: Keras 3 does not read it from an .h5 file") for key in lost]
        return [*remarks, *([Remark((), STATE, NOT_RESTORED)] if self.has_state or self.older else [])]

    @property
    def compile_config(self) -> Any:
        """What Keras 3 compiles the model with; None if the file does not state it."""
        return self.configuration.entry.get("compile_config")

    @property
    def has_state(self) -> bool:
        """Whether the file has variables of an optimizer."""
        return False

    @property
    def optimizer_state(self) -> CarriedState | None:
        """The optimizer's state in a new archive of the current model; None if the file has no optimizer."""
        compiled = self.compile_config
        if not isinstance(compiled, dict) or compiled.get("optimizer") is None:
            return None
        if self.out_of_order:
            return CarriedState({}, "the layers are not in the order of Keras")
        return carried(lambda: self._state(compiled["optimizer"]))

    def _state(self, optimizer: Any) -> Mapping[str, Sequence[Variable]]:
        """The groups of the optimizer's variables in an archive. Raises NotCarried."""
        raise NotCarried("the file has none")

    def _trained(self, graph: Graph) -> Trained:
        """The trainable variables in the order of ``graph``, by their paths in the saved file."""
        entry = self.configuration.entry if graph is self.configuration.saved else new_entry(self)
        variables = self.variables()
        paths = trained_paths(entry, graph, self.configuration.saved)
        return {path: variables.shape("layers", path.removeprefix("layers/")) for path in paths}

    @property
    def out_of_order(self) -> str:
        """Always "": files that are read by name have no other order."""
        return ""

    def variables(self) -> Variables:
        """The variables, by their places in Keras 3."""
        raise NotImplementedError

    def load_weights(self) -> None:
        """Attach the shapes of the variables to the graph's operations, if the file has variables that can be read.

        Raises:
            BadFileError: the weights are damaged.
        """
        # An unsupported form of weights is not an error here: only writing needs them.
        with contextlib.suppress(UnsupportedError):
            attach_shapes(self.graph, self.variables())

    def parameter_counts(self) -> Mapping[str, int] | None:
        """The number of weights of each layer that has some; None if the file has none."""
        variables = self.variables()
        return None if isinstance(variables, NoVariables) else parameter_counts(self.graph, variables)

    def files_of_keras_3(self, scratch: str) -> Iterator[tuple[str, Blocks]]:
        """The files of a new archive."""
        return new_files(self, scratch)


def _said(state: CarriedState) -> str:
    return f"left out, training starts with a new one: {state.left}" if state.left else "carried over"
