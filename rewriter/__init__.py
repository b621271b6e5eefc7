"""rewriter: finds the multiplies of a saved Keras model whose operands do not fit, and repairs them.

Every public name is here; its module is imported when the name is first used.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .presentation import Renderer, render_with
from .version import __version__

if TYPE_CHECKING:
    from . import keras_callback, testing
    from .api import check, convert, explain, export_onnx, repair, repaired, repairing, shapes, suggest
    from .conversion import Converted
    from .errors import (
        BadFileError,
        FindingsError,
        OutputError,
        RewriterError,
        UndecidedError,
        UnsupportedError,
        UsageError,
        VerificationError,
    )
    from .export.onnx.options import Exported
    from .passes.candidate import Candidate
    from .passes.finding import Finding
    from .passes.suggest import Suggestion
    from .results import Explanation, Report, Result, Shapes
    from .sweeping.finding import Filters
    from .sweeping.sweep import Sweep, sweep
    from .swept import Outcome, Summary

# The public names that each module defines.
_PLACES = {
    ".api": (
        *("check", "convert", "explain", "export_onnx", "repair", "repaired", "repairing", "shapes"),
        "suggest",
    ),
    ".results": ("Explanation", "Report", "Result", "Shapes"),
    ".passes.finding": ("Finding",),
    ".passes.candidate": ("Candidate",),
    ".passes.suggest": ("Suggestion",),
    ".export.onnx.options": ("Exported",),
    ".conversion": ("Converted",),
    ".sweeping.finding": ("Filters",),
    ".sweeping.sweep": ("Sweep", "sweep"),
    ".swept": ("Outcome", "Summary"),
    ".errors": (
        *("BadFileError", "FindingsError", "OutputError", "RewriterError", "UndecidedError"),
        *("UnsupportedError", "UsageError", "VerificationError"),
    ),
}
_MODULE_OF = {name: module for module, names in _PLACES.items() for name in names}
_MODULES = ("keras_callback", "testing")

__all__ = [
    "BadFileError",
    "Candidate",
    "Converted",
    "Explanation",
    "Exported",
    "Filters",
    "Finding",
    "FindingsError",
    "Outcome",
    "OutputError",
    "Report",
    "Result",
    "RewriterError",
    "Shapes",
    "Suggestion",
    "Summary",
    "Sweep",
    "UndecidedError",
    "UnsupportedError",
    "UsageError",
    "VerificationError",
    "__version__",
    "check",
    "convert",
    "explain",
    "export_onnx",
    "keras_callback",
    "repair",
    "repaired",
    "repairing",
    "shapes",
    "suggest",
    "sweep",
    "testing",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_MODULE_OF[name], __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """The package. Its ``shapes`` stays the function: the import of ``rewriter.shapes.infer`` would replace it."""

    @property
    def shapes(self) -> Any:
        return __getattr__("shapes")

    @shapes.setter
    def shapes(self, value: Any) -> None:
        pass


sys.modules[__name__].__class__ = _Package


def _views() -> Renderer:
    from .report import views

    return views


render_with(_views)
