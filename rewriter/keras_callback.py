"""A Keras callback that checks a model before it is trained and before it is saved.

    from rewriter.keras_callback import CheckShapes

    model.fit(x, y, callbacks=[CheckShapes()])

Importing this module imports no Keras. ``CheckShapes`` is a callback of Keras 3, ``CheckShapesTfKeras`` one of
tf_keras; each is made when its name is first used, of the Keras that is installed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .live.callback import Checks

_KERAS = {"CheckShapes": "keras", "CheckShapesTfKeras": "tf_keras"}

__all__ = ["CheckShapes", "CheckShapesTfKeras"]

if TYPE_CHECKING:

    class CheckShapes(Checks):
        """A callback of Keras 3."""

    class CheckShapesTfKeras(Checks):
        """A callback of tf_keras."""


def __getattr__(name: str) -> Any:
    if name not in _KERAS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    base = importlib.import_module(_KERAS[name]).callbacks.Callback
    members = {"__module__": __name__, "__doc__": Checks.__doc__}
    made = globals()[name] = type(name, (Checks, base), members)
    return made


def __dir__() -> list[str]:
    return list(__all__)
