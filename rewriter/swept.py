"""What a sweep returns: the outcome of each file, and the summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# The outcomes of a file, from the best to the worst.
CLEAN, FINDINGS, UNUSABLE = OUTCOMES = ("clean", "findings", "unusable")


@dataclass(slots=True)
class Outcome:
    """What came of one file.

    Attributes:
        url, size, stamp: those of the file.
        outcome: ``clean``, ``findings`` or ``unusable``.
        status: the exit status that the command would have for this file alone.
        error: why the file cannot be used.
        format, saved_by: its format, and the program that wrote it.
        outdated: what the newest Keras lacks or spells otherwise, so that it may not load the file; "" without any.
        report: the object that ``--format json`` prints; None for a file that cannot be used.
        output: what was written for it; page: its HTML page.
        seconds: how long it took.
        moved, requests: bytes and requests over the network.
        digest: the hash of a small local file; "" for others.
        lasting: False where another try may end otherwise, as after a failure of the network: the next sweep tries it.
        unreachable: whether its service did not answer.
        remembered: whether an earlier sweep looked at it, and it is the same since.
        new: whether something about it is worse than in the last sweep.
    """

    url: str
    size: int
    stamp: str
    outcome: str = CLEAN
    status: int = 0
    error: str = ""
    format: str = ""
    saved_by: str = ""
    outdated: str = ""
    report: dict[str, Any] | None = None
    output: str | None = None
    page: str | None = None
    seconds: float = 0.0
    moved: int = 0
    requests: int = 0
    digest: str = ""
    lasting: bool = True
    unreachable: bool = False
    remembered: bool = False
    new: bool = False

    @classmethod
    def lost(cls, url: str, size: int, stamp: str, error: str) -> Outcome:
        return cls(url, size, stamp, UNUSABLE, 2, error, lasting=False)

    @property
    def findings(self) -> list[dict[str, Any]]:
        """The findings of the report; of a model that was repaired, only what is no fault."""
        found: list[dict[str, Any]] = self.report["findings"] if self.report else []
        return found if self.outcome != CLEAN else [each for each in found if each["severity"] == "info"]


@dataclass(frozen=True, slots=True)
class Row:
    """The files of one group, by outcome."""

    name: str
    files: int
    findings: int
    unusable: int


@dataclass(frozen=True, slots=True)
class Code:
    """The findings of one code: how many, in how many files, and how many were not there in the last sweep."""

    code: str
    severity: str
    findings: int
    files: int
    new: int


@dataclass(frozen=True, slots=True)
class Model:
    """A model that is listed by name, with what is said of it."""

    url: str
    outcome: str
    text: str


@dataclass(frozen=True, slots=True)
class Counts:
    """How many files there are; ``looked_at`` leaves out those that were remembered."""

    files: int
    looked_at: int
    clean: int
    findings: int
    unusable: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A sweep in numbers.

    Attributes:
        codes: the findings by code.
        teams, versions, formats: the files by the first folder below their root, by what saved them, by format; first
            those with the most that are not clean.
        worst: the models with the most errors.
        reasons: why files cannot be used, and how many have each.
        changed: models that are better or worse than in the last sweep; ``gone`` counts those that are not there now.
        outdated: how many models the newest Keras may not load; ``outdated_models`` the first of them.
        seconds: from the start of the sweep to its end; None while it runs.
        moved, requests: bytes and requests over the network of the files that were looked at.
        first: whether there was no sweep of these roots before.
        new: how many files are worse than in the last sweep.
        left_out: how many models filters left out (``filtered``), and how many links to folders (``links``) and models
            and folders whose names start with a dot (``hidden``) were not looked at.
    """

    roots: Sequence[str]
    request: Mapping[str, Any]
    counts: Counts
    codes: Sequence[Code] = ()
    teams: Sequence[Row] = ()
    versions: Sequence[Row] = ()
    formats: Sequence[Row] = ()
    worst: Sequence[Model] = ()
    reasons: Sequence[tuple[str, int]] = ()
    changed: Sequence[Model] = ()
    better: int = 0
    worse: int = 0
    added: int = 0
    gone: int = 0
    outdated: int = 0
    outdated_models: Sequence[Model] = ()
    seconds: float | None = None
    moved: int = 0
    requests: int = 0
    written: int = 0
    first: bool = True
    new: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
