"""The formats of models, one row each: how a file is recognised and opened, what it is called and what runs it.

A file is what its first bytes say; where they say nothing, what its name ends in.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..errors import BadFileError, UnsupportedError
from ..files.regular import open_regular
from .model_file import ModelFile

_SAVED_MODEL = ("saved_model.pb", "saved_model.pbtxt")
_START = 64  # bytes of a file by which it is recognised


@dataclass(frozen=True, slots=True)
class File:
    """What is known of a path before it is opened: whether it is a folder, and the first bytes of a file."""

    path: str
    folder: bool
    start: bytes

    def ends_in(self, *suffixes: str) -> bool:
        return self.path.lower().endswith(suffixes)


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes:
        name: what ``ModelFile.format`` says of its files; "" where none is opened.
        words: what it is called in a sentence.
        suffixes: what the name of a file of it ends in; () for a folder, which has any name.
        is_one: whether a path is a file of it.
        open: opens one; raises BadFileError or UnsupportedError.
        runtime: what runs it for a proof, a name of ``proof.runtimes``; "" where nothing does.
        contract: its name in a report, where several rows are one format in different containers.
    """

    name: str
    words: str
    suffixes: tuple[str, ...]
    is_one: Callable[[File], bool]
    open: Callable[[str], ModelFile]
    runtime: str = ""
    contract: str = ""

    @property
    def reported(self) -> str:
        """Its name in a report."""
        return self.contract or self.name

    @property
    def suffix(self) -> str:
        """What a new file of it is to end in; "" for a folder."""
        return self.suffixes[0] if self.suffixes else ""

    def is_named(self, path: str | os.PathLike[str]) -> bool:
        """Whether the name of a file says that it is of this format."""
        name = os.path.basename(os.fspath(path)).lower()
        return any(name.endswith(suffix) and name != suffix for suffix in self.suffixes)


def _archive(path: str) -> ModelFile:
    from .keras.archive import KerasArchive

    return KerasArchive(path)


def _keras_folder(path: str) -> ModelFile:
    from ..files.folder import Folder
    from .keras.archive import KerasArchive

    return KerasArchive(path, Folder(path))


def _json(path: str) -> ModelFile:
    from .keras.json_file import KerasJson

    return KerasJson(path)


def _onnx(path: str) -> ModelFile:
    from .onnx import OnnxModel

    return OnnxModel(path)


def _saved_model(path: str) -> ModelFile:
    from .saved_model import SavedModel

    return SavedModel(path)


def _hdf5(path: str) -> ModelFile:
    if path.lower().endswith(".weights.h5"):
        raise UnsupportedError(
            "weights without their model: load them into the model, and save that as .keras"
        )
    raise UnsupportedError("an HDF5 model (.h5): load it in Keras and save it as .keras")


def _pointer(path: str) -> ModelFile:
    raise BadFileError("a Git LFS pointer, not the file itself: fetch it with git lfs pull")


# In the order in which they are tried; what nothing recognises is taken for the last.
FORMATS = (
    Format(
        "savedmodel",
        "a SavedModel",
        (),
        lambda file: file.folder and any(os.path.lexists(os.path.join(file.path, name)) for name in _SAVED_MODEL),
        _saved_model,
        "tensorflow",
    ),
    Format(  # of model.save(path, zipped=False)
        "keras-folder",
        "a Keras folder",
        (),
        lambda file: file.folder and os.path.exists(os.path.join(file.path, "config.json")),
        _keras_folder,
        "keras",
        "keras-v3",
    ),
    Format(
        "",
        "a Git LFS pointer",
        (),
        lambda file: file.start.startswith(b"version https://git-lfs.github.com/spec/"),
        _pointer,
    ),
    Format(
        "",
        "an HDF5 model",
        (".h5", ".hdf5"),
        lambda file: file.start.startswith(b"\x89HDF\r\n\x1a\n"),
        _hdf5,
    ),
    Format(
        "onnx",
        "an ONNX model",
        (".onnx",),
        # The first field of a ModelProto is its ir_version.
        lambda file: not file.folder and (file.ends_in(".onnx") or file.start.startswith(b"\x08")),
        _onnx,
        "onnx_runtime",
    ),
    Format(
        "json",
        "a Keras model as JSON",
        (".json",),
        lambda file: (
            not file.folder
            and (file.ends_in(".json") or file.start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"))
        ),
        _json,
        "keras",
    ),
    Format(  # told from the next one by its metadata, once it is open
        "keras-v2",
        "a Keras archive",
        (".keras",),
        lambda file: False,
        _archive,
    ),
    Format(
        "keras-v3",
        "a Keras archive",
        (".keras",),
        lambda file: True,
        _archive,
        "keras",
    ),
)


def format_of(name: str) -> Format:
    """The format with a name that a ``ModelFile`` gave. StopIteration for any other."""
    return next(each for each in FORMATS if each.name == name)


def format_for(path: str | os.PathLike[str]) -> Format | None:
    """The format that the name of a file says it is of, or None."""
    return next((each for each in FORMATS if each.is_named(path)), None)


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
    file = _looked_at(path)
    return next(each for each in FORMATS if each.is_one(file)).open(path)


def _looked_at(path: str) -> File:
    if os.path.isdir(path):
        return File(path, True, b"")
    descriptor, _ = open_regular(path)
    with os.fdopen(descriptor, "rb") as file:
        try:
            return File(path, False, file.read(_START))
        except OSError as error:
            raise BadFileError(f"cannot be read: {error.strerror}") from None
