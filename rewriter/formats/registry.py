"""Which format a file is, by its first bytes; every format gives a ``ModelFile``."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from ..errors import BadFileError, UnsupportedError
from ..files.hdf5 import Hdf5Index
from ..ir.graph import Graph
from ..passes.rewrite import Spelling
from .keras.archive import KerasArchive
from .keras.json_file import KerasJson

_HDF5 = b"\x89HDF\r\n\x1a\n"
_ONNX = b"\x08"  # the first field of a ModelProto, its ir_version


class ModelFile(Protocol):
    """An opened model: its graph, which may be changed, and a way to write it with what was changed."""

    path: str
    graph: Graph

    @property
    def format(self) -> str: ...

    @property
    def spell(self) -> Spelling: ...

    def write(self, target: str | os.PathLike[str]) -> None: ...

    def load_weights(self) -> None: ...

    def variables(self) -> tuple[Hdf5Index | None, memoryview | None]: ...

    def asset(self, name: str) -> bytes: ...

    def close(self) -> None: ...


@contextmanager
def open_model(path: str | os.PathLike[str]) -> Iterator[ModelFile]:
    """Open a model of any format that is read here.

    Raises:
        BadFileError: no such file, or damaged.
        UnsupportedError: a model in a format that is not read.
    """
    source = _open(os.fspath(path))
    try:
        yield source
    finally:
        source.close()


def _open(path: str) -> ModelFile:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise BadFileError("no such file") from None
    except (OSError, ValueError) as error:
        raise BadFileError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if stat.S_ISDIR(mode):
        if os.path.exists(os.path.join(path, "saved_model.pb")):
            raise UnsupportedError(
                "a TensorFlow SavedModel, which Keras 3 cannot load: save the model as .keras"
            )
        return KerasArchive(path)
    if stat.S_ISREG(mode):
        start = _first_bytes(path)
        if start.startswith(_HDF5):
            raise UnsupportedError("an HDF5 model (.h5): load it in Keras and save it as .keras")
        if path.endswith(".onnx") or start.startswith(_ONNX):
            from .onnx import OnnxModel

            return OnnxModel(path)
        if path.endswith(".json") or start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            return KerasJson(path)
    return KerasArchive(path)


def _first_bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(64)
    except OSError as error:
        raise BadFileError(f"cannot be read: {error.strerror}") from None
