"""The formats of models, one row each: how a file is recognised and opened, what it is called and what runs it.

A file is what its first bytes say; where they say nothing, what its name ends in.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..errors import BadFileError, UnsupportedError, UsageError
from ..files.regular import open_regular
from .model_file import ModelFile

Path = str | os.PathLike[str]

# Writes an opened model to a path; raises as ``ModelFile.write``.
Writer = Callable[[Any, Path], None]

_SAVED_MODEL = ("saved_model.pb", "saved_model.pbtxt")
_HDF5 = b"\x89HDF\r\n\x1a\n"
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
        open_with: opens one with a file of its weights, where it has none itself.
        runtime: what runs it for a proof, a name of ``proof.runtimes``; "" where nothing does.
        contract: its name in a report, where several rows are one format in different containers.
        family: formats of one family hold the same models, which can be written from one as another.
        write: writes an opened model of another format of its family to a path; None where there is no writer.
        weights: whether its files hold the weights too.
        translated: whether its models are brought to Keras 3 for the proof, which does not load all of its files.
    """

    name: str
    words: str
    suffixes: tuple[str, ...]
    is_one: Callable[[File], bool]
    open: Callable[[str], ModelFile]
    runtime: str = ""
    contract: str = ""
    family: str = ""
    write: Writer | None = None
    weights: bool = True
    translated: bool = False
    open_with: Callable[[str, str], ModelFile] | None = None

    @property
    def reported(self) -> str:
        """Its name in a report."""
        return self.contract or self.name

    @property
    def suffix(self) -> str:
        """What a new file of it is to end in; "" for a folder."""
        return self.suffixes[0] if self.suffixes else ""

    def is_named(self, path: Path) -> bool:
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


def _json(path: str, weights: str | None = None) -> ModelFile:
    from .keras.json_file import KerasJson

    return KerasJson(path, weights)


def _onnx(path: str) -> ModelFile:
    from .onnx import OnnxModel

    return OnnxModel(path)


def _saved_model(path: str) -> ModelFile:
    from .saved_model import SavedModel

    return SavedModel(path)


def _saved_model_as_keras(path: str) -> ModelFile:
    from .saved_model import SavedModel

    return SavedModel(path).as_keras()


def _hdf5(path: str) -> ModelFile:
    from .keras.h5_file import KerasH5

    return KerasH5(path)


def _new(module: str, writer: str) -> Writer:
    """A writer of a module of ``keras``, imported when something is written."""

    def write(source: Any, target: Path) -> None:
        getattr(importlib.import_module(f".keras.{module}", __package__), writer)(source, target)

    return write


def _pointer(path: str) -> ModelFile:
    raise BadFileError("a Git LFS pointer, not the file itself: fetch it with git lfs pull")


# In the order in which they are tried; what nothing recognises is taken for the last.
FORMATS = (
    Format(
        "savedmodel",
        "a SavedModel",
        (),
        lambda file: (
            file.folder and any(os.path.lexists(os.path.join(file.path, name)) for name in _SAVED_MODEL)
        ),
        _saved_model,
        "tensorflow",
    ),
    Format(  # the Keras model in it, on request (``as_keras``)
        "savedmodel-keras",
        "a SavedModel as a Keras model",
        (),
        lambda file: False,
        _saved_model_as_keras,
        "keras",
        "savedmodel",
        "keras",
        translated=True,
    ),
    Format(  # of model.save(path, zipped=False)
        "keras-folder",
        "a Keras folder",
        (),
        lambda file: file.folder and os.path.exists(os.path.join(file.path, "config.json")),
        _keras_folder,
        "keras",
        "keras-v3",
        "keras",
        _new("new_model", "write_new_folder"),
    ),
    Format(
        "",
        "a Git LFS pointer",
        (),
        lambda file: file.start.startswith(b"version https://git-lfs.github.com/spec/"),
        _pointer,
    ),
    Format(
        "h5",
        "an HDF5 model",
        (".h5", ".hdf5"),
        lambda file: not file.folder and (file.ends_in(".h5", ".hdf5") or file.start.startswith(_HDF5)),
        _hdf5,
        "keras",
        family="keras",
        write=_new("new_h5", "write_new_h5"),
        translated=True,
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
        family="keras",
        write=_new("new_model", "write_new_json"),
        weights=False,
        open_with=_json,
    ),
    Format(  # told from the next one by its metadata, once it is open
        "keras-v2",
        "a Keras archive",
        (".keras",),
        lambda file: False,
        _archive,
        "keras",
        family="keras",
        translated=True,
    ),
    Format(
        "keras-v3",
        "a Keras archive",
        (".keras",),
        lambda file: True,
        _archive,
        "keras",
        family="keras",
        write=_new("new_model", "write_new_archive"),
    ),
)


