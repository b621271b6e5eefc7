"""Models in memory: a ``keras.Model`` goes through a temporary ``.keras`` file, as any other model does."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .proof import Prover, in_process
from .results import Result


@contextmanager
def saved(model: Any) -> Iterator[str]:
    """The path of a temporary ``.keras`` file of the model."""
    with tempfile.TemporaryDirectory(prefix="rewriter-") as directory:
        path = os.path.join(directory, "model.keras")
        model.save(path)
        yield path


def repair_model(
    model: Any, repair: Callable[[str, str, Prover], Result], output: str | os.PathLike[str] | None
) -> Result:
    """Repair a model in memory; the result's ``model`` is a new one with its weights and compile state.

    It is proven in this process, which has Keras and the model's own classes already.
    """
    with saved(model) as path:
        fixed = os.path.join(os.path.dirname(path), "fixed.keras") if output is None else os.fspath(output)
        # The model was made by this very process: its code is the caller's own.
        classes = _classes(model)
        result = repair(path, fixed, lambda request: in_process(request, classes, safe_mode=False))
        result.path = str(model.name)
        if result.output is None:
            return result
        import keras

        result.model = keras.saving.load_model(fixed, custom_objects=classes, safe_mode=False)
        result.output = None if output is None else fixed
    return result


def _classes(model: Any) -> dict[str, Any]:
    """Every class that the model's layers are instances of, by name."""
    return {type(layer).__name__: type(layer) for layer in model._flatten_layers()}
