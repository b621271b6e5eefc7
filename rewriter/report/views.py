"""One item as text, as HTML for a notebook, and as data: the renderer for ``rewriter/presentation.py``.

There is a row for each class that the library returns.
"""

from __future__ import annotations

import contextlib
import html as markup
import importlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..conversion import Converted
from ..errors import UsageError
from ..export.onnx.options import Exported
from ..passes.candidate import Candidate
from ..passes.finding import Finding
from ..passes.suggest import Suggestion
from ..results import Explanation, Report, Result, Shapes
from ..rules.table import builtin
from . import as_json
from .console import rendered

if TYPE_CHECKING:
    from rich.console import RenderableType

_WIDTH = 80


@dataclass(frozen=True, slots=True)
class View:
    """How items of a class are shown; ``page`` says that the HTML report has a fragment for them."""

    text: Callable[[Any], Iterable[RenderableType]]
    data: Callable[[Any], dict[str, Any]]
    page: bool = False


def text(item: Any, /) -> str:
    """The report that the commands print, without colours and without the last line feed."""
    return rendered(*_view(item).text(item), width=_WIDTH).rstrip("\n")


def data(item: Any, /) -> dict[str, Any]:
    """The object of the JSON contract."""
    return _view(item).data(item)


def html(item: Any, /) -> str:
    """The fragment of the HTML report; the text if there is none, or if the extra ``html`` is not installed."""
    if _view(item).page:
        with contextlib.suppress(ModuleNotFoundError, UsageError):  # a missing library
            return str(importlib.import_module(".html", __package__).fragment(item))
    return f"<pre>{markup.escape(text(item))}</pre>"


def _view(item: Any) -> View:
    return next(_VIEWS[cls] for cls in type(item).__mro__ if cls in _VIEWS)


# -- the texts, from the modules that make them for the commands -----------------------------
def _report(item: Report) -> Iterator[RenderableType]:
    from . import text

    yield from text.report(item, builtin(), _WIDTH)
    yield from text.total([item])


def _result(item: Result) -> Iterable[RenderableType]:
    from . import diff, text

    return diff.text(item) if item.changes is not None else text.result(item, builtin(), _WIDTH)


def _finding(item: Finding) -> Iterable[RenderableType]:
    from . import findings

    return findings.short("", item, _WIDTH)


def _candidate(item: Candidate) -> Iterable[RenderableType]:
    from .words import steps_text

    # A candidate alone does not have its operands' names.
    names = [f"operand {number}" for number in range(1, len(item.match.operands) + 1)]
    return [f"{item.equation}  ({item.rule})", *steps_text(item.plan.steps, names)]


def _shapes(item: Shapes) -> Iterable[RenderableType]:
    from . import shapes_table

    return shapes_table.table(item)


def _explanation(item: Explanation) -> Iterable[RenderableType]:
    from . import explain

    return explain.text(item, builtin(), _WIDTH)


def _suggestion(item: Suggestion) -> Iterable[RenderableType]:
    from . import suggestion

    return suggestion.text(item, builtin(), _WIDTH)


def _converted(item: Converted) -> Iterable[RenderableType]:
    from . import conversion

    return conversion.text(item)


def _exported(item: Exported) -> Iterable[RenderableType]:
    from . import onnx

    return [onnx.text(item)]


def _explained(item: Explanation) -> dict[str, Any]:
    return as_json.explanation(item, builtin())


_VIEWS: dict[type, View] = {
    Result: View(_result, as_json.report, page=True),
    Report: View(_report, as_json.report, page=True),
    Explanation: View(_explanation, _explained, page=True),
    Finding: View(_finding, as_json.finding),
    Candidate: View(_candidate, as_json.candidate),
    Shapes: View(_shapes, as_json.shapes),
    Suggestion: View(_suggestion, as_json.suggestion),
    Converted: View(_converted, as_json.converted),
    Exported: View(_exported, as_json.exported),
}
