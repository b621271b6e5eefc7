"""A SavedModel as a Keras model: from its configuration and variables if Keras 2 wrote it, else from its signature.

Keras 2 stores a JSON description of every layer beside the functions, and rebuilds a functional or sequential model
from it. TensorFlow 2.0 to 2.4 keeps it in the objects of ``saved_model.pb``, 2.5 and later in ``keras_metadata.pb``.
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
from ..keras.upgrade.result import Refusal
from ..model_file import Remark
from ..variables import Variable, Variables
from .keras_metadata import descriptions, metadata_of
from .keras_variables import layer_numbers, stored_layers, weights
from .traced import (
    Library,
    Served,
    Traced,
    Unable,
    of_function,
    of_signature,
    served,
    with_functions,
)

if TYPE_CHECKING:
    from ...files.folder import Folder
    from .messages import Objects
    from .wire import Message

FORMAT = "savedmodel-keras"
_NETWORKS = ("_tf_keras_network", "_tf_keras_sequential", "_tf_keras_model")
_GRAPHS = ("Functional", "Sequential", "Model")
_TRAINING = "training_config"
_OTHERWISE = "it can only be exported to ONNX, by tf2onnx (--fallback tf2onnx)"
_PLAIN = "a SavedModel without the configuration of a Keras model"


class Source(Protocol):
    """The members of an opened SavedModel that are used here."""

    path: str
    folder: Folder

    @property
    def objects(self) -> tuple[Objects, str]: ...

    @property
    def saved_by(self) -> str: ...

    @property
    def meta(self) -> Message: ...

    def beside(self) -> list[str]: ...

    def asset(self, name: str) -> bytes: ...


class KerasSavedModel(KerasFile):
    """The Keras model of a folder.

    Args:
        source: the folder, which must stay open while this object is used.

    Attributes:
        served: the signature that the model is built from, if the file has no Keras description.

    Raises:
        BadFileError: Keras's description of its layers is damaged, or the model contradicts itself.
        UnsupportedError: Keras 3 cannot express a function that is needed.
    """

    format = FORMAT

    def __init__(self, source: Source) -> None:
        self.path = source.path
        self._source = source
        self._objects, version = source.objects
        self.version = version if version.startswith("2.") else "2"
        self._descriptions = descriptions(source.folder, self._objects)
        self._traced: Traced | None = None
        self._of_layers = True
        self.served: Served | None = None
        try:
            entry = _model(self._descriptions)
        except UnsupportedError as error:
            self._of_layers = False
            self._traced = self._whole(error)
            entry = self._traced.entry
        older = Older(entry, self.version)
        if self._traced is not None:
            # For a signature, remarks on single operators are noise: the user did not write these operators.
            older.remarks = [*self._traced.remarks, *(() if self.served is not None else older.remarks)]
        elif older.refusals:
            older = self._without_own_layers(entry, older)
        self.configuration: Configuration = older
        self._entry = older.original
        if _TRAINING not in entry and _has(self._objects, "optimizer"):
            older.remarks = [
                *older.remarks,
                Remark((), "the optimizer and its state", "left out: compile the new model"),
            ]

    def _whole(self, error: UnsupportedError) -> Traced:
        """The model built from its function, if its class or configuration is not in the file.

        Raises ``error`` if the function cannot be used.
        """
        said = self._descriptions.get(0)
        if said is None or said[0] not in _NETWORKS:
            return self._of_signature()
        metadata = metadata_of(said[1])
        if not isinstance(metadata.get("class_name"), str):
            raise error
        library = Library(self._source.meta, self._objects, self._descriptions)
        try:
            return of_function(metadata, library, weights(self._source.folder, self._objects))
        except Unable as unable:
            raise UnsupportedError(f"{error}; as for its function: {unable}") from None

    def _of_signature(self) -> Traced:
        """The model built from its signature, if the file has no Keras description. Raises UnsupportedError."""
        meta, objects = self._source.meta, self._objects
        library = Library(meta, objects, self._descriptions)
        try:
            self.served = served(meta, library)
            return of_signature(self.served, library, weights(self._source.folder, objects))
        except (Unable, UnsupportedError) as reason:
            raise UnsupportedError(f"{_PLAIN}; as for its signature: {reason}; {_OTHERWISE}") from None

    def _without_own_layers(self, entry: dict[str, Any], older: Older) -> Older:
        """The model with the layers that Keras 3 lacks built from their functions, if this works for all of them."""
        origins = older.origins[()].of
        names = {
            origins[refusal.path[0]][0]
            for refusal in older.refusals
            if refusal.path[:1] and refusal.path[0] in origins
        }
        traced = with_functions(
            entry,
            names,
            layer_numbers(self._objects, self._descriptions),
            Library(self._source.meta, self._objects, self._descriptions),
            weights(self._source.folder, self._objects),
        )
        if traced.entry is entry:
            older.refusals = [_with_reason(refusal, origins, traced.reasons) for refusal in older.refusals]
            return older
        newer = Older(traced.entry, self.version)
        if newer.refusals:
            older.refusals = [_with_reason(refusal, origins, traced.reasons) for refusal in newer.refusals]
            return older
        self._traced = traced
        newer.remarks = [*traced.remarks, *newer.remarks]
        return newer

    @property
    def saved_by(self) -> str:
        return self._source.saved_by

    @property
    def served_by(self) -> Source | None:
        """The SavedModel itself, if the model is built from its signature; else None."""
        return None if self.served is None else self._source

    def variables(self) -> Variables:
        """The variables by their places in Keras 3."""
        return self._variables

    @cached_property
    def _variables(self) -> Variables:
        folder, objects = self._source.folder, self._objects
        traced = self._traced or Traced({}, {}, {}, set(), [], {})
        stored = stored_layers(
            folder,
            objects,
            self._descriptions,
            self._entry,
            self.version,
            traced.weights,
            traced.objects,
            traced.gone,
            self._of_layers,
        )
        return NamedVariables(model_variables(self._entry, stored, self.version))

    def _state(self, optimizer: Any) -> Mapping[str, Sequence[Variable]]:
        raise NotCarried("the state in a SavedModel is not read")

    def beside(self) -> list[str]:
        """All files in the folder."""
        return self._source.beside()

    def asset(self, name: str) -> bytes:
        """Raises BadFileError: the layers of such a model have no files of their own."""
        return self._source.asset(name)

    def close(self) -> None:
        """Nothing: the SavedModel closes the folder."""

    def write(self, target: str | os.PathLike[str]) -> None:
        """Write a Keras 3 folder, not the form of Keras 2. Raises as ``write_new_folder``."""
        write_new_folder(self, target)


def _model(descriptions: Mapping[int, tuple[str, memoryview]]) -> dict[str, Any]:
    """The entry of the outermost model. Raises UnsupportedError without a graph in its configuration."""
    if 0 not in descriptions:
        raise UnsupportedError(_PLAIN)
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


def _with_reason(
    refusal: Refusal, origins: Mapping[str, tuple[str, int | None]], reasons: Mapping[str, str]
) -> Refusal:
    name = origins.get(refusal.path[0], ("", None))[0] if refusal.path else ""
    found = reasons.get(name)
    return (
        refusal
        if found is None
        else refusal._replace(reason=f"{refusal.reason}; as for its function: {found}")
    )


def _has(objects: Objects, name: str) -> bool:
    return any(each == name for each, _ in objects.children[0]) if objects.children else False
