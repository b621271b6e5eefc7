"""A whole model in one HDF5 file, as ``model.save("model.h5")`` writes it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from ...errors import BadFileError, UnsupportedError, shown
from ...files.atomic import atomic_write
from ..model_file import NOT_COMPILED, Remark
from ..variables import Variable, Variables
from .carried_state import of_keras_3, of_old_h5
from .configuration import Older, read_configuration
from .given_weights import variables_of
from .keras_file import KerasFile
from .legacy_h5 import MODEL, LegacyH5
from .modules import with_modules
from .new_h5 import check_layers
from .old_form import h5_refusal, in_layers, weight_order
from .training import compile_config
from .upgrade import NotCarried

_BLOCK = 1 << 20
_TRAINING = "training_config"


class KerasH5(KerasFile):
    """An ``.h5`` file with a model.

    Raises:
        BadFileError: damaged, or the model contradicts itself.
        UnsupportedError: weights without their model, or a subclassed model.
    """

    format = "h5"

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.file = LegacyH5(path)
        if self.file.kind != MODEL:
            raise UnsupportedError(
                "weights without their model: give them to its configuration (rewriter ... model.json --weights FILE)"
            )
        entry = self.file.model_config
        if isinstance(entry, dict) and self.file.training_config is not None:
            entry = {**entry, _TRAINING: self.file.training_config}
        if self.file.keras_version.startswith("3."):
            entry = with_modules(entry)
        self.configuration = read_configuration(entry, self.file.keras_version)

    @property
    def saved_by(self) -> str:
        version = self.file.keras_version
        return f"Keras {shown(version)}" if version else ""

    @property
    def compile_config(self) -> Any:
        """What Keras 3 compiles the model with; None if the file does not state it, or states something custom."""
        return super().compile_config if self.older else compile_config(self.file.training_config)

    def training_remarks(self, form: str) -> Sequence[Remark]:
        """As ``KerasFile.training_remarks``."""
        lost = not self.older and self.file.training_config is not None and self.compile_config is None
        return [Remark((), *NOT_COMPILED)] if lost and form != "onnx" else super().training_remarks(form)

    @property
    def has_state(self) -> bool:
        """Whether the file has variables of an optimizer."""
        return self.file.has_optimizer

    def _state(self, optimizer: Any) -> Mapping[str, Sequence[Variable]]:
        after = self._trained(self.graph)
        if isinstance(self.configuration, Older):
            return of_old_h5(self.file, self.configuration, optimizer, after)
        if not self.has_state:
            raise NotCarried("the file has none")
        return of_keras_3(self.file, optimizer, self._trained(self.configuration.saved), after)

    def variables(self) -> Variables:
        """The variables, by their places in Keras 3."""
        return self._variables

    @cached_property
    def _variables(self) -> Variables:
        return variables_of(self.file, self.configuration)

    @cached_property
    def out_of_order(self) -> str:
        """Why Keras loads the weights into other layers than the file names; "" if it does not."""
        configuration = self.configuration
        if not isinstance(configuration, Older):
            return h5_refusal(self.file.model_config, self.file.layers, self.file.keras_version)
        if configuration.is_of_keras_1:
            return ""
        return h5_refusal(configuration.original, self.file.layers, self.file.keras_version)

    def beside(self) -> list[str]:
        """Paths of other files of the model: none."""
        return []

    def asset(self, name: str) -> bytes:
        """Raises BadFileError: an ``.h5`` file has no assets."""
        raise BadFileError("an HDF5 model has no assets")

    def close(self) -> None:
        self.file.close()

    def write(self, target: str | os.PathLike[str]) -> None:
        """Write the model with the current graph; the same bytes if nothing changed.

        Raises:
            UnsupportedError: the form of the file cannot express a change, or the order of its weights is not certain.
            BadFileError: the weights are damaged.
            OutputError: the target cannot be written.
        """
        entry = self.configuration.changed()
        if entry is None:
            if self.out_of_order:
                raise UnsupportedError(self.out_of_order)
            with atomic_write(target) as stream, open(self.path, "rb") as source:
                stream.writelines(iter(lambda: source.read(_BLOCK), b""))
            return
        stored = {name: [item.name for item in weights] for name, weights in self.file.layers.items()}
        state = [item.name for item in self.file.optimizer_weights()]
        configuration = self.configuration
        if isinstance(configuration, Older):
            before = configuration.original
        else:
            check_layers(self.configuration.saved)
            before = self.file.model_config
            entry = in_layers(before, configuration.entry, self.graph, self.file.keras_version)
        order = weight_order(before, entry, stored, state, self.file.keras_version)
        self.file.write(
            target,
            model_config={key: value for key, value in entry.items() if key != _TRAINING},
            layer_order=order.layers,
            weight_orders=order.weights,
            optimizer_order=order.optimizer,
        )
