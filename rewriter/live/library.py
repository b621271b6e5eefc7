"""The Keras of a model in memory, and whether its graph is all that it computes.

This imports nothing: the classes of the model are loaded already.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from ..errors import UnsupportedError, UsageError, shown

_KERAS = ("keras", "tf_keras")


@dataclass(frozen=True, slots=True)
class Library:
    """The Keras of a model.

    Attributes:
        module: ``keras`` or ``tf_keras``.
        legacy: True for Keras 2, whether it is named ``tf_keras`` or ``keras``.
    """

    module: Any
    legacy: bool


def library_of(model: Any) -> Library:
    """The Keras of a model.

    Raises:
        UsageError: it is not a model of Keras.
        UnsupportedError: it belongs to the Keras inside TensorFlow (``tensorflow.python.keras``).
    """
    for base in type(model).__mro__:
        root = base.__module__.partition(".")[0]
        if base.__module__.startswith("tensorflow.python.keras"):
            raise UnsupportedError("a model of the Keras inside TensorFlow: make it with keras or tf_keras")
        if root in _KERAS and root in sys.modules:
            module = sys.modules[root]
            return Library(module, not str(module.__version__).startswith("3"))
    raise UsageError(f"{shown(type(model).__name__)!r} is neither a path nor a model of Keras")


def is_functional(model: Any) -> bool:
    """True for a functional model, including an instance of a subclass of Functional."""
    return _has_base(model, "Functional")


def is_sequential(model: Any) -> bool:
    return _has_base(model, "Sequential")


def is_compiled(model: Any) -> bool:
    return bool(getattr(model, "compiled", getattr(model, "_is_compiled", False)))


def is_keras_class(cls: type) -> bool:
    return cls.__module__.partition(".")[0] in _KERAS


def has_own_call(model: Any) -> bool:
    """True if a functional or sequential model overrides ``call`` or ``__call__``."""
    for name in ("call", "__call__"):
        owner = next(base for base in type(model).__mro__ if name in vars(base))
        if not is_keras_class(owner) or name in vars(model):
            return True
    return False


def ends_of(model: Any) -> tuple[Any, Any] | None:
    """The input and output structures of a functional or sequential model; None while it is not built."""
    try:
        if is_sequential(model):
            inputs, outputs = model.inputs, model.outputs
            return (inputs[0], outputs[0]) if inputs and outputs else None
        return model.input, model.output
    except (AttributeError, ValueError):  # raised by a Sequential that is not built
        return None


def _has_base(model: Any, name: str) -> bool:
    return any(base.__name__ == name and is_keras_class(base) for base in type(model).__mro__)
