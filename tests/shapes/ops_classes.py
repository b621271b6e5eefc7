"""Every Operation class behind ``keras.ops`` and ``keras.activations``, found by importing its modules."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import Any

import keras.src.activations
import keras.src.ops
from keras.src.ops.operation import Operation


def operation_classes() -> dict[str, type[Operation]]:
    """``{"numpy.Add": Add, ...}``: those defined in a module of these packages, without tests."""
    found: dict[str, type[Operation]] = {}
    for package in (keras.src.ops, keras.src.activations):
        for module in pkgutil.iter_modules(package.__path__):
            if module.name.endswith("_test"):
                continue
            loaded = importlib.import_module(f"{package.__name__}.{module.name}")
            for name, item in inspect.getmembers(loaded, inspect.isclass):
                if (
                    issubclass(item, Operation)
                    and item is not Operation
                    and item.__module__ == loaded.__name__
                ):
                    found[f"{module.name}.{name}"] = item
    return found


CLASSES = operation_classes()


def make(name: str, *args: Any, **config: Any) -> Operation:
    """An op by its class: ``make("numpy.Reshape", (2, 3))``."""
    return CLASSES[name](*args, **config)
