"""Append the operations that replace a function to the entries of the model."""

from __future__ import annotations

from typing import Any

from ..context import Entry, Untranslatable
from ..names import Names
from ..tensors import New, is_tensor, leaves
from .dynamic import SHAPES

# The modules of the operations used here in Keras 3.15; the others are in keras.src.ops.numpy.
_MODULES = {
    "core": ("Cast", "Slice", "StopGradient", "Unstack"),
    "image": ("Resize",),
    "linalg": ("Norm",),
    "math": ("Erf", "Logsumexp", "Rsqrt", "TopK"),
    "nn": (
        "AveragePool", "DepthToSpace", "Elu", "Gelu", "LeakyRelu", "LogSoftmax", "MaxPool", "Moments", "Normalize",
        "OneHot", "Relu", "Relu6", "Selu", "Sigmoid", "Silu", "Softmax", "Softplus", "Softsign", "SpaceToDepth",
    ),
}  # fmt: skip
_MODULE_OF = {name: f"keras.src.ops.{module}" for module, names in _MODULES.items() for name in names}


class Emitter:
    """Appends the operations for one call of a function. The last one gets the name of the old layer."""

    def __init__(self, names: Names, entries: list[Entry], stem: str, number: int) -> None:
        self.names, self.entries, self.stem, self.number = names, entries, stem, number
        self.start = len(entries)

    def op(self, class_name: str, *args: Any, config: dict[str, Any] | None = None) -> New:
        """Append one operation on these arguments; returns its first output.

        Raises Untranslatable if none of the arguments is a tensor of the model.
        """
        if not any(is_tensor(leaf) for leaf in leaves(args)):
            raise Untranslatable(self.stem, _reason(args))
        name = self.names.fresh(f"{self.stem}_{class_name.lower()}")
        self.entries.append({
            "module": _MODULE_OF.get(class_name, "keras.src.ops.numpy"),
            "class_name": class_name,
            "config": {**(config or {}), "name": name},
            "registered_name": class_name,
            "name": name,
            "inbound_nodes": [(args, {})],
        })  # fmt: skip
        return New(name, 0, 0)

    def layer(self, class_name: str, first: Any, config: dict[str, Any]) -> New:
        """Append one layer on a tensor, if no operation does the same; returns its output."""
        name = self.names.fresh(f"{self.stem}_{class_name.lower()}")
        self.entries.append({
            "module": "keras.layers",
            "class_name": class_name,
            "config": {"name": name, "trainable": True, **config},
            "registered_name": None,
            "name": name,
            "inbound_nodes": [((first,), {})],
        })  # fmt: skip
        return New(name, 0, 0)

    def finish(self, result: Any) -> Any:
        """The result; the last operation of this call, if it gives the result, gets the old layer's name."""
        if not isinstance(result, New) or len(self.entries) == self.start:
            return result
        last = self.entries[-1]
        if last["name"] != result.layer:
            return result
        last["name"] = self.name()
        last["config"] = {**last["config"], "name": last["name"]}
        return New(last["name"], 0, result.output)

    def name(self) -> str:
        """The old layer's name for its first call, a fresh one for others."""
        return self.stem if not self.number else self.names.fresh(f"{self.stem}_{self.number}")

    def undo(self) -> None:
        del self.entries[self.start :]

    def became(self) -> str:
        found = [entry["class_name"] for entry in self.entries[self.start :]]
        return " and ".join(found) if found else "its argument"


def _reason(args: Any) -> str:
    if any(isinstance(leaf, SHAPES) for leaf in leaves(args)):
        return "it computes a shape: Keras 3 has no such tensor in a model"
    return "it works on constants alone"


def constant(value: Any) -> Any:
    """An operand of an operation: a tensor or number unchanged, a list of numbers as an array."""
    if is_tensor(value) or not isinstance(value, (list, tuple)) or not value:
        return value
    flat = list(leaves(value))
    if not all(isinstance(item, (bool, int, float)) for item in flat):
        return value
    if all(isinstance(item, bool) for item in flat):
        dtype = "bool"
    else:
        dtype = "int32" if all(isinstance(item, int) for item in flat) else "float32"
    return {"class_name": "__numpy__", "config": {"value": value, "dtype": dtype}}
