"""A Keras callback that checks a model before it is trained and before it is saved.

    from rewriter.keras_callback import CheckShapes

    model.fit(x, y, callbacks=[CheckShapes()])

Importing this module imports no Keras. ``CheckShapes`` is a callback of Keras 3, ``CheckShapesTfKeras`` one of
tf_keras; each class is made when its name is first used.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Callable, Collection
from functools import wraps
from typing import TYPE_CHECKING, Any

from .api import check
from .errors import FindingsError, UsageError, shown
from .live.parts import is_whole
from .passes.codes import Severity
from .passes.sites import DEFAULT_OPS
from .testing import wrong

__all__ = ["CheckShapes", "CheckShapesTfKeras"]

_KERAS = {"CheckShapes": "keras", "CheckShapesTfKeras": "tf_keras"}
_BEFORE = ("fit", "save")
_ON_FINDING = ("raise", "warn")
_SAVING = ("save", "export")


class Checks:
    """Checks the model before ``fit`` trains it, and before ``model.save`` and ``model.export`` write it.

    When training begins, ``save`` and ``export`` are replaced on this model. They stay replaced, and check the final
    save too. A model is not checked again while its configuration is the same; a subclassed model is checked each
    time.

    Args:
        before: when to check: ``fit``, ``save``, or both.
        on_finding: ``raise`` raises FindingsError for errors; ``warn`` warns about them and continues. Findings of
            severity warning (a node that is not analysed) are a UserWarning in both cases.
        mode, ops, rules: as in ``rewriter.check``.

    Raises:
        UsageError: ``before`` or ``on_finding`` has another value.
    """

    def __init__(
        self,
        *,
        before: str | Collection[str] = _BEFORE,
        on_finding: str = "raise",
        mode: str = "safe",
        ops: str = DEFAULT_OPS,
        rules: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__()
        asked = (before,) if isinstance(before, str) else tuple(before)
        for word in asked:
            if word not in _BEFORE:
                raise UsageError(f"before {shown(word)!r}: must be fit or save")
        if on_finding not in _ON_FINDING:
            raise UsageError(f"on_finding {shown(on_finding)!r}: must be raise or warn")
        self.before = asked
        self.on_finding = on_finding
        self.mode, self.ops, self.rules = mode, ops, rules
        self._checked = ""

    def on_train_begin(self, logs: Any = None) -> None:
        """Keras calls this before the first batch."""
        model: Any = self.model  # type: ignore[attr-defined] # Keras sets it
        if "fit" in self.before:
            self.check(model)
        if "save" in self.before:
            for method in _SAVING:
                _cover(model, method, self.check)

    def check(self, model: Any) -> None:
        """Check a model, unless its configuration is the one that was checked last.

        Raises:
            FindingsError: there are errors, and ``on_finding`` is ``raise``.
            RewriterError: the model cannot be checked.
        """
        if self._checked and is_whole(model) and model.to_json() == self._checked:
            return
        self._checked = ""
        report = check(model, mode=self.mode, ops=self.ops, rules=self.rules)
        broken = any(f.severity is Severity.ERROR for f in report.findings)
        if broken and self.on_finding == "raise":
            raise FindingsError(wrong(report), report)
        if not report.clean:
            warnings.warn(wrong(report), UserWarning, stacklevel=2)
        if is_whole(model):  # what a subclassed model computes is not in its configuration
            self._checked = model.to_json()


def _cover(model: Any, method: str, check: Callable[[Any], None]) -> None:
    """Make a method of one model check the model first. A second callback replaces the first."""
    own = getattr(model, method)
    own = getattr(own, "checked_before", own)

    @wraps(own)
    def checked(*args: Any, **kwargs: Any) -> Any:
        check(model)
        return own(*args, **kwargs)

    checked.checked_before = own  # type: ignore[attr-defined]
    object.__setattr__(model, method, checked)


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
