"""Activations: functions by their names, and layers that are given as one."""

from __future__ import annotations

from typing import Any

from .context import Context, Untranslatable

# The same function under the same name in Keras 2 and 3 (``keras/activations.py`` of tf_keras 2.21 and Keras 3.15).
_SAME = frozenset({
    "elu", "exponential", "gelu", "hard_sigmoid", "leaky_relu", "linear", "log_softmax", "mish", "relu", "relu6",
    "selu", "sigmoid", "silu", "softmax", "softplus", "softsign", "swish", "tanh",
})  # fmt: skip
# The names that Keras 2 wrote for functions of TensorFlow.
_RENAMED = {"softmax_v2": "softmax", "elu_v2": "elu", "relu_v2": "relu", "swish": "silu"}
_LAMBDA = "a lambda, whose code is not in the file"
_LAYERS = frozenset({"ELU", "LeakyReLU", "ReLU", "Softmax", "ThresholdedReLU"})


def translated(value: Any, context: Context, name: str = "activation") -> Any:
    """An activation in the form of Keras 3. Raises Untranslatable for a function that is not part of Keras."""
    if value is None:
        return None
    if isinstance(value, str):
        return _named(value, name)
    if not isinstance(value, dict):
        raise Untranslatable(name, "it is not a function of Keras")
    if value.get("class_name") == "function":
        if value.get("module") not in (None, "builtins", "keras.activations") or not isinstance(
            value.get("config"), str
        ):
            raise Untranslatable(f"{name} {value.get('config')}", "a custom function")
        return _named(value["config"], name)
    if value.get("class_name") == "PReLU":
        raise Untranslatable(f"{name} PReLU", "a layer with weights of its own, used as a function")
    if value.get("class_name") in _LAYERS and isinstance(value.get("config"), dict):
        return context.inner(value, context.account)
    if value.get("class_name") == "__lambda__" or set(value) == {"value"}:
        raise Untranslatable(name, "a lambda: it runs code that is in the file")
    if isinstance(value.get("class_name"), str) and value.get("class_name") in ("Activation",):
        return translated((value.get("config") or {}).get("activation"), context, name)
    raise Untranslatable(f"{name} {value.get('class_name')}", "a custom class")


def _named(value: str, name: str) -> str:
    value = _RENAMED.get(value, value)
    if value == "<lambda>":
        raise Untranslatable(name, _LAMBDA)
    if value not in _SAME:
        raise Untranslatable(f"{name}={value!r}", "a custom function, or one that Keras 3 does not have")
    return value
