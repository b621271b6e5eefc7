"""The objects that a configuration makes Keras look up by name, besides layers: only Keras's own are allowed.

Initializers, regularizers, constraints, losses, dtype policies and what a nested model was compiled with are objects
of ``{"module": ..., "class_name": ..., "config": ...}``, which Keras turns into the class or function of that name
(``serialization_lib.py``, Keras 3.15). Modules with other functions have been used to run code:
``keras.utils.get_file``, ``keras.config.enable_unsafe_deserialization``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..errors import shown
from ..shapes.keras_facts import facts_of
from ..trusted import is_trusted

_CODE = frozenset({"__lambda__", "__typespec__"})
# Modules in keras, and in keras.src.
_PARTS = frozenset({
    "activations", "applications", "constraints", "dtype_policies", "initializers", "layers", "losses", "metrics",
    "models", "ops", "optimizers", "quantizers", "random", "regularizers",
})  # fmt: skip


class Foreign(NamedTuple):
    """An object that is not Keras's own; ``module`` is "" if the file states none."""

    name: str
    module: str

    def __str__(self) -> str:
        return f"{shown(self.name)} of {shown(self.module)}" if self.module else shown(self.name)


def foreign(entry: Any) -> Foreign | None:
    """The first object in a serialised layer that is neither Keras's own nor trusted; None if there is none."""
    waiting = [entry]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            waiting += item.values()
            name, module = item.get("class_name"), item.get("module")
            if not isinstance(name, str):
                continue
            known = is_trusted(module, item.get("registered_name")) or _is_own(name, module)
            if _is_code(name) or not known:
                return Foreign(name, str(module) if module else "")
    return None


def _is_code(name: str) -> bool:
    """Whether a class of Keras runs code that is in the file."""
    return facts_of(name).runs_code or name in _CODE


def _is_own(name: str, module: Any) -> bool:
    if module is None or module == "":
        return True  # a marker, or a name that Keras looks up in its own classes
    if module == "builtins":
        return name == "function"  # a function of Keras, by name
    if module == "keras":
        return name[:1].isupper()
    if not isinstance(module, str):
        return False
    root, _, rest = module.partition(".")
    return root == "keras" and rest.removeprefix("src.").removeprefix("_legacy.").split(".")[0] in _PARTS
