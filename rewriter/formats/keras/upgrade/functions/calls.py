"""The operations of Keras 3 for one call of a function."""

from __future__ import annotations

from typing import Any

from .....errors import shown
from ..context import Entry, Untranslatable
from ..custom import states_custom
from ..tensors import Call
from . import node_defs
from .emit import Emitter
from .registry import FUNCTIONS

_CLASSES = (
    "TFOpLambda",
    "SlicingOpLambda",
    "TensorFlowOpLayer",
    "ClassMethod",
    "InstanceProperty",
    "InstanceMethod",
)
# Arguments that no result depends on.
_IGNORED = frozenset({"name", "validate_indices", "conjugate", "data_format_"})

# TensorFlow 1 computed these differently: a vector selected rows, and pixels had other positions.
_OTHER_IN_V1 = frozenset({"where", "image.resize"})


def is_function(entry: Entry) -> bool:
    return entry.get("class_name") in _CLASSES and not states_custom(entry)


def title(entry: Entry) -> str:
    """The function as it is named in reports."""
    config = entry.get("config")
    if not isinstance(config, dict):
        return str(entry.get("class_name"))
    node = config.get("node_def")
    if isinstance(node, dict):
        return f"TensorFlowOpLayer of {shown(node.get('op'))}"
    name = config.get("function")
    return f"tf.{shown(name)}" if isinstance(name, str) else str(entry.get("class_name"))


def translated(entry: Entry, call: Call, emitter: Emitter) -> Any:
    """The tensor (or the shape) that a call gives. Raises Untranslatable."""
    try:
        return emitter.finish(_applied(entry, call, emitter))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        # The arguments come from a file: one can be missing, or of a kind that the function does not take.
        raise Untranslatable(title(entry), "its arguments are not those of the function") from None


def _applied(entry: Entry, call: Call, emitter: Emitter) -> Any:
    if entry.get("class_name") == "TensorFlowOpLayer":
        return node_defs.translated(entry, call, emitter)
    config = entry.get("config")
    name = config.get("function") if isinstance(config, dict) else None
    if entry.get("class_name") not in ("TFOpLambda", "SlicingOpLambda") or not isinstance(name, str):
        raise Untranslatable(title(entry), "Keras 3 has no operation for it")
    plain = name.removeprefix("compat.v1.")
    row = FUNCTIONS.get(plain)
    if row is None or (plain != name and plain in _OTHER_IN_V1):
        raise Untranslatable(title(entry), "Keras 3 has no operation for it")
    given: dict[str, Any] = {row.takes[0]: call.first}
    for key, value in call.kwargs.items():
        if key in row.takes:
            given[key] = value
        elif key not in _IGNORED and value is not None and value is not False:
            raise Untranslatable(title(entry), f"its argument {shown(key)} is not translated")
    return row.function(emitter, **given)
