"""Which operations of a file cannot be analysed without running code: custom classes and functions.

Names in a file prove nothing by themselves: a class called Dense in another package, or registered by one, is not
Keras's. Source: ``keras/src/saving/serialization_lib.py`` and ``keras/src/activations/__init__.py``, Keras 3.15.
"""

from __future__ import annotations

import re
from typing import Any

from ...errors import shown
from ...ir.graph import Operation

# The modules that Keras 2.13 to 3.15 writes: public names, and the defining module of a class without one.
_FAMILIES = (
    "activation|activations|attention|convolutional|core|locally_connected|merging|normalization|pooling|preprocessing|"
    "regularization|reshaping|rnn"
)
_MODULES = re.compile(
    r"(keras|tf_keras|tensorflow\.keras|tensorflow\.python\.keras)"
    r"(|\.(layers|models|activations|ops)|\.layers\.experimental(\.preprocessing)?"
    rf"|(\.src)?\.layers\.({_FAMILIES})(\.\w+)?"
    r"|(\.src)?\.(models|engine)\.(functional|sequential|model|training|training_v1)"
    r"|\.src\.activations\.activations|(\.src)?\.ops\.(core|einops|image|linalg|math|nn|numpy)"
    r"|\.src\.applications\.\w+|\._legacy\.layers)"
)
_ACTIVATIONS = ("activation", "recurrent_activation")

# Functions that keep every axis. Not here: glu, which halves one.
_FUNCTIONS = frozenset({
    "celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish",
    "hard_tanh", "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu",
    "sigmoid", "silu", "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid",
    "sparsemax", "squareplus", "swish", "tanh", "tanh_shrink", "threshold",
})  # fmt: skip
# Layers that can be given as activations. Keras 2 writes them without their module.
_LAYERS = frozenset({"ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax", "ThresholdedReLU"})


def opaque_reason(operation: Operation) -> str:
    """Why the operation cannot be analysed without running code, or ""."""
    if operation.kind == "model":
        if isinstance(operation.config.get("layers"), list):
            return ""
        return f"{shown(operation.class_name)!r} is a subclassed model: its graph is in its code"
    if isinstance(reason := operation.raw.get("not_upgraded"), str):
        return f"{shown(operation.class_name)!r} of an older Keras: {shown(reason)}"
    if is_custom(operation.raw):
        return f"{shown(operation.class_name)!r} is a custom class"
    if operation.kind == "layer":
        for key in _ACTIVATIONS:
            value = operation.config.get(key)
            if value is not None and not _is_known(value):
                return f"its {key} is not a function of Keras that keeps every axis"
    return ""


def is_custom(entry: dict[str, Any], modules: re.Pattern[str] = _MODULES) -> bool:
    """Whether an entry names a registered class or function, or a module outside Keras (``modules``).

    Keras 2 wrote no module. If an empty module is written, Keras would not find the class in it.
    """
    registered = entry.get("registered_name")
    if isinstance(registered, str) and ">" in registered:
        return True
    if "module" not in entry:
        return False
    module = entry["module"]
    return not isinstance(module, str) or modules.fullmatch(module) is None


def _is_known(value: Any) -> bool:
    if isinstance(value, str):
        return value in _FUNCTIONS
    if not isinstance(value, dict):
        return False
    if value.get("class_name") == "function" and value.get("module") == "builtins":
        value = {key: part for key, part in value.items() if key != "module"}
    if is_custom(value):
        return False
    if value.get("class_name") == "function":
        return isinstance(value.get("config"), str) and value["config"] in _FUNCTIONS
    return value.get("class_name") in tuple(_LAYERS)