def format_of(name: str) -> Format:
    """The format with a name that a ``ModelFile`` gave. StopIteration for any other."""
    return next(each for each in FORMATS if each.name == name)


def format_for(path: Path) -> Format | None:
    """The format that the name of a file says it is of, or None: the one that is written, where several have it."""
    named = [each for each in FORMATS if each.is_named(path)]
    return next((each for each in named if each.write), named[0] if named else None)


def is_folder_of_model(path: str) -> bool:
    """Whether a folder is a model itself."""
    return any(each.is_one(File(path, True, b"")) for each in FORMATS if not each.suffixes and each.name)


def is_named_as_model(path: str) -> bool:
    """Whether a file's name says that it is a whole model. Few files of JSON are: their names say nothing."""
    name = path.lower()
    return not name.endswith(".weights.h5") and any(
        each.is_named(path) for each in FORMATS if each.weights and each.suffixes
    )


def written_as(form: str, path: Path) -> Format | None:
    """The format in which a model of one is written under a name: its own, or another of its family; None for none.

    A name that ends in "/" is that of a folder.
    """
    own, named = format_of(form), format_for(path)
    if own.is_named(path) or (named is None and not own.suffixes):
        return own
    folder = named is None and os.fspath(path).endswith(("/", os.sep))
    return next((each for each in written_from(own) if each is named or (folder and not each.suffixes)), None)


def newest_of(form: Format) -> Format:
    """The format of the same suffix that is written: that of Keras 3 for one of Keras 2."""
    return next((each for each in FORMATS if each.write and each.suffixes == form.suffixes), form)


def as_keras(source: ModelFile) -> ModelFile:
    """The Keras model that a SavedModel describes or serves, for a format of Keras or ONNX; any other model itself.

    Raises:
        BadFileError: what describes it is damaged.
        UnsupportedError: a SavedModel that has no form in Keras 3.
    """
    found = getattr(source, "as_keras", None)
    return source if found is None else found()


def as_exported(source: ModelFile, fallback: str | None) -> tuple[ModelFile, str]:
    """``as_keras``; with a fallback the model itself where it has no such form, and why. Raises likewise."""
    try:
        found = as_keras(source)
        found.check_newest()
        return found, ""
    except UnsupportedError as error:
        if fallback is None:
            raise
        return source, str(error)


def write_as(source: ModelFile, form: Format, target: Path) -> None:
    """Write an opened model in its own format, or in another one of its family. Raises as ``ModelFile.write``."""
    if form.name == source.format:
        source.write(target)
    else:
        assert form.write is not None
        form.write(source, target)


def written_from(own: Format) -> list[Format]:
    """The other formats in which a model of one can be written."""
    return [each for each in FORMATS if each.family == own.family != "" and each.write and each is not own]


@contextmanager
def open_model(path: Path, weights: Path | None = None) -> Iterator[ModelFile]:
    """Open a model of any format that is read here.

    Args:
        weights: a file with its weights, for a model that is a configuration alone.

    Raises:
        UsageError: the model holds its weights itself.
        BadFileError: no such file, or damaged.
        UnsupportedError: a model in a format that is not read.
    """
    source = _open(os.fspath(path), weights)
    try:
        yield source
    finally:
        source.close()


@contextmanager
def reopened(source: ModelFile, weights: Path | None = None) -> Iterator[ModelFile]:
    """Open the file of a model again, and read it as ``source`` is. Raises as ``open_model``."""
    with open_model(source.path, weights) as again:
        yield again if again.format == source.format else as_keras(again)


def _open(path: str, weights: Path | None) -> ModelFile:
    file = _looked_at(path)
    form = next(each for each in FORMATS if each.is_one(file))
    if weights is None:
        return form.open(path)
    if form.open_with is None:
        raise UsageError(f"{form.words} holds its weights itself: leave --weights out")
    return form.open_with(path, os.fspath(weights))


def _looked_at(path: str) -> File:
    if os.path.isdir(path):
        return File(path, True, b"")
    descriptor, _ = open_regular(path)
    with os.fdopen(descriptor, "rb") as file:
        try:
            return File(path, False, file.read(_START))
        except OSError as error:
            raise BadFileError(f"cannot be read: {error.strerror}") from None
