"""The generated parts of pages, one row each: its name, and the function that makes it from the code."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from tools.pages.markdown import row

_SECTION = re.compile(r"<!-- begin: (?P<name>[\w-]+) -->\n.*?<!-- end: (?P=name) -->\n", re.DOTALL)


def current(text: str) -> str:
    """A page with the parts between ``<!-- begin: name -->`` and ``<!-- end: name -->`` generated again.

    Raises:
        KeyError: the table lacks a name.
    """
    made = _SECTION.sub(
        lambda found: f"{_begin(found['name'])}{_made(found['name'])}{_end(found['name'])}", text
    )
    if made.count("<!-- begin: ") != len(_SECTION.findall(text)):
        raise ValueError("a generated part without its end")
    return made


def names(text: str) -> list[str]:
    """The names of the generated parts of a page."""
    return [found["name"] for found in _SECTION.finditer(text)]


def _begin(name: str) -> str:
    return f"<!-- begin: {name} -->\n"


def _end(name: str) -> str:
    return f"\n<!-- end: {name} -->\n"


def _made(name: str) -> str:
    return "\n".join(SECTIONS[name]()).strip("\n")


# -- the generated parts --------------------------------
def _rules() -> Iterable[str]:
    from rewriter.report.rules_list import markdown
    from rewriter.rules.table import builtin

    return [markdown(builtin())]


def _names() -> Iterator[str]:
    """The axes that each name in a rule may stand for."""
    from rewriter.ir.axis import Role
    from rewriter.rules.match import NAME_ROLES

    weak = (Role.UNKNOWN, Role.FEATURE)
    yield "| name | stands for |\n|---|---|"
    for name, allowed in NAME_ROLES.items():
        roles = [str(role) for role in Role if role in allowed and role not in weak]
        every = len(roles) + len(weak) == len(Role) - 1 and Role.BATCH not in allowed
        words = "any axis but the batch" if every else " or ".join(roles) or "a feature"
        yield row(f"`{name}`", words)
    yield row("all others", "any axis but the batch")


def _supported() -> Iterable[str]:
    import rewriter.api  # noqa: F401 - fills the tables of axis rules
    from rewriter.export.onnx.supported import reasons
    from rewriter.report.supported_table import markdown
    from rewriter.shapes.supported import support

    return [markdown(support(reasons()))]


def _ranking() -> Iterable[str]:
    from rewriter.passes.ranking import described

    return described()


def _stages() -> Iterable[str]:
    from rewriter.passes import stages
    from rewriter.passes.ranking import described

    return [stages.markdown(described())]


def _models() -> Iterable[str]:
    from tools.make_models import table

    return [table()]


def _formats() -> Iterable[str]:
    from tools.pages.formats import formats

    return formats()


def _reports() -> Iterator[str]:
    """The report formats of each command."""
    from rewriter.report.table import TABLE

    yield "| `--format` | for |\n|---|---|"
    for each in TABLE:
        yield row(f"`{each.name}`", ", ".join(f"`{command}`" for command in each.commands))


def _constructs() -> Iterable[str]:
    from tools.pages.formats import constructs

    return constructs()


def _inputs() -> Iterable[str]:
    from tools.pages.bad_inputs import tables

    return tables()


def _findings_table() -> Iterable[str]:
    from tools.pages.findings import table

    return table()


def _findings() -> Iterable[str]:
    from tools.pages.findings import sections

    return sections()


def _arguments() -> Iterable[str]:
    from tools.pages.arguments import reference

    return reference()


def _api() -> Iterable[str]:
    from tools.pages.api import reference

    return reference()


def _layout() -> Iterable[str]:
    from tools.pages.layout import table

    return table()


SECTIONS: dict[str, Callable[[], Iterable[str]]] = {
    "api": _api,
    "arguments": _arguments,
    "constructs": _constructs,
    "findings": _findings,
    "findings-table": _findings_table,
    "formats": _formats,
    "inputs": _inputs,
    "layout": _layout,
    "models": _models,
    "names": _names,
    "ranking": _ranking,
    "reports": _reports,
    "rules": _rules,
    "stages": _stages,
    "supported": _supported,
}
