"""Counts of the differential tests, by class; `conftest` writes it to the file that REWRITER_TALLY names."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from pathlib import Path

FIELDS = ("cases", "untrue", "runs", "open")
"""Argument sets compared with Keras's symbolic call; those where Keras declares something else than it computes; real
runs; sizes that the rule left open in a run."""

_TALLY: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)


def count(kind: str, name: str, **numbers: int) -> None:
    """Add to the counts of a class: ``count("layer", "Dense", cases=1)``."""
    assert set(numbers) <= set(FIELDS)
    _TALLY[kind, name].update({field: int(number) for field, number in numbers.items()})


def write(path: str | Path) -> None:
    """Append a row for each class; several processes can write to one file."""
    with open(path, "a", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        for (kind, name), numbers in sorted(_TALLY.items()):
            rows.writerow([kind, name, *(numbers[field] for field in FIELDS)])


def read(path: str | Path) -> dict[tuple[str, str], Counter[str]]:
    """The sums of the written rows."""
    sums: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    with open(path, newline="", encoding="utf-8") as file:
        for kind, name, *numbers in csv.reader(file):
            sums[kind, name].update(dict(zip(FIELDS, map(int, numbers), strict=True)))
    return dict(sums)
