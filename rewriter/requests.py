"""A request and its checks: its options are compatible, and all its files are different."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import UsageError, shown
from .export.onnx.options import weights_beside
from .formats.registry import (
    Format,
    as_keras,
    format_for,
    format_of,
    is_folder_of_model,
    is_named_as_model,
    written_as,
    written_from,
)
from .passes.sites import DEFAULT_OPS, families

if TYPE_CHECKING:
    from .formats.model_file import ModelFile
    from .proof import Prover

MODES = ("safe", "best")
Path = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class RepairRequest:
    """The arguments of ``repair``. Raises UsageError for arguments that exclude each other.

    ``verify`` is None to prove the repair if that is possible here, True to require a proof, False for none, or a
    prover.
    """

    output: Path | None = None
    onnx: Path | None = None
    at: Mapping[str, str] | None = None
    mode: str = "safe"
    ops: str = DEFAULT_OPS
    explicit: bool = False
    verify: bool | Prover | None = None
    rules: Path | None = None
    plan: Path | None = None
    dry_run: bool = False
    weights: Path | None = None

    def __post_init__(self) -> None:
        check_mode(self.mode)
        families(self.ops)
        if self.dry_run and self.onnx is not None:
            raise UsageError("a dry run writes nothing: leave onnx out")
        if self.dry_run and self.verify is True:
            raise UsageError("a dry run writes nothing: leave verify out")
        if self.plan is not None and (self.at or self.explicit or self.mode != "safe"):
            raise UsageError("a plan has all the choices: leave out mode, at and explicit")

    def read_as(self, source: ModelFile) -> ModelFile:
        """The model to repair: for a SavedModel the Keras model in it, if all outputs are files of a known format.

        Raises:
            UnsupportedError: the SavedModel has no form in Keras 3.
        """
        named = [path for path in (self.output, self.onnx) if path is not None]
        return as_keras(source) if named and all(format_for(path) for path in named) else source

    def outputs(self, source: ModelFile) -> Outputs:
        """The files to write, and the format of the repaired model.

        Raises:
            UsageError: a name ends in another format, or a file would overwrite another file of the run.
        """
        own, onnx = sorted_outputs(self.output, self.onnx, source.format)
        weights = self.weights is not None or format_of(source.format).weights
        form = format_of(source.format if self.weights is None else "keras-v3")
        if own is not None:
            form = output_form(own, source.format, weights)
            own = own if form.suffixes else os.fspath(own).rstrip("/" + os.sep)
        if onnx is not None:
            check_onnx(onnx, source)
        reads = {"the plan": self.plan, "the rules file": self.rules}
        check_files(source, reads, {"the output": own, **_onnx_files("the ONNX file", onnx)})
        return Outputs(own, form, onnx)


class Outputs(NamedTuple):
    """The files of a run: the repaired model, and the same as ONNX; None for a file that is not written.

    ``form`` is the format in which the repaired model is written, even if that is only a step of the export.
    """

    own: Path | None
    form: Format
    onnx: Path | None


def sorted_outputs(own: Path | None, onnx: Path | None, form: str) -> tuple[Path | None, Path | None]:
    """The two outputs. ``own`` is the ONNX output if it ends in .onnx and the model is not ONNX.

    Raises:
        UsageError: both are ONNX files.
    """
    if own is None or format_of(form).name == "onnx" or not is_onnx(own):
        return own, onnx
    if onnx is not None:
        raise UsageError("both outputs are ONNX files: give one")
    return None, own


def check_mode(mode: str) -> None:
    """Raise UsageError for an unknown mode."""
    if mode not in MODES:
        raise UsageError(f"mode {mode!r}: must be safe or best")


def is_model(model: Any) -> bool:
    """True for a ``keras.Model``, False for a path."""
    return hasattr(model, "get_config") and hasattr(model, "save")


def check_files(
    source: ModelFile, reads: Mapping[str, Path | None], writes: Mapping[str, Path | None]
) -> None:
    """Raise UsageError if a file to write is the model, a file of its weights, another input or another output.

    Links and other spellings of a path are the same file. A file in the model's folder is refused too.

    Args:
        reads, writes: the other files that are read, and all files that are written, by their names in a message.
    """
    taken: list[tuple[str, Path]] = [("the input", source.path)]
    taken += [("a file of the input's weights", path) for path in source.beside()]
    taken += [(words, path) for words, path in reads.items() if path is not None]
    for words, path in writes.items():
        if path is None:
            continue
        other = next((name for name, used in taken if same_file(used, path)), None)
        if other is not None:
            raise UsageError(f"{words} is {other} itself: choose another name", os.fspath(path))
        if _within(path, source.path):
            raise UsageError(f"{words} is in the input's folder: choose another place", os.fspath(path))
        taken.append((words, path))


def check_export(path: Path, source: ModelFile) -> None:
    """Raise UsageError if a model cannot be exported as ONNX under a name, as ``check_onnx`` and ``check_files``."""
    check_onnx(path, source)
    check_files(source, {}, _onnx_files("the output", path))


def _onnx_files(words: str, path: Path | None) -> dict[str, Path | None]:
    """The files that an export may write, by their names in a message."""
    return {words: path, "the file of its weights": None if path is None else weights_beside(path)}


class ReportPlaceError(UsageError):
    """The report would overwrite another file of the run: no model is read, and nothing is written."""


def check_report(report: Path, others: Iterable[Path]) -> None:
    """Raise ReportPlaceError if a report is another file of the run, or is in the folder of a model."""
    for path in others:
        if same_file(path, report):
            raise ReportPlaceError(
                f"the report is {shown(path)} itself: choose another name", os.fspath(report)
            )
        if is_folder_of_model(os.fspath(path)) and _within(report, path):
            raise ReportPlaceError(
                "the report is in the folder of a model: choose another place", os.fspath(report)
            )


# The names of what a sweep writes over in a folder that it sweeps: other files may belong to a model.
_REPLACEABLE = (".html", ".sarif", ".txt", ".csv", ".jsonl", ".parquet", ".sqlite", ".sqlite3", ".db")


def check_sweep_files(paths: Mapping[str, Path | None], roots: Iterable[str]) -> None:
    """Raise UsageError if a file that a sweep writes may belong to a model, or is another of these files.

    Args:
        paths: by the option that names them.
        roots: what is swept.
    """
    given = [(option, path) for option, path in paths.items() if path is not None]
    for place, (option, path) in enumerate(given):
        folder = os.path.dirname(os.path.abspath(path))
        if is_named_as_model(os.fspath(path)) or is_folder_of_model(folder):
            raise UsageError(f"{option}: a model has or may have this name: choose another", os.fspath(path))
        known = os.fspath(path).lower().endswith(_REPLACEABLE)
        if not known and os.path.lexists(path) and any(_within(path, root) for root in roots):
            raise UsageError(
                f"{option}: the file exists and is in what is swept: choose another place", os.fspath(path)
            )
        other = next((name for name, used in given[:place] if same_file(used, path)), None)
        if other is not None:
            raise UsageError(f"{option} is the file of {other}: choose another name", os.fspath(path))


def same_file(a: Path, b: Path) -> bool:
    """Whether two paths are one file, through links and other spellings too. The file need not exist yet."""
    try:
        if os.path.samefile(a, b):
            return True
    except (OSError, ValueError):
        pass
    try:
        return os.path.normcase(os.path.realpath(a)) == os.path.normcase(os.path.realpath(b))
    except (OSError, ValueError):
        return False


def _within(path: Path, folder: Path) -> bool:
    """Whether a path is in a folder, or below it."""
    if not os.path.isdir(folder):
        return False
    return os.path.realpath(path).startswith(os.path.join(os.path.realpath(folder), ""))


# -- the format of a name -----------------------------
def is_onnx(path: Path) -> bool:
    """Whether a name ends in ``.onnx``."""
    return format_of("onnx").is_named(path)


def check_onnx(path: Path, source: ModelFile) -> None:
    """Raise UsageError if the model is ONNX already, or the name does not end in ``.onnx``."""
    if source.format == "onnx":
        raise UsageError("the model is ONNX already")
    if not is_onnx(path):
        raise UsageError("the name of an ONNX file must end in .onnx", os.fspath(path))


def output_form(path: Path, form: str, weights: bool) -> Format:
    """The format in which a model of format ``form`` is written under a name.

    Args:
        weights: whether its weights have to be written too.

    Raises:
        UsageError: the name ends in another format, or in none.
    """
    found = written_as(form, path)
    if found is None or (weights and not found.weights):
        raise wrong_suffix(path, form, weights)
    return found


def wrong_suffix(path: Path, form: str, weights: bool) -> UsageError:
    """The error that says why a model of format ``form`` is not written under this name.

    Args:
        weights: whether its weights have to be written too.
    """
    own, other = format_of(form), format_for(path)
    forms = [each for each in (own, *written_from(own), format_of("onnx")) if each.weights or not weights]
    ends = list(dict.fromkeys(suffix for each in forms for suffix in each.suffixes))
    if other is None:
        said = "its name has no known suffix"
    elif weights and not other.weights:
        said = f"{other.words} holds no weights"
    else:
        said = f"{other.words} is not written from {own.words}"
    named = f"the output's name must end in {_listed(ends)}"
    if any(not each.suffixes for each in forms):
        named += "; that of a new folder " + ("ends in /" if own.suffixes else "may be any other")
    return UsageError(f"{said}: {named}", os.fspath(path))


def _listed(words: list[str]) -> str:
    """``a, b or c``."""
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
