"""The model formats, one row each: how a file is recognised and opened, its names, and the runtime that runs it.

The rows are tried in order. A row checks the first bytes of a file, the end of its name, or both.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

from ..errors import BadFileError, UnsupportedError, UsageError
from ..files.regular import open_regular, read_at
from ..files.used import uses
from ..trusted import tracing
from .model_file import ModelFile

Path = str | os.PathLike[str]

# Writes an opened model to a path; raises as ``ModelFile.write``.
Writer = Callable[[Any, Path], None]

_SAVED_MODEL = ("saved_model.pb", "saved_model.pbtxt")
_HDF5 = b"\x89HDF\r\n\x1a\n"
_START = 64  # bytes at the start of a file that are read to recognise it


@dataclass(frozen=True, slots=True)
class File:
    """A path before it is opened: whether it is a folder, and the first bytes of a file."""

    path: str
    folder: bool
    start: bytes

    def ends_in(self, *suffixes: str) -> bool:
        return self.path.lower().endswith(suffixes)


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes:
        name: the value of ``ModelFile.format`` for its files; "" if its files are never opened.
        words: its name in a sentence.
        suffixes: the ends of its file names; () for a folder, which can have any name.
        is_one: whether a path has this format.
        open: opens a file; raises BadFileError or UnsupportedError.
        open_with: opens a file that has no weights, with a second file for the weights.
        runtime: the runtime for a proof, a name of ``proof.runtimes``; "" for none.
        contract: its name in a report, if several rows are one format in different containers.
        family: a model in one format of a family can be written in another format of the family.
        write: writes an opened model of another format of its family to a path; None without a writer.
        weights: whether its files hold the weights too.
        translated: whether the proof converts its models to Keras 3, which cannot load all of these files.
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
        """The suffix of a new file; "" for a folder."""
        return self.suffixes[0] if self.suffixes else ""

    def is_named(self, path: Path) -> bool:
        """Whether a file's name has a suffix of this format."""
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
    """A writer in a module of ``keras``, which is imported on the first write."""

    def write(source: Any, target: Path) -> None:
        getattr(importlib.import_module(f".keras.{module}", __package__), writer)(source, target)

    return write


def _pointer(path: str) -> ModelFile:
    raise BadFileError("a Git LFS pointer, not the file itself: fetch it with git lfs pull")


# In the order in which they are tried; the last one accepts any file.
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
    Format(  # opened as the next one; the metadata in the archive then tells them apart
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
    """The format whose name is ``ModelFile.format``. Raises StopIteration for any other name."""
    return next(each for each in FORMATS if each.name == name)


def format_for(path: Path) -> Format | None:
    """The format with the suffix of a file's name, or None; if several have it, the one with a writer."""
    named = [each for each in FORMATS if each.is_named(path)]
    return next((each for each in named if each.write), named[0] if named else None)


def is_folder_of_model(path: str) -> bool:
    """Whether a folder is a model itself."""
    return any(each.is_one(File(path, True, b"")) for each in FORMATS if not each.suffixes and each.name)


def is_named_as_model(path: str) -> bool:
    """Whether a file's name has the suffix of a whole model. ``.json`` does not count: few such files are models."""
    name = path.lower()
    return not name.endswith(".weights.h5") and any(
        each.is_named(path) for each in FORMATS if each.weights and each.suffixes
    )


def written_as(form: str, path: Path) -> Format | None:
    """The format in which a model of format ``form`` is written to ``path``: its own, one of its family, or None.

    A path that ends in "/" is a folder.
    """
    own, named = format_of(form), format_for(path)
    if own.is_named(path) or (named is None and not own.suffixes):
        return own
    folder = named is None and os.fspath(path).endswith(("/", os.sep))
    return next((each for each in written_from(own) if each is named or (folder and not each.suffixes)), None)


def newest_of(form: Format) -> Format:
    """The format with the same suffix that has a writer: for a Keras 2 format the one of Keras 3."""
    return next((each for each in FORMATS if each.write and each.suffixes == form.suffixes), form)


def as_keras(source: ModelFile) -> ModelFile:
    """The Keras model that a SavedModel describes or serves, for export to Keras or ONNX; any other model unchanged.

    Raises:
        BadFileError: the description of the Keras model is damaged.
        UnsupportedError: a SavedModel that Keras 3 cannot express.
    """
    found = getattr(source, "as_keras", None)
    return source if found is None else found()


def as_exported(source: ModelFile, fallback: str | None) -> tuple[ModelFile, str]:
    """(``as_keras(source)``, ""); with a fallback, (``source``, the reason) instead of an UnsupportedError."""
    try:
        found = as_keras(source)
        found.check_newest()
        return found, ""
    except UnsupportedError as error:
        if fallback is None:
            raise
        return source, str(error)


def write_as(source: ModelFile, form: Format, target: Path) -> None:
    """Write an opened model in its own format or another one of its family. Raises as ``ModelFile.write``."""
    if form.name == source.format:
        source.write(target)
    else:
        assert form.write is not None
        form.write(source, target)


def written_from(own: Format) -> list[Format]:
    """The other formats in which a model of format ``own`` can be written."""
    return [each for each in FORMATS if each.family == own.family != "" and each.write and each is not own]


@contextmanager
def open_model(path: Path, weights: Path | None = None) -> Iterator[ModelFile]:
    """Open a model of any supported format.

    Args:
        weights: a file with the weights, for a model that is only a configuration.

    Raises:
        UsageError: ``weights`` is given for a model that has its weights itself.
        BadFileError: no such file, or damaged.
        UnsupportedError: a model in a form that is not read.
    """
    name, trace = os.fspath(path), tracing()
    source: ModelFile | None = None
    reason = ""
    with ExitStack() as stack:
        try:
            source = stack.enter_context(closing(_open(name, weights)))
            uses([name, *source.beside()])
        except UnsupportedError as error:
            if trace is None:
                raise
            reason = str(error)
        if trace is not None:
            source = stack.enter_context(trace(name, source, reason))
        assert source is not None
        yield source


@contextmanager
def reopened(source: ModelFile, weights: Path | None = None) -> Iterator[ModelFile]:
    """Open the file of a model again, in the same format as ``source``. Raises as ``open_model``."""
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
    try:
        return File(path, False, read_at(descriptor, _START, 0))
    except OSError as error:
        raise BadFileError(f"cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
