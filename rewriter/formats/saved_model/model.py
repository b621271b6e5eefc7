"""A SavedModel folder: its graph, and a copy in which everything but the repaired functions is what it was."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from functools import cached_property

from ...errors import BadFileError, UnsupportedError, shown
from ...files.folder import Folder, copy_folder
from ...files.regular import check_pointer
from ...ir.graph import Graph
from ..model_file import Remark
from ..variables import Variables
from . import keras_metadata
from .bundle import read_bundle
from .keras_model import KerasSavedModel
from .messages import Objects
from .reader import Source, meta_in, objects_in, read
from .spelling import spell
from .text import encoded
from .traced import signature_name
from .wire import Message
from .writer import repaired

_FINGERPRINT = "fingerprint.pb"
BINARY, TEXT = "saved_model.pb", "saved_model.pbtxt"
_MAX_TEXT = 256 << 20
_MAX_SIZE = 2**31 - 1  # protobuf holds no more


class SavedModel:
    """A folder with a ``saved_model.pb`` opened for reading; its variables are not loaded.

    Raises:
        BadFileError: no SavedModel, damaged, or it contradicts itself; a file of the folder is a link; numbers of a
            variable are missing.
        UnsupportedError: functions nested too deep, or more nodes than are followed.
    """

    format = "savedmodel"
    older = outdated = False
    remarks = ()
    out_of_order = ""
    spell = staticmethod(spell)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.folder = Folder(self.path)
        # An honest index in a form that is not read says nothing: nothing here needs it.
        with contextlib.suppress(UnsupportedError):
            read_bundle(self.folder)
        self._data = self._message()

    def training_remarks(self, form: str) -> Sequence[Remark]:
        """Nothing: it says nothing of training."""
        return ()

    @cached_property
    def source(self) -> Source:
        """Its functions. Raises as the class."""
        return read(self._data, self.path)

    @property
    def graph(self) -> Graph:
        return self.source.graph

    @cached_property
    def objects(self) -> tuple[Objects, str]:
        """The objects that it holds, and the version of TensorFlow that wrote it. Raises BadFileError."""
        return objects_in(self._data)

    @cached_property
    def meta(self) -> Message:
        """The graph that is served, with all that stands around it. Raises BadFileError."""
        return meta_in(self._data)

    def as_keras(self) -> KerasSavedModel:
        """The Keras model that it was, or that it serves. Raises as ``KerasSavedModel``."""
        return KerasSavedModel(self)

    def signature(self) -> str:
        """The name of the signature that stands for the model. Raises UnsupportedError where none does."""
        return signature_name(self.meta)[0]

    @property
    def saved_by(self) -> str:
        version = self.objects[1]
        return f"TensorFlow {shown(version)}" if version else ""

    def _message(self) -> memoryview:
        """The message, from the text form where that alone is there, as TensorFlow takes it (``loader_impl.py``)."""
        name, limit = (BINARY, _MAX_SIZE) if BINARY in self.folder else (TEXT, _MAX_TEXT)
        data = self.folder.open_raw(name, limit)
        if not len(data):
            raise BadFileError(f"{name} is empty")
        check_pointer(bytes(data[:64]))
        if name == BINARY:
            return data
        try:
            return memoryview(encoded(bytes(data).decode("utf-8-sig")))
        except UnicodeDecodeError:
            raise BadFileError(f"{TEXT} is not text") from None

    def check_newest(self) -> None:
        """Nothing in it is of Keras."""

    def load_weights(self) -> None:
        """The shapes of a SavedModel's variables are those that its graph states."""

    def variables(self) -> Variables:
        """Raises UnsupportedError: what is exported is the Keras model (``as_keras``)."""
        raise UnsupportedError(
            "a repaired SavedModel and an ONNX file are not written at once: write the folder, and export that"
        )

    def parameter_counts(self) -> None:
        """Which variables are whose, a SavedModel does not tell."""

    def beside(self) -> list[str]:
        """All files in the folder."""
        return [os.path.join(self.path, name) for name in self.folder.names() if not name.endswith("/")]

    def asset(self, name: str) -> bytes:
        """A SavedModel's layers have no files of their own. Raises BadFileError."""
        raise BadFileError("a SavedModel has no files of single layers")

    def close(self) -> None:
        self.folder.close()

    def write(self, target: str | os.PathLike[str]) -> None:
        """Write the folder with its graph as it is now; a copy where nothing changed.

        Raises:
            BadFileError: a file of it changed since it was opened.
            UnsupportedError: a change that a function of the file cannot hold.
            OutputError: the target cannot be written.
        """
        if not any(node.changed for _, _, node in self.graph.walk()):
            copy_folder(self.folder, target)
            return
        # Its hashes are of the graph as it was; TensorFlow takes a folder without it (fingerprinting_utils.py, 2.21).
        replace = {BINARY: repaired(self.source)}
        units = self.source.units.values()
        changed = {u.name for u in units if any(n.changed for n in u.graph.nodes.values())}
        objects = keras_metadata.touched(self.source, changed)
        if keras_metadata.NAME in self.folder:
            metadata = self.folder.open_raw(keras_metadata.NAME, _MAX_SIZE)
            replace[keras_metadata.NAME] = keras_metadata.without_configs(metadata, objects)
        elif self.source.objects.described:
            replace[BINARY] = keras_metadata.objects_without_configs(
                replace[BINARY], self.source.number, objects
            )
        if BINARY not in self.folder:
            # What is written is the binary form, under its own name.
            renamed, replace[TEXT] = {TEXT: BINARY}, replace.pop(BINARY)
            copy_folder(self.folder, target, replace, rename=renamed, leave={_FINGERPRINT})
            return
        copy_folder(self.folder, target, replace, leave={_FINGERPRINT, TEXT})
