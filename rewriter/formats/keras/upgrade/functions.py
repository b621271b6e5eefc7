"""Functions of TensorFlow in a model (``TFOpLambda``, ``SlicingOpLambda``) as operations of Keras 3."""

from __future__ import annotations

from .context import Entry, Untranslatable
from .names import Names
from .tensors import Call, New

_CLASSES = (
    "TFOpLambda",
    "SlicingOpLambda",
    "TensorFlowOpLayer",
    "ClassMethod",
    "InstanceProperty",
    "InstanceMethod",
)


def is_function(entry: Entry) -> bool:
    return entry.get("class_name") in _CLASSES


def title(entry: Entry) -> str:
    config = entry.get("config")
    function = config.get("function") if isinstance(config, dict) else None
    return str(function or entry.get("class_name"))


class Emitter:
    """Appends operations to the layers of a model. The last one of a call gets the name of the old layer."""

    def __init__(self, names: Names, entries: list[Entry], stem: str = "") -> None:
        self.names, self.entries, self.stem = names, entries, stem
        self.start = len(entries)

    def at(self, stem: str) -> Emitter:
        return Emitter(self.names, self.entries, stem)

    def name(self) -> str:
        return self.names.fresh(self.stem)

    def undo(self) -> None:
        del self.entries[self.start :]

    def became(self) -> str:
        return " and ".join(f"ops.{entry['class_name']}" for entry in self.entries[self.start :])


def translated(entry: Entry, call: Call, emitter: Emitter) -> New:
    raise Untranslatable(title(entry), "not translated")
