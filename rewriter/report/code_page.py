"""``explain RW002``: the page of a kind of finding: what it is, why it is wrong, an example that runs, and the fix."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType

from ..passes.codes import Kind
from .layout import indented, line, words


def page(item: Kind) -> Iterator[RenderableType]:
    """The page of a kind."""
    yield line((f"{item.code} {item}", "bold"), f": {item.summary}")
    yield ""
    yield words(item.text)
    for title, text in (
        ("Why it is wrong", item.harm),
        ("Example", item.example),
        ("What repairs it", item.remedy),
    ):
        yield from ("", line(title))
        yield from (indented(words(part), 2) for part in text.splitlines())
    yield ""
    yield words(f"Severity: {item.severity}. To leave it out: rewriter check MODEL --ignore {item.code}")
