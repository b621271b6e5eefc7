"""A model of any Keras form as a file of Keras 3: an archive, a folder, or its configuration alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from ...errors import UnsupportedError, shown
from ...files.atomic import atomic_write, provisional
from ...files.members import Blocks, write_archive, write_folder
from ...ir.graph import path_text
from ..model_file import ModelFile
from ..variables import NoVariables, Variables
from .carried_state import CarriedState
from .configuration import Configuration
from .kept_alive import kept_alive
from .tables import Table, asset_path, check_tables
from .upgrade import Refusal
from .weights_writer import moved_groups, write_weights

# The version of Keras whose form is written.
NEWEST = "3.15.1"

_BLOCK = 1 << 20
_MOST = 3  # the number of untranslatable constructs that a message names


class KerasModel(ModelFile, Protocol):
    """A model with a configuration of Keras."""

    configuration: Configuration

    @property
    def compile_config(self) -> Any:
        """What Keras 3 compiles the model with; None if the file does not state it."""
        ...

    @property
    def optimizer_state(self) -> CarriedState | None:
        """The optimizer's state in a new archive of the model; None if the file has no optimizer."""
        ...

    def files_of_keras_3(self, scratch: str) -> Iterator[tuple[str, Blocks]]:
        """The files of a ``.keras`` archive of the model: names, and contents in blocks.

        Args:
            scratch: an unused path, for a weights file that has to be assembled first.
        """
        ...


def write_new_archive(source: KerasModel, target: str | os.PathLike[str]) -> None:
    """Write a ``.keras`` archive.

    Raises:
        UnsupportedError: there are no weights, or a construct has no form in Keras 3.
        BadFileError: the source is damaged.
        OutputError: the target cannot be written.
    """
    with provisional(target, ".weights.h5", keep=False) as scratch:
        write_archive(target, source.files_of_keras_3(scratch))


def write_new_folder(source: KerasModel, target: str | os.PathLike[str]) -> None:
    """Write a folder, as ``model.save(path, zipped=False)`` does. Raises as ``write_new_archive``."""
    with provisional(target, ".weights.h5", keep=False) as scratch:
        write_folder(target, source.files_of_keras_3(scratch))


def write_new_json(source: KerasModel, target: str | os.PathLike[str]) -> None:
    """Write the configuration alone, as ``model.to_json()`` does. Raises as ``write_new_archive``."""
    with atomic_write(target) as stream:
        stream.write(_written(source))


def new_files(
    source: KerasModel, scratch: str, tables: Callable[[], list[Table]] = list
) -> Iterator[tuple[str, Blocks]]:
    """``files_of_keras_3`` of a model whose file is not an archive of Keras 3. Raises as ``write_new_archive``.

    Args:
        tables: returns the vocabularies that the file has beside its weights.
    """
    content = _written(source)  # reports untranslatable constructs before weights are read
    saved = source.configuration.saved
    variables = checked_variables(source)
    found = tables()
    check_tables(saved, found)
    state = source.optimizer_state
    write_weights(scratch, saved, source.graph, variables, state.groups if state is not None else {})
    yield "metadata.json", (json.dumps({"keras_version": NEWEST}).encode(),)
    yield "config.json", (content,)
    with open(scratch, "rb") as stream:
        yield "model.weights.h5", iter(lambda: stream.read(_BLOCK), b"")
    moved = moved_groups(saved, source.graph, variables) if found else {}
    for table in found:
        yield asset_path(moved[table.group], table.name), (table.read(),)


def _written(source: KerasModel) -> bytes:
    return json.dumps(new_entry(source)).encode()


def new_entry(source: KerasModel) -> dict[str, Any]:
    """The configuration of a model for the newest Keras. UnsupportedError if a construct has no form there."""
    check_translated(source.configuration.refusals)
    entry = kept_alive(source.configuration.newest(NEWEST))
    entry = {key: value for key, value in entry.items() if key not in ("training_config", "compile_config")}
    return entry if source.compile_config is None else {**entry, "compile_config": source.compile_config}


def checked_variables(source: KerasModel) -> Variables:
    """The variables of a model. Raises UnsupportedError if it has no weights."""
    variables = source.variables()
    if isinstance(variables, NoVariables):
        raise UnsupportedError("it holds no weights: give the file of its weights with --weights")
    return variables


def check_translated(refusals: Sequence[Refusal]) -> None:
    """Raises UnsupportedError, with their names, if there are constructs without a form in Keras 3."""
    if not refusals:
        return
    parts = [f"{shown(path_text(r.path))!r}: {r.construct}: {r.reason}" for r in refusals[:_MOST]]
    more = f"; and {len(refusals) - _MOST} more" if len(refusals) > _MOST else ""
    raise UnsupportedError(f"it cannot be brought to Keras {NEWEST}: {'; '.join(parts)}{more}")
