"""ONNX Runtime with and without the operators for texts of onnxruntime-extensions, which a session has to register."""

from __future__ import annotations

from typing import Any

PACKAGE = "onnxruntime_extensions"


def packages(extensions: bool) -> tuple[str, ...]:
    """The packages that run a file; with ``extensions``, one that has these operators."""
    return ("onnxruntime", PACKAGE) if extensions else ("onnxruntime",)


def session_options(extensions: bool) -> Any:
    """The options of a session; with ``extensions``, of one that has these operators."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if extensions:
        import onnxruntime_extensions

        options.register_custom_ops_library(onnxruntime_extensions.get_library_path())
    return options
