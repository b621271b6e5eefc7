"""The error for calls without an ONNX form."""

from __future__ import annotations

from ...errors import UnsupportedError


class Refused(UnsupportedError):
    """A call has no ONNX form. Raised bare by a lowering; the driver adds the node's name and class."""
