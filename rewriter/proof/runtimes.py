"""The runtimes that run models for a proof, one row each: the module to start, and the packages that it needs.

A format's row in ``formats.registry`` names its runtime.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from ..formats.registry import format_of
from .keras.backends import BACKENDS, chosen

_HERE = __name__.rpartition(".")[0]


# The extra of this package that installs a package; other packages are installed by their own names.
_EXTRAS = {"keras": "keras", "onnxruntime": "onnxruntime", "onnxruntime_extensions": "text"} | {
    backend.package: backend.extra for backend in BACKENDS.values()
}


class Needs(NamedTuple):
    """``missing`` says what is not installed and how to install it, or is ""; ``environment`` is for the process."""

    missing: str
    environment: dict[str, str]


class Runtime(NamedTuple):
    """``program`` is a module that serves a request (``child.serve``); ``needs`` checks what is installed."""

    program: str
    needs: Callable[[], Needs]


def needs(*packages: str, **environment: str) -> Needs:
    """The needs of a runtime with these packages and environment variables."""
    absent = [name for name in packages if not installed(name)]
    if not absent:
        return Needs("", environment)
    extras = dict.fromkeys(_EXTRAS[name] for name in absent if name in _EXTRAS)
    own = [f"'rewriter[{','.join(extras)}]'"] if extras else []
    others = [name for name in absent if name not in _EXTRAS]
    return Needs(f"{' and '.join(absent)} not installed: pip install {' '.join(own + others)}", environment)


def keras_needs(*packages: str) -> Needs:
    """The needs of a runtime with Keras, on the backend that the user chose or has, and these packages."""
    backend, why = chosen(installed)
    first = BACKENDS[backend].extra if backend else "keras"
    if not installed("keras"):
        return Needs(f"keras not installed: pip install 'rewriter[{first}]'", {})
    return Needs(why, {}) if why else needs(*packages, KERAS_BACKEND=backend)


def installed(name: str) -> bool:
    """True if a package can be imported, without importing it."""
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
    """The runtime for a format, by the name in ``ModelFile.format``; None if there is none."""
    return RUNTIMES.get(format_of(form).runtime)
