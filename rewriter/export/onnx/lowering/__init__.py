"""How each layer and op is written in ONNX: one function each, in files that are named as those of the axis rules.

Importing this package fills the table of ``registry``. Files whose name starts with an underscore are shared helpers.
"""

from . import layers, ops  # noqa: F401
