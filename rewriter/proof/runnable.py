"""A file that the Keras of the proof loads: the model's own, or its translation to Keras 3."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..formats.registry import format_of, reopened, write_as
from ..formats.variables import NoVariables

if TYPE_CHECKING:
    from ..formats.model_file import ModelFile


def is_translated(source: ModelFile) -> bool:
    """Whether Keras 3 cannot load the model's own file, or only a part of it."""
    apart = source.format == "json" and bool(source.beside())  # the weights are in a separate file
    return source.older or format_of(source.format).translated or apart


@contextmanager
def runnable(source: ModelFile) -> Iterator[tuple[str, str]]:
    """Path and format of a file that Keras 3 loads: the model's own, or a temporary one with its translation.

    Raises:
        UnsupportedError: something in it has no form in Keras 3.
        BadFileError: its weights are damaged.
    """
    if not is_translated(source):
        yield source.path, source.format
        return
    form = format_of("json" if isinstance(source.variables(), NoVariables) else "keras-v3")
    with tempfile.TemporaryDirectory(prefix="rewriter-") as folder:
        path = os.path.join(folder, f"model{form.suffix}")
        write_as(source, form, path)
        yield path, form.name


@contextmanager
def runnable_as_it_was(source: ModelFile) -> Iterator[tuple[str, str]]:
    """``runnable`` for the original file of a model whose graph was changed. Raises the same errors."""
    if not is_translated(source):
        yield source.path, source.format
        return
    beside = source.beside() if source.format == "json" else []
    with reopened(source, *beside) as again, runnable(again) as found:
        yield found
