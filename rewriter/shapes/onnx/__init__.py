"""Axis rules of ONNX operators, one file per family; importing this package fills the table.

An operator's arguments are its inputs in order (None where one is left out); its configuration is its attributes. What
became an input in a later opset (``axes``, ``shape``, ``repeats``) is taken from either. Source: the operators'
definitions (https://onnx.ai/onnx/operators), opsets 7 to 24.
"""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
