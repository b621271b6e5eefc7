"""Which findings ``check`` reports: selected by code, and not listed in a baseline."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from .errors import BadFileError, UsageError, did_you_mean, shown
from .files import json as strict_json
from .files.atomic import atomic_write
from .files.regular import read_regular
from .passes.codes import Kind
from .passes.finding import Finding
from .results import Report

SCHEMA = "rewriter-baseline/1"
_MAX_SIZE = 64 << 20

# The model's path, relative to the baseline and with slashes, the node, and the code.
Entry = tuple[str, str, str]


def kinds(texts: Sequence[str], option: str) -> frozenset[Kind]:
    """The kinds that ``RW002,layout`` and ``RW00`` name; the start of a code names all codes with that start.

    Raises:
        UsageError: an unknown name.
    """
    found: set[Kind] = set()
    for word in (word.strip() for text in texts for word in text.split(",")):
        here = {k for k in Kind if str(k) == word.lower() or (word and k.code.startswith(word.upper()))}
        if not here:
            known = [name for k in Kind for name in (k.code, str(k))]
            raise UsageError(
                f"{option} {shown(word)!r}: there is no such code or kind{did_you_mean(word, known)}"
            )
        found |= here
    return frozenset(found)


@dataclass(slots=True)
class Selection:
    """What is reported of each model, and what was left out.

    Attributes:
        select: the kinds that are reported; all if it is empty.
        ignore: the kinds that are not reported.
        baseline: a file whose findings are not reported; None without one.
        listed: the findings of the baseline.
        left_out: how many findings were left out because the baseline lists them.
        unselected: how many were left out by their codes.
        found: all findings that were selected, including those of the baseline.
    """

    select: frozenset[Kind] = frozenset()
    ignore: frozenset[Kind] = frozenset()
    baseline: str | None = None
    listed: frozenset[Entry] = frozenset()
    left_out: int = 0
    unselected: int = 0
    found: list[Entry] = field(default_factory=list)

    def apply(self, item: Report) -> None:
        """Remove the findings that are not selected from a report."""
        kept = [
            f
            for f in item.findings
            if (not self.select or f.kind in self.select) and f.kind not in self.ignore
        ]
        entries = [self._entry(item.path, f) for f in kept]
        self.unselected += len(item.findings) - len(kept)
        self.found += entries
        item.findings = [f for f, entry in zip(kept, entries, strict=True) if entry not in self.listed]
        self.left_out += len(kept) - len(item.findings)

    def _entry(self, path: str, item: Finding) -> Entry:
        return relative(path, self.baseline or ""), item.node, item.code


def relative(model: str, baseline: str) -> str:
    """A model's path from the folder of a baseline, with slashes."""
    try:
        path = os.path.relpath(model, os.path.dirname(os.path.abspath(baseline)))
    except ValueError:  # on another drive
        path = os.path.abspath(model)
    return path.replace(os.sep, "/")


def load(path: str) -> frozenset[Entry]:
    """The findings that a baseline lists. Raises UsageError: it cannot be read, or is not a baseline."""
    name = f"baseline {shown(path)}"
    try:
        data = strict_json.parse(read_regular(path, _MAX_SIZE), "the baseline")
    except BadFileError as error:
        raise UsageError(f"{name}: {error}") from None
    if (
        not isinstance(data, dict)
        or data.get("schema") != SCHEMA
        or not isinstance(data.get("findings"), list)
    ):
        raise UsageError(f"{name}: it is not a baseline of this version: schema is not {SCHEMA!r}")
    entries = [e if isinstance(e, dict) else {} for e in data["findings"]]
    made = [tuple(e.get(key) for key in ("model", "node", "code")) for e in entries]
    if not all(isinstance(value, str) for entry in made for value in entry):
        raise UsageError(f"{name}: each finding must have a model, a node and a code, all of them strings")
    return frozenset((str(m), str(n), str(c)) for m, n, c in made)


def save(path: str, entries: Iterable[Entry], models: Collection[str]) -> None:
    """Write a baseline: new entries for the checked models, and the old entries of other models.

    Raises:
        UsageError: the file exists, and is not a baseline.
        OutputError: it cannot be written.
    """
    looked_at = {relative(model, path) for model in models}
    before = load(path) if os.path.lexists(path) else frozenset()
    entries = [*entries, *(entry for entry in before if entry[0] not in looked_at)]
    findings = [{"model": m, "node": n, "code": c} for m, n, c in sorted(set(entries))]
    with atomic_write(path) as file:
        file.write(json.dumps({"schema": SCHEMA, "findings": findings}, indent=1).encode() + b"\n")
