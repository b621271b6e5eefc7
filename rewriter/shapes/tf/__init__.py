"""Axis rules of TensorFlow operators, one file per family; importing this package fills the table.

An operator's arguments are its inputs in order; its configuration is its attributes and what ``naming`` reads from
constants. An operator that ONNX has too uses the ONNX rule, on a call converted to ONNX's form (``_calls.told``).
Source: the operators' definitions (``tensorflow/core/ops``), TensorFlow 2.21.
"""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
