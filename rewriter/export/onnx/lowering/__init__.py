"""Writes each layer and op in ONNX: one function each, in files with the names of the axis rules' files.

Importing this package fills the table of ``registry``. Files whose name starts with an underscore are shared helpers.
"""

from . import layers, ops  # noqa: F401
