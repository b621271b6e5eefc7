"""What all files with a configuration of Keras do alike, whatever they keep it and the variables in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from ...errors import UnsupportedError
from ...files.members import Blocks
from ...ir.graph import Graph
from ...passes.rewrite import Spelling
from ..model_file import Remark
from ..variables import NoVariables, Variables
from .configuration import Configuration
from .new_model import KerasModel, new_files
from .weight_shapes import attach_shapes, parameter_counts


class KerasFile(KerasModel):
    """The part of a ``KerasModel`` that its configuration and its variables answer."""

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

    @property
    def remarks(self) -> Sequence[Remark]:
        return self.configuration.remarks

    @property
    def out_of_order(self) -> str:
        """Files that are read by names have no other order."""
        return ""

    def variables(self) -> Variables:
        """The variables, by their places in Keras 3."""
        raise NotImplementedError

    def load_weights(self) -> None:
        """Give the graph's operations the shapes of their variables; nothing where the file has none to be read.

        Raises:
            BadFileError: the weights are damaged.
        """
        # An honest file in a form that is not read says nothing: only what is written needs them.
        with contextlib.suppress(UnsupportedError):
            attach_shapes(self.graph, self.variables())

    def parameter_counts(self) -> Mapping[str, int] | None:
        """The number of weights of each layer that has some; None where the file has none."""
        variables = self.variables()
        return None if isinstance(variables, NoVariables) else parameter_counts(self.graph, variables)

    def files_of_keras_3(self, scratch: str) -> Iterator[tuple[str, Blocks]]:
        """Those of a new archive."""
        return new_files(self, scratch)
