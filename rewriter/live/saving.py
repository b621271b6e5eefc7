"""Saves a model in memory to a temporary file, and loads a model from such a file."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..errors import RewriterError, UnsupportedError, shown
from ..proof.blame import line
from .library import Library, library_of
from .names import Names, named, names_of
from .parts import Target, target_of

_SENTENCE = re.compile(r"(?<=[.!?])\s")


@dataclass(frozen=True, slots=True)
class Saved:
    """A model in a temporary file, and how to load files made from it."""

    path: str
    model: Any
    names: Names
    library: Library

    @contextmanager
    def known(self) -> Iterator[None]:
        """Within the block Keras finds every class and function of the model, in this thread.

        Raises:
            UnsupportedError: Keras cannot load a part of the model.
        """
        if self.names.cannot_load:
            raise UnsupportedError(self.names.cannot_load)
        module = self.library.module
        with module.saving.custom_object_scope(self.names.objects):
            if self.library.legacy:
                yield
                return
            # A loaded model gets the global policy, by which `compile` wraps an optimizer (trainer.py, Keras 3.15).
            policy = module.config.dtype_policy()
            module.config.set_dtype_policy(self.model.dtype_policy)
            try:
                yield
            finally:
                module.config.set_dtype_policy(policy)

    def load(self, path: str) -> Any:
        """Load a file that was made from this one, with weights and compile state.

        Raises:
            UnsupportedError: Keras, or the caller's code in the model, cannot load it.
        """
        with self.known():
            try:
                # This process made the model: its code is the caller's own.
                return self.library.module.saving.load_model(path, safe_mode=False)
            except Exception as error:
                text = line(error, path)
                raise UnsupportedError(
                    f"the repaired model cannot be loaded from its file: {text}"
                ) from error


@contextmanager
def saved(model: Any, hdf5: bool = False) -> Iterator[Saved]:
    """A temporary file of a model whose graph is all that it computes.

    Args:
        hdf5: whether a Keras 2 model is saved as HDF5, which can be converted to Keras 3.

    Raises:
        UnsupportedError: it is subclassed, or something in it cannot be saved.
    """
    with saved_target(target_of(model), hdf5) as file:
        yield file


@contextmanager
def saved_target(target: Target, hdf5: bool = False) -> Iterator[Saved]:
    """As ``saved``, for a target that is ready to be saved."""
    model, library = target.model, library_of(target.model)
    names = names_of(model, library)
    with tempfile.TemporaryDirectory(prefix="rewriter-") as directory:
        path = os.path.join(directory, "model.h5" if hdf5 and library.legacy else "model.keras")
        try:
            with named(model, names):
                type(model).save(model, path)  # not a replaced method (drop_in)
        except RewriterError:
            raise
        except Exception as error:
            raise UnsupportedError(_why(model, library, error, path)) from error
        yield Saved(path, model, names, library)


def _why(model: Any, library: Library, error: Exception, path: str) -> str:
    """Why a model cannot be saved, with the innermost layer that cannot be saved."""
    blamed = ""
    for layer in model._flatten_layers(include_self=False):
        try:
            library.module.saving.serialize_keras_object(layer)
        except Exception as caught:
            blamed, error = f"{layer.name!r} ({type(layer).__name__}) ", caught
    said = _SENTENCE.split(" ".join(str(error).replace(path, "the file").split()))[0]
    return f"{shown(blamed)}cannot be saved: {shown(said or type(error).__name__)}"
