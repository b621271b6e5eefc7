"""The backends that Keras computes with, one row and one module each, and which of them a proof runs on."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

# Runs a model: flat inputs, and what is called with each operand and result, which it returns or replaces; gives the
# model's outputs, and for each call of a changed node the tensors whose gradients are wanted (None for other things).
Run = Callable[[Sequence[Any], Callable[[Any], Any]], tuple[list[Any], list[list[Any]]]]


class Backend(Protocol):
    """How a backend runs a Keras model. Arrays are NumPy's, tensors its own.

    Attributes:
        traced: its errors are raised outside of the operations, and name the nodes in question.
        tells_none: its gradient is None where there is none, not zeros.
    """

    traced: bool
    tells_none: bool

    def compiled(
        self, model: Any, function: Callable[..., list[Any]]
    ) -> Callable[[Sequence[Any]], list[Any]]:
        """A function of a model's flat inputs that gives a flat list of tensors, as one of arrays to arrays."""
        ...

    def reachable(self) -> Callable[[Any], bool]:
        """Says of a tensor whether its numbers are there where this is called: not in a loop within, for one."""
        ...

    def gradients(self, model: Any, run: Run, inputs: Sequence[Any]) -> list[list[Any]] | None:
        """The gradients of the sum of a model's floating outputs at the tensors that ``run`` names.

        Each is an array, or None where there is none. None for all where no output is of floating numbers.

        Raises:
            Exception: as the backend has it, where something has no gradient.
        """
        ...


class Row(NamedTuple):
    """A backend: the package that it is, what it is called, and the extra that installs it with Keras."""

    package: str
    title: str
    extra: str


# In the order in which they are tried where nobody chose one.
BACKENDS = {
    "tensorflow": Row("tensorflow", "TensorFlow", "keras"),
    "jax": Row("jax", "JAX", "jax"),
    "torch": Row("torch", "PyTorch", "torch"),
}


def chosen(installed: Callable[[str], bool]) -> tuple[str, str]:
    """The backend that Keras is to be run on, or "" and why there is none.

    It is the user's choice as Keras reads it: ``KERAS_BACKEND``, then ``keras.json``; then what is installed. Keras
    writes a ``keras.json`` unasked: one that names what is not installed is not a choice.
    """
    asked = os.environ.get("KERAS_BACKEND", "")
    for name in (asked, _configured()):
        if name in BACKENDS and installed(BACKENDS[name].package):
            return name, ""
        if name and name == asked:
            if name not in BACKENDS:
                return "", f"KERAS_BACKEND is {name!r}: a proof runs on {_choice(list(BACKENDS))}"
            return "", f"KERAS_BACKEND is {name!r}, which is not installed: {_install(name)}"
    found = next((name for name, row in BACKENDS.items() if installed(row.package)), "")
    return found, "" if found else f"Keras has no backend here: {_choice([_install(n) for n in BACKENDS])}"


def _configured() -> str:
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    try:
        stated = json.loads(Path(home, "keras.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return ""
    name = stated.get("backend") if isinstance(stated, dict) else None
    return name if isinstance(name, str) else ""


def _install(name: str) -> str:
    return f"pip install 'rewriter[{BACKENDS[name].extra}]'"


def _choice(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def running() -> Backend:
    """The adapter of the backend that the imported Keras runs on. KeyError where there is none."""
    import keras

    name = keras.backend.backend()
    if name not in BACKENDS:
        raise KeyError(name)
    made: Backend = importlib.import_module(f".{name}", __name__).BACKEND
    return made


def described() -> str:
    """What runs here: ``Keras 3.15.1 on JAX 0.10.2``."""
    import keras

    name = keras.backend.backend()
    row = BACKENDS.get(name, Row(name, name, ""))
    version = getattr(importlib.import_module(row.package), "__version__", "")
    return f"Keras {keras.__version__} on {row.title} {version}".rstrip()
