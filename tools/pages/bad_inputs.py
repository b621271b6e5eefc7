"""The tables of bad inputs and of advisories, from the tests of both."""

from __future__ import annotations

from collections.abc import Iterator

from tests.hostile.advisories import ADVISORIES
from tests.hostile.table import GROUPS, ROWS
from tools.pages.markdown import cell, row

OUTCOMES = {2: "refused", 1: "reported", 0: "not touched"}


def tables() -> Iterator[str]:
    """One table for each group of inputs, and one of the advisories that the inputs test."""
    for number, title in GROUPS.items():
        yield f"### {title}\n\n| input | outcome | the line says |\n|---|---|---|"
        for each in ROWS:
            if each.group == number:
                said = f"… {cell(each.words)} …" if each.words else ""
                yield row(cell(each.name), OUTCOMES[each.status], said)
        yield ""
    yield "### Advisories\n\n| advisory | what it is about | inputs |\n|---|---|---|"
    for advisory, (about, names) in ADVISORIES.items():
        yield row(advisory, about, cell(", ".join(names)))
