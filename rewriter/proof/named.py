"""What a configuration makes Keras look up by name, beside the layers themselves: nothing but Keras's own objects.

Initializers, regularizers, constraints, losses, dtype policies and what a nested model was compiled with are objects
of ``{"module": ..., "class_name": ..., "config": ...}``, which Keras turns into the class or function of that name
(``serialization_lib.py``, Keras 3.15). Modules that hold something else than such objects have been used to run code:
``keras.utils.get_file``, ``keras.config.enable_unsafe_deserialization``.
"""

from __future__ import annotations

from typing import Any

from ..errors import shown
from ..shapes.keras_facts import facts_of

_CODE = frozenset({"__lambda__", "__typespec__"})
# What stands in keras, and in keras.src.
_PARTS = frozenset({
    "activations", "applications", "constraints", "dtype_policies", "initializers", "layers", "losses", "metrics",
    "models", "ops", "optimizers", "quantizers", "random", "regularizers",
})  # fmt: skip


def foreign(entry: Any) -> str:
    """An object of a serialised layer that is none of Keras's own, as it is named there; "" without one."""
    waiting = [entry]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            waiting += item.values()
            name, module = item.get("class_name"), item.get("module")
            if isinstance(name, str) and not _is_own(name, module):
                return f"{shown(name)} of {shown(module)}" if module else shown(name)
    return ""


def _is_own(name: str, module: Any) -> bool:
    if facts_of(name).runs_code or name in _CODE:
        return False
    if module is None or module == "":
        return True  # a marker, or found by its name among Keras's own classes
    if module == "builtins":
        return name == "function"  # one of Keras's own, by its name
    if module == "keras":
        return name[:1].isupper()
    if not isinstance(module, str):
        return False
    root, _, rest = module.partition(".")
    return root == "keras" and rest.removeprefix("src.").split(".")[0] in _PARTS
