"""What runs models for a proof, one row each: the module that is started for it, and what it needs.

Which format is run by which, its row in ``formats.registry`` says.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from ..formats.registry import format_of
from .keras.backends import BACKENDS, chosen

_HERE = __name__.rpartition(".")[0]


# The extra of this package that brings a package; another one is installed by its own name.
_EXTRAS = {"keras": "keras", "onnxruntime": "onnxruntime"} | {b.package: b.extra for b in BACKENDS.values()}


class Needs(NamedTuple):
    """``missing`` says what is not installed and how to install it, or is ""; ``environment`` is the process's."""

    missing: str
    environment: dict[str, str]


class Runtime(NamedTuple):
    """``program`` is a module that serves a request (``child.serve``); ``needs`` looks at what is installed."""

    program: str
    needs: Callable[[], Needs]


def needs(*packages: str, **environment: str) -> Needs:
    """These packages, and these variables of the environment."""
    absent = [name for name in packages if not installed(name)]
    if not absent:
        return Needs("", environment)
    extras = dict.fromkeys(_EXTRAS[name] for name in absent if name in _EXTRAS)
    own = [f"'rewriter[{','.join(extras)}]'"] if extras else []
    others = [name for name in absent if name not in _EXTRAS]
    return Needs(f"{' and '.join(absent)} not installed: pip install {' '.join(own + others)}", environment)


def keras_needs(*packages: str) -> Needs:
    """Keras on the backend that the user has chosen, or has, and these packages."""
    backend, why = chosen(installed)
    first = BACKENDS[backend].extra if backend else "keras"
    if not installed("keras"):
        return Needs(f"keras not installed: pip install 'rewriter[{first}]'", {})
    return Needs(why, {}) if why else needs(*packages, KERAS_BACKEND=backend)


def installed(name: str) -> bool:
    """True where a package can be imported, without importing it."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


RUNTIMES = {
    "keras": Runtime(f"{_HERE}.keras", keras_needs),
    "onnx_runtime": Runtime(f"{_HERE}.onnx_runtime", partial(needs, "onnxruntime")),
    "tensorflow": Runtime(f"{_HERE}.tensorflow", partial(needs, "tensorflow")),
}


def runtime_of(form: str) -> Runtime | None:
    """What runs models of a format, by the name that ``ModelFile.format`` gives; None where nothing does."""
    return RUNTIMES.get(format_of(form).runtime)
