"""The operators for texts of the package onnxruntime-extensions, which a session has to register."""

from __future__ import annotations

from typing import Any

PACKAGE = "onnxruntime_extensions"


def session_options(texts: bool) -> Any:
    """The options of a session of ONNX Runtime; with ``texts``, of one that has these operators."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if texts:
        import onnxruntime_extensions

        options.register_custom_ops_library(onnxruntime_extensions.get_library_path())
    return options
