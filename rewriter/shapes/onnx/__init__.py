"""Axis rules of ONNX operators, one file per family; importing this package fills the table.

An operator's arguments are its inputs in order (None for an omitted one); its configuration is its attributes. An
attribute that became an input in a later opset (``axes``, ``shape``, ``repeats``) is read from either. Source: the
operators' definitions (https://onnx.ai/onnx/operators), opsets 7 to 24.
"""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
