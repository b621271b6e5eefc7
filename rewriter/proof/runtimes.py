"""What runs models for a proof, one row each: the module that is started for it, and the packages that it needs.

Which format is run by which, its row in ``formats.registry`` says.
"""

from __future__ import annotations

from typing import NamedTuple

from ..formats.registry import format_of

_HERE = __name__.rpartition(".")[0]


class Runtime(NamedTuple):
    """``program`` is a module that serves a request (``child.serve``)."""

    program: str
    packages: tuple[str, ...]


RUNTIMES = {
    "keras": Runtime(f"{_HERE}.keras", ("tensorflow", "keras")),
    "onnx_runtime": Runtime(f"{_HERE}.onnx_runtime", ("onnxruntime",)),
}


def runtime_of(form: str) -> Runtime | None:
    """What runs models of a format, by the name that ``ModelFile.format`` gives; None where nothing does."""
    return RUNTIMES.get(format_of(form).runtime)
