"""The backends of Keras, one row and one module each, and the choice of the one for a proof."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

# Runs a model on flat inputs. The second argument is called with each operand and result, and returns it or another
# tensor in its place. Returns the model's outputs, and for each call of a changed node the tensors whose gradients are
# wanted.
Run = Callable[[Sequence[Any], Callable[[Any], Any]], tuple[list[Any], list[list[Any]]]]


class Backend(Protocol):
    """How a backend runs a Keras model. Arrays are NumPy's, tensors its own.

    Attributes:
        traced: its errors are raised outside the operations, and name the failing nodes.
        tells_none: a missing gradient is None, not zeros.
    """

    traced: bool
    tells_none: bool

    def compiled(
        self, model: Any, function: Callable[..., list[Any]]
    ) -> Callable[[Sequence[Any]], list[Any]]:
        """Make a function of arrays to arrays from a function of a model's flat inputs to a flat list of tensors."""
        ...

    def reachable(self) -> Callable[[Any], bool]:
        """A function that says whether a tensor has values here. Inside a loop of the model it has none."""
        ...

    def gradients(self, model: Any, run: Run, inputs: Sequence[Any]) -> list[list[Any]] | None:
        """The gradients of the sum of a model's floating outputs at the tensors that ``run`` returns.

        Each is an array, or None if there is no gradient. The result is None if no output is floating.

        Raises:
            Exception: an error of the backend, if an operation has no gradient.
        """
        ...


class Row(NamedTuple):
    """A backend: its package, its title, and the extra that installs it with Keras."""

    package: str
    title: str
    extra: str


# In the order in which they are tried if the user chose none.
BACKENDS = {
    "tensorflow": Row("tensorflow", "TensorFlow", "keras"),
    "jax": Row("jax", "JAX", "jax"),
    "torch": Row("torch", "PyTorch", "torch"),
}


def chosen(installed: Callable[[str], bool]) -> tuple[str, str]:
    """The backend to run Keras on and "", or "" and why there is none.

    It is the user's choice, in the order of Keras: ``KERAS_BACKEND``, then ``keras.json``; then an installed backend.
    Keras writes ``keras.json`` by default, and a backend in it that is not installed is ignored.
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
    """The adapter for the backend of the imported Keras. Raises KeyError if there is none."""
    import keras

    name = keras.backend.backend()
    if name not in BACKENDS:
        raise KeyError(name)
    made: Backend = importlib.import_module(f".{name}", __name__).BACKEND
    return made


def described() -> str:
    """The versions of Keras and its backend: ``Keras 3.15.1 on JAX 0.10.2``."""
    import keras

    name = keras.backend.backend()
    row = BACKENDS.get(name, Row(name, name, ""))
    version = getattr(importlib.import_module(row.package), "__version__", "")
    return f"Keras {keras.__version__} on {row.title} {version}".rstrip()
