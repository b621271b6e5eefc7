"""Which operations of a file compute something that only running code would tell: custom classes and functions.

Names in a file prove nothing by themselves: a class called Dense in another package, or registered by one, is not
Keras's. Source: ``keras/src/saving/serialization_lib.py`` and ``keras/src/activations/__init__.py``, Keras 3.15.
"""

from __future__ import annotations

from typing import Any

from ..errors import shown
from ..ir.graph import Operation

_PACKAGES = ("keras", "tf_keras", "tensorflow")
_ACTIVATIONS = ("activation", "recurrent_activation")

# Functions that keep every axis. Not here: glu, which halves one.
_FUNCTIONS = frozenset({
    "celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish",
    "hard_tanh", "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu",
    "sigmoid", "silu", "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid",
    "sparsemax", "squareplus", "swish", "tanh", "tanh_shrink", "threshold",
})  # fmt: skip
# Layers that are given as activations, by Keras 2 without their module.
_LAYERS = frozenset({"ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax", "ThresholdedReLU"})


def opaque_reason(operation: Operation) -> str:
    """Why nothing can be known of the operation without running code, or ""."""
    if operation.kind == "model":
        if isinstance(operation.config.get("layers"), list):
            return ""
        return f"{shown(operation.class_name)!r} is a subclassed model: its graph is in its code"
    if is_custom(operation.raw):
        return f"{shown(operation.class_name)!r} is a custom class"
    if operation.kind == "layer":
        for key in _ACTIVATIONS:
            value = operation.config.get(key)
            if value is not None and not _is_known(value):
                return f"its {key} is not a function of Keras that keeps every axis"
    return ""


def is_custom(entry: dict[str, Any]) -> bool:
    """True where an entry names a registered class or function, or one of another package than Keras."""
    registered, module = entry.get("registered_name"), entry.get("module")
    if isinstance(registered, str) and ">" in registered:
        return True
    return isinstance(module, str) and bool(module) and module.split(".")[0] not in _PACKAGES


def _is_known(value: Any) -> bool:
    if isinstance(value, str):
        return value in _FUNCTIONS
    if not isinstance(value, dict) or is_custom(value):
        return False
    if value.get("class_name") == "function":
        return isinstance(value.get("config"), str) and value["config"] in _FUNCTIONS
    return value.get("class_name") in tuple(_LAYERS)
