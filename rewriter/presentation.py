"""How results are shown: in a console, in a notebook, and as data.

Results are defined below the reports that render them, and must not import them: ``rewriter/__init__`` sets the
renderer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from .errors import shown

_MOST = 180  # characters of a repr
_MOST_OF_A_NAME = 60


class Renderer(Protocol):
    """Renders an item as text, as data and as HTML."""

    def text(self, item: Any, /) -> str: ...

    def data(self, item: Any, /) -> dict[str, Any]: ...

    def html(self, item: Any, /) -> str: ...


_renderer: Callable[[], Renderer] | None = None


def render_with(load: Callable[[], Renderer]) -> None:
    """Set the renderer of this process; it is loaded on first use."""
    global _renderer
    _renderer = load


def _rendering() -> Renderer:
    assert _renderer is not None, "rewriter/__init__ names the renderer"
    return _renderer()


class Presentable:
    """An item with a short ``repr``, the text report as its ``str``, HTML in a notebook, and the JSON as a dict."""

    __slots__ = ()

    def _summary(self) -> str:
        """What the ``repr`` says, without the class and the brackets."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return shown(f"<{type(self).__name__} {self._summary()}>", _MOST)

    def __str__(self) -> str:
        return _rendering().text(self)

    def to_dict(self) -> dict[str, Any]:
        """The object that ``--format json`` prints: of plain lists, dicts, texts and numbers."""
        return _rendering().data(self)

    def _repr_html_(self) -> str:
        return _rendering().html(self)


def brief(text: object) -> str:
    """A name from a file in quotes, short enough for a ``repr``."""
    return repr(shown(text, _MOST_OF_A_NAME))


def count(number: int, noun: str) -> str:
    """``1 node``, ``3 nodes``, ``2 multiplies``."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun[:-1] + 'ies' if noun.endswith('y') else noun + 's'}"
