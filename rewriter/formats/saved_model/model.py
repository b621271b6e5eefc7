"""A SavedModel folder: its graph, and a copy that changes only the repaired functions."""

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
_MAX_SIZE = 2**31 - 1  # protobuf's limit


class SavedModel:
    """A folder with a ``saved_model.pb`` opened for reading; its variables are not loaded.

    Raises:
        BadFileError: not a SavedModel, damaged, or it contradicts itself; a file of the folder is a link; a variable's
            values are missing.
        UnsupportedError: functions nested too deep, or too many nodes.
    """

    format = "savedmodel"
    older = outdated = False
    remarks = ()
    out_of_order = ""
    spell = staticmethod(spell)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.folder = Folder(self.path)
        # A valid index in an unsupported form is not an error: reading and repairing the graph do not need it.
        with contextlib.suppress(UnsupportedError):
            read_bundle(self.folder)
        self._data = self._message()

    def training_remarks(self, form: str) -> Sequence[Remark]:
        """Nothing: the training state is not read."""
        return ()

    @cached_property
    def source(self) -> Source:
        """The functions, read on first use. Raises as the class."""
        return read(self._data, self.path)

    @property
    def graph(self) -> Graph:
        return self.source.graph

    @cached_property
    def objects(self) -> tuple[Objects, str]:
        """Its object graph, and the version of TensorFlow that wrote it. Raises BadFileError."""
        return objects_in(self._data)

    @cached_property
    def meta(self) -> Message:
        """The MetaGraphDef that is served. Raises BadFileError."""
        return meta_in(self._data)

    def as_keras(self) -> KerasSavedModel:
        """The Keras model that it describes or serves. Raises as ``KerasSavedModel``."""
        return KerasSavedModel(self)

    def signature(self) -> str:
        """The name of the model's main signature. Raises UnsupportedError without one."""
        return signature_name(self.meta)[0]

    @property
    def saved_by(self) -> str:
        version = self.objects[1]
        return f"TensorFlow {shown(version)}" if version else ""

    def _message(self) -> memoryview:
        """The SavedModel message, from the text form if only that exists, as in TensorFlow (``loader_impl.py``)."""
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
        """Nothing to check: ``as_keras`` checks the Keras model."""

    def load_weights(self) -> None:
        """Nothing to load: the graph already has the shapes of the variables."""

    def variables(self) -> Variables:
        """Raises UnsupportedError: an export uses the Keras model instead (``as_keras``)."""
        raise UnsupportedError(
            "a repaired SavedModel and an ONNX file cannot be written in one run: write the folder, then export it"
        )

    def parameter_counts(self) -> None:
        """None: a SavedModel does not record which layer a variable belongs to."""

    def beside(self) -> list[str]:
        """All files in the folder."""
        return [os.path.join(self.path, name) for name in self.folder.names() if not name.endswith("/")]

    def asset(self, name: str) -> bytes:
        """Raises BadFileError: a SavedModel has no files of single layers."""
        raise BadFileError("a SavedModel has no files of single layers")

    def close(self) -> None:
        self.folder.close()

    def write(self, target: str | os.PathLike[str]) -> None:
        """Write the folder with its current graph; a plain copy if nothing changed.

        Raises:
            BadFileError: a file of the folder changed since it was opened.
            UnsupportedError: a change that cannot be written into a function of the file.
            OutputError: the target cannot be written.
        """
        if not any(node.changed for _, _, node in self.graph.walk()):
            copy_folder(self.folder, target)
            return
        # fingerprint.pb is left out: it has hashes of the old graph, and TensorFlow loads a folder without it
        # (fingerprinting_utils.py, 2.21).
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
            # The new message is written in binary form under the binary name, in place of the text file.
            renamed, replace[TEXT] = {TEXT: BINARY}, replace.pop(BINARY)
            copy_folder(self.folder, target, replace, rename=renamed, leave={_FINGERPRINT})
            return
        copy_folder(self.folder, target, replace, leave={_FINGERPRINT, TEXT})
