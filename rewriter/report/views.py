"""One item as text, as HTML for a notebook, and as data: what ``rewriter/presentation.py`` is given to render with.

A row for each class that the library returns.
"""

from __future__ import annotations

import html as markup
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..conversion import Converted
from ..export.onnx.options import Exported
from ..passes.candidate import Candidate
from ..passes.finding import Finding
from ..passes.suggest import Suggestion
from ..results import Explanation, Report, Result, Shapes
from ..rules.table import Rule, builtin
from . import as_json
from .console import plain

_WIDTH = 80


@dataclass(frozen=True, slots=True)
class View:
    """How items of a class are shown."""

    text: Callable[[Any], str]
    data: Callable[[Any], dict[str, Any]]


def text(item: Any, /) -> str:
    """The report that the commands print, without colours and without the last line feed."""
    return plain(_view(item).text(item)).rstrip("\n")


def data(item: Any, /) -> dict[str, Any]:
    """The object of the JSON contract."""
    return _view(item).data(item)


def html(item: Any, /) -> str:
    """A fragment of HTML: that of the HTML report, or the text where its packages are not installed."""
    try:
        report = importlib.import_module(".html", __package__)
    except ModuleNotFoundError:  # the extra [html] is not installed
        return f"<pre>{markup.escape(text(item))}</pre>"
    return str(report.fragment(item))


def _view(item: Any) -> View:
    return next(_VIEWS[cls] for cls in type(item).__mro__ if cls in _VIEWS)


# -- the texts, from the modules that make them for the commands -----------------------------
def _report(item: Report) -> str:
    from . import text

    return text.report(item, _rules(), _WIDTH)


def _result(item: Result) -> str:
    from . import diff, text

    return diff.text(item, _WIDTH) if item.changes is not None else text.result(item, _rules(), _WIDTH)


def _finding(item: Finding) -> str:
    from . import text

    return "\n".join(text.show_finding(item, _rules(), _WIDTH))


def _candidate(item: Candidate) -> str:
    from .words import steps_text

    return "\n".join([f"{item.equation}  ({item.rule})", *steps_text(item.plan.steps, _operands(item))])


def _operands(item: Candidate) -> Sequence[str]:
    """A candidate alone does not know its operands' names."""
    return [f"operand {number}" for number in range(1, len(item.match.operands) + 1)]


def _shapes(item: Shapes) -> str:
    from . import shapes_table

    return shapes_table.table(item, _WIDTH)


def _explanation(item: Explanation) -> str:
    from . import explain

    return explain.text(item, _rules(), _WIDTH)


def _suggestion(item: Suggestion) -> str:
    from . import text

    return text.suggestion(item, _rules(), _WIDTH)


def _converted(item: Converted) -> str:
    from . import conversion

    return conversion.text(item, _WIDTH)


def _exported(item: Exported) -> str:
    from . import onnx

    return onnx.text(item)


def _rules() -> tuple[Rule, ...]:
    return builtin()


_VIEWS: dict[type, View] = {
    Result: View(_result, as_json.report),
    Report: View(_report, as_json.report),
    Finding: View(_finding, as_json.finding),
    Candidate: View(_candidate, as_json.candidate),
    Shapes: View(_shapes, as_json.shapes),
    Explanation: View(_explanation, as_json.explanation),
    Suggestion: View(_suggestion, as_json.suggestion),
    Converted: View(_converted, as_json.converted),
    Exported: View(_exported, as_json.exported),
}
