"""rewriter: finds the multiplies of a saved Keras model whose operands do not fit, and repairs them."""

from .api import check, convert, export_onnx, repair, repaired, repairing, shapes, suggest
from .errors import (
    BadFileError,
    OutputError,
    RewriterError,
    UndecidedError,
    UnsupportedError,
    UsageError,
    VerificationError,
)
from .version import __version__

__all__ = [
    "BadFileError",
    "OutputError",
    "RewriterError",
    "UndecidedError",
    "UnsupportedError",
    "UsageError",
    "VerificationError",
    "__version__",
    "check",
    "convert",
    "export_onnx",
    "repair",
    "repaired",
    "repairing",
    "shapes",
    "suggest",
]
