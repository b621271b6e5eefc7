"""A SavedModel that Keras 2 wrote, as the Keras model that it was: its configuration and its variables.

Keras 2 describes every layer in JSON beside the functions, and builds a functional or sequential model anew from that.
TensorFlow 2.0 to 2.4 keeps it in the objects of ``saved_model.pb``, 2.5 and later in ``keras_metadata.pb``.
Source: ``keras/src/saving/legacy/saved_model/load.py`` and ``save_impl.py`` (tf_keras 2.21).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from ...errors import UnsupportedError, shown
from ..keras.configuration import Configuration, Older
from ..keras.given_weights import NamedVariables
from ..keras.keras_file import KerasFile
from ..keras.new_model import write_new_folder
from ..keras.upgrade import NotCarried, model_variables
from ..model_file import Remark
from ..variables import Variable, Variables
from .keras_metadata import descriptions, metadata_of
from .keras_variables import stored_layers

if TYPE_CHECKING:
    from ...files.folder import Folder
    from .messages import Objects

FORMAT = "savedmodel-keras"
_NETWORKS = ("_tf_keras_network", "_tf_keras_sequential", "_tf_keras_model")
_GRAPHS = ("Functional", "Sequential", "Model")
_TRAINING = "training_config"
_OTHERWISE = "nothing but ONNX can be made of it, by tf2onnx itself (python -m tf2onnx.convert --saved-model)"
_PLAIN = "a SavedModel without the configuration of a Keras model, which model.save of Keras 2 writes"


class Source(Protocol):
    """What is needed of an opened SavedModel."""

    path: str
    folder: Folder

    @property
    def objects(self) -> tuple[Objects, str]: ...

    @property
    def saved_by(self) -> str: ...

    def beside(self) -> list[str]: ...

    def asset(self, name: str) -> bytes: ...


class KerasSavedModel(KerasFile):
    """The Keras model of a folder.

    Args:
        source: the folder, which stays open as long as this is used.

    Raises:
        BadFileError: what Keras says of its layers is damaged, or the model contradicts itself.
        UnsupportedError: a SavedModel that Keras 2 did not write, or a subclassed model.
    """

    format = FORMAT

    def __init__(self, source: Source) -> None:
        self.path = source.path
        self._source = source
        self._objects, version = source.objects
        self.version = version if version.startswith("2.") else "2"
        self._descriptions = descriptions(source.folder, self._objects)
        entry = _model(self._descriptions)
        older = Older(entry, self.version)
        self.configuration: Configuration = older
        self._entry = older.original
        if _TRAINING not in entry and _has(self._objects, "optimizer"):
            older.remarks = [
                *older.remarks,
                Remark((), "the optimizer and its state", "left out: compile the new model"),
            ]

    @property
    def saved_by(self) -> str:
        return self._source.saved_by

    def variables(self) -> Variables:
        """The variables, by their places in Keras 3."""
        return self._variables

    @cached_property
    def _variables(self) -> Variables:
        folder, objects = self._source.folder, self._objects
        stored = stored_layers(folder, objects, self._descriptions, self._entry, self.version)
        return NamedVariables(model_variables(self._entry, stored, self.version))

    def _state(self, optimizer: Any) -> Mapping[str, Sequence[Variable]]:
        raise NotCarried("that of a SavedModel is not read")

    def beside(self) -> list[str]:
        """All files in the folder."""
        return self._source.beside()

    def asset(self, name: str) -> bytes:
        """Such a model's layers have no files of their own. Raises BadFileError."""
        return self._source.asset(name)

    def close(self) -> None:
        """The folder is closed by who opened it."""

    def write(self, target: str | os.PathLike[str]) -> None:
        """Write a folder of Keras 3: what Keras 2 wrote here is not written. Raises as ``write_new_folder``."""
        write_new_folder(self, target)


def _model(descriptions: Mapping[int, tuple[str, memoryview]]) -> dict[str, Any]:
    """The entry of the outermost model. Raises UnsupportedError where there is none with a graph."""
    if 0 not in descriptions:
        raise UnsupportedError(f"{_PLAIN}: {_OTHERWISE}")
    identifier, text = descriptions[0]
    if identifier not in _NETWORKS:
        raise UnsupportedError(f"a SavedModel of a {shown(identifier)}, not of a model: {_OTHERWISE}")
    metadata = metadata_of(text)
    class_name, config = metadata.get("class_name"), metadata.get("config")
    if class_name not in _GRAPHS:
        raise UnsupportedError(
            f"a SavedModel of the class {shown(class_name)!r}, a subclassed model, whose graph exists only as code: "
            f"{_OTHERWISE}"
        )
    if not isinstance(config, dict) or "layers" not in config:
        raise UnsupportedError(
            f"a SavedModel of a {class_name} model without its configuration, as a repaired one is: {_OTHERWISE}"
        )
    entry = {"class_name": class_name, "config": config}
    if isinstance(metadata.get(_TRAINING), dict):
        entry[_TRAINING] = metadata[_TRAINING]
    return entry


def _has(objects: Objects, name: str) -> bool:
    return any(each == name for each, _ in objects.children[0]) if objects.children else False
