"""The reference of the library, from its signatures and docstrings."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import rewriter
from rewriter import keras_callback, testing
from rewriter.errors import RewriterError
from tools.pages.markdown import cell, row


def reference() -> Iterator[str]:
    """Functions, what they return, errors."""
    public = [getattr(rewriter, name) for name in rewriter.__all__ if name != "__version__"]
    classes = [c for c in public if inspect.isclass(c) and not issubclass(c, Exception)]
    yield "## Functions"
    for function in sorted((f for f in public if inspect.isroutine(f)), key=lambda f: f.__name__):
        yield from _function(function)
    yield "\n## In tests and in training"
    yield from _function(testing.assert_fits)
    yield from _class(keras_callback.Checks, "CheckShapes", "CheckShapesTfKeras")
    yield "\n## What they return"
    yield (
        "\nEach has the text report as its `str`, a `repr` of one short line, `to_dict()`, which is the object that "
        "`--format json` prints, and a view in a notebook. It can be copied and pickled."
    )
    for item in classes:
        yield from _class(item)
    yield "\n## Errors\n"
    yield from _errors([c for c in public if inspect.isclass(c) and issubclass(c, Exception)])


def _function(function: Any) -> Iterator[str]:
    yield f"\n### {function.__name__}\n\n```python\n{signature(function)}\n```\n"
    yield _docstring(function)


def signature(function: Any) -> str:
    """A signature as in its source, one argument per line if there are several."""
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
    node = next(n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef))
    given = node.args
    arguments: list[str] = []
    defaults = [None] * (len(given.args) - len(given.defaults)) + list(given.defaults)
    arguments += [_argument(a, d) for a, d in zip(given.args, defaults, strict=True)]
    if given.vararg:
        arguments.append(f"*{_argument(given.vararg)}")
    elif given.kwonlyargs:
        arguments.append("*")
    arguments += [_argument(a, d) for a, d in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    if given.kwarg:
        arguments.append(f"**{_argument(given.kwarg)}")
    result = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    line = f"{node.name}({', '.join(arguments)}){result}"
    if len(line) <= 88:
        return line
    return "\n".join([f"{node.name}(", *(f"    {a}," for a in arguments), f"){result}"])


def _argument(argument: ast.arg, default: ast.expr | None = None) -> str:
    text = argument.arg
    if argument.annotation is not None:
        text += f": {ast.unparse(argument.annotation)}"
    if default is None:
        return text
    return f"{text} = {ast.unparse(default)}" if argument.annotation else f"{text}={ast.unparse(default)}"


def _class(item: Any, *names: str) -> Iterator[str]:
    """Args: names: the public names of the class, if they are not its own."""
    yield f"\n### {', '.join(names or [item.__name__])}\n\n{_docstring(item)}"
    if dataclasses.is_dataclass(item):
        yield "\n| attribute | type |\n|---|---|"
        for each in dataclasses.fields(item):
            if not each.name.startswith("_"):
                yield row(f"`{each.name}`", f"`{cell(str(each.type))}`")
    members = [
        (name, value)
        for name, value in vars(item).items()
        if not name.startswith("_") and (isinstance(value, property) or inspect.isfunction(value))
    ]
    for name, value in members:
        said = " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())
        shown = f"`{name}`" if isinstance(value, property) else f"`{name}()`"
        yield f"\n- {shown}: {_code(said)}" if said else f"\n- {shown}"


def _errors(errors: list[type[Exception]]) -> Iterator[str]:
    yield "All of them are a `RewriterError`; each message is one line that names the file.\n"
    yield "| error | when |\n|---|---|"
    for error in sorted(errors, key=lambda e: (e is not RewriterError, e.__name__)):
        said = " ".join((inspect.getdoc(error) or "").split("\n\n")[0].split())
        yield row(f"`{error.__name__}`", cell(_code(said)))


_TITLES = {"Args:": "Arguments", "Returns:": "Returns", "Raises:": "Raises", "Attributes:": "Attributes"}


def _docstring(item: Any) -> str:
    """A docstring in Google's style as Markdown: its sections become lists."""
    lines: list[str] = []
    listing = False
    for line in (inspect.getdoc(item) or "").split("\n"):
        if line in _TITLES:
            listing = True
            lines += [f"**{_TITLES[line]}**", ""]
        elif not listing or not line.strip():
            listing = listing and not line.strip()
            lines.append(line)
        elif (entry := re.match(r"    (\*{0,2}[\w, ]+?): (.*)", line)) is not None:
            lines.append(f"- `{entry[1]}`: {entry[2]}")
        else:
            lines.append(line.strip() if lines[-1] == "" else f"  {line.strip()}")
    return _code("\n".join(lines))


def _code(text: str) -> str:
    """Literals of reStructuredText as those of Markdown."""
    return text.replace("``", "`")
