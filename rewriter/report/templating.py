"""The templates of pages and pictures. Every template escapes its values, because they come from files."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError

if TYPE_CHECKING:
    from jinja2 import Environment

_FOLDER = Path(__file__).with_name("templates")
_NEEDED = {"jinja2": "jinja2", "fast_sugiyama": "fast-sugiyama"}


def require(what: str) -> None:
    """Raise UsageError where a library of the extra ``html`` is missing.

    Args:
        what: what needs it, such as ``--format html``.
    """
    missing = [name for module, name in _NEEDED.items() if find_spec(module) is None]
    if missing:
        raise UsageError(f"{what} needs {' and '.join(missing)}: pip install 'rewriter[html]'")


@cache
def environment() -> Environment:
    """Jinja with the templates of this package."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return made


def asset(name: str) -> str:
    """A style sheet or a script of the package."""
    return (_FOLDER / name).read_text(encoding="utf-8")


def render(template: str, **values: Any) -> str:
    return environment().get_template(template).render(**values)


def ascii_only(text: str) -> str:
    """Markup in ASCII, which is the same in every encoding of a terminal or a server."""
    return text.encode("ascii", "xmlcharrefreplace").decode("ascii")
